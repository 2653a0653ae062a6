"""This file writes down how far a signing request has come: each function is one transaction, and one line of the story.

- A transaction of a worker whose lease was passed changes nothing and raises TakenOver (K5).
- An intent is durable, with its audit record, before the token is asked; the signature is durable before it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, select

from documents.document import (
    RENDITIONS,
    REQUEST,
    DocumentState,
    RenditionKind,
    RequestState,
    SigningRequest,
    read_request,
)
from documents.leases import WENT_WELL, owed_rest
from documents.requests import Held, Intent, TakenOver, end_request, set_document
from signing.prepared import PreparedSignature
from signing.profile import Level
from storage.database import Database, Door, Question, table_of
from storage.identifiers import uuid7
from storage.log.records import record
from storage.schema import (
    DocumentRow,
    EvidenceRow,
    IntentRow,
    RenditionRow,
    SignedRevisionRow,
    SigningRequestRow,
)

_ROW, _BESIDE = table_of(SigningRequestRow).c, table_of(EvidenceRow).c
_ONE: BindParameter[UUID] = bindparam("request")
_HOLDER = select(
    _ROW.lease, _ROW.lease_until, _ROW.state, _ROW.key, _ROW.finished, _ROW.created_at
).where(_ROW.id == _ONE)  # fmt: skip
_AS_IT_STANDS, _LOCKED = Question(_HOLDER), Question(_HOLDER.with_for_update())
_NAMED = Question(select(_BESIDE.sha256).where(_BESIDE.request == _ONE))
EARLIER = "earlier"  # beside a Delivered: digests of what earlier workers were about to keep


@dataclass(frozen=True)
class Delivered:
    """What step 5 records."""

    sha256: str
    size: int
    reached: Level
    revision: str
    judgement: dict[str, Any]
    still_pending: bool  # revocation data is owed
    evidence: tuple[tuple[str, str], ...] = ()  # kind and SHA-256 of what is kept beside it

    def to_stored(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached.value}

    @staticmethod
    def from_stored(stored: dict[str, Any]) -> Delivered:
        evidence = tuple((kind, sha256) for kind, sha256 in stored["evidence"])
        named = {name: value for name, value in stored.items() if name != EARLIER}
        return Delivered(**named | {"reached": Level(stored["reached"]), "evidence": evidence})


async def _always() -> None:
    return None


class Progress:
    """`ready` raises what keeps an intent from being recorded as it must be (LogBehind): then nothing is signed."""

    def __init__(
        self, db: Database, clock: Callable[[], datetime], *, ready: Callable[[], Awaitable[None]] = _always
    ) -> None:
        self._db, self._clock, self._ready = db, clock, ready

    async def received(self, held: Held) -> None:
        """Step 1 is done: the upload is kept; the row names it."""
        now = self._clock()

        def work(door: Door) -> None:
            self._mine(door, held)
            if not door.ask(RENDITIONS, document=held.document):
                _add_rendition(door, held, RenditionKind.RECEIVED, held.base.sha256, held.base.size, now)

        await self._db.transact(held.agency, work)

    async def intend(
        self, held: Held, prepared: PreparedSignature, working: UUID, *, check: dict[str, Any], external: bool
    ) -> Held:
        """Step 2: the bytes to be signed, the intent and the audit record, in one transaction."""
        await self._ready()
        now = self._clock()
        intent = Intent(
            uuid7(now),
            (held.intent.ordinal if held.intent else 0) + 1,
            "WAITING" if external else "OPEN",
            None,
            None,
        )

        def work(door: Door) -> None:
            row = self._mine(door, held)
            if held.base.upload is not None:
                _add_rendition(door, held, RenditionKind.RECEIVED, held.base.sha256, held.base.size, now)
            door.change(
                SigningRequestRow, held.id, prepared=prepared.to_stored(), working=working, check=check, key=prepared.key,
                state=RequestState.PREPARED.value, lease_until=None if external else row.lease_until,
            )  # fmt: skip
            self._add_intent(door, held, prepared, intent, now)

        await self._db.transact(held.agency, work)
        return replace(
            held, prepared=prepared, working=working, check=check, state=RequestState.PREPARED, intent=intent,
            base=replace(held.base, upload=None),
        )  # fmt: skip

    async def intend_again(self, held: Held) -> Held:
        """The last attempt is VOID or LOST: another, over the same bytes (K5)."""
        await self._ready()
        now = self._clock()
        if held.prepared is None:
            raise ValueError("nothing is prepared")
        prepared = held.prepared
        intent = Intent(uuid7(now), (held.intent.ordinal if held.intent else 0) + 1, "OPEN", None, None)

        def work(door: Door) -> None:
            self._mine(door, held)
            self._add_intent(door, held, prepared, intent, now)

        await self._db.transact(held.agency, work)
        return replace(held, intent=intent)

    async def attempt_ended(self, held: Held, state: str, *, why: str) -> None:
        """The open intent is VOID (never reached the key, or was refused) or LOST (perhaps signed, answer gone)."""
        now = self._clock()

        def work(door: Door) -> None:
            self._mine(door, held)
            if held.intent is None:
                return
            door.change(IntentRow, held.intent.id, state=state, ended_at=now)
            facts = {"request": str(held.id), "intent": str(held.intent.id), "state": state, "why": why}
            _record(door, held, "signature.attempt-ended", now, facts)

        await self._db.transact(held.agency, work)

    async def waiting_for_holder(self, held: Held, ticket: str, until: datetime | None) -> SigningRequest:
        def work(door: Door) -> SigningRequest:
            self._mine(door, held)
            if held.intent is not None:
                door.change(IntentRow, held.intent.id, state="WAITING", ticket=ticket)
            return self._now(door, held, lease_until=until)

        return await self._db.transact(held.agency, work)

    async def signed(self, held: Held, signature: bytes) -> Held:
        """Step 3: the signature's value is durable before it is used; the key is never asked again."""
        if held.intent is None:
            raise ValueError("no intent")
        intent = replace(held.intent, signature=signature)

        def work(door: Door) -> None:
            self._mine(door, held)
            door.change(IntentRow, intent.id, signature=signature)

        await self._db.transact(held.agency, work)
        return replace(held, intent=intent)

    async def pending(self, held: Held, state: RequestState, problem: dict[str, Any]) -> SigningRequest:
        """Waits for the world: the lease is given back, a durable job or the sweep goes on. What is owed by an issuer who
        is away is asked for more and more rarely, each by itself."""
        now = self._clock()

        def work(door: Door) -> SigningRequest:
            row, changes = self._mine(door, held), dict[str, Any](WENT_WELL)
            if state is RequestState.REVOCATION_PENDING:
                changes["rests_until"] = now + owed_rest(now - row.created_at)
            return self._now(door, held, state=state.value, problem=problem, lease_until=None, **changes)

        return await self._db.transact(held.agency, work)

    async def still_ours(self, held: Held) -> None:
        """Before what no transaction fences: who was passed while paused keeps nothing. Raises TakenOver."""

        await self._db.read(held.agency, lambda door: self._mine(door, held, question=_AS_IT_STANDS))

    async def finishing(self, held: Held, done: Delivered) -> None:
        """Step 5 begins: what is about to be kept has its name first, so that whoever takes up after a crash finds it
        and makes no other. What an earlier worker named so stays named: paused in the middle of keeping it, that one may
        end its writing at any time."""

        def work(door: Door) -> None:
            before = self._mine(door, held).finished or {}
            digests = [before.get("sha256"), *(one for _, one in before.get("evidence", ()))]
            earlier = {*before.get(EARLIER, ()), *filter(None, digests)}
            named = done.to_stored() | {EARLIER: sorted(earlier)}
            door.change(SigningRequestRow, held.id, finished=named)

        await self._db.transact(held.agency, work)

    async def about_to_keep(self, held: Held, kept: Sequence[tuple[str, str]]) -> None:
        """As `finishing`, of evidence that was learned since: named before it is kept."""

        def work(door: Door) -> None:
            before = self._mine(door, held).finished or {}
            known = {*before.get(EARLIER, ()), *(sha256 for _, sha256 in before.get("evidence", ()))}
            if before and (new := {sha256 for _, sha256 in kept} - known):
                named = sorted({*before.get(EARLIER, ()), *new})
                door.change(SigningRequestRow, held.id, finished=before | {EARLIER: named})

        await self._db.transact(held.agency, work)

    async def delivered(
        self, held: Held, done: Delivered, evidence: Sequence[tuple[str, str]] = ()
    ) -> SigningRequest:
        """Step 5: rendition, evidence, lookup, end of intent and request, audit record, in one transaction."""
        now = self._clock()

        reached = {"reached": done.reached.value, "judgement": done.judgement}

        def work(door: Door) -> SigningRequest:
            row = self._mine(door, held)
            _add_rendition(door, held, RenditionKind.SIGNED, done.sha256, done.size, now)
            _add_evidence(door, held, evidence, now)
            door.put(
                SignedRevisionRow, id=uuid7(now), agency=held.agency, document=held.document, request=held.id,
                sha256=done.revision,
            )  # fmt: skip
            if held.intent is not None:
                door.change(IntentRow, held.intent.id, state="DELIVERED", ended_at=now)
            facts = {
                "request": str(held.id), "sha256": done.sha256, "level": done.reached.value, "key": row.key,
                "caller": str(held.caller), "intent": str(held.intent.id) if held.intent else "",
                "size": done.size, "revision": done.revision, "evidence": [sha256 for _, sha256 in evidence],
                "signature_sha256": _sha256(held.intent.signature if held.intent else None),
            }  # fmt: skip
            _record(door, held, "signature.delivered", now, facts)
            if done.still_pending:
                set_document(door, held.document, DocumentState.SIGNED, now, size=done.size)
                return self._now(
                    door, held, state=RequestState.REVOCATION_PENDING.value, lease_until=None,
                    problem={"code": "revocation-unknown"}, **WENT_WELL, **reached,
                )  # fmt: skip
            end_request(door, held.id, held.document, RequestState.DONE, now, None, size=done.size, **reached)
            return self._now(door, held)

        return await self._db.transact(held.agency, work)

    async def augmented(self, held: Held, done: Delivered) -> SigningRequest:
        """Validation material came later: a new rendition of the same signature."""
        now = self._clock()

        reached = {"reached": done.reached.value, "judgement": done.judgement}

        def work(door: Door) -> SigningRequest:
            self._mine(door, held)
            _add_rendition(door, held, RenditionKind.AUGMENTED, done.sha256, done.size, now)
            facts = {
                "request": str(held.id), "sha256": done.sha256, "level": done.reached.value, "size": done.size
            }  # fmt: skip
            _record(door, held, "signature.augmented", now, facts)
            end_request(door, held.id, held.document, RequestState.DONE, now, None, size=done.size, **reached)
            return self._now(door, held)

        return await self._db.transact(held.agency, work)

    async def checked(self, held: Held, check: dict[str, Any]) -> None:
        """A later check of the certificate gave more than the first."""

        def work(door: Door) -> None:
            self._mine(door, held)
            door.change(SigningRequestRow, held.id, check=check)

        await self._db.transact(held.agency, work)

    async def ended(
        self, held: Held, state: RequestState, problem: dict[str, Any] | None = None
    ) -> SigningRequest:
        now = self._clock()

        code = str((problem or {}).get("code", ""))

        def work(door: Door) -> SigningRequest:
            self._mine(door, held)
            end_request(door, held.id, held.document, state, now, problem)
            facts = {"request": str(held.id), "state": state.value, "code": code}
            _record(door, held, "signature.ended", now, facts)
            return self._now(door, held)

        return await self._db.transact(held.agency, work)

    async def keep_evidence(self, held: Held, kept: Sequence[tuple[str, str]]) -> None:
        """(kind, SHA-256) of what was kept beside the signature; what is named already is not named twice."""
        now = self._clock()

        def work(door: Door) -> None:
            self._mine(door, held)
            if new := _add_evidence(door, held, kept, now):
                _record(
                    door, held, "signature.evidence-kept", now, {"request": str(held.id), "evidence": new}
                )

        await self._db.transact(held.agency, work)

    def _mine(self, door: Door, held: Held, *, question: Question | None = None) -> Any:
        """The row's `lease`, `lease_until`, `state`, `key`, `finished` and `created_at`. Raises TakenOver."""
        (row,) = door.ask(question or _LOCKED, request=held.id)
        if row.lease != held.lease or RequestState(row.state).ended:
            raise TakenOver
        return row

    def _now(self, door: Door, held: Held, **changes: Any) -> SigningRequest:
        """The request, once it is changed."""
        if changes:
            door.change(SigningRequestRow, held.id, **changes)
        (row,) = door.ask(REQUEST, request=held.id)
        return read_request(row)

    def _add_intent(
        self, door: Door, held: Held, prepared: PreparedSignature, intent: Intent, now: datetime
    ) -> None:
        digest = hashlib.sha256(prepared.to_sign).digest()
        door.put(
            IntentRow, id=intent.id, agency=held.agency, request=held.id, ordinal=intent.ordinal, key=prepared.key,
            digest=digest, lease=held.lease, state=intent.state, created_at=now,
        )  # fmt: skip
        facts = {
            "request": str(held.id), "intent": str(intent.id), "key": prepared.key, "caller": str(held.caller),
            "to_sign_sha256": digest.hex(), "document_sha256": held.base.sha256,
        }  # fmt: skip
        _record(door, held, "signature.intended", now, facts)


