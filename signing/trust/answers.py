"""What answered, and what it says of one certificate: this file reads OCSP answers and lists for `revocation.py`, and
puts together what was found on a whole path. Nothing here asks anybody.

- A list is read and checked once, however many signatures ask it; a big one beside the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from signing.trust.certificate import Certificate
from signing.trust.crl import Crl, NotACrl
from signing.trust.ocsp import NotAnOcspAnswer, OcspAnswer, read_ocsp
from signing.trust.path import StandingPath
from signing.trust.status import Answer, CertificateStatus, Gathered, Moment, Status, Why

BIG = 256 << 10  # bytes; reading less does not hold the event loop up
READ_LISTS = 128 << 20  # bytes of lists that stay read


@dataclass(frozen=True)
class Found:
    """An answer with the bytes that gave it; `source` is "ocsp" or "crl"."""

    answer: Answer
    source: str = ""
    der: bytes = b""

    @property
    def known(self) -> bool:
        return self.answer.status is not Status.UNKNOWN


@lru_cache
def unknown(why: Why) -> Found:
    return Found(Answer(Status.UNKNOWN, why=why))


_TELLING = {why: place for place, why in enumerate(Why)}


def nearer(one: Found, other: Found) -> Found:
    """Of two that do not count, the one whose reason tells more."""
    return max(one, other, key=lambda found: _TELLING[found.answer.why or Why.NO_ADDRESS])


@lru_cache(maxsize=1024)
def read_answer(der: bytes) -> OcspAnswer | None:
    """None: no OCSP answer with a status."""
    try:
        return read_ocsp(der)
    except NotAnOcspAnswer:
        return None


@lru_cache(maxsize=2048)
def of_ocsp(der: bytes, one: Certificate, issuer: Certificate, nonce: bytes | None = None) -> Found:
    """`nonce`: what was sent, where we asked ourselves."""
    read = read_answer(der)
    if read is None:
        return unknown(Why.MALFORMED)
    return Found(read.of(one, issuer, nonce=nonce), "ocsp", der)


class Lists:
    """The lists that were read; bounded by bytes, the one not asked for longest goes first."""

    def __init__(self) -> None:
        # By their bytes: an object's hash is reckoned once, so asking for a big list again costs nothing.
        self._read: OrderedDict[bytes, Crl | None] = OrderedDict()
        self._held = 0

    async def read(self, der: bytes) -> Crl | None:
        """None: no list that could be judged."""
        if der in self._read:
            self._read.move_to_end(der)
            return self._read[der]
        crl = await asyncio.to_thread(_crl, der) if len(der) > BIG else _small_crl(der)
        if der not in self._read:
            self._read[der] = crl
            self._held += len(der)
            while self._held > READ_LISTS and len(self._read) > 1:
                gone, _ = self._read.popitem(last=False)
                self._held -= len(gone)
        return crl

    async def of(self, der: bytes, one: Certificate, issuer: Certificate) -> Found:
        crl = await self.read(der)
        if crl is None:
            return unknown(Why.MALFORMED)
        if not crl.named_as(issuer):
            return unknown(Why.NOT_FOR_THIS)
        believed = await self.believed(crl, issuer)
        return Found(crl.of(one), "crl", crl.der) if believed else unknown(Why.BAD_SIGNATURE)

    @staticmethod
    async def believed(crl: Crl, issuer: Certificate) -> bool:
        if len(crl.der) > BIG:
            return await asyncio.to_thread(crl.issued_by, issuer)
        return crl.issued_by(issuer)


def _crl(der: bytes) -> Crl | None:
    try:
        return Crl(der)
    except NotACrl:
        return None


# What a list says is told by its bytes alone: of a small one whoever asks next need not read it again.
_small_crl = lru_cache(maxsize=128)(_crl)


def gathered(
    path: StandingPath, moment: Moment, certificates: Sequence[Certificate], found: Sequence[Found]
) -> Gathered:
    """`found`: for each certificate below the anchor, in order."""
    statuses = [
        _status(one, what.answer, what.source) for one, what in zip(certificates, found, strict=False)
    ]
    used = [one for one in found if one.known]
    responders = [one.answer.responder for one in used if one.answer.responder is not None]
    return Gathered(
        at=moment.at,
        statuses=tuple(statuses),
        certificates=tuple(dict.fromkeys((*path, *responders))),
        crls=tuple(dict.fromkeys(one.der for one in used if one.source == "crl")),
        ocsps=tuple(dict.fromkeys(one.der for one in used if one.source == "ocsp")),
    )


def _status(one: Certificate, answer: Answer, source: str) -> CertificateStatus:
    return CertificateStatus(
        certificate=one.der,
        status=answer.status,
        since=answer.since,
        reason=answer.reason,
        why=answer.why if answer.status is Status.UNKNOWN else None,
        source=source if answer.status is not Status.UNKNOWN else "",
        this_update=answer.this_update,
        next_update=answer.next_update,
        weakness=answer.weakness,
    )
