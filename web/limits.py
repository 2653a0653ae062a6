"""This file says how much one caller may ask for: requests a minute, failures a minute, signatures at once.

- A program is counted by its identifier; whoever shows no key that counts, by address (an IPv6 customer is a /64).
- The counts lie in memory and are this process's own: they protect the service, they are no book-keeping.
- A minute is one of the clock that nobody can set: a wall clock that was set closes the door to nobody for a year.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from web.bad_request import BadRequest, Fault

FAILURES_PER_MINUTE = 20  # refused log-ins and names that are not on the paper, of one address
VISITS_AT_ONCE = 128  # requests of one address that shows no key; an office may have one for all its people
VERIFICATIONS_AT_ONCE = 8  # of one caller or address
WAIT_FOR_A_PLACE = 2.0  # seconds, said in Retry-After


class RateLimits:
    def __init__(self, requests_per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most, self._monotonic = requests_per_minute, monotonic
        self._minutes: dict[tuple[str, str], _Minute] = {}  # the one that ends first stands first

    def request_by_address(self, address: str) -> None:
        """Raises BadRequest (TOO_MANY_REQUESTS)."""
        self._hit(("address", neighbourhood(address)), self._most)

    def request_by_client(self, client: str) -> None:
        self._hit(("client", client), self._most)

    def failure(self, address: str) -> None:
        """A wrong password or name came from here."""
        self._minute(("failures", neighbourhood(address))).hits += 1

    def check_failures(self, address: str) -> None:
        """Before a password or name is looked at. Raises BadRequest (TOO_MANY_REQUESTS)."""
        minute = self._minutes.get(("failures", neighbourhood(address)))
        if minute is not None and minute.hits >= FAILURES_PER_MINUTE:
            self._refuse(minute)

    def _hit(self, who: tuple[str, str], most: int) -> None:
        minute = self._minute(who)
        minute.hits += 1
        if minute.hits > most:
            self._refuse(minute)

    def _minute(self, who: tuple[str, str]) -> _Minute:
        now = self._monotonic()
        while self._minutes and next(iter(self._minutes.values())).ends <= now:
            del self._minutes[next(iter(self._minutes))]
        return self._minutes.setdefault(who, _Minute(now + 60))

    def _refuse(self, minute: _Minute) -> None:
        left = minute.ends - self._monotonic()
        if left > 0:
            raise BadRequest(Fault.TOO_MANY_REQUESTS, retry_after=max(1.0, left))


@dataclass
class _Minute:
    """Begins with the first that is counted."""

    ends: float
    hits: int = 0


class Places:
    """So many may be at work at once, and so many of them one caller's; who finds none is sent away at once, not queued
    (reliability 3, overload)."""

    def __init__(self, places: int, *, each: int) -> None:
        self._free, self._each = places, each
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def one(self, who: str) -> AsyncIterator[None]:
        """Raises BadRequest (TOO_MANY_OF_YOURS, TOO_MANY_AT_ONCE)."""
        if self._held[who] >= self._each:
            raise BadRequest(Fault.TOO_MANY_OF_YOURS, retry_after=WAIT_FOR_A_PLACE)
        if self._free <= 0:
            raise BadRequest(Fault.TOO_MANY_AT_ONCE, retry_after=WAIT_FOR_A_PLACE)
        self._free -= 1
        self._held[who] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]


def neighbourhood(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
