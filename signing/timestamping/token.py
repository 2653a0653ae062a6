"""One time-stamp token (RFC 3161 2.4.2): this file reads it, and says whether it may be believed.

- Reading believes nothing. `check_token` asks everything in one order: over which bytes, by whom, at what time, and
  whether somebody whom we believe for time-stamps stands above.
- The signer is the certificate that the token itself names by its digest (ESSCertID, RFC 5816), never one that merely
  bears the name: a certificate that was put in beside it changes nothing.
- Revocation and strength of algorithms are asked elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from signing.trust.anchors import TrustSnapshot, Use
from signing.trust.certificate import MALFORMED, TIME_STAMPING, Certificate, NotACertificate
from signing.trust.certificate import read as read_certificate
from signing.trust.path import NoPath, StandingPath, find_path
from signing.verification.attributes import time as read_time
from signing.verification.cms_form import CERTIFICATE_NOT_NAMED, HASHES, NO_SIGNED_ATTRIBUTES
from signing.verification.der import INTEGER, OCTETS, OID, SEQUENCE, Element, Malformed, Walk
from signing.verification.signed_data import (
    TST_INFO,
    Broken,
    NotSignedData,
    SignedData,
    check_signed_data,
    read_signed_data,
)

MAX_TOKEN = 1 << 20  # bytes; whole CRLs may lie inside
MAX_NUMBER = 64  # bytes of a serial number or nonce
_ACCURACY, _BOOLEAN, _TIME, _TSA, _EXTENSIONS = SEQUENCE, 0x01, 0x18, 0xA0, 0xA1


class NotAToken(ValueError):
    """The bytes are no time-stamp token that could be judged."""


class TokenRefused(Exception):
    """The token proves nothing. `why` is short, and none of it is secret."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Token:
    """What a token says. `signer` and `certificates` are DER, `authority` is the signer's subject (RFC 4514);
    `hash_name` is spelled as hashlib does, or dotted where it is unknown."""

    der: bytes
    time: datetime
    authority: str
    signer: bytes
    certificates: tuple[bytes, ...]
    hash_name: str
    imprint: bytes
    policy: str
    serial: int
    nonce: int | None


def read_token(der: bytes) -> Token:
    """Of a ContentInfo that carries its signer's certificate; zeros may follow it. Raises NotAToken."""
    try:
        if len(der) > MAX_TOKEN:
            raise Malformed("larger than any token")
        der = der[: Walk(der).element(0, len(der)).after]
        data = signed_data_in(der)
        if data.content_type != TST_INFO or data.content is None:
            raise Malformed("no TSTInfo inside")
        if data.signer is None:
            raise Malformed("the signer's certificate is not in the token")
        signer = read_certificate(data.signer)
        said = _info(data.content)
    except NotAToken:
        raise
    except (Malformed, NotSignedData, NotACertificate, *MALFORMED) as wrong:
        raise NotAToken(str(wrong).partition("\n")[0][:200]) from wrong
    return Token(
        der=der,
        time=said.time,
        authority=signer.subject_text,
        signer=signer.der,
        certificates=data.certificates,
        hash_name=said.hash_name,
        imprint=said.imprint,
        policy=said.policy,
        serial=said.serial,
        nonce=said.nonce,
    )


def check_token(
    token: Token, *, digest: bytes, hash_name: str, trust: TrustSnapshot, at: datetime
) -> StandingPath:
    """The path of the token's signer, judged at `at`, where the token is over these bytes and its signature holds.
    Raises TokenRefused."""
    # 1. Over these bytes, by the hash that was asked for.
    if token.hash_name != hash_name or not hmac.compare_digest(token.imprint, digest):
        raise TokenRefused("it is over other bytes")
    # 2. Its one signer's signature holds, and the signer is named by digest.
    _check_signature(token)
    # 3. The certificate is for time-stamps and for nothing else, and was valid when it dated this.
    signer = read_certificate(token.signer)
    _check_purpose(signer)
    if not signer.not_before <= token.time <= signer.not_after:
        raise TokenRefused("its time lies outside its certificate's validity")
    # 4. Somebody whom we believe for time-stamps stands above.
    try:
        return find_path(token.signer, token.certificates, trust, at, use=Use.TIMESTAMPS)
    except NoPath as flaw:
        raise TokenRefused(f"its signer is not believed: {flaw.flaw.value}") from flaw


