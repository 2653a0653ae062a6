"""What goes on by itself while the service runs: this file begins recovery, sweeps, the audit trail and durable work.

- Recovery comes first, and runs the same code as the first call.
- The engine of durable work starts beside the first requests: until then, and while it cannot start, sweeps do its work.
- What fails here at the start is tried again: a database that comes a minute later finds everything going on by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from hsm.key import KeyUnavailable, Signed, SigningOrder
from storage.durable import sync_folder
from storage.identifiers import uuid7
from storage.jobs import Jobs
from storage.log.checkpoints import SignedCheckpoint
from storage.log.sequencer import Sequencer

if TYPE_CHECKING:
    from service import House, Parts

AUDIT_KEY = "audit"
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
    jobs.every(20, "audit.sequence", _sequencer(parts).run)
    jobs.every(15, "requests.take-up", sweeping.take_up)
    jobs.every(60, "trust.reload", parts.trusted.reload)
    jobs.every(300, "working.clear", sweeping.clear)
    jobs.every(300, "verifications.sweep", rooms.verifying.sweep)
    jobs.every(3600, "once.sweep", rooms.once.sweep)
    try:
        await jobs.start()
    except Exception:
        log.exception("durable work could not be started")


def _sequencer(parts: Parts) -> Sequencer:
    """Checkpoints are signed by the audit key, and go to a second place besides `kept` (P4)."""

    async def sign(text: bytes) -> bytes:
        key = await parts.vault.open(AUDIT_KEY)
        one = key.description
        order = SigningOrder(
            to_sign=text, mechanism=one.mechanisms[0], intent=uuid7(parts.times.wall()), lease=1,
            request=uuid7(parts.times.wall()), agency=one.agency, person=one.holder.id,
        )  # fmt: skip
        result = (await key.sign([order]))[0]
        if not isinstance(result, Signed):
            raise KeyUnavailable(AUDIT_KEY, why=str(result))
        return result.signature

    async def elsewhere(signed: SignedCheckpoint) -> None:
        await asyncio.to_thread(_append, parts.settings.checkpoints, signed)

    return Sequencer(parts.db, parts.store, parts.times.wall, sign=sign, elsewhere=elsewhere)


def _append(folder: Path, signed: SignedCheckpoint) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    at = signed.checkpoint
    file = folder / f"{at.generation:06}-{at.size:012}.checkpoint"
    new = folder / f".{file.name}.{secrets.token_hex(8)}"  # two processes may take the same one there
    with new.open("wb") as out:
        out.write(signed.to_stored())
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    sync_folder(folder)


async def end(jobs: Jobs, starting: asyncio.Task[None]) -> None:
    await asyncio.wait([starting])
    await jobs.stop()
