"""Whom a person names to be believed: files and folders of certificates, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signing.trust.anchors import Anchor, CannotLoad, TrustSnapshot, Use, describe, load_anchors
from tests.rooms.signing.trust.making import NOW, issue, root

ROOT, OTHER = root(), root("DEMO Root")


def pem(*made: object) -> bytes:
    return b"".join(one.x509.public_bytes(Encoding.PEM) for one in made)  # type: ignore[attr-defined]


def test_pem_der_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.pem").write_bytes(b"words before\r\n" + pem(ROOT, OTHER, ROOT))
    (tmp_path / "a.der").write_bytes(OTHER.der)
    (tmp_path / "readme.txt").write_text("no certificate")
    (tmp_path / "deeper").mkdir()
    assert [one.certificate for one in load_anchors(tmp_path / "a.der")] == [OTHER.der]
    assert [one.certificate for one in load_anchors(tmp_path / "b.pem")] == [ROOT.der, OTHER.der]
    both = load_anchors(tmp_path)
    assert [one.certificate for one in both] == [OTHER.der, ROOT.der]
    assert both[0].provenance == "a.der"
    # Whoever brings a demonstration's own root is told so as well (K6).
    assert [one.demonstration for one in both] == [True, False]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 100, b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----", bytes(2 << 20)],
    ids=["empty", "zeros", "no base64", "large"],
)
def test_what_holds_no_certificate(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    for path in (tmp_path / "x", tmp_path, tmp_path / "missing"):
        with pytest.raises(CannotLoad):
            load_anchors(path)


def test_too_many_files(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / str(number)).touch()
    with pytest.raises(CannotLoad, match="more than"):
        load_anchors(tmp_path)


def test_a_snapshots_digest_names_what_is_believed() -> None:
    one, other = Anchor(ROOT.der), Anchor(OTHER.der, demonstration=True)
    assert TrustSnapshot((one, other)).digest == TrustSnapshot((other, one)).digest
    different = [
        TrustSnapshot(()),
        TrustSnapshot((one,)),
        TrustSnapshot((Anchor(ROOT.der, uses=frozenset({Use.SIGNATURES})),)),
        TrustSnapshot((Anchor(ROOT.der, since=NOW),)),
        TrustSnapshot((Anchor(ROOT.der, until=NOW),)),
        TrustSnapshot((Anchor(ROOT.der, demonstration=True),)),
    ]
    assert len({one.digest for one in different}) == len(different)
    assert TrustSnapshot((one, other)).demonstration
    assert not TrustSnapshot((one,)).demonstration


def test_what_a_person_must_see_first() -> None:
    facts = describe(OTHER.der)
    assert (facts.subject, facts.ca, facts.self_issued, facts.demonstration) == (
        "CN=DEMO Root",
        True,
        True,
        True,
    )
    assert not describe(issue("An", ROOT).der).ca
    with pytest.raises(CannotLoad):
        describe(b"rubbish")
