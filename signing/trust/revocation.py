"""Is it revoked? This file asks for every certificate of a standing path, and keeps what answered as evidence (V3, V4).

- First what was supplied, then what is remembered and fresh, then OCSP, then the CRL: until one answer counts.
- An authority that does not answer is left in peace for a while, so that its silence costs one signature some
  seconds and not all of them.
- A list is read once, however many signatures ask it; reading a big one happens beside the event loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from signing.trust.cache import Cached, Kind, MemoryCache, RevocationCache
from signing.trust.certificate import Certificate, read
from signing.trust.crl import Crl
from signing.trust.fetcher import Fetcher
from signing.trust.ocsp import ocsp_request
from signing.trust.path import StandingPath
from signing.trust.status import Answer, Gathered, Moment, Status, Why

MAX_AGE = timedelta(days=7)  # of an answer at the time asked for, unless the policy says otherwise
ASK_AGAIN = {Kind.OCSP: timedelta(minutes=10), Kind.CRL: timedelta(hours=1)}
LEAVE_IN_PEACE = timedelta(seconds=30)
BIG = 256 << 10  # bytes; reading less does not hold the event loop up
READ_LISTS = 128 << 20  # bytes of lists that stay read
MAX_ADDRESSES = 4  # asked per certificate and kind
MAX_SUPPLIED = 64
MAX_FAILURES = 4096


@dataclass(frozen=True)
class Supplied:
    """DER that came with a file or was named by hand; may be anything."""

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class _Found:
    """An answer with the bytes that gave it."""

    answer: Answer
    source: str = ""
    der: bytes = b""


class Revocation:
    """`fetcher` None: no network at all. Safe to call from many tasks of one event loop."""

    def __init__(
        self, fetcher: Fetcher | None, cache: RevocationCache | None = None, *, clock: Callable[[], datetime]
    ) -> None:  # fmt: skip
        self._fetcher, self._clock = fetcher, clock
        self._cache = cache or MemoryCache()
        self._lists: OrderedDict[bytes, Crl] = OrderedDict()
        self._remembered: OrderedDict[bytes, Cached] = OrderedDict()
        self._failed: OrderedDict[bytes, datetime] = OrderedDict()
        self._asking: dict[bytes, asyncio.Lock] = {}

    async def check(
        self, path: StandingPath, *, at: datetime, supplied: Supplied = Supplied(), max_age: timedelta = MAX_AGE
    ) -> Gathered:  # fmt: skip
        """The status of each certificate below the anchor at `at`, by what is known now. Raises nothing: what cannot be
        known is UNKNOWN and says why."""
        moment = Moment(at, self._clock(), max_age)
        certificates = [read(one) for one in path]
        crls = [one for one in [await self._list(der) for der in supplied.crls[:MAX_SUPPLIED]] if one]
        ocsps = [one for one in map(_ocsp, supplied.ocsps[:MAX_SUPPLIED]) if one]
        asked = [
            _Question(self, one, issuer, moment, (crls, ocsps)).answered()
            for one, issuer in zip(certificates, certificates[1:], strict=False)
        ]
        found = await asyncio.gather(*asked)
        return _gathered(path, moment, certificates, found)

    # -- for the questions

    async def ocsp(self, one: Certificate, issuer: Certificate) -> _Found:
        if not one.ocsp_addresses:
            return _unknown(Why.NO_ADDRESS)
        key = _digest(b"ocsp", issuer.key, one.serial.to_bytes(64, "big", signed=True))
        best = _unknown(Why.NOT_REACHED)
        for address in one.ocsp_addresses[:MAX_ADDRESSES]:

            async def ask(fetcher: Fetcher, address: str = address) -> tuple[_Found, Cached | None]:
                nonce = secrets.token_bytes(32)
                der = await fetcher.ocsp(address, ocsp_request(one, issuer, nonce))
                found = _of_ocsp(der, one, issuer, nonce)
                return found, self._cached(Kind.OCSP, der, found.answer)

            def again(cached: Cached) -> _Found:
                return _of_ocsp(cached.der, one, issuer, None)

            found = await self._current(Kind.OCSP, key, _digest(address.encode()), again, ask)
            if found.answer.status is not Status.UNKNOWN:
                return found
            best = _nearer(best, found)
        return best

    async def crl(self, one: Certificate, issuer: Certificate) -> _Found:
        best = _unknown(Why.NO_ADDRESS)
        for address in one.crl_addresses[:MAX_ADDRESSES]:
            key = _digest(b"crl", address.encode(), issuer.key)

            async def ask(fetcher: Fetcher, address: str = address) -> tuple[_Found, Cached | None]:
                der = await fetcher.crl(address)
                crl = await self._list(der)
                found = await self._of_crl(crl, one, issuer)
                believed = crl is not None and crl.issued_by(issuer)
                return found, self._cached(Kind.CRL, der, found.answer) if believed else None

            async def again(cached: Cached) -> _Found:
                return await self._of_crl(await self._list(cached.der), one, issuer)

            found = await self._current(Kind.CRL, key, _digest(address.encode()), again, ask)
            if found.answer.status is not Status.UNKNOWN:
                return found
            best = _nearer(best, found)
        return best
