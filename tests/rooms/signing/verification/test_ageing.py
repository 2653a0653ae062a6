"""What our own files are worth years later, renewed and not: each row of the table in docs/verification.md holds (V3, V4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from signing import longterm
from signing.profile import Level
from signing.timestamping.token import read_token
from signing.verification.report import Indication, Report, TimeSource
from tests.papers import letter
from tests.rooms.signing.verification.ageing import (
    LEVELS,
    LIVES,
    RENEWED,
    SIGNED,
    Cell,
    ageing,
    said,
    set_clock,
    signed,
)
from tests.rooms.signing.verification.judging_world import ROOM, World, codes

TOP = Path(__file__).parents[4]


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


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Cell, tuple[Report, Report]]]:
    """Each file at each clock: judged with the authorities still there, and with nobody to ask."""
    with World(tmp_path_factory.mktemp("ageing"), LIVES) as world:
        yield {
            cell: (world.judge(paper, at=world.clock()), world.judge(paper, at=world.clock(), offline=True))
            for papers in ageing(world)
            for cell, paper in papers.items()
        }


def test_the_table_has_every_cell() -> None:
    cells = {
        (level, renewed, clock)
        for level, clock in product(LEVELS, RENEWED)
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
        file = tmp_path / "signed.pdf"
        file.write_bytes(signed(world, Level.B_LT))
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
