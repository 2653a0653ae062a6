"""What our own files are worth years later, renewed and not: each row of the table in docs/verification.md holds (V3, V4).

The authorities live as long as usual: signer three years, time-stamp authority five, its successors five, issuing CA twelve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from signing import longterm
from signing.profile import Level
from signing.timestamping.token import read_token
from signing.verification.report import Indication, Report, SignatureReport, TimeSource
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import ROOM, World, codes

TOP = Path(__file__).parents[4]
SIGNED = datetime(2026, 6, 1, 9, tzinfo=UTC)
LIVES = {"root": (2020, 2050), "issuing": (2025, 2037), "responder": (2025, 2037), "tsa": (2026, 2031)}
LEVELS = ("B-LT", "B-LTA")
CLOCKS = ("+1", "+6", "+11")
Cell = tuple[str, str, str]  # level, when renewed, clock: as the table writes them


@dataclass(frozen=True)
class Row:
    """`offline`: what is said where nobody can be asked."""

    verdict: str
    said: str
    reached: str
    offline: str


def table() -> dict[Cell, Row]:
    text = (TOP / "docs" / "verification.md").read_text()
    section = text.partition("\n## Our own files, years later\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| B-")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {(row[0], row[1], row[2]): Row(*row[3:7]) for row in cells}


TABLE = table()
RENEWED = {"+1": "in month 6", "+6": "in month 6, year 4", "+11": "in month 6, year 4, year 8"}


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Cell, tuple[Report, Report]]]:
    """Each file at each clock: judged with the authorities still there, and with nobody to ask."""
    with World(tmp_path_factory.mktemp("ageing"), LIVES) as world:
        yield dict(_ageing(world))


def _ageing(world: World) -> Iterator[tuple[Cell, tuple[Report, Report]]]:
    set_clock(world, SIGNED)
    world.person("official", years=(2026, 2029))
    left = {level: world.ours(letter(), Level(level)) for level in LEVELS}
    tended = dict(left)
    renewals = (
        (SIGNED.replace(month=12), None),
        (SIGNED.replace(year=2030), ("World TSA 2030", (2030, 2035))),
        (SIGNED.replace(year=2034), ("World TSA 2034", (2034, 2039))),
    )
    for clock, (when, successor) in zip(CLOCKS, renewals, strict=True):
        set_clock(world, when)
        if successor is not None:
            world.pki.succeed_tsa(*successor)
        tended = {level: world.renewed(paper) for level, paper in tended.items()}
        set_clock(world, SIGNED.replace(year=SIGNED.year + int(clock)))
        for level in LEVELS:
            for renewed, paper in (("no", left[level]), (RENEWED[clock], tended[level])):
                at = world.clock()
                yield (
                    (level, renewed, clock),
                    (world.judge(paper, at=at), world.judge(paper, at=at, offline=True)),
                )


def set_clock(world: World, when: datetime) -> None:
    world.clock.move(when - world.clock())


def said(signature: SignatureReport) -> str:
    sub = signature.sub_indication
    return signature.indication.value + (f", {sub.value}" if sub else "")


def test_the_table_has_every_cell() -> None:
    cells = {
        (level, renewed, clock)
        for level, clock in product(LEVELS, CLOCKS)
        for renewed in ("no", RENEWED[clock])
    }
    assert set(TABLE) == cells and len(cells) == 12


@pytest.mark.parametrize("cell", TABLE, ids=" ".join)
def test_what_is_said_then(aged: dict[Cell, tuple[Report, Report]], cell: Cell) -> None:
    report, alone = aged[cell]
    signature = report.signatures[0]
    row = Row(report.verdict.value, said(signature), signature.level or "", said(alone.signatures[0]))
    assert row == TABLE[cell]
    assert report.time_source is TimeSource.GIVEN
    # A time is proven where it passed, and never where it did not: neither by /M nor by a stamp that is doubtful (V3).
    passed = report.verdict.value == "VALID"
    assert signature.best_signature_time == (
        signature.timestamps[0].time if passed else report.validation_time
    )
    assert alone.signatures[0].best_signature_time == alone.validation_time
    assert {one.indication is Indication.TOTAL_PASSED for one in signature.timestamps} == {passed}


@pytest.mark.parametrize(
    ("year", "why"), [(2031, "OUT_OF_BOUNDS_NO_POE"), (2030, "TRY_LATER")], ids=["too-late", "no-material"]
)
def test_a_renewal_that_proves_nothing(tmp_path: Path, year: int, why: str) -> None:
    """Too late: the older authority had ended. Without its validation data: what is told of it after its end is no answer,
    so that the signature is dated by the younger time-stamp alone, when its signer's certificate had ended."""
    with World(tmp_path, LIVES) as world:
        set_clock(world, SIGNED)
        world.person("official", years=(2026, 2029))
        file = tmp_path / "signed.pdf"
        file.write_bytes(world.ours(letter(), Level.B_LT))
        set_clock(world, SIGNED.replace(year=year))
        world.pki.succeed_tsa("World TSA 2", (2030, 2036))
        waiting = longterm.renew(file, longterm.Material(), ROOM)
        longterm.complete_archive_timestamp(file, waiting, world.token_over(waiting.digest))
        set_clock(world, SIGNED.replace(year=2032))
        report = world.judge(file.read_bytes(), at=world.clock())
    assert report.verdict == "INDETERMINATE"
    signature, dated = report.signatures
    assert (said(signature), said(dated)) == ("INDETERMINATE, OUT_OF_BOUNDS_NO_POE", "TOTAL-PASSED")
    assert [one.sub_indication for one in signature.timestamps] == [why, None]
    assert signature.best_signature_time == dated.timestamps[0].time
    assert {"TIMESTAMP_UNDECIDED", "EXPIRED_NO_PROOF"} <= codes(report, 0)


def test_what_is_not_dated_yet(world: World, tmp_path: Path) -> None:
    """The newest document time-stamp, and the signatures behind it: what stands before it is covered."""
    file = tmp_path / "signed.pdf"

    def undated(paper: bytes) -> list[tuple[str, int]]:
        file.write_bytes(paper)
        tokens = [read_token(one) for one in longterm.undated(file)]
        assert all(one.der in paper or one.der.hex().encode() in paper.lower() for one in tokens)
        return [(one.authority, len(tokens)) for one in tokens[:1]]

    assert undated(world.ours(letter())) == []
    dated = world.ours(letter(), Level.B_LT)
    ((authority, number),) = undated(dated)
    assert number == 1 and "TSA" in authority
    archived = world.renewed(dated)
    assert undated(archived) == [(authority, 1)]
    assert undated(world.ours(archived, Level.B_T)) == [(authority, 2)]
    assert undated(world.renewed(world.ours(archived, Level.B_T))) == [(authority, 1)]
