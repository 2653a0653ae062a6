"""This file reads documents and their renditions (P1): a document is not a file, it has numbered renditions.

- One agency never sees another's: every read names the caller's agency, and what is another's is not there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, select

from documents.office import Caller
from signing.prepared import PreparedSignature
from signing.profile import Level
from storage.database import Database, Door, Question, table_of
from storage.schema import DocumentRow, RenditionRow, SigningRequestRow
from storage.store import Damaged, KeptName, NotKept, ObjectStore, WorkingName


class Disclosure(StrEnum):
    """C2: what the public page tells of a document."""

    PUBLIC = "public"
    RESTRICTED = "restricted"
    NONE = "none"


class DocumentState(StrEnum):
    UPLOADED = "UPLOADED"
    SIGNING = "SIGNING"  # a signing request is open that has released nothing yet, also TIMESTAMP_PENDING
    SIGNED = "SIGNED"


class RenditionKind(StrEnum):
    RECEIVED = "received"
    PREPARED = "prepared"
    SIGNED = "signed"
    AUGMENTED = "augmented"
    RENEWED = "renewed"


class RequestState(StrEnum):
    """From RECORDED on nothing is lost by a crash; DONE, REFUSED, EXPIRED and FAILED are ends."""

    RECORDED = "RECORDED"  # step 1 is done or under way
    PREPARED = (
        "PREPARED"  # step 2 is done: the bytes to be signed stand, the key's holder is or will be asked
    )
    TIMESTAMP_PENDING = "TIMESTAMP_PENDING"  # signed; waits for a time-stamp, never asked to be signed again
    REVOCATION_PENDING = "REVOCATION_PENDING"  # waits for revocation data
    DONE = "DONE"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"  # our own judge would not accept it: nothing was released

    @property
    def ended(self) -> bool:
        return self in {RequestState.DONE, RequestState.REFUSED, RequestState.EXPIRED, RequestState.FAILED}


class NoSuchDocument(LookupError):
    """Not there, or another agency's: not told apart."""


class BadCursor(ValueError):
    """A page was asked for by something that we never gave out."""


@dataclass(frozen=True)
class Rendition:
    ordinal: int
    kind: RenditionKind
    sha256: str
    size: int  # bytes
    created_at: datetime


@dataclass(frozen=True)
class SigningRequest:
    id: UUID
    document: UUID
    key: str
    level: Level
    reached: Level | None
    state: RequestState
    problem: dict[str, Any] | None  # {"code", "detail", ...} why it was refused or what it waits for
    created_at: datetime
    ended_at: datetime | None
    to_sign: bytes | None = None  # while PREPARED
    expires: datetime | None = None


@dataclass(frozen=True)
class Document:
    id: UUID
    agency: UUID
    name: str
    subject: str | None
    number: str | None
    issuer: str | None
    disclosure: Disclosure
    state: DocumentState
    pages: int | None
    size: int  # bytes
    sha256: str | None  # of the newest bytes
    version: int
    created_at: datetime
    changed_at: datetime
    renditions: tuple[Rendition, ...] = ()
    requests: tuple[SigningRequest, ...] = ()

    @property
    def signed(self) -> bool:
        return any(one.kind is not RenditionKind.RECEIVED for one in self.renditions)


@dataclass(frozen=True)
class Page:
    documents: tuple[Document, ...]
    next: str | None  # cursor


