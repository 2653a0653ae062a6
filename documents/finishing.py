"""What is done to files in a child process: functions over paths, without network, token or database (C4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from signing import cms, longterm, pades
from signing.longterm import Material, PreparedTimestamp
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.trust.anchors import TrustSnapshot
from signing.verification.own_bytes import located, revisions
from signing.verification.own_work import NotAccepted, judge

CHUNK = 1 << 20


@dataclass(frozen=True)
class Finished:
    sha256: str
    size: int
    revision: str  # SHA-256 of the bytes up to the end of the signature's byte range (C3)


@dataclass(frozen=True)
class Proof:
    """What dates a signature: DER of a token that lies in its CMS (`inside`), or of the document time-stamp over it."""

    token: bytes
    inside: bool


@dataclass(frozen=True)
class Answer:
    """What the key's holder and the authorities gave."""

    signature: bytes
    timestamp: bytes | None
    material: Material | None


def fill(prepared: PreparedSignature, file: Path, answer: Answer, *, password: str | None) -> None:
    """Puts signature, time-stamp and validation material into the copy of the prepared file."""
    pades.complete(prepared, file, signature=answer.signature, timestamp=answer.timestamp)
    if answer.material is not None:
        longterm.add_material(file, answer.material, password=password)


def archive(file: Path, *, room: int, password: str | None) -> PreparedTimestamp:
    return longterm.prepare_archive_timestamp(file, room, password=password)


def seal_archive(file: Path, prepared: PreparedTimestamp, token: bytes) -> None:
    longterm.complete_archive_timestamp(file, prepared, token)


def takes(prepared: PreparedSignature, signature: bytes, timestamp: bytes) -> bool:
    """Whether the hole is large enough for both. Computes only, wherever it is called."""
    template = cms.template(prepared.certificate, prepared.chain, prepared.mechanism)
    return len(template.signed_data(prepared.to_sign, signature, timestamp)) <= prepared.hole.room


def proof_in(file: Path, prepared: PreparedSignature) -> Proof | None:
    """What the filled file dates its signature by; None where it has no time-stamp."""
    with file.open("rb") as opened:
        opened.seek(prepared.hole.offset + 1)
        inside = cms.timestamp_in(bytes.fromhex(opened.read(prepared.hole.length - 2).decode("ascii")))
        if inside is not None:
            return Proof(inside, inside=True)
        for one in revisions(opened, prepared.original_size, file.stat().st_size)[1:]:
            for key in one.signatures:
                return Proof(located(opened, one.objects[key], one.end).contents, inside=False)
    return None


def augment(file: Path, material: Material, *, password: str | None) -> None:
    longterm.add_material(file, material, password=password)


def judge_and_name(  # noqa: PLR0913 - as the judge is asked
    original: Path, signed: Path, prepared: PreparedSignature, *, trust: TrustSnapshot, password: str | None,
    timestamped: bool, at: datetime | None = None,
) -> tuple[dict[str, Any], Finished]:  # fmt: skip
    """Step 4: judges the written bytes, and names them. `timestamped`: by a token inside the signature; what was to be
    dated and is not dated so has its document time-stamp."""
    judgement = judge(
        original, signed, prepared, trust=trust, password=password, timestamped=timestamped, at=at
    )
    if prepared.level >= Level.B_T and not judgement.timestamps:
        raise NotAccepted("timestamp", "missing")
    return judgement.to_stored(), name(signed, prepared.file_size)


def name(signed: Path, revision_size: int) -> Finished:
    """The digests of the whole and of its first `revision_size` bytes, in one pass."""
    whole, revision, left, size = hashlib.sha256(), hashlib.sha256(), revision_size, 0
    with signed.open("rb") as file:
        while piece := file.read(CHUNK):
            whole.update(piece)
            revision.update(piece[:left] if left < len(piece) else piece)
            left, size = max(0, left - len(piece)), size + len(piece)
    return Finished(whole.hexdigest(), size, revision.hexdigest())
