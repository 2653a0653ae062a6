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

from sqlalchemy import ColumnElement, bindparam, exists, select

from documents.document import (
    RENDITIONS,
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
from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable, Door, Question, table_of
from storage.log.records import record
from storage.schema import DocumentRow, IntentRow, SigningRequestRow
from storage.sealed import Sealer

HOLDER_ANSWERS_WITHIN = timedelta(minutes=60)  # who signs from outside
OPEN = [one.value for one in RequestState if not one.ended]
OUTSIDE = "certificate"  # the ticket of who answers from outside
_REQUEST, _INTENT = table_of(SigningRequestRow).c, table_of(IntentRow)
_ONLY_OWES = (_REQUEST.state == RequestState.REVOCATION_PENDING.value) & _REQUEST.level.in_(
    [one.value for one in Level if not one >= Level.B_LT]
)
# Open requests that will still write into the document.
_BLOCKING = Question(
    select(_REQUEST.id, _REQUEST.caller, _REQUEST.state, _REQUEST.prepared)
    .where(_REQUEST.document == bindparam("document"), _REQUEST.state.in_(OPEN), ~_ONLY_OWES)
    .order_by(_REQUEST.id)
)
_INTENTS = Question(
    select(_INTENT).where(_INTENT.c.request == bindparam("request")).order_by(_INTENT.c.ordinal)
)


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

        def work(door: Door) -> Held | SigningRequest:
            row = door.look(SigningRequestRow, request, lock=True)
            if row is None:
                doc = door.look(DocumentRow, document, lock=True)
                if doc is None or doc.agency != caller.agency:
                    raise NoSuchDocument(str(document))
                for other in door.ask(_BLOCKING, document=document):
                    if not self._superseded(door, other, caller, document, now):
                        raise DocumentBusy(other.id)
                door.put(
                    SigningRequestRow, id=request, agency=caller.agency, document=document, caller=caller.id,
                    key=wish.key or "", level=wish.level.value,
                    wish=wish_to_stored(wish, self._mark_says(request, self._sealer.seal)),
                    state=RequestState.RECORDED.value, lease=0, secret_sealed=self._seal(wish.password, request),
                    created_at=now,
                )  # fmt: skip
                set_document(door, document, DocumentState.SIGNING, now)
                row = door.look(SigningRequestRow, request)
            if row is None or row.agency != caller.agency or row.document != document:
                raise NoSuchDocument(str(document))
            return read_request(row) if RequestState(row.state).ended else self._take(door, row, now)

        return await self._db.transact(caller.agency, work)

    async def claim_again(self, caller: Caller, request: UUID) -> Held | SigningRequest:
        """A request of the caller's agency, to go on with or at its end. Raises NoSuchDocument, RequestHeld."""
        now = self._clock()

        def work(door: Door) -> Held | SigningRequest:
            row = door.look(SigningRequestRow, request, lock=True)
            if row is None or row.agency != caller.agency or row.caller != caller.id:
                raise NoSuchDocument(str(request))
            return read_request(row) if RequestState(row.state).ended else self._take(door, row, now)

        return await self._db.transact(caller.agency, work)

    async def take(self, request: UUID, *, orphaned: bool = False) -> Held | None:
        """For recovery and jobs: None when it has ended, rests or a living worker holds it. `orphaned` takes it from a
        worker that is known to be dead."""
        now = self._clock()

        def work(session: Door) -> Held | None:
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

        def work(session: Door) -> list[UUID]:
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

        def work(session: Door) -> None:
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

    def _take(self, door: Door, row: SigningRequestRow, now: datetime, *, force: bool = False) -> Held:
        if not force and holds(row, now):
            raise RequestHeld
        lease, doc = row.lease + 1, door.look(DocumentRow, row.document)
        door.change(SigningRequestRow, row.id, lease=lease, lease_until=now + LEASE)
        intent = _last_intent(door, row.id)
        renditions = door.ask(RENDITIONS, document=row.document)
        ours = [r for r in renditions if r.request == row.id and r.kind != RenditionKind.RECEIVED.value]
        before = [r for r in renditions if r not in ours]
        if doc is None:
            raise NoSuchDocument(str(row.document))
        return Held(
            id=row.id, agency=row.agency, document=row.document, caller=row.caller,
            wish=wish_from_stored(
                row.wish, password=self._open(row.secret_sealed, row.id), unseal=self._mark_says(row.id, self._sealer.open)
            ),
            state=RequestState(row.state), lease=lease,
            base=_base(before[-1]) if before else Base(doc.working_sha256 or "", doc.size, doc.working),
            signed=_base(ours[-1]) if ours else None,
            prepared=PreparedSignature.from_stored(row.prepared) if row.prepared else None,
            working=row.working, check=row.check, finished=row.finished,
            intent=Intent(intent.id, intent.ordinal, intent.state, intent.ticket, intent.signature) if intent else None,
        )  # fmt: skip

    def _superseded(self, door: Door, row: Any, caller: Caller, document: UUID, now: datetime) -> bool:
        """A request that waits for an answer nobody has given may be replaced by its own caller's next one, or by
        anybody's once its time is over."""
        if row.state != RequestState.PREPARED.value or row.prepared is None:
            return False
        expired = PreparedSignature.from_stored(row.prepared).expires < now
        intent = _last_intent(door, row.id)
        answered = intent is not None and (intent.signature is not None or intent.state == "OPEN")
        if answered or not (expired or row.caller == caller.id):
            return False
        code = "superseded" if not expired else "expired"
        end_request(door, row.id, document, RequestState.EXPIRED, now, {"code": code})
        facts = {"request": str(row.id), "state": RequestState.EXPIRED.value, "code": code}
        record(door, agency=caller.agency, kind="signature.ended", at=now, about=document, facts=facts)
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
        def work(session: Door) -> None:
            row = session.get_one(SigningRequestRow, held.id, with_for_update=True)
            if row.lease == held.lease and row.lease_until is not None:
                row.lease_until = self._clock() + LEASE

        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            with suppress(DatabaseUnavailable):
                await self._db.transact(held.agency, work)

    async def let_go(self, held: Held) -> None:
        """A passing fault: whoever comes next may take the request up at once."""

        def work(session: Door) -> None:
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


def _last_intent(door: Door, request: UUID) -> Any:
    """The row, or None."""
    return next(reversed(door.ask(_INTENTS, request=request)), None)


def _base(row: Any) -> Base:
    return Base(row.sha256, row.size, None)


def set_document(
    door: Door, document: UUID, state: DocumentState, now: datetime, *, size: int | None = None
) -> None:
    row = door.look(DocumentRow, document, lock=True)
    if row is None:
        raise NoSuchDocument(str(document))
    door.change(
        DocumentRow, document, state=state.value, changed_at=now, version=row.version + 1,
        size=row.size if size is None else size,
    )  # fmt: skip


def end_request(  # noqa: PLR0913 - as it ends
    door: Door, request: UUID, document: UUID, state: RequestState, now: datetime, problem: dict[str, Any] | None,
    *, size: int | None = None, **changes: Any,
) -> None:  # fmt: skip
    door.change(
        SigningRequestRow, request, state=state.value, problem=problem, ended_at=now, lease_until=None,
        secret_sealed=None, **changes,
    )  # fmt: skip
    if state is not RequestState.DONE:
        for intent in door.ask(_INTENTS, request=request):
            if intent.state in {"OPEN", "WAITING"}:
                ended = "LOST" if _perhaps_signed(intent) else "VOID"
                door.change(IntentRow, intent.id, state=ended, ended_at=now)
    if door.ask(_BLOCKING, document=document):
        if size is not None:
            set_document(door, document, DocumentState.SIGNING, now, size=size)
        return
    renditions = door.ask(RENDITIONS, document=document)
    signed = any(one.kind != RenditionKind.RECEIVED.value for one in renditions)
    set_document(door, document, DocumentState.SIGNED if signed else DocumentState.UPLOADED, now, size=size)


def _perhaps_signed(intent: Any) -> bool:
    """Its value stands here and is never released, or a device of ours may have made one that nobody saw. What waits
    for an answer from outside has touched no key of ours."""
    if intent.signature is not None or intent.state == "OPEN":
        return True
    return intent.ticket not in {None, OUTSIDE}