@lru_cache(maxsize=64)
def signed_data_in(der: bytes) -> SignedData:
    """A token is read when it comes and once more when it is checked. Raises NotSignedData."""
    return read_signed_data(der)


def _check_signature(token: Token) -> None:
    try:
        data = signed_data_in(token.der)
    except NotSignedData as wrong:
        raise TokenRefused("it is no signed data") from wrong
    content = data.content or b""
    for flaw, why in _DISQUALIFYING.items():
        if flaw in data.flaws:
            raise TokenRefused(why)
    try:
        check_signed_data(data, hashlib.new(data.digest_name, content).digest())
    except Broken as broken:
        raise TokenRefused(f"its signature does not hold: {broken.sub}") from broken


_DISQUALIFYING = {
    NO_SIGNED_ATTRIBUTES: "its signer signed no attributes",
    CERTIFICATE_NOT_NAMED: "it does not name its signer's certificate",
}


def _check_purpose(signer: Certificate) -> None:
    """RFC 3161 2.3: one purpose, and critical, so that nobody who does not know it takes the certificate for another."""
    if signer.purposes != frozenset({TIME_STAMPING}):
        raise TokenRefused("its signer's certificate is not for time-stamps alone")
    if "extended_key_usage" not in signer.critical:
        raise TokenRefused("its signer's certificate does not make its purpose critical")
    if signer.usage is not None and not signer.usage & {"digital_signature", "non_repudiation"}:
        raise TokenRefused("its signer's certificate may not sign")


@dataclass(frozen=True)
class _Said:
    policy: str
    hash_name: str
    imprint: bytes
    serial: int
    time: datetime
    nonce: int | None


def _info(content: bytes) -> _Said:
    """TSTInfo. Raises Malformed."""
    walk = Walk(content)
    outer = walk.element(0, len(content))
    members = walk.members(outer, 10)
    if outer.tag != SEQUENCE or outer.after != len(content) or len(members) < 5:
        raise Malformed("no TSTInfo")
    version, policy, imprint, serial, moment, *optional = members
    if walk.content(version, INTEGER) != b"\x01":
        raise Malformed("a TSTInfo of another version")
    if moment.tag != _TIME:
        raise Malformed("no time")
    found = _optional(optional)
    _check_extensions(walk, found.get(_EXTENSIONS))
    if _BOOLEAN in found and len(walk.content(found[_BOOLEAN], _BOOLEAN)) != 1:
        raise Malformed("ordering that is none")
    hash_name, digest = _imprint(walk, imprint)
    return _Said(
        policy=walk.oid(policy),
        hash_name=hash_name,
        imprint=digest,
        serial=_number(walk, serial),
        time=read_time(walk, moment),
        nonce=_number(walk, found[INTEGER]) if INTEGER in found else None,
    )


def _optional(members: list[Element]) -> dict[int, Element]:
    """accuracy, ordering, nonce, tsa, extensions: each once, in this order."""
    order = [_ACCURACY, _BOOLEAN, INTEGER, _TSA, _EXTENSIONS]
    at = -1
    for one in members:
        if one.tag not in order or order.index(one.tag) <= at:
            raise Malformed("other members than a TSTInfo has")
        at = order.index(one.tag)
    return {one.tag: one for one in members}


def _imprint(walk: Walk, of: Element) -> tuple[str, bytes]:
    algorithm, octets = walk.inside(of, SEQUENCE, OCTETS)
    members = walk.members(algorithm, 2)
    if not members:
        raise Malformed("no algorithm")
    dotted = walk.oid(members[0])
    return HASHES.get(dotted, dotted), walk.content(octets, OCTETS)


def _check_extensions(walk: Walk, of: Element | None) -> None:
    """One that is critical and not known forbids to believe the rest; none is known."""
    for one in walk.members(of, 32) if of is not None else ():
        parts = walk.members(one, 3)
        if len(parts) < 2 or parts[0].tag != OID:
            raise Malformed("no extension")
        if len(parts) == 3 and walk.content(parts[1], _BOOLEAN) != b"\0":
            raise Malformed(f"a critical extension that is not known: {walk.oid(parts[0])}")


def _number(walk: Walk, of: Element) -> int:
    content = walk.content(of, INTEGER)
    if not 1 <= len(content) <= MAX_NUMBER:
        raise Malformed("no number")
    return int.from_bytes(content, "big", signed=True)
