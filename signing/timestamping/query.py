"""What an authority is asked (RFC 3161 2.4.1): this file writes and reads a TimeStampReq.

- We read as an authority reads: DER and nothing else, and whatever is wrong has its name in a PKIFailureInfo.
- What goes into the token stays the bytes that stood in the request; nothing is spelled anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from signing.cms import NULL, OCTETS, SEQUENCE, der
from signing.verification.der import INTEGER, OID, Element, Malformed, Walk
from signing.verification.der import SEQUENCE as A_SEQUENCE

MAX_QUERY = 16 << 10  # bytes
MAX_NONCE = 64  # bytes
# SHA-2 and SHA-3 (S6), each of at least 256 bits: shorter ones are weak by now (`trust/algorithms.py`).
IMPRINTS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha3_256": "2.16.840.1.101.3.4.2.8",
    "sha3_384": "2.16.840.1.101.3.4.2.9",
    "sha3_512": "2.16.840.1.101.3.4.2.10",
}
_NAMES = {dotted: name for name, dotted in IMPRINTS.items()}
_BOOLEAN, _EXTENSIONS = 0x01, 0xA0


class Failure(IntEnum):
    """PKIFailureInfo, by its bits (RFC 3161 2.4.2)."""

    BAD_ALG = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADD_INFO_NOT_AVAILABLE = 17
    SYSTEM_FAILURE = 25


class BadQuery(ValueError):
    """A request that gets no token, and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


@dataclass(frozen=True)
class Query:
    """One question. `imprint_der` is the MessageImprint and `nonce_der` the INTEGER, as they stand in the request."""

    hash_name: str
    imprint: bytes
    imprint_der: bytes
    policy: str | None
    nonce: int | None
    nonce_der: bytes
    wants_certificate: bool


def write_query(digest: bytes, hash_name: str, nonce: int) -> bytes:
    """DER TimeStampReq that wants the certificate. Raises ValueError for a hash that is not asked for, or a digest of
    another length."""
    if hash_name not in IMPRINTS or len(digest) != hashlib.new(hash_name).digest_size:
        raise ValueError(f"no imprint by {hash_name}")
    imprint = der(SEQUENCE, _algorithm(hash_name), der(OCTETS, digest))
    return der(SEQUENCE, integer(1), imprint, integer(nonce), b"\x01\x01\xff")


@lru_cache(maxsize=16)
def _algorithm(hash_name: str) -> bytes:
    return der(SEQUENCE, object_identifier(IMPRINTS[hash_name]), NULL)


def read_query(request: bytes) -> Query:
    """Raises BadQuery."""
    try:
        if len(request) > MAX_QUERY:
            raise Malformed("larger than any request")
        walk = Walk(request)
        query = _read(walk)
    except Malformed as wrong:
        raise BadQuery(Failure.BAD_DATA_FORMAT) from wrong
    if not walk.is_der:
        raise BadQuery(Failure.BAD_DATA_FORMAT)
    return query


def _read(walk: Walk) -> Query:
    outer = walk.element(0, len(walk.data))
    members = walk.members(outer, 6)
    if outer.tag != A_SEQUENCE or outer.after != len(walk.data) or len(members) < 2:
        raise Malformed("no TimeStampReq")
    version, imprint, *optional = members
    if walk.content(version, INTEGER) != b"\x01":
        raise BadQuery(Failure.BAD_REQUEST)
    found = _optional(optional)
    policy, nonce, wanted = (found.get(tag) for tag in (OID, INTEGER, _BOOLEAN))
    if _EXTENSIONS in found:
        # None is known here, and one that is not known forbids a token, critical or not (RFC 3161 2.4.1).
        raise BadQuery(Failure.UNACCEPTED_EXTENSION)
    # DER leaves a default out, so a FALSE that is written is none of it.
    if wanted is not None and walk.content(wanted, _BOOLEAN) != b"\xff":
        raise Malformed("no BOOLEAN of DER")
    hash_name, digest = _imprint(walk, imprint)
    return Query(
        hash_name=hash_name,
        imprint=digest,
        imprint_der=walk.whole(imprint),
        policy=walk.oid(policy) if policy else None,
        nonce=_number(walk, nonce) if nonce else None,
        nonce_der=walk.whole(nonce) if nonce else b"",
        wants_certificate=wanted is not None,
    )


def _optional(members: list[Element]) -> dict[int, Element]:
    """By their tags, each once and in its order."""
    order = [OID, INTEGER, _BOOLEAN, _EXTENSIONS]
    at = -1
    for one in members:
        if one.tag not in order or order.index(one.tag) <= at:
            raise Malformed("other members than a TimeStampReq has")
        at = order.index(one.tag)
    return {one.tag: one for one in members}


def _imprint(walk: Walk, of: Element) -> tuple[str, bytes]:
    algorithm, octets = walk.inside(of, A_SEQUENCE, 0x04)
    hash_oid, *parameters = walk.members(algorithm, 2)
    # RFC 5754 2: absent, and NULL is read too.
    if any(walk.whole(one) != NULL for one in parameters):
        raise Malformed("a hash with parameters")
    name = _NAMES.get(walk.oid(hash_oid))
    if name is None:
        raise BadQuery(Failure.BAD_ALG)
    digest = walk.content(octets, 0x04)
    if len(digest) != hashlib.new(name).digest_size:
        raise BadQuery(Failure.BAD_DATA_FORMAT)
    return name, digest


def _number(walk: Walk, of: Element) -> int:
    content = walk.content(of, INTEGER)
    if not 1 <= len(content) <= MAX_NONCE:
        raise Malformed("no number")
    if len(content) > 1 and (content[0], content[1] >> 7) in {(0, 0), (0xFF, 1)}:
        raise Malformed("a number with octets to spare")
    return int.from_bytes(content, "big", signed=True)


def integer(value: int) -> bytes:
    """DER INTEGER."""
    return der(b"\x02", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def object_identifier(dotted: str) -> bytes:
    """DER OBJECT IDENTIFIER. Raises ValueError."""
    arcs = [int(one) for one in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0:
        raise ValueError(f"no object identifier: {dotted}")
    content = b""
    for arc in [40 * arcs[0] + arcs[1], *arcs[2:]]:
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(octets))
    return der(b"\x06", content)
