"""This file clears away what has had its time, and takes up what was left lying (P2).

- Nothing that an open request or an unfinished upload names is deleted from `working`, however old it is.
- What a dead worker left is carried on by the same story as the first call; there is no second path.
- What fails by itself, and not because the world is away, rests longer each time, so that one bad file does not keep the
  machine busy.
- `clock` raises ClockUnsure: a clock that somebody set to next year deletes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from documents.document import SigningRequest
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
LONGEST_REST = timedelta(hours=1)
AWAY = (KeyUnavailable, StoreUnavailable, DatabaseUnavailable, ClockUnsure)

log = logging.getLogger("antin.sweeping")


@dataclass(frozen=True)
class Sweeping:
    db: Database
    store: ObjectStore
    requests: Requests
    sign: SignDocument
    clock: Callable[[], datetime]
    _resting: dict[UUID, tuple[int, datetime]] = field(
        default_factory=dict
    )  # how often it failed, until when

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
        waiting = await self.requests.waiting(orphaned=orphaned)
        for gone in self._resting.keys() - set(waiting):
            del self._resting[gone]
        for request in waiting:
            failures, until = self._resting.get(request, (0, None))
            if until is not None and until > self.clock():
                continue
            try:
                await self.sign.go_on(request, orphaned=orphaned)
            except (TakenOver, RequestHeld):
                continue
            except Exception as why:
                # Told to whoever asks for the request, and tried again.
                log.warning("request %s waits: %s", request, type(why).__name__)
                if not isinstance(why, AWAY):
                    rest = min(ASK_AGAIN * 2 ** min(failures, 10), LONGEST_REST)
                    self._resting[request] = (failures + 1, self.clock() + rest)

    async def go_on(self, words: dict[str, str]) -> datetime | None:
        """The durable job: until the request has come to its end."""
        request: SigningRequest | None = await self.sign.go_on(UUID(words["request"]))
        return None if request is None or request.state.ended else self.clock() + ASK_AGAIN


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
