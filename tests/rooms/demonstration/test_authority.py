"""The demonstration authority, as strangers judge it: openssl, and our own room of trust (K6)."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from demonstration.authority import DemonstrationAuthority, NotIssued
from demonstration.certificates import POLICY
from hsm.token_registrar import _stamps_time
from signing.trust.anchors import Anchor, TrustSnapshot, describe
from signing.trust.certificate import read
from signing.trust.crl import Crl
from signing.trust.fetcher import Fetcher, Reach
from signing.trust.ocsp import ocsp_request, read_ocsp
from signing.trust.path import find_path
from signing.trust.revocation import Revocation
from signing.trust.status import Status
from tests.rooms.demonstration.conftest import Served, request

Pem = Callable[[str, bytes], str]
KINDS = ("signing", "seal", "time-stamping")


async def openssl(*arguments: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, ["openssl", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout + done.stderr


def as_pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("kind", KINDS)
async def test_openssl_finds_the_path_and_nobody_revoked(served: Served, pem: Pem, kind: str) -> None:
    authority = served.authority
    leaf = served.issue(kind)  # type: ignore[arg-type]
    lists = b"".join(
        x509.load_der_x509_crl(one).public_bytes(Encoding.PEM) for one in (authority.crl(), authority.crl("root"))
    )  # fmt: skip
    purpose = ["-purpose", "timestampsign"] if kind == "time-stamping" else ["-purpose", "smimesign"]
    told = await openssl(
        # A moment later: openssl reads the coarse clock, which stands a little behind ours at the turn of a second.
        "verify", "-attime", str(int(time.time()) + 2), "-x509_strict", "-crl_check_all", *purpose, "-policy", POLICY.dotted_string, "-explicit_policy",
        "-CAfile", pem("root", as_pem(authority.root)), "-untrusted", pem("issuing", as_pem(authority.chain[0])),
        "-CRLfile", pem("lists", lists), pem("leaf", as_pem(leaf)),
    )  # fmt: skip
    assert told.endswith("leaf: OK\n"), told


async def test_openssl_asks_for_the_status(served: Served, pem: Pem) -> None:
    authority = served.authority
    good, bad = served.issue(), served.issue()
    authority.revoke(x509.load_der_x509_certificate(bad).serial_number)
    names = {
        "good": pem("good", as_pem(good)),
        "bad": pem("bad", as_pem(bad)),
        "issuing": pem("issuing", as_pem(authority.chain[0])),
        "root": pem("root", as_pem(authority.root)),
    }
    for which, status in (("good", "good"), ("bad", "revoked")):
        for digest in ("-sha1", "-sha256"):
            told = await openssl(
                "ocsp", digest, "-issuer", names["issuing"], "-cert", names[which], "-url",
                f"{served.server.address}/ocsp", "-CAfile", names["root"], "-resp_text",
            )  # fmt: skip
            assert "Response verify OK" in told, told
            assert f"{which}: {status}" in told
            assert "WARNING: no nonce" not in told
    assert "Reason: keyCompromise" in told


async def test_our_own_room_of_trust_believes_it(served: Served) -> None:
    """By the addresses in the certificates, over HTTP."""
    authority = served.authority
    leaf, revoked = served.issue(), served.issue("seal")
    trust = TrustSnapshot((Anchor(authority.root, demonstration=True),))
    now = datetime.now(UTC)
    authority.revoke(read(revoked).serial)
    async with Fetcher(Reach.allowing(["127.0.0.0/8"], ["127.0.0.1"])) as fetcher:
        revocation = Revocation(fetcher, clock=lambda: datetime.now(UTC))
        for der, status in ((leaf, Status.GOOD), (revoked, Status.REVOKED)):
            path = find_path(der, authority.chain, trust, now)
            assert len(path) == 3
            gathered = await revocation.check(path, at=now)
            assert [one.status for one in gathered.statuses] == [status, Status.GOOD]
        assert await fetcher.issuer(read(leaf).issuer_addresses[0]) == authority.chain[0]
        assert await fetcher.issuer(read(authority.chain[0]).issuer_addresses[0]) == authority.root


def test_demo_stands_in_every_subject(tmp_path: Path) -> None:
    authority = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    plain = authority.issue(request("CN=Nguyễn Văn An,O=UBND xã An Phước,C=VN"), kind="signing")
    for der in (plain, *authority.chain):
        assert describe(der).demonstration
        assert "DEMO" in read(der).subject_text
        policies = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.CertificatePolicies
        )
        assert [one.policy_identifier for one in policies.value] == [POLICY]
    assert read(plain).subject_text == "CN=Nguyễn Văn An,OU=DEMO,O=UBND xã An Phước,C=VN"


def test_what_certificates_are_for(tmp_path: Path) -> None:
    authority = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    for kind in ("signing", "seal"):
        seen = read(authority.issue(request("CN=DEMO"), kind=kind))
        assert seen.purposes == frozenset({"1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4"})
        assert seen.usage == frozenset({"digital_signature", "non_repudiation"})
        assert not seen.ca
        assert seen.crl_addresses == ("http://127.0.0.1:1/issuing.crl",)
        assert seen.ocsp_addresses == ("http://127.0.0.1:1/ocsp",)
        assert seen.issuer_addresses == ("http://127.0.0.1:1/issuing.cer",)
    stamps = x509.load_der_x509_certificate(authority.issue(request("CN=DEMO"), kind="time-stamping"))
    assert _stamps_time(stamps)
    assert stamps.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).critical


def test_each_home_has_its_own_and_keeps_it(tmp_path: Path) -> None:
    first = DemonstrationAuthority.open(tmp_path / "a", "http://127.0.0.1:1")
    second = DemonstrationAuthority.open(tmp_path / "b", "http://127.0.0.1:1")
    again = DemonstrationAuthority.open(tmp_path / "a", "http://127.0.0.1:1")
    assert first.root != second.root
    assert again.chain == first.chain
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert len([one for one in files if one.suffix == ".key"]) == 4
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}


def test_an_authority_half_made_is_made_anew(tmp_path: Path) -> None:
    DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "authority").rename(tmp_path / "authority.new")
    (tmp_path / "authority.new" / "issuing.key").unlink()
    again = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    find_path(again.chain[0], (), TrustSnapshot((Anchor(again.root),)), datetime.now(UTC))


def test_requests_that_are_none_are_not_answered(tmp_path: Path) -> None:
    authority = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    good = request("CN=DEMO")
    for bad in (b"", b"junk", good[:-1] + bytes([good[-1] ^ 1]), good + b"\0"):
        with pytest.raises(NotIssued):
            authority.issue(bad, kind="signing")
    with pytest.raises(NotIssued):
        authority.revoke(4711)


def test_revocation_is_for_ever_and_seen_by_the_other_process(tmp_path: Path) -> None:
    now = datetime(2026, 11, 24, 9, 0, 0, 5, tzinfo=UTC)
    authority = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1", clock=lambda: now)
    other = DemonstrationAuthority.open(
        tmp_path, "http://127.0.0.1:1", clock=lambda: now + timedelta(hours=1)
    )
    leaf, issuer = read(authority.issue(request("CN=DEMO"), kind="signing")), read(authority.chain[0])
    assert Crl(other.crl()).of(leaf).status is Status.GOOD
    authority.revoke(leaf.serial)
    other.revoke(leaf.serial)
    for one in (authority, other):
        said = Crl(one.crl())
        assert said.issued_by(issuer)
        assert said.of(leaf).status is Status.REVOKED
        assert said.of(leaf).since == now.replace(microsecond=0)
        answer = read_ocsp(one.ocsp(ocsp_request(leaf, issuer, b"nonce"))).of(leaf, issuer, nonce=b"nonce")
        assert (answer.status, answer.since) == (Status.REVOKED, now.replace(microsecond=0))
    numbers = [
        x509.load_der_x509_crl(one.crl()).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for one in (authority, other)
    ]
    assert numbers[0] < numbers[1]


def test_it_says_good_only_of_what_it_issued(tmp_path: Path) -> None:
    authority = DemonstrationAuthority.open(tmp_path / "a", "http://127.0.0.1:1")
    stranger = DemonstrationAuthority.open(tmp_path / "b", "http://127.0.0.1:1")
    leaf, issuer = read(authority.issue(request("CN=DEMO"), kind="signing")), read(authority.chain[0])
    asked = ocsp_request(leaf, issuer, b"n" * 16)
    answer = read_ocsp(authority.ocsp(asked))
    assert answer.nonce == b"n" * 16
    assert answer.of(leaf, issuer, nonce=b"n" * 16).status is Status.GOOD
    assert stranger.ocsp(asked).hex() == "30030a0106"  # unauthorized
    (tmp_path / "a" / "issued" / f"{leaf.serial:x}").unlink()
    assert read_ocsp(authority.ocsp(asked)).of(leaf, issuer).status is Status.UNKNOWN
    for junk in (b"", b"\x30", asked[:-3], bytes(100)):
        assert authority.ocsp(junk).hex() == "30030a0101"  # malformedRequest
