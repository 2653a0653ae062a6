"""Keeps the audit trail up with what happens (P4): this file has it numbered within seconds and a checkpoint of it taken
every minute, and says when that is not possible any more: then nothing is signed.

- Records wait for no sequencer: only what no checkpoint covers for too long stops new signatures. Verification goes on.
- Whoever would sign then tries first to catch up, so that it needs no service that was running meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from hsm.key import KeyUnavailable, KeyVault, NoSuchKey, Signed, SigningOrder
from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable, Door
from storage.identifiers import uuid7
from storage.log.records import record
from storage.log.second_place import SecondPlace
from storage.log.sequencer import Forked, Sequencer, head, oldest_uncovered
from storage.problem import Problem
from storage.schema import SERVICE, AuditCheckpointRow
from storage.store import ObjectStore, StoreUnavailable

KEY = "audit"
TOO_LONG = timedelta(minutes=5)  # that a record is covered by no checkpoint
BELIEVED_FOR = timedelta(seconds=2)
CATCHES_UP_WITHIN = 10.0  # seconds that one signature waits for it
ANSWERS_WITHIN = (
    5.0  # seconds that whoever looks waits for the second place: a folder of the network may hang
)

AWAY = (OSError, Forked, NoSuchKey)


class LogBehind(Exception):
    """No checkpoint could be taken for too long: what is recorded now could be cut off unseen. `detail` says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class LogKeeper:
    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        keys: KeyVault,
        place: SecondPlace,
        clock: Callable[[], datetime],
    ) -> None:
        self._db, self._keys, self._place, self._clock = db, keys, place, clock
        self._sequencer = Sequencer(db, store, clock, sign=self._sign, elsewhere=place)
        self._up_to_date: datetime | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def sequence(self) -> None:
        """Numbers what was recorded, and tells the second place how far the log is. Raises DatabaseUnavailable,
        OSError."""
        if await self._sequencer.sequence():
            now = self._clock()
            known = await self._db.read(WHOLE_SERVICE, lambda s: head(s, now))
            if known is not None:
                await self._place.note(known)

    async def checkpoint(self) -> None:
        """Raises DatabaseUnavailable, StoreUnavailable, KeyUnavailable, NoSuchKey, OSError, Forked."""
        await self._sequencer.checkpoint()

    async def catch_up(self) -> None:
        """All that is recorded by now is covered afterwards. One at a time: who comes meanwhile waits for the next.
        Raises as `checkpoint`."""
        await self._sequencer.run()

    async def cover(self) -> None:
        """What was recorded until now, if it can be done within a while."""
        with suppress(*AWAY, LogBehind, DatabaseUnavailable, StoreUnavailable, KeyUnavailable):
            if (running := self._catching_up) is not None and not running.done():
                await asyncio.wait({running}, timeout=CATCHES_UP_WITHIN)  # it may have begun before
            await self._catch_up_for_once()

    async def ready(self) -> None:
        """Before an intent. Raises LogBehind, DatabaseUnavailable, StoreUnavailable, KeyUnavailable."""
        now, since = self._clock(), self._up_to_date
        if since is not None and since <= now < since + BELIEVED_FOR:
            return
        oldest = await self._db.read(WHOLE_SERVICE, oldest_uncovered)
        if oldest is not None and now - oldest > TOO_LONG:
            await self._catch_up_for_once()
        self._up_to_date = now

    async def problems(self) -> list[Problem]:
        """`log-not-writable`, `log-forked`, `checkpoint-place-away`, `log-behind`. What database, store and token say
        themselves is theirs to say."""
        try:
            await self._write_nothing()
        except DatabaseUnavailable as why:
            return [Problem("log-not-writable", str(why))]
        found = []
        try:
            await self._look_for_once()
        except Forked as why:
            found.append(Problem("log-forked", str(why)))
        except OSError as why:
            found.append(Problem("checkpoint-place-away", str(why), stops=False))
        except DatabaseUnavailable:
            return found
        try:
            await self.ready()
        except LogBehind as why:
            found.append(Problem("log-behind", why.detail))
        except (DatabaseUnavailable, StoreUnavailable, KeyUnavailable):
            pass
        return found

    async def _catch_up_for_once(self) -> None:
        """One for all that wait. It goes on beside whoever has waited long enough."""
        task = self._catching_up = _running(self._catching_up, self.catch_up)
        done, _ = await asyncio.wait({task}, timeout=CATCHES_UP_WITHIN)
        if not done:
            raise LogBehind("it is catching up")
        try:
            task.result()
        except AWAY as why:
            raise LogBehind(f"{type(why).__name__}: {why}") from why

    async def _look_for_once(self) -> None:
        """One for all that ask: each would keep a thread for as long as the place hangs. Raises OSError, Forked,
        DatabaseUnavailable."""
        task = self._looking = _running(self._looking, self._look)
        done, _ = await asyncio.wait({task}, timeout=ANSWERS_WITHIN)
        if not done:
            raise OSError(f"no answer within {ANSWERS_WITHIN:.0f} s")
        task.result()

    async def _look(self) -> None:
        await asyncio.to_thread(self._place.writable)
        await self._sequencer.look()

    async def _write_nothing(self) -> None:
        """As an intent's record is written, and undone; and something that is written and changes nothing, as a full
        disk shows when it is made durable. Raises DatabaseUnavailable."""
        now = self._clock()

        def undone(session: Door) -> None:
            record(session, agency=SERVICE, kind="log.probed", at=now)
            session.flush()
            raise _Undone

        def same(session: Door) -> None:
            row = AuditCheckpointRow
            newest = select(func.max(row.generation)).scalar_subquery()
            last = select(func.max(row.size)).where(row.generation == newest).scalar_subquery()
            session.execute(
                update(row)
                .where(row.generation == newest, row.size == last)
                .values(created_at=row.created_at)
            )

        try:
            await self._db.transact(WHOLE_SERVICE, undone)
        except _Undone:
            await self._db.transact(WHOLE_SERVICE, same)

    async def _sign(self, text: bytes) -> bytes:
        key = await self._keys.open(KEY)
        one, now = key.description, self._clock()
        order = SigningOrder(
            to_sign=text, mechanism=one.mechanisms[0], intent=uuid7(now), lease=1, request=uuid7(now), agency=one.agency,
            person=one.holder.id,
        )  # fmt: skip
        result = (await key.sign([order]))[0]
        if not isinstance(result, Signed):
            raise KeyUnavailable(KEY, why=str(result))
        return result.signature


def _running(
    before: asyncio.Task[None] | None, work: Callable[[], Coroutine[Any, Any, None]]
) -> asyncio.Task[None]:
    """What is under way, else begun anew. Whether anybody waits for its end or not, it is heard."""
    if before is not None and not before.done():
        return before
    task = asyncio.create_task(work(), name="audit trail")
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    return task


class _Undone(Exception):
    """It was to be written, not to stay."""
