"""What was strong when: this file holds the dated table, and judges an algorithm or key at a time by it (P5, V3).

- A date is the first moment at which the algorithm proves nothing any more by itself. What was proven to exist before
  it stays proven.
- Dates: ETSI TS 119 312 and the SOG-IS agreed mechanisms where the law of Vietnam says nothing; SHA-1 until the day
  from which Circular 16/2019/TT-BTTTT asks for SHA-2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from signing.trust.certificate import Certificate, read
from signing.trust.dsa import is_dsa
from signing.trust.signature import BadSignature, Scheme, load_key, scheme_of


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


ALWAYS_WEAK = _day(1970, 1, 1)

HASHES: dict[str, datetime | None] = {
    "md5": _day(2004, 8, 17),  # collisions shown at CRYPTO 2004
    "sha1": _day(2020, 4, 1),
    "sha224": _day(2026, 1, 1),  # TS 119 312: legacy until the end of 2025
    "sha256": None,
    "sha384": None,
    "sha512": None,
    "sha3_224": _day(2026, 1, 1),
    "sha3_256": None,
    "sha3_384": None,
    "sha3_512": None,
}
# (bits below which, strong until). RSA-2048 is what the tokens of the country hold: TS 119 312 would end it with 2025,
# NIST SP 800-131A with 2030; Circular 15/2025 annex I allows it without an end.
RSA: tuple[tuple[int, datetime], ...] = (
    (1024, ALWAYS_WEAK),
    (1900, _day(2014, 1, 1)),
    (3000, _day(2031, 1, 1)),
)
CURVES: tuple[tuple[int, datetime], ...] = ((224, ALWAYS_WEAK), (256, _day(2026, 1, 1)))


@dataclass(frozen=True)
class Weakness:
    """`what` was no longer strong from `since` on."""

    what: str
    since: datetime


def table_digest() -> str:
    """SHA-256, hexadecimal, of the table: reports name by which one they judged."""
    plain = {
        "hashes": {name: end.isoformat() if end else None for name, end in HASHES.items()},
        "rsa": [[bits, end.isoformat()] for bits, end in RSA],
        "curves": [[bits, end.isoformat()] for bits, end in CURVES],
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def weak_hash(name: str, at: datetime) -> Weakness | None:
    """`name` as asn1crypto spells it; one that the table does not know was never strong."""
    end = HASHES.get(name, ALWAYS_WEAK)
    return Weakness(name, end) if end is not None and at >= end else None


def weak_key(key: bytes, at: datetime) -> Weakness | None:
    """`key`: DER SubjectPublicKeyInfo. A kind that the table does not know was never strong."""
    try:
        loaded = load_key(key)
    except BadSignature:
        return Weakness("DSA" if is_dsa(key) else "an unknown kind of key", ALWAYS_WEAK)
    if isinstance(loaded, rsa.RSAPublicKey):
        return _short(f"RSA-{loaded.key_size}", RSA, loaded.key_size, at)
    if isinstance(loaded, ec.EllipticCurvePublicKey):
        return _short(f"EC-{loaded.curve.key_size}", CURVES, loaded.curve.key_size, at)
    if isinstance(loaded, dsa.DSAPublicKey):  # FIPS 186-5 took it back; it counts in old paths only
        return Weakness(f"DSA-{loaded.key_size}", ALWAYS_WEAK)
    return None  # EdDSA


def _short(name: str, table: tuple[tuple[int, datetime], ...], bits: int, at: datetime) -> Weakness | None:
    end = next((end for below, end in table if bits < below), None)
    return Weakness(name, end) if end is not None and at >= end else None


def weak_scheme(scheme: Scheme, at: datetime) -> Weakness | None:
    return weak_hash(scheme.hash_name, at) if scheme.hash_name else None


def weak_path(path: Sequence[bytes], at: datetime) -> Weakness | None:
    """The first weakness from signer to anchor."""
    return next((weak for _, weak in weaknesses(path, at)), None)


def weaknesses(path: Sequence[bytes], at: datetime) -> Iterator[tuple[int, Weakness]]:
    """From signer to anchor, with the number of the certificate. Keys must be strong at `at`; the hash under a
    certificate must have been strong on the day of its issue, for only then could somebody have prepared a collision
    for the authority to sign. What signs the anchor is not judged (V3)."""
    certificates = [read(one) for one in path]
    for number, one in enumerate(certificates):
        weak = weak_key(one.key, at)
        if weak is not None:
            yield number, weak
        weak = _weak_issue(one) if number < len(certificates) - 1 else None
        if weak is not None:
            yield number, weak


def _weak_issue(certificate: Certificate) -> Weakness | None:
    try:
        return weak_scheme(scheme_of(certificate.algorithm), certificate.not_before)
    except BadSignature as wrong:
        return Weakness(str(wrong), ALWAYS_WEAK)
