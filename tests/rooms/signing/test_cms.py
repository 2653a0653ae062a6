"""Our own DER of SignedData, read by others: asn1crypto, OpenSSL and our strict reader."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from asn1crypto import cms as asn1
from asn1crypto import x509

from hsm.key import Mechanism
from signing import cms
from signing.verification.signed_data import check_signed_data, read_signed_data
from tests import strangers
from tests.papers import letter
from tests.rooms.signing.pens import cms_in, covered_in, make, pen


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_every_mechanism_is_read_by_others(mechanism: Mechanism, tmp_path: Path) -> None:
    signed = pen(mechanism).signed(letter(), tmp_path).read_bytes()
    der, covered = cms_in(signed), covered_in(signed)
    read = read_signed_data(der)
    check_signed_data(read, hashlib.new(mechanism.hash_name, covered).digest())
    assert read.signer == pen(mechanism).signer.certificate and not read.flaws
    assert not strangers.openssl_verify(tmp_path, der, covered + b" ")
    info = asn1.ContentInfo.load(der, strict=True)
    assert info.dump(force=True) == der  # DER as asn1crypto writes it
    (signer,) = info["content"]["signer_infos"]
    assert {one["type"].native for one in signer["signed_attrs"]} == {
        "content_type", "message_digest", "signing_certificate_v2",
    }  # fmt: skip
    assert info["content"]["version"].native == "v1"


def test_the_chain_stands_in_it_once_each() -> None:
    first, second = make(), make()
    chain = (second.signer.certificate, first.signer.certificate, second.signer.certificate)
    template = cms.template(first.signer.certificate, chain, Mechanism.ECDSA_SHA256)
    der = template.signed_data(template.to_sign(bytes(32)), b"\x30\x00")
    found = asn1.ContentInfo.load(der, strict=True)["content"]["certificates"]
    assert sorted(one.chosen.dump() for one in found) == sorted(set(chain))


def test_its_size_is_known_before() -> None:
    for mechanism in Mechanism:
        certificate = pen(mechanism).signer.certificate
        template = cms.template(certificate, (), mechanism)
        digest = bytes(hashlib.new(mechanism.hash_name).digest_size)
        largest = template.signed_data(template.to_sign(digest), bytes(256), bytes(3000))
        if mechanism.value.startswith("rsa"):
            assert template.size(3000) == len(largest)
        assert template.size(0) < template.size(3000)


def test_a_time_stamp_is_found_again() -> None:
    certificate = pen().signer.certificate
    template = cms.template(certificate, (), Mechanism.ECDSA_SHA256)
    token = cms.der(b"\x30", b"token")
    with_it = template.signed_data(template.to_sign(bytes(32)), b"s", token)
    assert cms.timestamp_in(with_it + bytes(50)) == token
    assert cms.timestamp_in(template.signed_data(template.to_sign(bytes(32)), b"s")) is None
    for broken in (b"", with_it[:20], b"\x30\x03\x02\x01\x01"):
        with pytest.raises(cms.NotCms):
            cms.timestamp_in(broken)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(cms.NotCms):
        cms.template(pen().signer.certificate, (), Mechanism.RSA_PSS_SHA256)
    with pytest.raises(cms.NotCms):
        cms.template(b"no certificate", (), Mechanism.ECDSA_SHA256)


def test_issuer_and_serial_are_those_of_the_certificate() -> None:
    certificate = pen().signer.certificate
    template = cms.template(certificate, (), Mechanism.ECDSA_SHA256)
    der = template.signed_data(template.to_sign(bytes(32)), b"s")
    sid = asn1.ContentInfo.load(der)["content"]["signer_infos"][0]["sid"].chosen
    known = x509.Certificate.load(certificate)
    assert sid["issuer"].dump() == known.issuer.dump() and sid["serial_number"].native == known.serial_number
