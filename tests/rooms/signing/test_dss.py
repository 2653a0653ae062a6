"""The EU's DSS judges what we sign, by its own policy: each signature passes at the level it was wished at, each time-stamp
passes, and nothing else is said. What it cannot find in the file it may ask of the authorities, up to B-T only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from documents import finishing
from hsm.key import Mechanism
from signing.appearance import Mark
from signing.profile import Level
from tests import strangers
from tests.papers import letter
from tests.pki import Pki
from tests.rooms.signing.kinds import EVERY, FILES, with_fields
from tests.rooms.signing.levels import Hand
from tests.rooms.signing.pens import key_for

LONG = (Level.B_LT, Level.B_LTA)
Signed = dict[str, tuple[Path, str | None, list[str]]]  # file, password, what is to be said


def gone(_: bytes) -> tuple[str, bytes]:
    """Not one that is asked again, as 503 is."""
    return "404 Not Found", b""


def passed(*levels: Level) -> list[str]:
    stamps = sum((level >= Level.B_T) + (level >= Level.B_LTA) for level in levels)
    return [f"TOTAL_PASSED PAdES-BASELINE-{level.removeprefix('B-')}" for level in levels] + stamps * [
        "PASSED"
    ]


def judged(pki: Pki, folder: Path, signed: Signed) -> None:
    root = folder / "root.cer"
    root.write_bytes(pki.certificate("root"))
    said = strangers.dss(root, *((file, password) for file, password, _ in signed.values()))
    assert dict(zip(signed, said, strict=True)) == {name: expected for name, (*_, expected) in signed.items()}


def paper(folder: Path, content: bytes | None = None) -> Path:
    file = folder / f"{len(list(folder.iterdir()))}.pdf"
    file.write_bytes(content or letter(pages=2))
    return file


async def test_every_kind_of_file_at_every_level(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    signed: Signed = {}
    for kind, level in EVERY:
        folder = tmp_path / f"{kind} {level}".replace("/", "")
        folder.mkdir()
        original, password = FILES[kind](folder)
        await hand.sign(original, folder / "signed.pdf", level, password)
        signed[f"{kind} {level}"] = folder / "signed.pdf", password, passed(level)
    judged(pki, tmp_path, {name: one for name, one in signed.items() if not name.endswith(LONG)})
    with pki.answering("ocsp", gone), pki.answering("crls", gone), pki.answering("certs", gone):
        judged(pki, tmp_path, {name: one for name, one in signed.items() if name.endswith(LONG)})


async def test_every_mechanism(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    signed: Signed = {}
    for mechanism in Mechanism:
        own = key_for(mechanism)
        request = x509.CertificateSigningRequestBuilder(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, mechanism.value)])
        ).sign(own, hashes.SHA256())
        certificate = pki.issue(mechanism.value, request.public_bytes(Encoding.DER))
        holder = replace(hand, key=own, certificate=certificate, mechanism=mechanism)
        await holder.sign(paper(tmp_path), file := tmp_path / f"{mechanism}.pdf", Level.B_T)
        signed[mechanism] = file, None, passed(Level.B_T)
    judged(pki, tmp_path, signed)


async def test_signatures_beside_one_another(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    signed: Signed = {}

    async def several(name: str, original: Path, *wishes: tuple[Level, dict[str, Any]]) -> None:
        for number, (level, wish) in enumerate(wishes):
            file = tmp_path / f"{name}-{number}.pdf"
            await hand.sign(original, file, level, **wish)
            original = file
        signed[name] = original, None, passed(*(level for level, _ in wishes))

    for level in Level:
        marks = [Mark(2, (50, 100 * at, 250, 100 * at + 80), "Đã ký", qr="https://x/") for at in (1, 2, 3)]
        await several(f"three marks {level}", paper(tmp_path), *((level, {"mark": one}) for one in marks))
        for more in (1, 2, 3):
            second = [(level, {"mark": marks[0]})] if more > 1 else []
            await several(f"certified {more} {level}", paper(tmp_path), (level, {"certify": more}), *second)
        fields = [(level, {"field": name}) for name in ("Chữ ký", "Khác")]
        await several(f"fields {level}", paper(tmp_path, with_fields()), *fields)
    judged(pki, tmp_path, signed)


async def test_what_comes_later_and_from_behind(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    """REVOCATION_PENDING; and a time-stamp too large for its room, which becomes one of the document."""
    signed: Signed = {}
    for name, level, said in (
        ("inside", Level.B_T, passed(Level.B_T)),
        ("behind", Level.B_B, passed(Level.B_T)),
    ):
        file = tmp_path / f"{name}.pdf"
        prepared = await hand.sign(paper(tmp_path), file, level)
        if name == "behind":
            await hand.archive(file)
        dated = tmp_path / f"{name} dated.pdf"
        dated.write_bytes(file.read_bytes())
        proof = finishing.proof_in(file, prepared)
        assert proof is not None and proof.inside == (name == "inside")
        finishing.augment(file, await hand.material(proof.token), password=None)
        await hand.archive(file)
        signed |= {name: (file, None, passed(Level.B_LTA)), f"{name} dated": (dated, None, said)}
    judged(pki, tmp_path, signed)


async def test_it_says_no_where_it_must(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    await hand.sign(paper(tmp_path), file := tmp_path / "signed.pdf", Level.B_B)
    with pki.revoked("binh", pki.clock()):
        late = tmp_path / "late.pdf"
        late.write_bytes(file.read_bytes())
        changed = tmp_path / "changed.pdf"
        changed.write_bytes(file.read_bytes().replace(b"842", b"841", 1))
        (tmp_path / "tsa.cer").write_bytes(pki.certificate("tsa"))
        (tmp_path / "root.cer").write_bytes(pki.certificate("root"))
        ((revoked, *_), (broken, *_)) = strangers.dss(tmp_path / "root.cer", (late, None), (changed, None))
        ((unknown, *_),) = strangers.dss(tmp_path / "tsa.cer", (file, None))
    assert broken == "TOTAL_FAILED HASH_FAILURE PAdES-BASELINE-B"
    assert revoked == "INDETERMINATE REVOKED_NO_POE PAdES-BASELINE-B"
    assert unknown == "INDETERMINATE NO_CERTIFICATE_CHAIN_FOUND PAdES-BASELINE-B"
