"""This file takes a document that comes in parts, over a line that breaks: a resumable upload, which becomes a document.

- A byte is told as received only when it would survive a power cut, and its row is durable. What lies beyond that is
  never counted, so whoever goes on goes on at a place that holds.
- Each part is an object of its own in `working`, and a row; so any process of any host goes on, on either store.
- A part counts only if it begins where the upload ends: of two callers who send the same bytes, or one who was thought
  dead, one is believed. There is no lock that somebody could die with.
- Finished, the upload goes through the same intake as every other, as the document of its own identifier: however often
  that is asked for, and wherever it was cut, there is one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from documents.document import Document, Documents
from documents.intake import Arrival, Intake, IntakeRefusal, NotAccepted
from documents.office import Caller, NotAllowed
from storage.database import Database
from storage.folder_access import faults, passing
from storage.identifiers import uuid7
from storage.schema import UploadPartRow, UploadRow
from storage.store import NotKept, ObjectStore, StoreUnavailable, WorkingName

LASTS = timedelta(hours=24)  # from its last byte on
ANSWERED_FOR = timedelta(hours=72)  # a finished one, for who did not hear of it
MOST_AT_ONCE = 32  # unfinished ones of one caller
PART = 8 << 20  # bytes
PART_WITHIN = timedelta(seconds=20)  # on a slow line: so much is lost at most when we are killed
ALGORITHMS = {"sha1", "sha256", "sha512"}  # of checksums; the first is what the protocol asks of every server
PIECE = 1 << 20  # bytes


class NoSuchUpload(LookupError):
    """Not there, over, or another caller's: not told apart."""


class WrongOffset(Exception):
    """The upload goes on elsewhere: `received` bytes are durable."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


class PastTheEnd(Exception):
    """More bytes than were announced. The surplus, and what came with it, is not kept."""


class ChecksumDiffers(Exception):
    """Other bytes came than were sent; none of them is kept."""


class UploadUnfinished(Exception):
    """`received` of `length` bytes are there."""

    def __init__(self, received: int, length: int) -> None:
        super().__init__(f"{received} of {length}")
        self.received, self.length = received, length


class TooManyUploads(Exception):
    """The caller has MOST_AT_ONCE unfinished ones."""


@dataclass(frozen=True)
class Checksum:
    """Of the bytes of one call. `algorithm` is one of ALGORITHMS."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True)
class ResumableUpload:
    id: UUID
    length: int  # bytes
    received: int  # bytes
    metadata: str  # as it was given
    finished: bool
    expires_at: datetime


