"""Our own output of every sort, for others to judge: this file signs it, and knows what each of them is to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signing.appearance import Mark
from signing.profile import Level
from tests import strangers
from tests.papers import letter
from tests.pki import Pki
from tests.rooms.signing.kinds import EVERY, FILES, STAMP, VALID, with_fields
from tests.rooms.signing.levels import Hand


@dataclass(frozen=True)
class Made:
    """A signed file; `levels`: of each signature, in the order in which they were made."""

    file: Path
    levels: tuple[Level, ...]
    password: str | None = None

    @property
    def stands_alone(self) -> bool:
        """All that a judge needs is inside."""
        return all(level >= Level.B_LT for level in self.levels)

    @property
    def stamps(self) -> int:
        """Document time-stamps."""
        return sum(level >= Level.B_LTA for level in self.levels)

    @property
    def by_dss(self) -> list[str]:
        inner = sum(level >= Level.B_T for level in self.levels)
        signatures = [f"TOTAL_PASSED PAdES-BASELINE-{level.removeprefix('B-')}" for level in self.levels]
        return signatures + (inner + self.stamps) * ["PASSED"]

    @property
    def by_pdfsig(self) -> list[str]:
        """In no order of theirs."""
        return sorted([VALID] * len(self.levels) + [STAMP] * self.stamps)


def paper(folder: Path, content: bytes | None = None) -> Path:
    file = folder / f"{len(list(folder.iterdir()))}.pdf"
    file.write_bytes(content or letter(pages=2))
    return file


async def kinds_of_files(hand: Hand, folder: Path) -> dict[str, Made]:
    """A plain file at every level, every other kind at the highest."""
    signed = {}
    for kind, level in EVERY:
        own = folder / f"{kind} {level}".replace("/", "")
        own.mkdir()
        original, password = FILES[kind](own)
        await hand.sign(original, file := own / "signed.pdf", level, password)
        signed[f"{kind} {level}"] = Made(file, (level,), password)
    return signed


async def beside_one_another(hand: Hand, folder: Path) -> dict[str, Made]:
    """At every level: three signatures with marks, certified ones with what they permit, fields that stood empty before."""
    signed = {}

    async def several(name: str, original: Path, *wishes: tuple[Level, dict[str, Any]]) -> None:
        for number, (level, wish) in enumerate(wishes):
            file = folder / f"{name}-{number}.pdf"
            await hand.sign(original, file, level, **wish)
            original = file
        signed[name] = Made(original, tuple(level for level, _ in wishes))

    for level in Level:
        marks = [Mark(2, (50, 100 * at, 250, 100 * at + 80), "Đã ký", qr="https://x/") for at in (1, 2, 3)]
        await several(f"three marks {level}", paper(folder), *((level, {"mark": one}) for one in marks))
        for more in (1, 2, 3):
            second = [(level, {"mark": marks[0]})] if more > 1 else []
            await several(f"certified {more} {level}", paper(folder), (level, {"certify": more}), *second)
        fields = [(level, {"field": name}) for name in ("Chữ ký", "Khác")]
        await several(f"fields {level}", paper(folder, with_fields()), *fields)
    return signed


# -- what the EU's DSS says


def gone(_: bytes) -> tuple[str, bytes]:
    """Not one that is asked again, as 503 is."""
    return "404 Not Found", b""


@contextmanager
def silent(pki: Pki) -> Iterator[None]:
    """In the block nobody can be asked for revocation or certificates."""
    with pki.answering("ocsp", gone), pki.answering("crls", gone), pki.answering("certs", gone):
        yield


def dss_of(pki: Pki, folder: Path, signed: dict[str, Made]) -> dict[str, list[str]]:
    """Of each file; those that hold all that is needed are judged with nobody to ask."""
    alone = {name: one for name, one in signed.items() if one.stands_alone}
    said = _dss_of(pki, folder, {name: one for name, one in signed.items() if name not in alone})
    if alone:
        with silent(pki):
            said |= _dss_of(pki, folder, alone)
    return {name: said[name] for name in signed}


def _dss_of(pki: Pki, folder: Path, signed: dict[str, Made]) -> dict[str, list[str]]:
    if not signed:
        return {}
    root = folder / "root.cer"
    root.write_bytes(pki.certificate("root"))
    said = strangers.dss(root, *((one.file, one.password) for one in signed.values()))
    return dict(zip(signed, said, strict=True))
