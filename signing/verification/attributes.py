"""Attributes of a CMS signer (RFC 5652 5.3, 11): this file reads those that are judged, each into plain data.

What stands twice, in the wrong set, or is not known is noted by its object identifier; nothing is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signing.verification.der import INTEGER, OCTETS, SEQUENCE, SET, Element, Malformed, Walk, is_sorted

CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"  # RFC 6211
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"  # RFC 2634 5.4, SHA-1
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"  # RFC 5035 3
CONTENT_TIME_STAMP = "1.2.840.113549.1.9.16.2.20"
SIGNATURE_TIME_STAMP = "1.2.840.113549.1.9.16.2.14"
REVOCATION_INFORMATION = "1.2.840.113583.1.1.8"  # adbe-revocationInfoArchival (ISO 32000-1 12.8.3.3.2)

SIGNED = {
    CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, ALGORITHM_PROTECTION, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2,
    CONTENT_TIME_STAMP, REVOCATION_INFORMATION,
    "1.2.840.113549.1.9.15",  # S/MIME capabilities
    "1.2.840.113549.1.9.16.2.4",  # content hints
    "1.2.840.113549.1.9.16.2.15",  # signature policy identifier
    "1.2.840.113549.1.9.16.2.16",  # commitment type
    "1.2.840.113549.1.9.16.2.17",  # signer location
    "1.2.840.113549.1.9.16.2.18",  # signer attributes
    "0.4.0.1733.2.1",  # MIME type (EN 319 122-1 5.2.5)
    "0.4.0.19122.1.1",  # signer attributes, version 2
}  # fmt: skip
UNSIGNED = {
    SIGNATURE_TIME_STAMP,
    # Some write it here: of no weight, as anybody could have added it.
    REVOCATION_INFORMATION,
    "1.2.840.113549.1.9.6",  # countersignature
    "1.2.840.113549.1.9.16.2.21",  # complete certificate references
    "1.2.840.113549.1.9.16.2.22",  # complete revocation references
    "1.2.840.113549.1.9.16.2.23",  # certificate values
    "1.2.840.113549.1.9.16.2.24",  # revocation values
    "1.2.840.113549.1.9.16.2.25",  # time-stamp over signature and references
    "1.2.840.113549.1.9.16.2.26",  # time-stamp over references
    "0.4.0.1733.2.4",  # archive time-stamp, version 3
}  # fmt: skip

MOST_ATTRIBUTES = 64
MOST_VALUES = 64


@dataclass(frozen=True)
class Attributes:
    """`values` by dotted type, each value whole; `types` as they stand, with repetitions."""

    types: tuple[str, ...]
    values: dict[str, tuple[Element, ...]]

    def of(self, type_: str) -> tuple[Element, ...]:
        return self.values.get(type_, ())

    @property
    def repeated(self) -> bool:
        return len(set(self.types)) != len(self.types)


def read(walk: Walk, of: Element) -> Attributes:
    """`of`: the [0] or [1] IMPLICIT SET OF in a SignerInfo. Raises Malformed."""
    types: list[str] = []
    values: dict[str, tuple[Element, ...]] = {}
    members = walk.members(of, MOST_ATTRIBUTES)
    for one in members:
        if one.tag != SEQUENCE:
            raise Malformed("an attribute that is none")
        type_, stated = walk.inside(one, 0x06, SET)
        name = walk.oid(type_)
        types.append(name)
        values[name] = values.get(name, ()) + tuple(walk.members(stated, MOST_VALUES))
    # Only what is signed must be DER by itself (RFC 5652 5.3).
    if of.tag == 0xA0 and not is_sorted([walk.whole(one) for one in members]):
        walk.is_der = False
    return Attributes(tuple(types), values)


@dataclass(frozen=True)
class NamedCertificate:
    """How signing-certificate(-v2) names the signer's certificate: by digest, and by issuer and serial if it will."""

    hash_oid: str
    digest: bytes
    issuer: bytes | None  # DER Name
    serial: bytes | None  # content of the INTEGER


SHA1, SHA256 = "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1"


def named_certificate(walk: Walk, value: Element, *, second: bool) -> NamedCertificate:
    """The first certificate that is named: the signer's (RFC 5035 3). Raises Malformed."""
    listed = walk.members(value, 2)
    if value.tag != SEQUENCE or not listed:
        raise Malformed("no signing certificate")
    named = walk.members(listed[0])
    parts = walk.members(named[0], 3) if named else []
    hash_oid = SHA256 if second else SHA1
    if second and parts and parts[0].tag == SEQUENCE:
        hash_oid = algorithm(walk, parts.pop(0))[0]
    if not parts or len(parts) > 2:
        raise Malformed("no signing certificate")
    digest, issuer, serial = walk.content(parts[0], OCTETS), None, None
    if len(parts) == 2:
        names, number = walk.inside(parts[1], SEQUENCE, INTEGER)
        serial = walk.content(number, INTEGER)
        stated = walk.members(names)
        if len(stated) == 1 and stated[0].tag == 0xA4:  # directoryName
            issuer = walk.whole(walk.inside(stated[0], SEQUENCE)[0])
    return NamedCertificate(hash_oid, digest, issuer, serial)


def algorithm(walk: Walk, of: Element, tag: int = SEQUENCE) -> tuple[str, bytes | None]:
    """Dotted identifier and DER parameters of an AlgorithmIdentifier under this tag."""
    members = walk.members(of, 2)
    if of.tag != tag or not members:
        raise Malformed("no algorithm")
    return walk.oid(members[0]), walk.whole(members[1]) if len(members) == 2 else None


def time(walk: Walk, of: Element) -> datetime:
    """UTCTime or GeneralizedTime, in UTC (RFC 5652 11.3). Raises Malformed."""
    text = walk.data[of.body : of.end].decode("ascii", "replace")
    if of.tag == 0x17 and len(text) in {11, 13, 15, 17}:
        text = ("19" if text >= "5" else "20") + text
    elif of.tag != 0x18:
        raise Malformed("no time")
    zone = timedelta()
    if len(text) > 5 and text[-5] in "+-":
        hours, minutes = text[-4:-2], text[-2:]
        if not (hours + minutes).isdigit():
            raise Malformed("no time")
        zone = timedelta(hours=int(hours), minutes=int(minutes)) * (1 if text[-5] == "+" else -1)
        text, walk.is_der = text[:-5], False
    elif text.endswith("Z"):
        text = text[:-1]
    else:
        raise Malformed("no time")
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or len(whole) not in {12, 14} or (fraction and not fraction.isdigit()):
        raise Malformed("no time")
    try:
        known = datetime.strptime(whole.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return known.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0) - zone
    except (ValueError, OverflowError) as wrong:
        raise Malformed("no time") from wrong


def revocation_information(walk: Walk, of: Element) -> tuple[list[bytes], list[bytes]]:
    """CRLs and OCSP responses, DER, of RevocationInfoArchival."""
    found: dict[int, list[bytes]] = {0xA0: [], 0xA1: [], 0xA2: []}
    for one in walk.members(of, 3):
        if one.tag not in found:
            raise Malformed("no revocation information")
        found[one.tag] = [walk.whole(each) for each in walk.members(walk.inside(one, SEQUENCE)[0], 256)]
    return found[0xA0], found[0xA1]
