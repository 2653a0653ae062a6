"""The entries of a CRL that must be read in their order, or of which something critical must be known: this file looks
through them (RFC 5280 5.3).

- cryptography finds a serial number in a list of a million in some hundredths of a second, but neither reads whose
  certificate an entry of an indirect list names (5.3.3: it holds for those after it too), nor negative serial numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from asn1crypto import core
from asn1crypto.crl import CRLEntryExtensions, RevokedCertificate

from signing.trust.certificate import instant
from signing.trust.tlv import inside, revoked_of
from signing.verification.der import SEQUENCE

_CRITICAL = b"\x01\x01\xff"
_CERTIFICATE_ISSUER = bytes.fromhex("0603551d1d")
_JUDGED = {"certificate_issuer", "crl_reason", "invalidity_date", "hold_instruction_code"}
MAX_KINDS = 20_000  # of critical extensions in one list, each to be read

Entry = tuple[datetime, str | None]
"""Since when, and why: RFC 5280 5.3.1, as key_compromise."""


class Entries:
    """Of one list, in its DER. Raises ValueError, IndexError."""

    def __init__(self, der: bytes, signed: int) -> None:
        self._der = der
        self._start, self._end = revoked_of(der, signed)
        self.critical = der.find(_CRITICAL, self._start, self._end) >= 0

    def all_known(self) -> bool:
        """Whether we can judge everything critical (5.3: else the list must not be used at all)."""
        if not self.critical:
            return True
        seen: set[bytes] = set()
        for start, stop in self._each():
            if self._der.find(_CRITICAL, start, stop) < 0:
                continue
            extensions = self._extensions(start, stop)
            if _CRITICAL in extensions and extensions not in seen:  # a serial number may hold these bytes too
                seen.add(extensions)
                if len(seen) > MAX_KINDS or not _judged(extensions):
                    return False
        return True

    def find(self, serial: int, issuer: str, own: str) -> Entry | None:
        """`issuer` and `own`: the certificate's issuer and the list's, as names are compared."""
        der, current = self._der, own
        wanted = core.Integer(serial).dump()
        named = der.find(_CERTIFICATE_ISSUER, self._start, self._end)
        for start, stop in self._each():
            if 0 <= named < stop:
                current = _issuer(self._extensions(start, stop)) or current
                named = der.find(_CERTIFICATE_ISSUER, stop, self._end)
            if der.startswith(wanted, start) and current == issuer:
                return _entry(der[start:stop])
        return None

    def _each(self) -> Iterator[tuple[int, int]]:
        der, at, end = self._der, self._start, self._end
        while at < end:
            if der[at] != SEQUENCE:
                raise ValueError("an entry that is none")
            if der[at + 1] < 0x80:  # nearly all
                start = at + 2
                stop = start + der[at + 1]
            else:
                start, stop = inside(der, at)
            yield start, stop
            at = stop

    def _extensions(self, start: int, stop: int) -> bytes:
        _, at = inside(self._der, start)
        _, at = inside(self._der, at)
        return self._der[at:stop]


def _judged(extensions: bytes) -> bool:
    listed = CRLEntryExtensions.load(extensions, strict=True)
    return all(one["extn_id"].native in _JUDGED for one in listed if one["critical"].native)


@lru_cache(maxsize=MAX_KINDS)
def _issuer(extensions: bytes) -> str | None:
    if _CERTIFICATE_ISSUER not in extensions:
        return None
    for one in CRLEntryExtensions.load(extensions, strict=True):
        if one["extn_id"].native == "certificate_issuer":
            for name in one["extn_value"].parsed:
                if name.name == "directory_name":
                    found: str = name.chosen.hashable
                    return found
    return None


def _entry(content: bytes) -> Entry:
    read = RevokedCertificate.load(_wrapped(content), strict=True)
    reason = read.crl_reason_value.native if read.crl_reason_value is not None else None
    return instant(read["revocation_date"].native), reason


def _wrapped(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((SEQUENCE, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((SEQUENCE, 0x80 | size)) + length.to_bytes(size, "big") + content
