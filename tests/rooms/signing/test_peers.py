"""scripts/check-peers calls a file disputed as soon as one of the three says anything but what was wished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signing.profile import Level
from tests.papers import letter
from tests.peers import HEAD, Aged, Row, said_by_us, table
from tests.rooms.signing.kinds import STAMP, VALID
from tests.rooms.signing.made import Made
from tests.rooms.signing.verification.judging_world import World

AGREED = Row(
    "two",
    Made(Path("two.pdf"), (Level.B_T, Level.B_LTA)),
    dss=["TOTAL_PASSED PAdES-BASELINE-T", "TOTAL_PASSED PAdES-BASELINE-LTA", *["PASSED"] * 3],
    pdfsig=[VALID, STAMP, VALID],
    ours=["VALID", "B-T", "B-LTA"],
)
DSS, PDFSIG = list(AGREED.dss), list(AGREED.pdfsig)


def test_all_agree() -> None:
    assert AGREED.disagreeing == []
    assert "<-" not in table(HEAD, [AGREED])


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ({"dss": ["INDETERMINATE REVOKED_NO_POE PAdES-BASELINE-T", *DSS[1:]]}, "DSS"),
        ({"dss": [DSS[0], "TOTAL_PASSED PAdES-BASELINE-LT", *DSS[2:]]}, "DSS"),
        ({"dss": [*DSS[:-1], "INDETERMINATE NO_POE"]}, "DSS"),
        ({"dss": [*DSS, "BBB_X: a warning"]}, "DSS"),
        ({"dss": []}, "DSS"),
        ({"pdfsig": ["Digest Mismatch.", STAMP, VALID]}, "pdfsig"),
        ({"pdfsig": PDFSIG[:2]}, "pdfsig"),
        ({"pdfsig": [STAMP, STAMP, VALID]}, "pdfsig"),
        ({"ours": ["INDETERMINATE", "B-T", "B-LTA"]}, "ours"),
        ({"ours": ["VALID", "B-T", "B-LT"]}, "ours"),
        ({"ours": ["VALID", "B-T"]}, "ours"),
    ],
)
def test_one_says_something_else(said: dict[str, Any], who: str) -> None:
    row = replace(AGREED, **said)
    assert row.disagreeing == [who]
    assert table(HEAD, [AGREED, row]).endswith(f"<- {who}")


def test_what_we_say_of_a_changed_file_is_disputed(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        signed = world.ours(letter(), Level.B_LTA)
        sound, changed = (said_by_us(world.judge(one)) for one in (signed, signed.replace(b"842", b"841", 1)))
    row = replace(AGREED, made=Made(Path("one.pdf"), (Level.B_LTA,)))
    assert "ours" not in replace(row, ours=sound).disagreeing
    assert "ours" in replace(row, ours=changed).disagreeing


@pytest.mark.parametrize(
    ("dss", "ours", "disputed"),
    [
        ("TOTAL_PASSED", "TOTAL-PASSED", False),
        ("INDETERMINATE OUT_OF_BOUNDS_NO_POE", "INDETERMINATE, OUT_OF_BOUNDS_NO_POE", False),
        ("INDETERMINATE OUT_OF_BOUNDS_NOT_REVOKED", "INDETERMINATE, OUT_OF_BOUNDS_NO_POE", False),
        ("INDETERMINATE TRY_LATER", "INDETERMINATE, TRY_LATER", False),
        ("INDETERMINATE TRY_LATER", "INDETERMINATE, OUT_OF_BOUNDS_NO_POE", True),
        ("INDETERMINATE OUT_OF_BOUNDS_NO_POE", "INDETERMINATE, TRY_LATER", True),
        ("INDETERMINATE OUT_OF_BOUNDS_NO_POE", "TOTAL-PASSED", True),
        ("TOTAL_PASSED", "INDETERMINATE, OUT_OF_BOUNDS_NO_POE", True),
        ("TOTAL_FAILED REVOKED", "INDETERMINATE, OUT_OF_BOUNDS_NO_POE", True),
    ],
)
def test_what_is_said_years_later(dss: str, ours: str, disputed: bool) -> None:
    assert Aged(("B-LT", "no", "+1"), dss, ours).disputed is disputed
