"""Work of every minute: this file runs it for as long as the service lives.

- It is not durable and need not be: it begins with the service, and does whatever is due then.
- A run that fails is logged and counted, and the next comes at its time; a run that takes long delays its own next one.
- Which work fails, with its reason, and which takes too long is told as long as it is so: a sweep that hangs is seen.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

log = logging.getLogger("antin.jobs")

Work = Callable[[], Awaitable[object]]

LONG = 600.0  # seconds that one run may take


class Intervals:
    def __init__(self) -> None:
        self._works: list[tuple[float, str, Work]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.failures = 0
        self.failing: dict[str, str] = {}  # name and reason: the last run failed
        self._began: dict[str, float] = {}

    def slow(self) -> list[str]:
        """Names of what has been at one run for too long."""
        now = time.monotonic()
        return sorted(name for name, began in self._began.items() if now - began > LONG)

    def every(self, seconds: float, name: str, work: Work) -> None:
        """Before `start`. The first run is at the start."""
        self._works.append((seconds, name, work))

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._go_on(*one), name=one[1]) for one in self._works]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _go_on(self, seconds: float, name: str, work: Work) -> None:
        while True:
            self._began[name] = time.monotonic()
            try:
                await work()
                self.failing.pop(name, None)
            except Exception as why:
                self.failures += 1
                self.failing[name] = f"{type(why).__name__}: {why}"[:200]
                log.warning("interval work %s failed", name, exc_info=True)
            finally:
                self._began.pop(name, None)
            await asyncio.sleep(seconds)
