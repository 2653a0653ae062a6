"""This file clears away what has had its time, and takes up what was left lying (P2).

- Nothing that an open request or an unfinished upload names is deleted from `working`, however old it is.
- What waits for the time-stamp authority waits in one row, the oldest first: while the authority is away one question
  finds out for all, and when it answers they come to their end in the order in which they were asked for.
- What a dead worker left is carried on by the same story as the first call; there is no second path.
- What fails by itself, and not because the world is away, rests longer each time, in its own row: one bad file does not
  keep the machine busy, and a restart or another host does not begin with it anew.
- `clock` raises ClockUnsure: a clock that somebody set to next year deletes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from documents.document import RequestState, SigningRequest
from documents.leases import holds
from documents.log_keeper import LogBehind
from documents.requests import OPEN, RequestHeld, Requests, TakenOver
from documents.resumable import forget_expired
from documents.sign_document import SignDocument
from hsm.key import KeyUnavailable
from signing.timestamping.clock import ClockUnsure
from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable
from storage.schema import DocumentRow, SigningRequestRow, UploadPartRow
from storage.store import NotKept, ObjectStore, StoreUnavailable, WorkingName

ASK_AGAIN = timedelta(seconds=30)  # an authority that was away
LATER = timedelta(hours=6)  # a named file is looked at again
AWAY = (KeyUnavailable, StoreUnavailable, DatabaseUnavailable, ClockUnsure, LogBehind)

log = logging.getLogger("antin.sweeping")


@dataclass(frozen=True)
class Sweeping:
    db: Database
    store: ObjectStore
    requests: Requests
    sign: SignDocument
    clock: Callable[[], datetime]
    resting: Callable[[], float] = float  # as TimestampSource has it

    async def clear(self) -> int:
        """How many files went. Raises StoreUnavailable, DatabaseUnavailable."""
        now, gone = self.clock(), 0
        await self.db.transact(WHOLE_SERVICE, partial(forget_expired, now=now))
        async for name in self.store.working.expired(now):
            if await self.db.read(WHOLE_SERVICE, partial(_is_named, name=name)):
                with suppress(NotKept):  # its request has just ended
                    await self.store.working.extend(name, expires=now + LATER)
            else:
                await self.store.working.delete(name)
                gone += 1
        return gone

    async def take_up(self, *, orphaned: bool = False) -> None:
        """Carries on what nobody holds; `orphaned`: whoever held something is known to be dead. One that fails does
        not keep the others from their turn."""
        await self._carry_all_on(await self.requests.waiting(orphaned=orphaned), orphaned=orphaned)

    async def take_over(self) -> None:
        """What a dead worker held, before its minute is over: it does not queue behind the thousand that wait for an
        authority that is away."""
        await self._carry_all_on(await self.requests.waiting(left=True))

    async def _carry_all_on(self, requests: Sequence[UUID], *, orphaned: bool = False) -> None:
        stamped = await self.db.read(WHOLE_SERVICE, _for_a_timestamp)
        for request in requests:
            if request in stamped and self.resting():
                continue
            try:
                await self._carry_on(request, orphaned=orphaned)
            except ClockUnsure:
                log.warning("requests wait: the clock is off")
                return
            except AWAY as why:
                log.warning("request %s waits: %s", request, type(why).__name__)

    async def go_on(self, words: dict[str, str]) -> datetime | None:
        """The durable job: until the request has come to its end, or is the sweep's: it waits for a
        time-stamp, or fails by itself."""
        id, again = UUID(words["request"]), self.requests.now() + ASK_AGAIN
        try:
            request = await self._carry_on(id)
        except AWAY:
            return again
        if request is None:
            held = partial(_is_held, request=id, now=self.requests.now())
            return again if await self.db.read(WHOLE_SERVICE, held) else None
        ours = not request.state.ended and request.state is not RequestState.TIMESTAMP_PENDING
        return again if ours else None

    async def _carry_on(self, request: UUID, *, orphaned: bool = False) -> SigningRequest | None:
        try:
            return await self.sign.go_on(request, orphaned=orphaned)
        except (TakenOver, RequestHeld):
            return None
        except AWAY:
            raise
        except Exception as why:
            # Told to whoever asks for the request, and tried again.
            log.warning("request %s waits: %s", request, type(why).__name__)
            await self.requests.failed(request, why)
            return None


def _for_a_timestamp(session: Session) -> set[UUID]:
    row = SigningRequestRow
    return set(session.scalars(select(row.id).where(row.state == RequestState.TIMESTAMP_PENDING.value)))


def _is_held(session: Session, *, request: UUID, now: datetime) -> bool:
    row = session.get(SigningRequestRow, request)
    return row is not None and not RequestState(row.state).ended and holds(row, now)


def _is_named(session: Session, *, name: WorkingName) -> bool:
    open_request = SigningRequestRow.state.in_(OPEN)
    prepared = select(SigningRequestRow.id).where(open_request, SigningRequestRow.working == name.id)
    upload = (
        select(SigningRequestRow.id)
        .join(DocumentRow, DocumentRow.id == SigningRequestRow.document)
        .where(open_request, DocumentRow.working == name.id)
    )
    part = select(UploadPartRow.upload).where(UploadPartRow.working == name.id)
    return bool(session.scalar(select(or_(prepared.exists(), upload.exists(), part.exists()))))
