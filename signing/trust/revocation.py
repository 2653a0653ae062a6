"""Is it revoked? This file asks for every certificate of a standing path, and keeps what answered as evidence (V3, V4).

- First what was supplied and issued after the time asked for, then what is remembered and fresh, then OCSP, then the
  CRL, then older things that were supplied: until one answer counts. So nobody hides a revocation behind an answer
  of last week that he brings along, while we could ask.
- An authority that does not answer is left in peace for a while, so that its silence costs one signature some
  seconds and not all of them; what it said before stands in for it as long as it is still said.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from signing.trust.answers import Found, Lists, gathered, nearer, of_ocsp, unknown
from signing.trust.cache import Cached, Kind, MemoryCache, RevocationCache
from signing.trust.certificate import TIME_STAMPING, Certificate, read
from signing.trust.fetcher import Fetcher, NotFetched
from signing.trust.ocsp import ocsp_request
from signing.trust.path import StandingPath
from signing.trust.status import Answer, Gathered, Moment, Status, Why, judged

MAX_AGE = timedelta(days=7)  # of an answer at the time asked for, unless the policy says otherwise
# Roots sign their lists by hand, a few times a year; what they say of an authority below them holds until the next.
MAX_AGE_OF_AUTHORITIES = timedelta(days=400)
# An answer is taken again for so long without asking: a revocation is known after that at the latest.
ASK_AGAIN = {Kind.OCSP: timedelta(seconds=15), Kind.CRL: timedelta(minutes=10)}
LEAVE_IN_PEACE = timedelta(seconds=30)
MAX_ADDRESSES = 4  # asked per certificate and kind
MAX_SUPPLIED = 64
MAX_FAILURES = 4096


@dataclass(frozen=True)
class Supplied:
    """DER that came with a file or was named by hand; may be anything."""

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


NOTHING = Supplied()


class Revocation:
    """`fetcher` None: no network at all. Safe to call from many tasks of one event loop."""

    def __init__(
        self, fetcher: Fetcher | None, cache: RevocationCache | None = None, *, clock: Callable[[], datetime]
    ) -> None:  # fmt: skip
        self._fetcher, self._clock = fetcher, clock
        self._knows_nobody = fetcher is None and cache is None
        self._cache = cache or MemoryCache()
        self._lists = Lists()
        self._failed: OrderedDict[bytes, datetime] = OrderedDict()
        self._asking: dict[bytes, asyncio.Lock] = {}

    async def check(
        self,
        path: StandingPath,
        *,
        at: datetime,
        supplied: Supplied = NOTHING,
        max_age: timedelta = MAX_AGE,
    ) -> Gathered:
        """The status of each certificate below the anchor at `at`, by what is known now. Raises nothing: what cannot be
        known is UNKNOWN and says why."""
        moment = Moment(at, self._clock(), max_age)
        certificates = [read(one) for one in path]
        pairs = list(pairwise(certificates))
        if len(pairs) == 1 or self._knows_nobody:  # a task of its own costs more than an answer that is there
            found = [await self._answered(*pair, moment, supplied) for pair in pairs]
        else:
            found = await asyncio.gather(*(self._answered(*pair, moment, supplied) for pair in pairs))
        return gathered(path, moment, certificates, found)

    async def _answered(
        self, one: Certificate, issuer: Certificate, moment: Moment, supplied: Supplied
    ) -> Found:
        best = unknown(Why.NO_ADDRESS)
        brought = await self._brought(one, issuer, supplied)
        for found in brought:
            counts = _counts(found, one, moment)
            issued = counts.answer.this_update
            if counts.answer.status is Status.REVOKED or (counts.known and issued and issued >= moment.at):
                return counts
        if self._knows_nobody and (one.ocsp_addresses or one.crl_addresses):
            best = unknown(Why.NOT_REACHED)
        for ask in () if self._knows_nobody else (self._ocsp, self._crl):
            counts = _counts(await ask(one, issuer), one, moment)
            if counts.known:
                return counts
            best = nearer(best, counts)
        for found in brought:
            counts = _counts(found, one, moment)
            if counts.known:
                return counts
            best = nearer(best, counts)
        return best

    async def _brought(self, one: Certificate, issuer: Certificate, supplied: Supplied) -> list[Found]:
        found = [of_ocsp(der, one, issuer) for der in supplied.ocsps[:MAX_SUPPLIED]]
        return found + [await self._lists.of(der, one, issuer) for der in supplied.crls[:MAX_SUPPLIED]]

    # -- whom the certificate names

    async def _ocsp(self, one: Certificate, issuer: Certificate) -> Found:
        key = _digest(b"ocsp", issuer.key, one.serial.to_bytes(64, "big", signed=True))

        async def again(cached: Cached) -> Found:
            return of_ocsp(cached.der, one, issuer)

        best = unknown(Why.NO_ADDRESS)
        for address in one.ocsp_addresses[:MAX_ADDRESSES]:

            async def ask(fetcher: Fetcher, address: str = address) -> tuple[Found, bool]:
                nonce = secrets.token_bytes(32)
                der = await fetcher.ocsp(address, ocsp_request(one, issuer, nonce))
                found = of_ocsp(der, one, issuer, nonce)
                return found, found.answer.this_update is not None

            found = await self._current(_Asked(Kind.OCSP, key, _digest(address.encode())), again, ask)
            if found.known:
                return found
            best = nearer(best, found)
        return best

    async def _crl(self, one: Certificate, issuer: Certificate) -> Found:
        async def again(cached: Cached) -> Found:
            return await self._lists.of(cached.der, one, issuer)

        best = unknown(Why.NO_ADDRESS)
        for address in one.crl_addresses[:MAX_ADDRESSES]:
            key = _digest(b"crl", address.encode(), issuer.key)

            async def ask(fetcher: Fetcher, address: str = address) -> tuple[Found, bool]:
                der = await fetcher.crl(address)
                found = await self._lists.of(der, one, issuer)
                return found, found.answer.this_update is not None

            found = await self._current(_Asked(Kind.CRL, key, _digest(address.encode())), again, ask)
            if found.known:
                return found
            best = nearer(best, found)
        return best

    async def _current(
        self,
        asked: _Asked,
        again: Callable[[Cached], Awaitable[Found]],
        ask: Callable[[Fetcher], Awaitable[tuple[Found, bool]]],
    ) -> Found:
        """What is remembered where that is fresh; else what is said now; else what was said before, for the caller to
        judge. Many who ask one question at once ask it once. `ask` says whether its answer is believed."""
        cached = await self._cache.get(asked.question)
        if cached is not None and self._fresh(cached):
            return await again(cached)
        if self._fetcher is None:
            return await again(cached) if cached else unknown(Why.NOT_REACHED)
        lock = self._asking.setdefault(asked.question, asyncio.Lock())
        try:
            async with lock:
                return await self._asked(self._fetcher, asked, again, ask)
        finally:
            if not lock.locked():
                self._asking.pop(asked.question, None)

    async def _asked(
        self,
        fetcher: Fetcher,
        asked: _Asked,
        again: Callable[[Cached], Awaitable[Found]],
        ask: Callable[[Fetcher], Awaitable[tuple[Found, bool]]],
    ) -> Found:
        cached = await self._cache.get(asked.question)  # somebody may have asked while we waited
        if cached is not None and self._fresh(cached):
            return await again(cached)
        found = unknown(Why.NOT_REACHED)
        if not self._in_peace(asked):
            try:
                found, believed = await ask(fetcher)
            except NotFetched:
                self._note_failure(asked.address)
            else:
                if believed:
                    await self._remember(asked, found)
                    return found
                self._note_failure(asked.question)
        if cached is not None:
            return nearer_known(await again(cached), found)
        return found

    async def _remember(self, asked: _Asked, found: Found) -> None:
        answer = found.answer
        if answer.this_update is not None:
            kept = Cached(asked.kind, found.der, answer.this_update, answer.next_update, self._clock())
            await self._cache.put(asked.question, kept)

    def _fresh(self, cached: Cached) -> bool:
        now = self._clock()
        # A clock that was set back does not make an answer young for ever.
        young = timedelta() <= now - cached.fetched_at < ASK_AGAIN[cached.kind]
        return young and (cached.next_update is None or now <= cached.next_update)

    def _in_peace(self, asked: _Asked) -> bool:
        now = self._clock()
        failures = (self._failed.get(asked.address), self._failed.get(asked.question))
        return any(one is not None and timedelta() <= now - one < LEAVE_IN_PEACE for one in failures)

    def _note_failure(self, what: bytes) -> None:
        self._failed[what] = self._clock()
        self._failed.move_to_end(what)
        while len(self._failed) > MAX_FAILURES:
            self._failed.popitem(last=False)


@dataclass(frozen=True)
class _Asked:
    """A question, and who is asked: whoever is away is away for every question."""

    kind: Kind
    question: bytes
    address: bytes


def nearer_known(one: Found, other: Found) -> Found:
    return one if one.known else nearer(one, other)


def _counts(found: Found, one: Certificate, moment: Moment) -> Found:
    if one.ca or TIME_STAMPING in (one.purposes or ()):
        moment = replace(moment, max_age=max(moment.max_age, MAX_AGE_OF_AUTHORITIES))
    answer: Answer = judged(found.answer, one, moment)
    return found if answer is found.answer else Found(answer, found.source, found.der)


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
