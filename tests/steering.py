"""The clock of the test world: this file lets time run, jump and stand, for everybody in the world at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SteerableClock:
    """Runs like the machine's, moved by as much as was asked for. Called, it says the time in UTC."""

    def __init__(self) -> None:
        self._moved = timedelta()
        self._jumped = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._moved + self._jumped

    def true(self) -> datetime:
        """What it would say had nobody set it."""
        return datetime.now(UTC) + self._moved

    def monotonic(self) -> float:
        """Seconds; runs with `move`, knows nothing of `jump`."""
        return time.monotonic() + self._moved.total_seconds()

    def move(self, by: timedelta) -> None:
        """Time passes."""
        self._moved += by

    def jump(self, by: timedelta) -> None:
        """Somebody sets the wall clock."""
        self._jumped += by

    def reset(self) -> None:
        """The machine's own time again, for the next test."""
        self._moved = self._jumped = timedelta()
