"""This file gives a repeated call the answer of the first (`Idempotency-Key`).

- What a call makes has its identifier before it is made; a call whose process died is taken over by its own retry,
  with the same identifier, and so finds what was made.
- Keys stand hashed; answers are kept for 72 hours, sealed: they show documents' codes (C1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete

from documents.office import Caller
from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable, Door
from storage.identifiers import uuid7
from storage.schema import IdempotencyRow
from storage.sealed import FORM, Sealer

KEPT_FOR = timedelta(hours=72)
TAKEN_OVER_AFTER = timedelta(seconds=60)  # by another process
Name = tuple[UUID, UUID, bytes]


class OtherBody(Exception):
    """The key was used for another request."""


class InProgress(Exception):
    """The first call with this key is still at work."""

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__("in progress")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Begun:
    """`resource` is the identifier for what this call makes; `answer` is there when it was made and answered."""

    resource: UUID
    answer: Answer | None


class Once:
    def __init__(
        self, db: Database, clock: Callable[[], datetime], seal: Sealer, *, started_at: datetime
    ) -> None:
        self._db, self._clock, self._seal, self._started_at = db, clock, seal, started_at
        self._at_work: set[Name] = set()  # in this process: a large upload is at work however long it takes
        self._let_go: set[Name] = set()  # here too, where the database could not be told so

    async def begin(self, caller: Caller, key: str, request_digest: bytes) -> Begun:
        """Raises OtherBody, InProgress."""
        now = self._clock()
        name = _name(caller, key)

        def work(door: Door) -> Begun:
            row = door.look(IdempotencyRow, *name, lock=True)
            if row is None or row.expires_at < now:
                new: dict[str, Any] = {
                    "request_digest": request_digest, "resource": uuid7(now), "created_at": now,
                    "expires_at": now + KEPT_FOR,
                }  # fmt: skip
                if row is None:
                    door.put(IdempotencyRow, agency=name[0], caller=name[1], key_hash=name[2], **new)
                else:
                    door.change(IdempotencyRow, *name, status=None, headers=None, body=None, **new)
                return Begun(new["resource"], None)
            if row.request_digest != request_digest:
                raise OtherBody
            if row.status is not None:
                return Begun(
                    row.resource, Answer(row.status, row.headers or {}, self._opened(row.body or b"", name))
                )
            if name in self._at_work:
                raise InProgress
            # A time further ahead was written by a clock that was wrong.
            lately = now - TAKEN_OVER_AFTER < row.created_at <= now + TAKEN_OVER_AFTER
            lately = lately and row.created_at >= self._started_at
            if lately and name not in self._let_go:
                raise InProgress
            door.change(IdempotencyRow, *name, created_at=now)
            return Begun(row.resource, None)

        begun = await self._db.transact(caller.agency, work)
        self._let_go.discard(name)
        if begun.answer is None:
            self._at_work.add(name)
        return begun

    async def finish(self, caller: Caller, key: str, answer: Answer) -> None:
        """Keeps the answer for repetitions. Answers that tell of a passing fault are not given here: see release."""
        name = _name(caller, key)
        self._at_work.discard(name)

        said = {
            "status": answer.status, "headers": dict(answer.headers),
            "body": self._seal.seal(answer.body, _context(name)),
        }  # fmt: skip
        await self._db.transact(caller.agency, lambda door: door.change(IdempotencyRow, *name, **said))

    async def release(self, caller: Caller, key: str) -> None:
        """The call failed for a passing reason: its retry may go on at once, with the same identifier."""
        name = _name(caller, key)
        self._at_work.discard(name)
        long_ago = self._clock() - TAKEN_OVER_AFTER - timedelta(seconds=1)

        def work(door: Door) -> None:
            row = door.look(IdempotencyRow, *name)
            if row is not None and row.status is None:
                door.change(IdempotencyRow, *name, created_at=long_ago)

        try:
            await self._db.transact(caller.agency, work)
        except DatabaseUnavailable:
            self._let_go.add(name)
            raise

    def _opened(self, body: bytes, name: Name) -> bytes:
        # The first release kept answers as they were, which are JSON and never begin as a seal does.
        return self._seal.open(body, _context(name)) if body.startswith(FORM) else body

    async def sweep(self) -> None:
        now = self._clock()
        self._let_go.clear()  # whoever has not come again by now waits no minute any more
        await self._db.transact(
            WHOLE_SERVICE, lambda s: s.execute(delete(IdempotencyRow).where(IdempotencyRow.expires_at < now))
        )


def _context(name: Name) -> bytes:
    agency, caller, key_hash = name
    return b"answer " + agency.bytes + caller.bytes + key_hash


def _name(caller: Caller, key: str) -> Name:
    return caller.agency, caller.id, hashlib.sha256(key.encode()).digest()
