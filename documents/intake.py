"""This file says what we accept and why not: every upload may be hostile.

- Bytes are streamed, counted and hashed; nothing is ever whole in memory, and what is refused leaves nothing behind.
- The name is for showing only: no path is ever made of it.
- The same identifier with the same bytes again is the same document.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from sqlalchemy import bindparam, select

from documents.codes import Codes
from documents.document import Disclosure, Document, DocumentState, read_document
from documents.office import Caller, NotAllowed
from documents.once import OtherBody
from signing.workshop import Workshop, WorkshopFailed
from storage.database import Database, Door, Question, table_of
from storage.folder_access import passing
from storage.identifiers import uuid7
from storage.log.records import record
from storage.schema import DocumentRow, RenditionRow
from storage.store import NotKept, ObjectStore, StoreUnavailable, WorkingName

UPLOADS_WAIT = timedelta(days=30)  # an upload that nobody signs
UNSURE_WAITS = timedelta(days=1)  # an upload of which nobody knows whether it is recorded
MEDIA_TYPES = {"application/pdf", "application/x-pdf", "application/octet-stream", ""}
NAME_BYTES = 150
_DOCUMENT, _KEPT = table_of(DocumentRow).c, table_of(RenditionRow).c
_TOLD = 10  # documents with the same bytes
_BY_UPLOAD = Question(
    select(_DOCUMENT.id).where(_DOCUMENT.working_sha256 == bindparam("sha256")).order_by(_DOCUMENT.id.desc())
    .limit(_TOLD + 1)
)  # fmt: skip
_BY_KEPT = Question(
    select(_KEPT.document).where(_KEPT.sha256 == bindparam("sha256")).distinct().order_by(_KEPT.document.desc())
    .limit(_TOLD + 1)
)  # fmt: skip
HEADER_WITHIN = 1024  # bytes, ISO 32000-2 annex on readers' leniency
SECONDS, MEMORY = 20.0, 1 << 30


class IntakeRefusal(StrEnum):
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    NOT_A_PDF = "not-a-pdf"
    WRONG_MEDIA_TYPE = "wrong-media-type"
    DAMAGED = "damaged"
    INCOMPLETE = "incomplete"
    TOO_COMPLEX = "too-complex"


class NotAccepted(Exception):
    """Nothing of the upload is left. `data` fills the sentence."""

    def __init__(self, reason: IntakeRefusal, **data: str) -> None:
        super().__init__(reason)
        self.reason, self.data = reason, data


@dataclass(frozen=True)
class Arrival:
    """What came with the bytes; `declared_size` in bytes where it was said."""

    name: str
    media_type: str = "application/pdf"
    declared_size: int | None = None
    disclosure: Disclosure = Disclosure.RESTRICTED
    subject: str | None = None
    number: str | None = None
    issuer: str | None = None


@dataclass(frozen=True)
class Landed:
    """An upload in scratch."""

    file: Path
    sha256: str
    size: int
    head: bytes


async def land(chunks: AsyncIterator[bytes], file: Path, *, limit: int, declared: int | None) -> Landed:
    """Streams into `file`, at most `limit` bytes. Raises NotAccepted; the caller removes the file."""
    if declared is not None and declared > limit:
        raise NotAccepted(IntakeRefusal.TOO_LARGE, limit=str(limit))
    digest, size, head = hashlib.sha256(), 0, b""
    with file.open("xb", buffering=1 << 20) as out:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise NotAccepted(IntakeRefusal.TOO_LARGE, limit=str(limit))
            if len(head) < HEADER_WITHIN:
                head = (head + chunk)[:HEADER_WITHIN]
            digest.update(chunk)
            out.write(chunk)
    if size == 0:
        raise NotAccepted(IntakeRefusal.EMPTY)
    if declared is not None and size != declared:
        raise NotAccepted(IntakeRefusal.INCOMPLETE, declared=str(declared), received=str(size))
    return Landed(file, digest.hexdigest(), size, head)


class Intake:
    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        workshop: Workshop,
        *,
        codes: Codes,
        clock: Callable[[], datetime],
        limit: int,
    ) -> None:
        self._db, self._store, self._workshop = db, store, workshop
        self._codes, self._clock, self._limit = codes, clock, limit

    async def receive(
        self, caller: Caller, document: UUID, chunks: AsyncIterator[bytes], arrival: Arrival
    ) -> Document:
        """Raises NotAllowed, NotAccepted, once.OtherBody, StoreUnavailable."""
        if not caller.may("documents:write"):
            raise NotAllowed("documents:write")
        if arrival.media_type.split(";")[0].strip().lower() not in MEDIA_TYPES:
            raise NotAccepted(IntakeRefusal.WRONG_MEDIA_TYPE, media_type=arrival.media_type[:80])
        working = uuid7(self._clock())
        file = self._store.scratch() / f"{working}.upload"
        with passing(file):
            landed = await land(chunks, file, limit=self._limit, declared=arrival.declared_size)
            pages = await self._look_at(landed)
            now = self._clock()
            await self._store.working.put(
                WorkingName(caller.agency, working), file, expires=now + UPLOADS_WAIT
            )
        mine = WorkingName(caller.agency, working)
        try:
            return await self._record(caller, document, landed, arrival, pages=pages, working=working)
        except OtherBody:
            await self._store.working.delete(mine)
            raise
        except BaseException:
            # Perhaps it is recorded all the same: the caller's retry finds out, and until then the bytes stay.
            with suppress(NotKept, StoreUnavailable):
                await self._store.working.extend(mine, expires=now + UNSURE_WAITS)
            raise

    async def duplicates(self, caller: Caller, document: Document) -> Sequence[UUID]:
        """Other documents of the agency that came with the same bytes, newest first, at most ten."""

        def work(door: Door) -> list[UUID]:
            found = {
                row[0] for one in (_BY_UPLOAD, _BY_KEPT) for row in door.ask(one, sha256=document.sha256)
            }
            return sorted(found - {document.id}, reverse=True)[:_TOLD]

        return await self._db.read(caller.agency, work) if document.sha256 else []

    async def _look_at(self, landed: Landed) -> int | None:
        """The number of pages; None where a password is wanted first."""
        if b"%PDF-" not in landed.head:
            raise NotAccepted(IntakeRefusal.NOT_A_PDF)
        from documents.inspecting import Unreadable, count_pages

        try:
            pages: int | None = await self._workshop.run(
                count_pages, landed.file, seconds=SECONDS, memory=MEMORY
            )
        except Unreadable as why:
            raise NotAccepted(IntakeRefusal.DAMAGED) from why
        except WorkshopFailed as why:
            raise NotAccepted(IntakeRefusal.TOO_COMPLEX) from why
        return pages

    async def _record(
        self,
        caller: Caller,
        document: UUID,
        landed: Landed,
        arrival: Arrival,
        *,
        pages: int | None,
        working: UUID,
    ) -> Document:
        now = self._clock()
        code = self._codes.new()

        def work(session: Door) -> tuple[Document, bool]:
            row = session.look(DocumentRow, document)
            if row is not None:
                if row.agency != caller.agency or row.working_sha256 != landed.sha256:
                    raise OtherBody
                return read_document(session, caller.agency, document), False
            session.put(
                DocumentRow, id=document, agency=caller.agency, created_by=caller.id, name=clean_name(arrival.name),
                subject=arrival.subject, number=arrival.number, issuer=arrival.issuer or caller.agency_name,
                disclosure=arrival.disclosure.value, state=DocumentState.UPLOADED.value, pages=pages,
                code_hash=self._codes.hash(code), code_sealed=self._codes.seal(code, document), working=working,
                working_sha256=landed.sha256, size=landed.size, created_at=now, changed_at=now, version=1,
            )  # fmt: skip
            facts = {
                "sha256": landed.sha256, "size": landed.size, "by": str(caller.id),
                "disclosure": arrival.disclosure.value, "code_sha256": self._codes.hash(code).hex(),
            }  # fmt: skip
            told = {
                "name": clean_name(arrival.name), "subject": arrival.subject, "number": arrival.number,
                "issuer": arrival.issuer or caller.agency_name,
            }  # fmt: skip
            personal = {name: value for name, value in told.items() if value is not None}
            record(
                session, agency=caller.agency, kind="document.received", at=now, about=document, facts=facts,
                personal=personal,
            )  # fmt: skip
            return read_document(session, caller.agency, document), True

        made, new = await self._db.transact(caller.agency, work)
        if not new:
            await self._settle(caller.agency, document, working, expires=now + UPLOADS_WAIT)
        return made

    async def _settle(self, agency: UUID, document: UUID, working: UUID, *, expires: datetime) -> None:
        """The same upload came again: the first one stays, and where its bytes are gone these take their place."""

        def first(session: Door) -> UUID | None:
            return session.get_one(DocumentRow, document).working

        def take(session: Door) -> None:
            row = session.get_one(DocumentRow, document, with_for_update=True)
            if row.working == stands:
                row.working = working

        stands = await self._db.read(agency, first)
        try:
            if stands is not None:
                await self._store.working.extend(WorkingName(agency, stands), expires=expires)
        except NotKept:
            await self._db.transact(agency, take)
        else:
            await self._store.working.delete(WorkingName(agency, working))


def clean_name(raw: str) -> str:
    """The name as it may be shown: NFC, no control, bidirectional or other format characters, no path, at most
    NAME_BYTES bytes of UTF-8 with its ending kept."""
    name = unicodedata.normalize("NFC", raw.replace("\\", "/").rsplit("/", 1)[-1])
    name = "".join(
        c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    )
    name = re.sub(r"\s+", " ", name).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 8:
        stem, ending = name, "pdf"
    room = NAME_BYTES - len(ending.encode()) - 1
    stem = stem.encode()[:room].decode(errors="ignore").strip(" .")
    return f"{stem or 'van-ban'}.{ending}"
