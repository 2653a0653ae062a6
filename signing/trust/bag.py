"""Certificates that somebody brought, in any order and number: this file picks out those that may stand above another one,
and reads no others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from asn1crypto.x509 import Name

from signing.trust.certificate import MALFORMED, Certificate, readable
from signing.trust.dsa import check_issued, is_dsa
from signing.trust.path import MAX_LENGTH, MAX_OTHERS, distances
from signing.trust.signature import BadSignature, scheme_of
from signing.trust.tlv import names_of

MAX_CLOSURE = 5000  # certificates that stand, rightly signed, above one


@dataclass(frozen=True)
class _Brought:
    der: bytes
    issuer: str
    subject: str
    key: bytes


class Bag:
    """Looking at a certificate costs a tenth of a millisecond, checking whether it signed another as much; most are only
    looked at."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._all = [one for one in map(_brought, dict.fromkeys(certificates)) if one is not None]
        self._by_subject: dict[str, list[_Brought]] = {}
        for one in self._all:
            self._by_subject.setdefault(one.subject, []).append(one)

    def named(self, subject: str, signs: Callable[[bytes], bool]) -> list[Certificate]:
        """With this subject (as `Certificate.subject`), and a key (DER SubjectPublicKeyInfo) that `signs`."""
        found = [one.der for one in self._by_subject.get(subject, ()) if signs(one.key)]
        return list(readable(found[:MAX_OTHERS]))

    def above(self, certificate: Certificate, anchors: Collection[str]) -> tuple[list[bytes], bool]:
        """What may stand between the certificate and anchors with these subjects, what is on short ways first; and whether
        there is more of it than a path is looked for among."""
        if len(self._all) <= MAX_OTHERS:
            return [one.der for one in self._all], False
        left = distances(((one.issuer, one.subject) for one in self._all), anchors)
        found, more = self._signers(certificate, left)
        ranked = sorted(found, key=lambda der: found[der])
        return ranked[:MAX_OTHERS], more or len(ranked) > MAX_OTHERS

    def _signers(self, certificate: Certificate, left: dict[str, int]) -> tuple[dict[bytes, int], bool]:
        """By their distance from the certificate and to an anchor together."""
        found: dict[bytes, int] = {}
        ways = deque([(certificate, 1)])
        while ways:
            below, depth = ways.popleft()
            signs = _Signs(below)
            for one in self._by_subject.get(below.issuer, ()):
                if one.der in found or one.issuer not in left or not signs(one.key):
                    continue
                if len(found) >= MAX_CLOSURE:
                    return found, True
                found[one.der] = depth + left[one.issuer]
                if depth < MAX_LENGTH:
                    ways += [(authority, depth + 1) for authority in readable([one.der])]
        return found, False


class _Signs:
    """Whether a key signed this certificate; each is tried once."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._known: dict[bytes, bool] = {}

    def __call__(self, key: bytes) -> bool:
        if key not in self._known:
            self._known[key] = self._holds(key)
        return self._known[key]

    def _holds(self, key: bytes) -> bool:
        below = self._certificate
        try:
            # A key of DSA may have its parameters from above.
            if not is_dsa(key):
                check_issued(key, scheme_of(below.algorithm), below.signature, below.signed)
        except BadSignature:
            return False
        return True


def _brought(der: bytes) -> _Brought | None:
    try:
        issuer, subject, key = names_of(der)
        return _Brought(der, _comparable(issuer), _comparable(subject), key)
    except MALFORMED:
        return None


@lru_cache(maxsize=4096)
def _comparable(name: bytes) -> str:
    compared: str = Name.load(name, strict=True).hashable
    return compared
