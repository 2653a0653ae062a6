"""What a key of each purpose may sign (K1): this file tells signed attributes, SignedInfo, certificates, CRLs, OCSP
answers and texts from each other by their form, and all of them from a bare digest.

- A digest for somebody else is never signed: it fits no form.
- The text that a probe signs fits no other purpose, and the other way round.
- Only as much DER is read as the question needs; wrong DER is "fits nothing", never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hsm.key import Purpose

PROBE_TEXT = b"Antin probe: neither signed attributes nor SignedInfo. "

_CONTENT_TYPE = bytes.fromhex("2a864886f70d010903")  # RFC 5652 11.1
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")  # RFC 5652 11.2
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")  # RFC 3161 2.4.2
# Canonical XML begins with the element itself.
_SIGNED_INFO = re.compile(
    rb"<(?:[A-Za-z_][\w.-]*:)?SignedInfo\s[^>]*\"http://www\.w3\.org/2000/09/xmldsig#\""
)
_SET, _SEQUENCE, _OID, _INTEGER = 0x31, 0x30, 0x06, 0x02
_VERSION, _BY_NAME, _BY_KEY = 0xA0, 0xA1, 0xA2


def fits(purpose: Purpose, to_sign: bytes) -> bool:
    """True if bytes of this form are what keys of this purpose are for."""
    try:
        return _FORMS[purpose](to_sign)
    except ValueError:
        return False


def _document(data: bytes) -> bool:
    if data[:1] == b"<":
        return _SIGNED_INFO.match(data) is not None
    return _content_type(data) != _TST_INFO


def _timestamp(data: bytes) -> bool:
    return _content_type(data) == _TST_INFO


def _authority(data: bytes) -> bool:
    # RFC 5280: TBSCertificate opens with [0] version, TBSCertList with INTEGER.
    return _first_inside(data) in {_VERSION, _INTEGER}


def _revocation(data: bytes) -> bool:
    # RFC 6960 4.2.1: ResponseData of version 1 opens with the responder's name or key.
    return _first_inside(data) in {_INTEGER, _BY_NAME, _BY_KEY}


def _text(data: bytes) -> bool:
    """Checkpoints, canonical JSON: UTF-8 without control characters, so no DER, and a digest by a chance of 2^-40."""
    if data[:1] == b"<" or data.startswith(PROBE_TEXT):
        return False
    return all(sign >= " " or sign in "\n\t" for sign in data.decode()) and len(data) > 0


def _nothing(_: bytes) -> bool:
    """A keeper probes by itself; nobody else may ask."""
    return False


_FORMS = {
    Purpose.SIGNING: _document,
    Purpose.SEAL: _document,
    Purpose.REPORTS: _document,
    Purpose.TIME_STAMPING: _timestamp,
    Purpose.CA: _authority,
    Purpose.REVOCATION: _revocation,
    Purpose.JOBS: _text,
    Purpose.AUDIT: _text,
    Purpose.PROBE: _nothing,
}


def _content_type(data: bytes) -> bytes:
    """The content type of DER signed attributes (RFC 5652 5.4: SET OF). Raises ValueError."""
    found: dict[bytes, bytes] = {}
    for tag, attribute in _elements(_only(_SET, data)):
        if tag != _SEQUENCE:
            raise ValueError("no attribute")
        (kind, name), (holder, values) = _elements(attribute)
        if kind != _OID or holder != _SET or name in found:
            raise ValueError("no attribute")
        found[name] = values
    if _MESSAGE_DIGEST not in found or _CONTENT_TYPE not in found:
        raise ValueError("no signed attributes")
    return _only(_OID, found[_CONTENT_TYPE])


def _first_inside(data: bytes) -> int:
    for tag, _ in _elements(_only(_SEQUENCE, data)):
        return tag
    raise ValueError("empty")


def _only(tag: int, data: bytes) -> bytes:
    ((found, content),) = _elements(data)
    if found != tag:
        raise ValueError("other tag")
    return content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element, definite and minimal lengths only. Raises ValueError."""
    at = 0
    while at < len(data):
        if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
            raise ValueError("cut off")
        tag, size = data[at], data[at + 1]
        at += 2
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            if not 1 <= count <= 4 or size < 0x80 or size >> (8 * (count - 1)) == 0:
                raise ValueError("length")
            at += count
        if at + size > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + size]
        at += size
