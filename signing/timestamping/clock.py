"""Refuses to tell the time when the clock is off: this file holds the wall clock against others (S6).

- The wall clock is held against a clock that nobody can set, and, where time servers are configured, against them.
- One figure decides: how far the wall clock may be from the true time, by all that is known. Above the bound nobody
  is told the time. So `accuracy` in a time-stamp, which is the bound, is never too small.
- Two servers or more: two must agree with us before we believe it, and more than contradict us.
- What must go on all the same (sessions, leases, records, verification) asks for the `best` time: while the wall clock is
  off that is what was known last, carried on by the clock that nobody can set. Nobody's second becomes a year.
- Servers that fall silent are not missed at once: what they said last is believed as long as a clock of ours, drifting
  at its worst, stays within the bound. Without servers only jumps are found, and a jump is mended by setting the clock
  right, or by starting anew.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from signing.timestamping import sntp
from signing.timestamping.sntp import NoTime, Offset

DRIFT = 100e-6  # of a crystal that nobody disciplines, at its worst; seconds per second
ENOUGH = 2  # servers that must agree, where there are so many
RETRY_AFTER = 60.0  # seconds; `measure` runs every minute


class ClockUnsure(Exception):
    """The clock cannot be believed. `off` is by how much, as far as that is known; `retry_after` in seconds."""

    def __init__(
        self, off: timedelta = timedelta(), *, retry_after: float = RETRY_AFTER, why: str = ""
    ) -> None:
        super().__init__(why or f"the clock is off by {off.total_seconds():.3f} s")
        self.off, self.retry_after = off, retry_after


def wall_clock() -> datetime:
    """The one place below the doors that asks the machine for the time of day."""
    return datetime.now(UTC)


def steady_clock() -> float:
    """Seconds. Runs on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class _Known:
    """The true time was `true` when the steady clock said `steady`, give or take `error`."""

    true: datetime
    steady: float
    error: timedelta


class ClockGuard:
    """`sources`: time servers as host or host:port. `bound`: how far the clock may be off. Safe to call from many
    tasks and threads, `measure` from one event loop."""

    def __init__(
        self,
        sources: Sequence[str],
        *,
        bound: timedelta,
        wall: Callable[[], datetime] = wall_clock,
        monotonic: Callable[[], float] = steady_clock,
    ) -> None:
        if bound <= timedelta():
            raise ValueError("the bound must be positive")
        self._sources, self._bound, self._wall, self._monotonic = tuple(sources), bound, wall, monotonic
        # Without servers, what the clock says at the start is all that is known.
        self._known = None if self._sources else _Known(wall(), monotonic(), timedelta())
        self._contradicted: timedelta | None = None
        self._said = "no time server has been asked yet"

    @property
    def error(self) -> timedelta:
        """The guarded bound: as long as `now` answers, the clock is not further off."""
        return self._bound

    def now(self) -> datetime:
        """UTC. Raises ClockUnsure."""
        now = self._wall()
        unsure = self._unsure(now)
        if unsure is not None:
            raise unsure
        return now

    def best(self) -> datetime:
        """UTC, as near to the true time as is known, and never refused: the wall clock's time while `now` answers, else
        what was known last and has passed since. Where nothing was ever known, the wall clock's."""
        now, known = self._wall(), self._known
        if known is None or self._unsure(now) is None:
            return now
        return known.true + timedelta(seconds=self._monotonic() - known.steady)

    def trouble(self) -> str | None:
        """Why `now` gives no time; None where it does."""
        unsure = self._unsure(self._wall())
        return None if unsure is None else str(unsure)

    def _unsure(self, now: datetime) -> ClockUnsure | None:
        if self._contradicted is not None:
            return ClockUnsure(self._contradicted, why=self._said)
        known = self._known
        if known is None:
            return ClockUnsure(why=self._said)
        passed = self._monotonic() - known.steady
        off = now - (known.true + timedelta(seconds=passed))
        error = known.error + (timedelta(seconds=passed * DRIFT) if self._sources else timedelta())
        if abs(off) + error <= self._bound:
            return None
        if abs(off) > error:
            return ClockUnsure(off)
        return ClockUnsure(off, why=f"nobody has confirmed the clock well enough for {passed:.0f} s")

    async def measure(self) -> None:
        """Asks every server, all at once, within seconds. What they say decides until the next time; raises nothing
        for what they say or do not say."""
        if not self._sources:
            return
        answers = await asyncio.gather(*(self._ask(one) for one in self._sources))
        offsets = [one for one in answers if isinstance(one, Offset)]
        self._weigh(offsets, [one for one in answers if isinstance(one, str)])

    async def _ask(self, server: str) -> Offset | str:
        try:
            return await sntp.ask(server, wall=self._wall, monotonic=self._monotonic)
        except NoTime as nothing:
            return f"{server}: {nothing.why}"

    def _weigh(self, offsets: list[Offset], silent: list[str]) -> None:
        agreeing = [one for one in offsets if abs(one.offset) + one.error <= self._bound]
        against = [one for one in offsets if abs(one.offset) - one.error > self._bound]
        if len(agreeing) >= min(ENOUGH, len(self._sources)) and len(agreeing) > len(against):
            # The median, and an error that reaches every server that agrees: one of them is right.
            offset = _median(agreeing)
            error = max(abs(one.offset - offset) + one.error for one in agreeing)
            self._known = _Known(self._wall() + offset, self._monotonic(), error)
            self._contradicted = None
        elif against and len(against) >= len(agreeing):
            self._contradicted = -_median(against)
            seconds = self._contradicted.total_seconds()
            many = f"{len(against)} of {len(self._sources)} time servers"
            self._said = f"{many} say that the clock is off by {seconds:.3f} s"
            if self._known is None and len(against) >= ENOUGH:
                # For `best` alone: they outweigh a clock that nothing speaks for.
                self._known = _Known(self._wall() - self._contradicted, self._monotonic(), self._bound)
        elif silent:
            # What was known before is still known, less surely from minute to minute.
            self._said = "; ".join(silent)[:500]


def _median(offsets: list[Offset]) -> timedelta:
    return timedelta(seconds=statistics.median(one.offset.total_seconds() for one in offsets))


async def independent(sources: Sequence[str]) -> int:
    """How many different machines these time servers are, as far as names and addresses tell (S6). This host is one,
    whatever of its addresses is named; a server whose addresses are all another's counts with that one."""
    machines = await asyncio.gather(*(_addresses(one) for one in sources))
    apart = list[frozenset[str]]()
    for one in sorted(filter(None, machines), key=len):
        if not any(other <= one for other in apart):
            apart.append(one)
    return len(apart)


async def _addresses(server: str) -> frozenset[str]:
    """Its name alone where that leads nowhere now; nothing for what is no server."""
    try:
        host, port = sntp.parse(server)
    except NoTime:
        return frozenset()
    try:
        async with asyncio.timeout(sntp.SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset({host.lower().rstrip(".")})
    addresses = {str(one[4][0]).partition("%")[0] for one in found}
    return frozenset("this host" if ip_address(one).is_loopback else one for one in addresses)
