"""The EU's DSS judges what we sign, by its own policy: each signature passes at the level it was wished at, each time-stamp
passes, and nothing else is said. What it cannot find in the file it may ask of the authorities, up to B-T only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from documents import finishing
from hsm.key import Mechanism
from signing.profile import Level
from tests import strangers
from tests.pki import Pki
from tests.rooms.signing.levels import Hand
from tests.rooms.signing.made import Made, beside_one_another, dss_of, kinds_of_files, paper
from tests.rooms.signing.pens import key_for


def judged(pki: Pki, folder: Path, signed: dict[str, Made]) -> None:
    assert dss_of(pki, folder, signed) == {name: one.by_dss for name, one in signed.items()}


async def test_every_kind_of_file_at_every_level(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    judged(pki, tmp_path, await kinds_of_files(hand, tmp_path))


async def test_every_mechanism(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    signed: dict[str, Made] = {}
    for mechanism in Mechanism:
        own = key_for(mechanism)
        request = x509.CertificateSigningRequestBuilder(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, mechanism.value)])
        ).sign(own, hashes.SHA256())
        certificate = pki.issue(mechanism.value, request.public_bytes(Encoding.DER))
        holder = replace(hand, key=own, certificate=certificate, mechanism=mechanism)
        await holder.sign(paper(tmp_path), file := tmp_path / f"{mechanism}.pdf", Level.B_T)
        signed[mechanism] = Made(file, (Level.B_T,))
    judged(pki, tmp_path, signed)


async def test_signatures_beside_one_another(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    judged(pki, tmp_path, await beside_one_another(hand, tmp_path))


async def test_what_comes_later_and_from_behind(hand: Hand, pki: Pki, tmp_path: Path) -> None:
    """REVOCATION_PENDING; and a time-stamp too large for its room, which becomes one of the document."""
    signed: dict[str, Made] = {}
    for name, level in (("inside", Level.B_T), ("behind", Level.B_B)):
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
        signed |= {name: Made(file, (Level.B_LTA,)), f"{name} dated": Made(dated, (Level.B_T,))}
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
