"""What goes on by itself while the service runs: this file begins recovery, sweeps, the audit trail and durable work.

- Recovery comes first, and runs the same code as the first call.
- The engine of durable work starts beside the first requests: until then, and while it cannot start, sweeps do its work.
- What fails here at the start is tried again: a database that comes a minute later finds everything going on by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import ground
from documents.counts import stuck
from documents.scrub import INTERVAL, Scrub
from settings import Settings
from storage.database import Database, DatabaseUnavailable
from storage.jobs import Jobs
from storage.problem import Problem

if TYPE_CHECKING:
    from service import House, Parts

Clock = Callable[[], datetime]

GO_ON = "signing.go-on"

log = logging.getLogger("antin")


async def begin(jobs: Jobs, house: House, parts: Parts, *, orphaned: bool) -> None:
    """Recovery first, then the sweeps and the durable work."""
    rooms, sweeping = house.rooms, house.sweeping
    try:
        await sweeping.take_up(orphaned=orphaned)
    except Exception:
        log.exception(
            "recovery could not be done at the start: what was held is taken up when its lease is over"
        )
    jobs.handle(GO_ON, sweeping.go_on)
    jobs.every(60, "clock.measure", parts.guard.measure)
    jobs.every(2, "audit.sequence", house.log_keeper.sequence)
    jobs.every(45, "audit.checkpoint", house.log_keeper.checkpoint)
    jobs.every(10, "requests.take-over", sweeping.take_over)
    jobs.every(15, "requests.take-up", sweeping.take_up)
    jobs.every(60, "trust.reload", parts.trusted.reload)
    jobs.every(300, "working.clear", sweeping.clear)
    jobs.every(INTERVAL, "kept.scrub", Scrub(parts.db, parts.store, parts.store.check, parts.guard.now).run)
    jobs.every(300, "verifications.sweep", rooms.verifying.sweep)
    jobs.every(3600, "once.sweep", rooms.once.sweep)
    try:
        await jobs.start()
    except Exception:
        log.exception("durable work could not be started")


async def durable(settings: Settings, db: Database, clock: Clock, jobs: Jobs | None) -> list[Problem]:
    """How the waiting work does: of this service, or seen from a command beside it. Raises nothing."""
    found = await (jobs.problems() if jobs else asyncio.to_thread(ground.jobs_from_outside, settings))
    try:
        return found + await stuck(db, clock())
    except DatabaseUnavailable:  # told by itself
        return found


async def end(jobs: Jobs, starting: asyncio.Task[None]) -> None:
    await asyncio.wait([starting])
    await jobs.stop()