class ResumableUploads:
    def __init__(
        self, db: Database, store: ObjectStore, intake: Intake, documents: Documents, *,
        clock: Callable[[], datetime], limit: int,
    ) -> None:  # fmt: skip
        """`limit` in bytes."""
        self._db, self._store, self._intake, self._documents = db, store, intake, documents
        self._clock, self._limit = clock, limit

    async def begin(self, caller: Caller, upload: UUID, *, length: int, metadata: str) -> ResumableUpload:
        """The same identifier again is the same upload. Raises NotAllowed, NotAccepted, TooManyUploads."""
        if not caller.may("documents:write"):
            raise NotAllowed("documents:write")
        if length > self._limit:
            raise NotAccepted(IntakeRefusal.TOO_LARGE, limit=str(self._limit))
        if length == 0:
            raise NotAccepted(IntakeRefusal.EMPTY)
        now = self._clock()

        def work(session: Session) -> ResumableUpload:
            row = session.get(UploadRow, upload)
            if row is None:
                unfinished = select(func.count()).where(
                    UploadRow.caller == caller.id, UploadRow.expires_at > now, UploadRow.finished.is_(False)
                )
                if (session.scalar(unfinished) or 0) >= MOST_AT_ONCE:
                    raise TooManyUploads
                row = UploadRow(
                    id=upload, agency=caller.agency, caller=caller.id, length=length, received=0,
                    metadata_given=metadata, finished=False, created_at=now, expires_at=now + LASTS,
                )  # fmt: skip
                session.add(row)
            return _read(row)

        return await self._db.transact(caller.agency, work)

    async def show(self, caller: Caller, upload: UUID) -> ResumableUpload:
        """Raises NoSuchUpload."""
        now = self._clock()
        return await self._db.read(caller.agency, lambda s: _read(_mine(s, caller, upload, now)))

    async def append(
        self, caller: Caller, upload: UUID, chunks: AsyncIterator[bytes], *, start: int, checksum: Checksum | None = None
    ) -> ResumableUpload:  # fmt: skip
        """Takes bytes from `start` on. If `chunks` raises, what came until then is kept first, unless a checksum over all
        of it was announced. Raises NoSuchUpload, WrongOffset, PastTheEnd, ChecksumDiffers, StoreUnavailable, and
        what `chunks` raises."""
        found = await self.show(caller, upload)
        if start != found.received:
            raise WrongOffset(found.received)
        line = _Line(chunks)
        part = self._part(start)
        try:
            async for chunk in line:
                part.take(chunk)
                if part.start + part.size > found.length:
                    raise PastTheEnd
                if checksum is None and (part.size >= PART or self._clock() - part.began > PART_WITHIN):
                    found = await self._keep(caller, upload, part)
                    part.drop()
                    part = self._part(found.received)
            part.close()
            if checksum is not None and line.fault is None:
                await asyncio.to_thread(_check, part.file, checksum)
            if part.size and (checksum is None or line.fault is None):
                found = await self._keep(caller, upload, part)
        finally:
            part.drop()
        if line.fault is not None:
            raise line.fault
        return found

    async def finish(self, caller: Caller, upload: UUID, arrival: Arrival) -> Document:
        """The document, made now or by an earlier call. What intake refuses is gone, as with every upload.
        Raises NoSuchUpload, UploadUnfinished, and as `Intake.receive`."""
        found = await self.show(caller, upload)
        if found.finished:
            return await self._documents.get(caller, upload)
        if found.received < found.length:
            raise UploadUnfinished(found.received, found.length)
        parts = await self._db.read(caller.agency, lambda s: _parts(s, upload))
        try:
            await self._intake.receive(caller, upload, self._bytes(parts), arrival)
        except NotAccepted as refused:
            # What is too much for our own limits may be less so another time.
            if refused.reason is not IntakeRefusal.TOO_COMPLEX:
                await self._clear(caller, upload, parts, finished=False)
            raise
        except NotKept:
            # Another call was quicker, and has cleared the parts away.
            if not (await self.show(caller, upload)).finished:
                raise
        await self._clear(caller, upload, parts, finished=True)
        return await self._documents.get(caller, upload)

    async def cancel(self, caller: Caller, upload: UUID) -> None:
        """Takes it away. A document that was made of it stays. Raises NoSuchUpload, StoreUnavailable."""
        await self.show(caller, upload)
        parts = await self._db.read(caller.agency, lambda s: _parts(s, upload))
        await self._clear(caller, upload, parts, finished=False)

    # -- parts

    def _part(self, start: int) -> _Part:
        now = self._clock()
        return _Part(self._store.scratch() / f"{uuid7(now)}.part", start, now)

    async def _keep(self, caller: Caller, upload: UUID, part: _Part) -> ResumableUpload:
        """First the bytes, then the row that counts them. Raises NoSuchUpload, WrongOffset, StoreUnavailable."""
        now = self._clock()
        name = WorkingName(caller.agency, uuid7(now))
        part.close()
        await self._store.working.put(name, part.file, expires=now + LASTS)

        def work(session: Session) -> ResumableUpload:
            row = _mine(session, caller, upload, now, lock=True)
            if row.received != part.start:
                raise WrongOffset(row.received)
            session.add(
                UploadPartRow(
                    upload=upload, start=part.start, agency=caller.agency, size=part.size, working=name.id
                )
            )
            row.received += part.size
            row.expires_at = now + LASTS
            return _read(row)

        try:
            return await self._db.transact(caller.agency, work)
        except (WrongOffset, NoSuchUpload):
            await self._store.working.delete(name)
            raise

    async def _bytes(self, parts: Sequence[UploadPartRow]) -> AsyncIterator[bytes]:
        for part in parts:
            async with self._store.working.fetch(WorkingName(part.agency, part.working)) as path:
                with await asyncio.to_thread(path.open, "rb") as file:
                    while piece := await asyncio.to_thread(file.read, PIECE):
                        yield piece

    async def _clear(
        self, caller: Caller, upload: UUID, parts: Sequence[UploadPartRow], *, finished: bool
    ) -> None:
        """Forgets the parts, and the upload itself unless it is finished; then the bytes go. Those of which we never
        hear again go with the sweep."""
        now = self._clock()

        def work(session: Session) -> None:
            session.execute(delete(UploadPartRow).where(UploadPartRow.upload == upload))
            row = session.get(UploadRow, upload, with_for_update=True)
            if row is not None and finished:
                row.finished, row.expires_at = True, now + ANSWERED_FOR
            elif row is not None:
                session.delete(row)

        await self._db.transact(caller.agency, work)
        for part in parts:
            await self._store.working.delete(WorkingName(part.agency, part.working))


def forget_expired(session: Session, now: datetime) -> None:
    """Uploads whose time is over; their bytes go with the sweep of `working`, for nothing names them any more."""
    over = select(UploadRow.id).where(UploadRow.expires_at <= now).with_for_update()
    gone = list(session.scalars(over))
    session.execute(delete(UploadPartRow).where(UploadPartRow.upload.in_(gone)))
    session.execute(delete(UploadRow).where(UploadRow.id.in_(gone)))


class _Line:
    """Chunks until the end, or until the line breaks; then `fault` says how."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.fault: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except Exception as fault:
            self.fault = fault


class _Part:
    """Bytes on their way into `working`."""

    def __init__(self, file: Path, start: int, began: datetime) -> None:
        """Raises StoreUnavailable, as all of it: the disk may be full."""
        self.file, self.start, self.began, self.size = file, start, began, 0
        with faults():
            self._out = file.open("xb", buffering=1 << 20)

    def take(self, chunk: bytes) -> None:
        with faults():
            self._out.write(chunk)
        self.size += len(chunk)

    def close(self) -> None:
        with faults():
            self._out.close()

    def drop(self) -> None:
        with suppress(StoreUnavailable), passing(self.file):  # what it did not write, nobody wants any more
            self.close()


def _check(file: Path, checksum: Checksum) -> None:
    with faults(), file.open("rb") as opened:
        if hashlib.file_digest(opened, checksum.algorithm).digest() != checksum.digest:
            raise ChecksumDiffers


def _mine(session: Session, caller: Caller, upload: UUID, now: datetime, *, lock: bool = False) -> UploadRow:
    row = session.get(UploadRow, upload, with_for_update=True if lock else None)
    if row is None or (row.agency, row.caller) != (caller.agency, caller.id) or row.expires_at <= now:
        raise NoSuchUpload(str(upload))
    return row


def _parts(session: Session, upload: UUID) -> list[UploadPartRow]:
    found = list(
        session.scalars(
            select(UploadPartRow).where(UploadPartRow.upload == upload).order_by(UploadPartRow.start)
        )
    )
    for one in found:
        session.expunge(one)
    return found


def _read(row: UploadRow) -> ResumableUpload:
    return ResumableUpload(row.id, row.length, row.received, row.metadata_given, row.finished, row.expires_at)
