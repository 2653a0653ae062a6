"""This file keeps the rows of a signing request: who holds it now, and what is durable before what.

- A request is held by a lease, a number that rises each time another worker takes it over; a transaction of a worker
  whose lease was passed changes nothing and raises TakenOver (K5). Whoever died with it is passed within a minute.
- What fails by itself, or kills its worker, rests (documents/leases.py).
- An intent is durable, with its audit record, before the token is asked; the signature is durable before it is used.
- One request is open on a document at a time; one that only owes evidence, and changes no byte any more, does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import Session

from documents.document import (
    DocumentState,
    NoSuchDocument,
    RenditionKind,
    RequestState,
    SigningRequest,
    read_request,
)
from documents.leases import (
    LEASE,
    LONGEST_LEASE,
    SET_ASIDE,
    asked_elsewhere,
    count_failure,
    died,
    holds,
    rests,
)
from documents.office import Caller
from documents.wish import SignWish, wish_from_stored, wish_to_stored
from signing.prepared import PreparedSignature
from signing.profile import Level
from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable
from storage.log.records import record
from storage.schema import (
    DocumentRow,
    IntentRow,
    RenditionRow,
    SigningRequestRow,
)
from storage.sealed import Sealer

HOLDER_ANSWERS_WITHIN = timedelta(minutes=60)  # who signs from outside
OPEN = [one.value for one in RequestState if not one.ended]
OUTSIDE = "certificate"  # the ticket of who answers from outside


class DocumentBusy(Exception):
    """Another signing request is open on the document."""

    def __init__(self, request: UUID) -> None:
        super().__init__(str(request))
        self.request = request


class RequestEnded(Exception):
    """The request has come to its end and cannot go on."""

    def __init__(self, request: SigningRequest) -> None:
        super().__init__(request.state)
        self.request = request


class RequestHeld(Exception):
    """Another worker is at work on the request."""

    def __init__(self, retry_after: float = 2.0) -> None:
        super().__init__("held by another worker")
        self.retry_after = retry_after


class TakenOver(Exception):
    """Another worker took the request over while we were paused: nothing of ours was written."""


@dataclass(frozen=True)
class Base:
    """What is to be signed: the newest rendition before, or the upload while none is kept."""

    sha256: str
    size: int
    upload: UUID | None  # in `working`; None once kept


@dataclass(frozen=True)
class Intent:
    id: UUID
    ordinal: int
    state: str
    ticket: str | None
    signature: bytes | None


@dataclass(frozen=True)
class Held:
    """A request in one worker's hands."""

    id: UUID
    agency: UUID
    document: UUID
    caller: UUID
    wish: SignWish
    state: RequestState
    lease: int
    base: Base
    signed: Base | None  # what this request has made so far
    prepared: PreparedSignature | None
    working: UUID | None
    check: dict[str, Any] | None
    intent: Intent | None
    finished: dict[str, Any] | None = None  # what was about to be kept when the last worker ended

    @property
    def answered(self) -> bool:
        return self.intent is not None and self.intent.signature is not None


