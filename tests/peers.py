"""Our own output of every sort, judged by the EU's DSS, by poppler's pdfsig and by ourselves: `python -m tests.peers` prints what
each of them says, side by side, and then what DSS and we say years later (pdfsig asks for no time). Exit status 1 where one of
them does not pass what we signed, or sees another level than we, or another indication later."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signing.trust.revocation import Revocation
from signing.verification.answer import answer
from signing.verification.pdf import Question
from signing.verification.policy import load_policy
from signing.verification.report import Report, TimeSource
from signing.workshop import Workshop
from tests import strangers
from tests.pki import Pki
from tests.rooms.signing.kinds import STAMP, VALID
from tests.rooms.signing.levels import Hand
from tests.rooms.signing.made import Made, beside_one_another, dss_of, kinds_of_files
from tests.rooms.signing.verification.ageing import LIVES, Cell, ageing, said
from tests.rooms.signing.verification.judging_world import World, brief
from tests.steering import SteerableClock

POLICY = "vn-official"
WORDS = {VALID: "valid", STAMP: "not judged"}  # pdfsig judges no document time-stamp


@dataclass(frozen=True)
class Row:
    """What was said of one file. Of each signature: `dss` its indication and level, then each time-stamp's; `ours` the verdict,
    then the level of each signature, or what keeps it from passing."""

    name: str
    made: Made
    dss: Sequence[str]
    pdfsig: Sequence[str]
    ours: Sequence[str]

    @property
    def disagreeing(self) -> list[str]:
        """Who says something else than that all is as it was wished."""
        expected = {
            "DSS": (list(self.dss), self.made.by_dss),
            "pdfsig": (sorted(self.pdfsig), self.made.by_pdfsig),
            "ours": (list(self.ours), ["VALID", *self.made.levels]),
        }
        return [who for who, (said, wanted) in expected.items() if said != wanted]

    @property
    def cells(self) -> tuple[str, ...]:
        signatures = len(self.made.levels)
        dss = [one.replace("PAdES-BASELINE-", "") for one in self.dss]
        pdfsig = [WORDS.get(one, one) for one in self.pdfsig]
        return (
            self.name, ", ".join(dss[:signatures]), ", ".join(_counted(dss[signatures:])), ", ".join(_counted(pdfsig)),
            " ".join(self.ours), "".join(f"<- {who} " for who in self.disagreeing),
        )  # fmt: skip


@dataclass(frozen=True)
class Aged:
    """What was said of one file of `ageing.py`: DSS's first word of the signature, with its sub-indication, and ours."""

    cell: Cell
    dss: str
    ours: str

    @property
    def disputed(self) -> bool:
        """DSS tells an ended certificate that is known as not revoked from one that is not: both are OUT_OF_BOUNDS."""
        indication, _, sub = self.dss.partition(" ")
        wanted, _, own = self.ours.partition(", ")
        same = sub == own or (sub, own) == ("OUT_OF_BOUNDS_NOT_REVOKED", "OUT_OF_BOUNDS_NO_POE")
        return indication.replace("_", "-") != wanted or not same

    @property
    def cells(self) -> tuple[str, ...]:
        return (*self.cell, self.dss, self.ours, "<- disputed" if self.disputed else "")


AGED_HEAD = ("signed at", "renewed", "clock", "EU DSS", f"ours ({POLICY})", "")
HEAD = ("file", "EU DSS: signatures", "time-stamps", "poppler's pdfsig", f"ours ({POLICY})", "")


def _counted(said: Sequence[str]) -> list[str]:
    return [f"{said.count(one)} {one}" for one in dict.fromkeys(said)]


def table(head: Sequence[str], rows: Sequence[Row] | Sequence[Aged]) -> str:
    lines = [head, *(row.cells for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def said_by_us(report: Report) -> list[str]:
    verdict, signatures = brief(report)
    return [verdict, *(one for one in signatures if one != "TIMESTAMP")]


async def _ours(hand: Hand, made: Made, workshop: Workshop) -> Report:
    question = Question(
        name=made.file.name, sha256="", trust=hand.trust, policy=load_policy(POLICY), at=hand.clock(),
        time_source=TimeSource.NOW, password=made.password,
    )  # fmt: skip
    heard = None if made.stands_alone else Revocation(hand.fetcher, clock=hand.clock)
    return await answer(made.file, question, workshop=workshop, revocation=heard)


async def judged(folder: Path) -> list[Row]:
    clock = SteerableClock()
    (keys := folder / "keys").mkdir()
    with Pki(keys, clock) as pki:
        async with Hand.of(pki, clock, pki.person("binh")) as hand, Workshop(1) as workshop:
            signed = await kinds_of_files(hand, folder) | await beside_one_another(hand, folder)
            ours = {name: said_by_us(await _ours(hand, one, workshop)) for name, one in signed.items()}
            dss = await asyncio.to_thread(dss_of, pki, folder, signed)
    return [
        Row(
            name,
            one,
            dss[name],
            [each.validation for each in strangers.pdfsig(one.file, one.password)],
            ours[name],
        )
        for name, one in signed.items()
    ]


def judged_later(folder: Path) -> list[Aged]:
    rows = []
    with World(folder, LIVES) as world:
        (root := folder / "root.cer").write_bytes(world.pki.certificate("root"))
        for papers in ageing(world):
            at = world.clock()
            files = [folder / f"{number}.pdf" for number in range(len(papers))]
            for file, paper in zip(files, papers.values(), strict=True):
                file.write_bytes(paper)
            told = strangers.dss(root, *((file, None) for file in files), at=at)
            ours = (said(world.judge(paper, at=at).signatures[0]) for paper in papers.values())
            rows += [
                Aged(cell, one[0].partition(" PAdES-")[0], own)
                for cell, one, own in zip(papers, told, ours, strict=True)
            ]
    return rows


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as another:
        rows = asyncio.run(judged(Path(folder)))
        print(table(HEAD, rows), flush=True)
        later = judged_later(Path(another))
        print(f"\n{table(AGED_HEAD, later)}")
    disputed = [*(row for row in rows if row.disagreeing), *(row for row in later if row.disputed)]
    signatures = sum(len(row.made.levels) for row in rows)
    print(
        f"\n{len(rows)} files, {signatures} signatures; {len(later)} judged in later years: {len(disputed)} in dispute"
    )
    return 1 if disputed else 0


if __name__ == "__main__":
    sys.exit(main())
