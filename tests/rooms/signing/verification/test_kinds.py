"""Every kind of signature by every algorithm, each a whole PDF: what is sound and strong is VALID, what is weak wants a proven time
(V3), and one changed byte or another's value is always found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signing.verification.report import SignatureKind
from tests.papers import letter
from tests.rooms.signing.verification.handmade import Key, Pen, Way, pen, signed_pdf
from tests.rooms.signing.verification.judging_world import World, brief, codes
from tests.wycheproof import ECDSA, RSA

WEAK = {"SHA-1", "SHA-224", "SHA3-224"}
BASELINE, OLD, OLDEST = "/ETSI.CAdES.detached", "/adbe.pkcs7.detached", "/adbe.pkcs7.sha1"
WAYS = [
    *(Way("RSA", digest) for digest in RSA if "/" not in digest),
    *(Way("PSS", digest) for digest in ("SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-512")),
    *(Way("ECDSA", digest) for digest in ECDSA if "SHAKE" not in digest),
    Way("ECDSA", "SHA-384", curve=ec.SECP384R1),
    Way("ECDSA", "SHA-512", curve=ec.SECP521R1),
    *(Way("r||s", digest) for digest in ("SHA-1", "SHA-256", "SHA3-256")),
    Way("plain", "SHA-256"),
    Way("Ed25519", "SHA-512"),
    # The weaker of two decides.
    Way("RSA", "SHA-1", over="SHA-256"),
    Way("RSA", "SHA-256", over="SHA-1"),
    Way("ECDSA", "SHA-256", over="SHA-1"),
]
LONG_AGO = -3000  # days: SHA-1 was strong


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    return {}


@pytest.fixture(scope="module")
def others() -> dict[str, Key]:
    """Other keys of the same sorts."""
    return {}


def changed(paper: bytes) -> bytes:
    return paper.replace(b"842", b"841", 1)


@pytest.mark.parametrize("sub_filter", [BASELINE, OLD])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_algorithm(
    world: World, keys: dict[str, Key], others: dict[str, Key], way: Way, sub_filter: str
) -> None:
    own, named = pen(world.pki, way, keys), sub_filter == BASELINE

    def by(holder: Pen) -> bytes:
        return signed_pdf(letter(), sub_filter, lambda content: holder.cms(content, named=named))

    signed = by(own)
    report = world.judge(signed)
    if way.digests & WEAK:
        assert brief(report) == ("INDETERMINATE", ["CRYPTO_CONSTRAINTS_FAILURE_NO_POE"])
    else:
        assert brief(report) == ("VALID", ["B-B" if named else "PKCS7-B"])
        assert report.whole_document
    assert ("OLD_FORM" in codes(report, 0)) is not named
    assert ("ODD_ENCODING" in codes(report, 0)) is (way.kind in {"r||s", "plain"} or way.over != "")
    assert brief(world.judge(changed(signed))) == ("INVALID", ["HASH_FAILURE"])
    if way.key_name not in others:
        others[way.key_name] = way.new_key()
    assert brief(world.judge(by(replace(own, key=others[way.key_name])))) == (
        "INVALID",
        ["SIG_CRYPTO_FAILURE"],
    )


def _sha1(content: bytes) -> bytes:
    return hashlib.sha1(content).digest()


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def oldest(world: World, own: Pen, *, stamped: bool, attributes: bool = True) -> bytes:
    """What is signed is the SHA-1 of the document, inside (ISO 32000-1 12.8.3.3.1)."""

    def contents(content: bytes) -> bytes:
        digest = _sha1(content)
        stamp = world.token if stamped else None
        return own.cms(digest, inside=digest, named=False, attributes=attributes, stamp=stamp)

    return signed_pdf(letter(), OLDEST, contents)


@pytest.mark.parametrize(
    "digest", ["SHA-1", "SHA-256"]
)  # of what is signed: of the document it is SHA-1 in any case
@pytest.mark.parametrize("attributes", [True, False], ids=["", "without attributes"])
@pytest.mark.parametrize(
    ("stamped", "days", "said"),
    [
        (False, 0, ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")),
        (False, LONG_AGO, ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")),
        (True, 0, ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE")),
        (True, LONG_AGO, ("VALID", "PKCS7-T")),
    ],
    ids=["today", "long ago, nobody knows", "proven today", "proven long ago"],
)
def test_a_digest_by_sha1_inside(
    world: World,
    keys: dict[str, Key],
    digest: str,
    attributes: bool,
    stamped: bool,
    days: int,
    said: tuple[str, str],
) -> None:
    own = pen(world.pki, Way("RSA", digest), keys)
    with world.later(days=days):
        signed = oldest(world, own, stamped=stamped, attributes=attributes)
    verdict, signatures = brief(world.judge(signed))
    assert (verdict, *signatures) == said
    assert brief(world.judge(changed(signed))) == ("INVALID", ["HASH_FAILURE"])


def test_an_old_algorithm_that_was_proven_in_time(world: World, keys: dict[str, Key]) -> None:
    own = pen(world.pki, Way("RSA", "SHA-1"), keys)
    with world.later(days=LONG_AGO):
        signed = signed_pdf(letter(), BASELINE, lambda content: own.cms(content, stamp=world.token))
    report = world.judge(signed)
    assert brief(report) == ("VALID", ["B-T"])
    assert "OLD_ALGORITHM" in codes(report, 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sha256", "TIMESTAMP"), ("sha384", "TIMESTAMP"), ("sha512", "TIMESTAMP"), ("sha3_256", "TIMESTAMP"),
        ("sha3_512", "TIMESTAMP"), ("sha1", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"),
    ],
)  # fmt: skip
def test_a_time_stamp_alone_is_no_signature(world: World, name: str, said: str) -> None:
    def contents(content: bytes) -> bytes:
        return world.token_over(hashlib.new(name, content).digest(), name)

    signed = signed_pdf(letter(), "/ETSI.RFC3161", contents, kind="/DocTimeStamp")
    report = world.judge(signed)
    assert brief(report) == ("NO_SIGNATURE", [said])
    assert report.signatures[0].kind is SignatureKind.DOCUMENT_TIMESTAMP
    assert brief(world.judge(changed(signed))) == ("NO_SIGNATURE", ["HASH_FAILURE"])


def test_a_kind_that_nobody_knows(world: World, keys: dict[str, Key]) -> None:
    own = pen(world.pki, Way("RSA", "SHA-256"), keys)
    report = world.judge(signed_pdf(letter(), "/adbe.x509.rsa_sha1", own.cms))
    assert report.verdict == "INDETERMINATE"
    assert "FORMAT_UNKNOWN" in codes(report, 0)


def test_a_time_stamp_in_place_of_a_signature(world: World) -> None:
    for sub_filter in (BASELINE, OLD, OLDEST):
        signed = signed_pdf(letter(), sub_filter, world.token)
        assert brief(world.judge(signed)) == ("INVALID", ["FORMAT_FAILURE"])


@pytest.mark.parametrize(
    ("sub_filter", "contents", "said"),
    [
        (BASELINE, lambda own, content: own.cms(content, named=False), ("VALID", "PKCS7-B")),
        (BASELINE, lambda own, content: own.cms(content, attributes=False), ("VALID", "PKCS7-B")),
        (
            OLD,
            lambda own, content: own.cms(content, inside=content),
            ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE"),
        ),
        (BASELINE, lambda own, content: own.cms(content, inside=b"another"), ("INVALID", "HASH_FAILURE")),
        (OLD, lambda own, content: own.cms(content, inside=b"another"), ("INVALID", "HASH_FAILURE")),
        (BASELINE, lambda own, content: own.cms(_sha256(content)), ("INVALID", "HASH_FAILURE")),
        (OLDEST, lambda own, content: own.cms(content), ("INVALID", "HASH_FAILURE")),
        (OLDEST, lambda own, content: own.cms(_sha1(content)), ("INVALID", "HASH_FAILURE")),
        (
            OLDEST,
            lambda own, content: own.cms(_sha256(content), inside=_sha256(content)),
            ("INVALID", "HASH_FAILURE"),
        ),
        (
            OLDEST,
            lambda own, content: own.cms(b"another", inside=_sha1(content)),
            ("INVALID", "HASH_FAILURE"),
        ),
    ],
    ids=[
        "no certificate named", "no attributes", "the same text inside", "another text inside", "another text inside, the old form",
        "a digest of the digest", "nothing inside", "the digest beside", "a digest by another algorithm",
        "another text signed",
    ],
)  # fmt: skip
def test_what_is_put_together_oddly(
    world: World,
    keys: dict[str, Key],
    sub_filter: str,
    contents: Callable[[Pen, bytes], bytes],
    said: tuple[str, str],
) -> None:
    own = pen(world.pki, Way("RSA", "SHA-256"), keys)
    verdict, signatures = brief(world.judge(signed_pdf(letter(), sub_filter, partial(contents, own))))
    assert (verdict, *signatures) == said