def _record(door: Door, held: Held, kind: str, at: datetime, facts: dict[str, Any]) -> None:
    record(door, agency=held.agency, kind=kind, at=at, about=held.document, facts=facts)


def _sha256(signature: bytes | None) -> str:
    return hashlib.sha256(signature).hexdigest() if signature is not None else ""


def _add_evidence(door: Door, held: Held, kept: Sequence[tuple[str, str]], now: datetime) -> list[str]:
    """What was not named yet."""
    new: list[str] = []
    have = {one.sha256 for one in door.ask(_NAMED, request=held.id)} if kept else set()
    for kind, sha256 in kept:
        if sha256 not in have:
            have.add(sha256)
            new.append(sha256)
            door.put(
                EvidenceRow, id=uuid7(now), agency=held.agency, request=held.id, kind=kind, sha256=sha256, created_at=now
            )  # fmt: skip
    return new


def _add_rendition(
    door: Door, held: Held, kind: RenditionKind, sha256: str, size: int, now: datetime
) -> None:
    there = door.ask(RENDITIONS, document=held.document)
    door.put(
        RenditionRow, id=uuid7(now), agency=held.agency, document=held.document,
        ordinal=there[-1].ordinal + 1 if there else 1, kind=kind.value, sha256=sha256, size=size, request=held.id,
        created_at=now,
    )  # fmt: skip
    if kind is RenditionKind.RECEIVED:
        door.change(DocumentRow, held.document, working=None)
