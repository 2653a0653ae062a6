"""A file judged for somebody who brings it, against pyHanko's validator: this file measures users' verification.

- Both trust one root, ask nobody, and have the same revocation data: two CRLs beside a B-B or B-T file, what stands in
  a B-LT or B-LTA file. A verdict that is not VALID ends the bench.
- Ours has the file read in a child without network (V8), which is in the time. Beside it stand our judge alone, without
  the child, and the judge of our own work, which knows what was agreed and looks at the last signature only.
- `--large` adds 25 signatures in 1 MB, which take pyHanko a minute, and a file of 1 GB.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from asn1crypto.crl import CertificateList
from asn1crypto.x509 import Certificate
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import (
    DocumentSecurityStore,
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from bench.sign import write_large
from bench.table import IN_TURN, Row, interleaved_async, show
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.verification import own_work
from signing.verification.answer import answer
from signing.verification.pdf import Question, judge
from signing.verification.plain_reading import read_pdf
from signing.verification.policy import load_policy
from signing.verification.report import TimeSource, Verdict
from signing.workshop import Workshop
from tests.papers import letter
from tests.pki import ARCH, Pki
from tests.rooms.signing.levels import Hand
from tests.steering import SteerableClock

KB_80, KB_200, MB_1 = (80_000, "80 KB"), (200_000, "200 KB"), (1_000_000, "1 MB")
USUAL = ((KB_80, 1), (KB_200, 2), (MB_1, 1), (KB_80, 25))  # what a paper weighs, and its signatures
PEER, IN_PROCESS, OWN_WORK = "pyHanko's validator", "our judge alone", "the judge of our own work"


@dataclass(frozen=True)
class Case:
    """`original`: the file before its last signature, `prepared`: that signature as it was agreed."""

    name: str
    file: Path
    original: Path
    prepared: PreparedSignature


@dataclass(frozen=True)
class Scene:
    folder: Path
    hand: Hand
    workshop: Workshop
    crls: tuple[bytes, ...]


def main(
    cases: Sequence[tuple[tuple[int, str], int]] = USUAL, *, rounds: int = 60, large: bool = False
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock, keys = SteerableClock(), Path(folder) / "keys"
        keys.mkdir()
        with Pki(keys, clock) as pki:
            hand = Hand.of(pki, clock, pki.person("binh"))
            show(asyncio.run(_measured(Path(folder), hand, cases, rounds=rounds, large=large)))


async def _measured(
    folder: Path, hand: Hand, cases: Sequence[tuple[tuple[int, str], int]], *, rounds: int, large: bool
) -> list[Row]:
    async with hand, Workshop(1) as workshop:
        scene = Scene(folder, hand, workshop, tuple(_crl(hand.pki, one) for one in ("issuing", "root")))
        paper, rows = folder / "paper.pdf", []
        for (weight, label), count in (*cases, *([(MB_1, 25)] if large else [])):
            paper.write_bytes(letter(weight=weight))
            for level in Level:
                case = await _signed(scene, (paper, label), count, level)
                rows += await _judged(scene, case, max(1, rounds // count))
        if large:
            write_large(paper, 1 << 30)
            rows += await _judged(scene, await _signed(scene, (paper, "1 GB"), 1, Level.B_LT), 3)
    return rows


def _crl(pki: Pki, issuer: str) -> bytes:
    url = f"{pki.address}/{ARCH.value}/crls/{issuer}/latest.crl"
    return httpx.get(url, trust_env=False).raise_for_status().content


async def _signed(scene: Scene, paper: tuple[Path, str], count: int, level: Level) -> Case:
    """So many signatures, one over the other; the archive time-stamp of B-LTA over all of them."""
    file, label = paper
    below = Level.B_LT if level >= Level.B_LTA else level
    for number in range(1, count + 1):
        original, file = file, scene.folder / f"{label} {number}.pdf"
        prepared = await scene.hand.sign(original, file, level if number == count else below)
    name = f"{label} {level.value}, {count} signature{'s' if count > 1 else ''}"
    return Case(name, file, original, prepared)


async def _judged(scene: Scene, case: Case, rounds: int) -> list[Row]:
    hand, file = scene.hand, case.file
    trust, policy = hand.trust, load_policy("vn-official")
    root, crls = hand.pki.certificate("root"), () if case.prepared.level >= Level.B_LT else scene.crls

    def question() -> Question:
        return Question(
            name=file.name, sha256="", trust=trust, policy=policy, at=hand.clock(),
            time_source=TimeSource.NOW, crls=crls,
        )  # fmt: skip

    async def users() -> None:
        report = await answer(file, question(), workshop=scene.workshop, revocation=None)
        _valid(report.verdict is Verdict.VALID, report)

    async def in_process() -> None:
        report = await judge(read_pdf(file), question(), None)
        _valid(report.verdict is Verdict.VALID, report)

    async def own() -> None:
        own_work.judge(
            case.original, file, case.prepared, trust=hand.trust, password=None,
            timestamped=case.prepared.level >= Level.B_T,
        )  # fmt: skip

    async def pyhanko() -> None:
        _valid(await _by_pyhanko(file, root, crls), "pyHanko")

    ours, theirs, alone, own_ms = await interleaved_async(
        rounds,
        users,
        pyhanko,
        in_process,
        own,
        between=gc.collect,
        warm=rounds == 1,
        in_turn=IN_TURN if rounds > IN_TURN else 1,
    )
    return [
        Row("verify", case.name, ours, theirs, PEER, "ms"),
        Row("verify", case.name, ours, alone, IN_PROCESS, "ms"),
        Row("verify", case.name, ours, own_ms, OWN_WORK, "ms"),
    ]


async def _by_pyhanko(file: Path, root: bytes, crls: tuple[bytes, ...]) -> bool:
    """Every signature and document time-stamp, revocation required, nothing fetched."""
    known: dict[str, Any] = {
        "trust_roots": [Certificate.load(root)], "allow_fetching": False, "revocation_mode": "require",
    }  # fmt: skip
    with file.open("rb") as opened:
        reader = PdfFileReader(opened)
        store = None if crls else DocumentSecurityStore.read_dss(reader)

        def context() -> ValidationContext:
            if store is not None:
                return store.as_validation_context(known)
            return ValidationContext(**known, crls=[CertificateList.load(one) for one in crls])

        usage = KeyUsageConstraints(key_usage={"digital_signature"})
        passed = []
        for stamp in reader.embedded_timestamp_signatures:
            dated = await async_validate_pdf_timestamp(stamp, context())
            passed.append(dated.valid and dated.trusted and dated.intact)
        for one in reader.embedded_regular_signatures:
            status = await async_validate_pdf_signature(
                one, context(), ts_validation_context=context(), key_usage_settings=usage
            )
            passed.append(status.bottom_line)
        return all(passed)


def _valid(holds: bool, said: object) -> None:
    """A fast verdict that is another would be none."""
    if not holds:
        raise SystemExit(f"what was measured is no VALID: {said}")


if __name__ == "__main__":
    main(large="--large" in sys.argv[1:])