class Documents:
    def __init__(self, db: Database, store: ObjectStore) -> None:
        self._db, self._store = db, store

    async def get(self, caller: Caller, document: UUID) -> Document:
        """With renditions and signing requests. Raises NoSuchDocument."""
        return await self._db.read(caller.agency, lambda s: read_document(s, caller.agency, document))

    async def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 50) -> Page:
        """Newest first, at most 200, without renditions and requests. Raises BadCursor."""
        before = _from_cursor(cursor)
        limit = max(1, min(limit, 200))

        def work(session: Door) -> Page:
            query = select(DocumentRow).where(DocumentRow.agency == caller.agency)
            if before:
                query = query.where(DocumentRow.id < before)
            rows = list(session.scalars(query.order_by(DocumentRow.id.desc()).limit(limit + 1)))
            more = len(rows) > limit
            return Page(
                tuple(_document(r) for r in rows[:limit]), _cursor(rows[limit - 1].id) if more else None
            )

        return await self._db.read(caller.agency, work)

    async def request(self, caller: Caller, request: UUID) -> SigningRequest:
        """Raises NoSuchDocument."""

        def work(door: Door) -> SigningRequest:
            row = door.look(SigningRequestRow, request)
            if row is None or row.agency != caller.agency:
                raise NoSuchDocument(str(request))
            return read_request(row)

        return await self._db.read(caller.agency, work)

    def open(
        self, caller: Caller, document: Document, ordinal: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        """The bytes of a rendition (the newest without `ordinal`), or of the upload where none is kept yet. Raises
        NoSuchDocument, storage.store.StoreUnavailable, Damaged."""
        return self._open(caller, document, ordinal)

    @asynccontextmanager
    async def _open(self, caller: Caller, document: Document, ordinal: int | None) -> AsyncIterator[Path]:
        if document.agency != caller.agency:
            raise NoSuchDocument(str(document.id))
        chosen = [one for one in document.renditions if ordinal is None or one.ordinal == ordinal]
        if chosen:
            async with recorded(self._store, KeptName(document.agency, chosen[-1].sha256)) as path:
                yield path
            return
        if ordinal is not None:
            raise NoSuchDocument(f"{document.id} rendition {ordinal}")

        row = await self._db.read(caller.agency, lambda door: door.look(DocumentRow, document.id))
        working = row.working if row is not None else None
        if working is None:
            raise NoSuchDocument(str(document.id))
        async with self._store.working.fetch(WorkingName(document.agency, working)) as path:
            yield path


_MADE, _ASKED = table_of(RenditionRow), table_of(SigningRequestRow).c
_ONE: BindParameter[UUID] = bindparam("document")
RENDITIONS = Question(select(_MADE).where(_MADE.c.document == _ONE).order_by(_MADE.c.ordinal))
_SHOWN = select(
    _ASKED.id, _ASKED.document, _ASKED.key, _ASKED.level, _ASKED.reached, _ASKED.state, _ASKED.problem,
    _ASKED.created_at, _ASKED.ended_at, _ASKED.prepared,
)  # fmt: skip
REQUESTS = Question(_SHOWN.where(_ASKED.document == _ONE).order_by(_ASKED.id))
REQUEST = Question(_SHOWN.where(_ASKED.id == bindparam("request")))


@asynccontextmanager
async def recorded(store: ObjectStore, name: KeptName) -> AsyncIterator[Path]:
    """What a row says is kept. Raises Damaged also where it is gone: nobody may take that away (P2); StoreUnavailable."""
    async with AsyncExitStack() as stack:
        try:
            path = await stack.enter_async_context(store.kept.fetch(name))
        except NotKept as gone:
            raise Damaged(f"{name} is gone") from gone
        yield path


def read_document(door: Door, agency: UUID, document: UUID) -> Document:
    """Raises NoSuchDocument."""
    row = door.look(DocumentRow, document)
    if row is None or row.agency != agency:
        raise NoSuchDocument(str(document))
    renditions = door.ask(RENDITIONS, document=document)
    requests = door.ask(REQUESTS, document=document)
    return _document(
        row,
        tuple(
            Rendition(r.ordinal, RenditionKind(r.kind), r.sha256, r.size, r.created_at) for r in renditions
        ),
        tuple(read_request(r) for r in requests),
    )


def read_request(row: SigningRequestRow) -> SigningRequest:
    state = RequestState(row.state)
    prepared = None
    if state is RequestState.PREPARED and row.prepared:
        prepared = PreparedSignature.from_stored(row.prepared)
    return SigningRequest(
        row.id,
        row.document,
        row.key,
        Level(row.level),
        Level(row.reached) if row.reached else None,
        state,
        row.problem,
        row.created_at,
        row.ended_at,
        to_sign=prepared.to_sign if prepared else None,
        expires=prepared.expires if prepared else None,
    )


def _document(
    row: DocumentRow, renditions: Sequence[Rendition] = (), requests: Sequence[SigningRequest] = ()
) -> Document:
    return Document(
        id=row.id,
        agency=row.agency,
        name=row.name,
        subject=row.subject,
        number=row.number,
        issuer=row.issuer,
        disclosure=Disclosure(row.disclosure),
        state=DocumentState(row.state),
        pages=row.pages,
        size=row.size,
        sha256=renditions[-1].sha256 if renditions else row.working_sha256,
        version=row.version,
        created_at=row.created_at,
        changed_at=row.changed_at,
        renditions=tuple(renditions),
        requests=tuple(requests),
    )


def _cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _from_cursor(cursor: str | None) -> UUID | None:
    if not cursor:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as wrong:
        raise BadCursor(cursor) from wrong