class Requests:
    def __init__(self, db: Database, clock: Callable[[], datetime], sealer: Sealer) -> None:
        self._db, self._clock, self._sealer = db, clock, sealer

    def now(self) -> datetime:
        return self._clock()

    # -- taking a request into one's hands

    async def claim(
        self, caller: Caller, document: UUID, request: UUID, wish: SignWish
    ) -> Held | SigningRequest:
        """A new request, or the same one again: taken up where it stood, or its end. Raises NoSuchDocument,
        DocumentBusy, RequestHeld."""
        now = self._clock()

        def work(session: Session) -> Held | SigningRequest:
            row = session.get(SigningRequestRow, request, with_for_update=True)
            if row is not None:
                if row.agency != caller.agency or row.document != document:
                    raise NoSuchDocument(str(document))
                if RequestState(row.state).ended:
                    return read_request(row)
                return self._take(session, row, now)
            doc = session.get(DocumentRow, document, with_for_update=True)
            if doc is None or doc.agency != caller.agency:
                raise NoSuchDocument(str(document))
            for other in session.scalars(_blocking(document)):
                if not self._superseded(session, other, caller, now):
                    raise DocumentBusy(other.id)
            row = SigningRequestRow(
                id=request, agency=caller.agency, document=document, caller=caller.id, key=wish.key or "",
                level=wish.level.value, wish=wish_to_stored(wish, self._mark_says(request, self._sealer.seal)),
                state=RequestState.RECORDED.value, lease=0, secret_sealed=self._seal(wish.password, request), created_at=now,
            )  # fmt: skip
            session.add(row)
            doc.state, doc.changed_at, doc.version = DocumentState.SIGNING.value, now, doc.version + 1
            return self._take(session, row, now)

        return await self._db.transact(caller.agency, work)

    async def claim_again(self, caller: Caller, request: UUID) -> Held | SigningRequest:
        """A request of the caller's agency, to go on with or at its end. Raises NoSuchDocument, RequestHeld."""
        now = self._clock()

        def work(session: Session) -> Held | SigningRequest:
            row = session.get(SigningRequestRow, request, with_for_update=True)
            if row is None or row.agency != caller.agency or row.caller != caller.id:
                raise NoSuchDocument(str(request))
            return read_request(row) if RequestState(row.state).ended else self._take(session, row, now)

        return await self._db.transact(caller.agency, work)

    async def take(self, request: UUID, *, orphaned: bool = False) -> Held | None:
        """For recovery and jobs: None when it has ended, rests or a living worker holds it. `orphaned` takes it from a
        worker that is known to be dead."""
        now = self._clock()

        def work(session: Session) -> Held | None:
            row = session.get(SigningRequestRow, request, with_for_update=True)
            if row is None or RequestState(row.state).ended:
                return None
            if (not orphaned and holds(row, now)) or rests(row, now):
                return None
            if row.lease_until is not None and not asked_elsewhere(session, row) and died(row, now):
                return None
            return self._take(session, row, now, force=True)

        agency = await self._agency_of(request)
        return await self._db.transact(agency, work) if agency is not None else None

    async def waiting(self, *, orphaned: bool = False, left: bool = False) -> Sequence[UUID]:
        """Open ones that nobody holds, waiting for no answer from outside, oldest first; `orphaned`: all; `left`: held to
        their worker's death."""
        now = self._clock()

        def work(session: Session) -> list[UUID]:
            query = select(SigningRequestRow.id).where(SigningRequestRow.state.in_(OPEN))
            if not orphaned:
                free = SigningRequestRow.lease_until
                held = (free > now) & (free <= now + LONGEST_LEASE)
                query = query.where(~held if left else free.is_(None) | ~held, ~_waits_outside(now))
            rest = SigningRequestRow.rests_until
            query = query.where(rest.is_(None) | (rest <= now) | (rest > now + SET_ASIDE))
            return list(session.scalars(query.order_by(SigningRequestRow.id)))

        return await self._db.read(WHOLE_SERVICE, work)

    async def failed(self, request: UUID, why: Exception) -> None:
        """Recovery could not go on, and not because the world is away."""
        now = self._clock()

        def work(session: Session) -> None:
            row = session.get_one(SigningRequestRow, request, with_for_update=True)
            if not RequestState(row.state).ended and not holds(row, now):
                count_failure(row, f"{type(why).__name__}: {why}"[:200], now)

        agency = await self._agency_of(request)
        if agency is not None:
            await self._db.transact(agency, work)

    async def _agency_of(self, request: UUID) -> UUID | None:
        """Recovery goes over all agencies; what it does for one it does in that one's scope."""
        query = select(SigningRequestRow.agency).where(SigningRequestRow.id == request)
        return await self._db.read(WHOLE_SERVICE, lambda s: s.scalar(query))

    def _take(self, session: Session, row: SigningRequestRow, now: datetime, *, force: bool = False) -> Held:
        if not force and holds(row, now):
            raise RequestHeld
        row.lease, row.lease_until = row.lease + 1, now + LEASE
        intent = session.scalar(
            select(IntentRow).where(IntentRow.request == row.id).order_by(IntentRow.ordinal.desc()).limit(1)
        )
        doc = session.get_one(DocumentRow, row.document)
        renditions = list(
            session.scalars(
                select(RenditionRow)
                .where(RenditionRow.document == row.document)
                .order_by(RenditionRow.ordinal)
            )
        )
        ours = [r for r in renditions if r.request == row.id and r.kind != RenditionKind.RECEIVED.value]
        before = [r for r in renditions if r not in ours]
        session.flush()
        return Held(
            id=row.id, agency=row.agency, document=row.document, caller=row.caller,
            wish=wish_from_stored(
                row.wish, password=self._open(row.secret_sealed, row.id), unseal=self._mark_says(row.id, self._sealer.open)
            ),
            state=RequestState(row.state), lease=row.lease,
            base=_base(before[-1]) if before else Base(doc.working_sha256 or "", doc.size, doc.working),
            signed=_base(ours[-1]) if ours else None,
            prepared=PreparedSignature.from_stored(row.prepared) if row.prepared else None,
            working=row.working, check=row.check, finished=row.finished,
            intent=Intent(intent.id, intent.ordinal, intent.state, intent.ticket, intent.signature) if intent else None,
        )  # fmt: skip

    def _superseded(self, session: Session, row: SigningRequestRow, caller: Caller, now: datetime) -> bool:
        """A request that waits for an answer nobody has given may be replaced by its own caller's next one, or by
        anybody's once its time is over."""
        if row.state != RequestState.PREPARED.value or row.prepared is None:
            return False
        expired = PreparedSignature.from_stored(row.prepared).expires < now
        intent = session.scalar(
            select(IntentRow).where(IntentRow.request == row.id).order_by(IntentRow.ordinal.desc()).limit(1)
        )
        answered = intent is not None and (intent.signature is not None or intent.state == "OPEN")
        if answered or not (expired or row.caller == caller.id):
            return False
        code = "superseded" if not expired else "expired"
        end_request(session, row, RequestState.EXPIRED, now, {"code": code})
        facts = {"request": str(row.id), "state": RequestState.EXPIRED.value, "code": code}
        record(session, agency=row.agency, kind="signature.ended", at=now, about=row.document, facts=facts)
        return True

    @asynccontextmanager
    async def in_hand(self, held: Held) -> AsyncIterator[None]:
        """Lengthens the lease while the block runs. A passing fault in it, or our own, lets the request go: nothing is
        lost, whoever comes next may go on at once."""
        task = asyncio.create_task(self._lengthen(held))
        try:
            yield
        except TakenOver:
            raise
        except BaseException:
            with suppress(DatabaseUnavailable):
                await self.let_go(held)
            raise
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _lengthen(self, held: Held) -> None:
        def work(session: Session) -> None:
            row = session.get_one(SigningRequestRow, held.id, with_for_update=True)
            if row.lease == held.lease and row.lease_until is not None:
                row.lease_until = self._clock() + LEASE

        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            with suppress(DatabaseUnavailable):
                await self._db.transact(held.agency, work)

    async def let_go(self, held: Held) -> None:
        """A passing fault: whoever comes next may take the request up at once."""

        def work(session: Session) -> None:
            row = session.get_one(SigningRequestRow, held.id)
            if row.lease == held.lease:
                row.lease_until = None

        await self._db.transact(held.agency, work)

    def _seal(self, password: str | None, request: UUID) -> bytes | None:
        return (
            self._sealer.seal(password.encode(), b"document password " + request.bytes) if password else None
        )

    def _mark_says(self, request: UUID, do: Callable[[bytes, bytes], bytes]) -> Callable[[bytes], bytes]:
        return lambda content: do(content, b"mark " + request.bytes)

    def _open(self, sealed: bytes | None, request: UUID) -> str | None:
        return self._sealer.open(sealed, b"document password " + request.bytes).decode() if sealed else None


