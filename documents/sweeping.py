"""This file clears away what has had its time, and takes up what was left lying (P2).

- Nothing that an open request or an unfinished upload names is deleted from `working`, however old it is.
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

from documents.document import SigningRequest
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
        for request in requests:
            try:
                await self._carry_on(request, orphaned=orphaned)
            except AWAY as why:
                log.warning("request %s waits: %s", request, type(why).__name__)

    async def go_on(self, words: dict[str, str]) -> datetime | None:
        """The durable job: until the request has come to its end, or fails by itself and so is the sweep's."""
        try:
            request = await self._carry_on(UUID(words["request"]))
        except AWAY:
            return self.requests.now() + ASK_AGAIN
        return None if request is None or request.state.ended else self.clock() + ASK_AGAIN

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
