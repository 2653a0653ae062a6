"""Where things stand in DER, without reading what they say: this file finds one thing among a million quickly."""

from __future__ import annotations

SEQUENCE, INTEGER, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


def inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of what begins at `at` begins and ends. Raises ValueError, IndexError."""
    length, start = der[at + 1], at + 2
    if length >= 0x80:
        start += length & 0x7F
        if not 1 <= length & 0x7F <= 4:
            raise ValueError("a length that is none")
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise ValueError("longer than what holds it")
    return start, start + length


def subject_of(certificate: bytes) -> bytes:
    """DER of the subject's name. Raises ValueError, IndexError."""
    at, _ = inside(certificate, 0)
    at, _ = inside(certificate, at)
    # Version, serial number, algorithm, issuer, validity; only version 1 leaves the first out.
    for _ in range(5 if certificate[at] == VERSION else 4):
        _, at = inside(certificate, at)
    _, end = inside(certificate, at)
    return certificate[at:end]


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