def _waits_outside(now: datetime) -> ColumnElement[bool]:
    """Nothing can be done for it: its time is not over, and nobody has answered."""
    row = IntentRow
    return exists().where(
        row.request == SigningRequestRow.id, row.state == "WAITING", row.ticket == OUTSIDE, row.signature.is_(None),
        row.created_at > now - HOLDER_ANSWERS_WITHIN,
    )  # fmt: skip


def _blocking(document: UUID) -> Select[SigningRequestRow]:
    """Open requests that will still write into the document."""
    row = SigningRequestRow
    only_owes = (row.state == RequestState.REVOCATION_PENDING.value) & row.level.in_(
        [one.value for one in Level if not one >= Level.B_LT]
    )
    return select(row).where(row.document == document, row.state.in_(OPEN), ~only_owes)


def _base(row: RenditionRow) -> Base:
    return Base(row.sha256, row.size, None)


def set_document(
    session: Session,
    held: Held | SigningRequestRow,
    state: DocumentState,
    now: datetime,
    *,
    size: int | None = None,
) -> None:
    document = session.get_one(DocumentRow, held.document)
    document.state, document.changed_at, document.version = state.value, now, document.version + 1
    if size is not None:
        document.size = size


def end_request(
    session: Session, row: SigningRequestRow, state: RequestState, now: datetime, problem: dict[str, Any] | None,
    *, size: int | None = None,
) -> None:  # fmt: skip
    row.state, row.problem, row.ended_at = state.value, problem, now
    row.lease_until = row.secret_sealed = None
    if state is not RequestState.DONE:
        for intent in session.scalars(
            select(IntentRow).where(IntentRow.request == row.id, IntentRow.state.in_(["OPEN", "WAITING"]))
        ):
            intent.state, intent.ended_at = ("LOST" if _perhaps_signed(intent) else "VOID"), now
    session.flush()
    if session.scalar(_blocking(row.document).limit(1)) is not None:
        if size is not None:
            set_document(session, row, DocumentState.SIGNING, now, size=size)
        return
    signed = session.scalar(
        select(RenditionRow.id).where(
            RenditionRow.document == row.document, RenditionRow.kind != RenditionKind.RECEIVED.value
        )
    )
    set_document(session, row, DocumentState.SIGNED if signed else DocumentState.UPLOADED, now, size=size)


def _perhaps_signed(intent: IntentRow) -> bool:
    """Its value stands here and is never released, or a device of ours may have made one that nobody saw. What waits
    for an answer from outside has touched no key of ours."""
    if intent.signature is not None or intent.state == "OPEN":
        return True
    return intent.ticket not in {None, OUTSIDE}
