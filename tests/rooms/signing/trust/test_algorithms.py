"""What was strong when: the dated table, over hashes, keys and whole paths."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asn1crypto.algos import SignedDigestAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signing.trust.algorithms import ALWAYS_WEAK, table_digest, weak_hash, weak_key, weak_path, weak_scheme
from signing.trust.signature import BadSignature, Scheme, check_signature, load_key, scheme_of
from tests.rooms.signing.trust.making import NOW, Key, issue, root


def at(year: int) -> datetime:
    return datetime(year, 6, 1, tzinfo=UTC)


def spki(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("name", "strong", "weak"), [("md5", 2000, 2010), ("sha1", 2019, 2021), ("sha224", 2024, 2027)]
)
def test_a_hash_has_its_day(name: str, strong: int, weak: int) -> None:
    assert weak_hash(name, at(strong)) is None
    found = weak_hash(name, at(weak))
    assert found is not None and found.what == name


def test_what_the_table_does_not_know_was_never_strong() -> None:
    found = weak_hash("md2", at(1990))
    assert found is not None and found.since == ALWAYS_WEAK
    assert weak_key(b"rubbish", NOW) is not None
    assert weak_scheme(Scheme("ed25519", None), NOW) is None
    assert weak_scheme(Scheme("ecdsa", "sha1"), NOW) is not None
    for junk in (b"", b"\x30\x00", b"\xff" * 40):
        with pytest.raises(BadSignature):
            scheme_of(junk)


def test_keys() -> None:
    assert weak_key(spki(ec.generate_private_key(ec.SECP256R1())), at(2035)) is None
    small = spki(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    assert weak_key(small, at(2010)) is None
    assert weak_key(small, at(2020)) is not None
    usual = spki(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    assert weak_key(usual, NOW) is None
    assert weak_key(usual, at(2031)) is not None
    assert weak_key(spki(ec.generate_private_key(ec.SECP192R1())), NOW) is not None


def test_the_weakest_of_a_path() -> None:
    top = root()
    person = issue("An", top)
    assert weak_path([person.der, top.der], NOW) is None
    assert weak_path([person.der], at(2024)) is None


def test_the_tables_digest_stands() -> None:
    assert table_digest() == table_digest()
    assert len(table_digest()) == 64


def test_a_modulus_written_without_its_sign() -> None:
    """Older identity cards leave out the zero in front, so that DER reads it as negative."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = key.public_key().public_numbers()
    usual = spki(key)
    signed = b"\x02\x82\x01\x01\x00" + numbers.n.to_bytes(256, "big")
    assert signed in usual
    inner = usual[usual.index(signed) - 4 :].replace(signed, b"\x02\x82\x01\x00" + signed[5:])
    inner = b"\x30\x82\x01\x09" + inner[4:]
    old = b"\x30\x82\x01\x21" + usual[4:19] + b"\x03\x82\x01\x0e\x00" + inner
    assert old != spki(key)
    loaded = load_key(old)
    assert isinstance(loaded, rsa.RSAPublicKey) and loaded.public_numbers() == numbers
    check_signature(
        old, Scheme("rsassa_pkcs1v15", "sha256"), key.sign(b"x", padding.PKCS1v15(), hashes.SHA256()), b"x"
    )
    with pytest.raises(BadSignature):
        load_key(old[:-2])


@pytest.mark.parametrize("mask", [hashes.SHA1(), hashes.SHA256()])
def test_pss_with_a_mask_of_its_own_hash(mask: hashes.HashAlgorithm) -> None:
    """RFC 4055 3.1: the mask's hash is its own parameter, SHA-1 where nothing is said."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    value = key.sign(b"x", padding.PSS(padding.MGF1(mask), 32), hashes.SHA256())
    stated = {
        name: scheme_of(
            SignedDigestAlgorithm({
                "algorithm": "rsassa_pss",
                "parameters": {
                    "hash_algorithm": {"algorithm": "sha256"},
                    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": name}},
                    "salt_length": 32,
                },
            }).dump()
        )
        for name in ("sha1", "sha256")
    }  # fmt: skip
    other = {"sha1": "sha256", "sha256": "sha1"}[mask.name]
    check_signature(spki(key), stated[mask.name], value, b"x")
    with pytest.raises(BadSignature):
        check_signature(spki(key), stated[other], value, b"x")
