"""This file says how much one caller may ask for: requests a minute, failures a minute, signatures at once.

- A program is counted by its identifier; whoever shows no key that counts, by address (an IPv6 customer is a /64).
- The counts lie in memory and are this process's own: they protect the service, they are no book-keeping.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from web.bad_request import BadRequest, Fault

FAILURES_PER_MINUTE = 20  # refused log-ins and names that are not on the paper, of one address
VISITS_AT_ONCE = 128  # requests of one address that shows no key; an office may have one for all its people
VERIFICATIONS_AT_ONCE = 8  # of one caller or address
WAIT_FOR_A_PLACE = 2.0  # seconds, said in Retry-After


class RateLimits:
    def __init__(self, requests_per_minute: int) -> None:
        self._counts = FixedWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE)

    def request_by_address(self, address: str) -> None:
        """Raises BadRequest (TOO_MANY_REQUESTS)."""
        self._count(self._requests, "address", neighbourhood(address))

    def request_by_client(self, client: str) -> None:
        self._count(self._requests, "client", client)

    def failure(self, address: str) -> None:
        """A wrong password or name came from here."""
        self._counts.hit(self._failures, "failures", neighbourhood(address))

    def check_failures(self, address: str) -> None:
        """Before a password or name is looked at. Raises BadRequest (TOO_MANY_REQUESTS)."""
        if not self._counts.test(self._failures, "failures", neighbourhood(address)):
            raise self._refusal(self._failures, "failures", neighbourhood(address))

    def _count(self, item: RateLimitItemPerMinute, *who: str) -> None:
        if not self._counts.hit(item, *who):
            raise self._refusal(item, *who)

    def _refusal(self, item: RateLimitItemPerMinute, *who: str) -> BadRequest:
        resets = self._counts.get_window_stats(item, *who).reset_time
        return BadRequest(Fault.TOO_MANY_REQUESTS, retry_after=max(1.0, resets - time.time()))


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
