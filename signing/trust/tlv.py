"""Where things stand in DER, without reading what they say: this file finds one thing among a million quickly."""

from __future__ import annotations

from signing.verification.der import INTEGER, SEQUENCE, Malformed, Walk

UTC_TIME, GENERALIZED_TIME, VERSION = 0x17, 0x18, 0xA0


def inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of what begins at `at` begins and ends. Raises ValueError."""
    one = Walk(der).element(at, len(der))
    if one.after != one.end:
        raise Malformed("without a length")
    return one.body, one.end


def names_of(certificate: bytes) -> tuple[bytes, bytes, bytes]:
    """DER of the issuer's name, the subject's name and the subject's public key. Raises ValueError, IndexError."""
    at, _ = inside(certificate, 0)
    at, _ = inside(certificate, at)
    parts = []
    # Version, which only version 1 leaves out, serial number, algorithm, issuer, validity, subject, key.
    for _ in range(7 if certificate[at] == VERSION else 6):
        _, end = inside(certificate, at)
        parts.append(certificate[at:end])
        at = end
    return parts[-4], parts[-2], parts[-1]


def revoked_of(der: bytes, signed: int) -> tuple[int, int]:
    """Where the entries of a CRL begin and end; `signed`: where its TBSCertList stands. Raises ValueError, IndexError."""
    at, end = inside(der, signed)
    if der[at] == INTEGER:
        _, at = inside(der, at)
    for _ in range(3):  # algorithm, issuer, thisUpdate
        _, at = inside(der, at)
    if at < end and der[at] in {UTC_TIME, GENERALIZED_TIME}:
        _, at = inside(der, at)
    return inside(der, at) if at < end and der[at] == SEQUENCE else (at, at)
