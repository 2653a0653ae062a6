"""What was strong when: the dated table, over hashes, keys and whole paths."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signing.trust.algorithms import ALWAYS_WEAK, table_digest, weak_hash, weak_key, weak_path, weak_scheme
from signing.trust.signature import BadSignature, Scheme, scheme_of
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
