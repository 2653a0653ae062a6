"""Work of every minute: this file runs it for as long as the service lives.

- It is not durable and need not be: it begins with the service, and does whatever is due then.
- A run that fails is logged and counted, and the next comes at its time; a run that takes long delays its own next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("antin.jobs")

Work = Callable[[], Awaitable[object]]


class Intervals:
    def __init__(self) -> None:
        self._works: list[tuple[float, str, Work]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.failures = 0

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
            try:
                await work()
            except Exception:
                self.failures += 1
                log.warning("interval work %s failed", name, exc_info=True)
            await asyncio.sleep(seconds)
