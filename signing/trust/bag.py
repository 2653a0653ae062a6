"""Certificates that somebody brought, in any order and number: this file finds those that may stand above another one
without reading the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from asn1crypto.x509 import Name

from signing.trust.certificate import MALFORMED, Certificate, NotACertificate, read
from signing.trust.tlv import subject_of

MAX_READ = 200  # of one name, and above one certificate


class Bag:
    """Reading nothing but names costs some hundredths of a millisecond per certificate."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._by_subject: dict[str, list[bytes]] = {}
        for der in dict.fromkeys(certificates):
            subject = _subject(der)
            if subject is not None:
                self._by_subject.setdefault(subject, []).append(der)

    def named(self, subject: str, key_id: bytes | None = None) -> list[Certificate]:
        """With this subject (as `Certificate.subject`), those that hold the key's identifier first; a few hundred at most."""
        found = self._by_subject.get(subject, [])
        if len(found) > MAX_READ and key_id:
            found = sorted(found, key=lambda der: key_id not in der)
        return [one for one in map(_readable, found[:MAX_READ]) if one is not None]

    def above(self, certificate: Certificate) -> tuple[list[bytes], bool]:
        """Whatever may stand above it by its name, the nearer the earlier; and whether there would be more of them."""
        found: dict[bytes, None] = {}
        asked = {certificate.issuer}
        ways = deque([(certificate.issuer, certificate.issuer_key_id)])
        more = False
        while ways:
            subject, key_id = ways.popleft()
            more = more or len(self._by_subject.get(subject, ())) > MAX_READ
            for one in self.named(subject, key_id):
                found[one.der] = None
                if one.issuer not in asked:
                    asked.add(one.issuer)
                    ways.append((one.issuer, one.issuer_key_id))
            if len(found) > MAX_READ:
                return list(found)[:MAX_READ], True
        return list(found), more


def _readable(der: bytes) -> Certificate | None:
    try:
        return read(der)
    except NotACertificate:
        return None


def _subject(der: bytes) -> str | None:
    try:
        return _comparable(subject_of(der))
    except MALFORMED:
        return None


@lru_cache(maxsize=1024)
def _comparable(name: bytes) -> str:
    compared: str = Name.load(name, strict=True).hashable
    return compared
