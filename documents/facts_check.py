"""Holds the facts against the records that tell of them (P4): this file names a row that was edited, made or taken away by
hand.

- A record commits to what its row says; what it does not mention (who holds a request now, failures at log-in) may change.
- Rows are read in the order of their identifiers, with what was recorded about them, and each on its own: the cost is
  that of the rows that are looked at.
- Personal data is compared where what opens its commitment is there; a row that still says what was erased beside the
  record is named.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.document import DocumentState, RenditionKind, RequestState
from documents.told import Beside, Told, told_about
from hsm.use_log import Use
from storage.log.findings import Fault, Finding
from storage.log.records import rfc3339
from storage.schema import (
    AgencyRow,
    ClientRow,
    DocumentRow,
    IntentRow,
    PersonRow,
    RenditionRow,
    Row,
    SigningRequestRow,
    TrustAnchorRow,
)

PIECE = 200
RELEASED = {RequestState.DONE.value, RequestState.REVOCATION_PENDING.value}


Look = Callable[[Any, Told, Beside], Iterator[str]]


@dataclass(frozen=True)
class Subject:
    """A table whose rows are made with a record about them. `look` gives what differs."""

    row: type[Row]
    made: str  # kind of that record
    look: Look

    @property
    def name(self) -> str:
        return str(self.row.__tablename__)

    @property
    def key(self) -> Any:
        return AgencyRow.agency if self.row is AgencyRow else self.row.id  # type: ignore[attr-defined]


def differing(session: Session, subject: Subject, ids: Collection[UUID]) -> list[Finding]:
    """Of rows with these identifiers; one that is not there and of which nothing is recorded is nothing."""
    found: list[Finding] = []
    wanted = sorted(ids)
    for begin in range(0, len(wanted), PIECE):
        piece = wanted[begin : begin + PIECE]
        told = told_about(session, piece)
        rows = {_id(row): row for row in session.scalars(select(subject.row).where(subject.key.in_(piece)))}
        beside = Beside.of(session, piece) if subject.row is DocumentRow else Beside()
        for id in piece:
            found += _about(subject, id, rows.get(id), told[id], beside)
        session.expunge_all()
    return found


def after(session: Session, subject: Subject, cursor: UUID | None, limit: int | None) -> list[UUID]:
    """Identifiers of rows, in their order."""
    query = select(subject.key).order_by(subject.key)
    query = query.where(subject.key > cursor) if cursor is not None else query
    return list(session.scalars(query.limit(limit) if limit is not None else query))


def used_unrecorded(session: Session, uses: Sequence[Use]) -> Iterator[Finding]:
    """Of what document keys did by the token's own use log: each has its intent, or a record that says it was LOST."""
    ids = [one.intent for one in uses]
    query = select(IntentRow, SigningRequestRow.document).join(
        SigningRequestRow, SigningRequestRow.id == IntentRow.request
    )
    intents = {
        row.id: (row, document) for row, document in session.execute(query.where(IntentRow.id.in_(ids)))
    }
    requests = select(SigningRequestRow.id, SigningRequestRow.document)
    documents = {
        id: document
        for id, document in session.execute(
            requests.where(SigningRequestRow.id.in_([one.request for one in uses]))
        )
    }
    told = told_about(session, sorted({*documents.values(), *(one.request for one in uses)}))
    for use in uses:
        row, document = intents.get(use.intent, (None, documents.get(use.request)))
        what, digest = f"intents {use.intent}", use.to_sign_sha256
        if row is not None and (row.digest, row.key, row.request) != (digest, use.key, use.request):
            yield Finding(Fault.FACT_DIFFERS, None, None, f"{what}: use log")
        known = [one for about in (document, use.request) if about for one in told[about].records]
        if not any(_tells(one, use) for one in known):
            yield Finding(Fault.USE_UNRECORDED, None, None, f"{what}: {use.key}, {rfc3339(use.at)}")


def _tells(record: Mapping[str, Any], use: Use) -> bool:
    if record["kind"] not in {"signature.intended", "signature.attempt-ended"}:
        return False
    facts = record["facts"]
    return (facts.get("intent"), facts.get("to_sign_sha256")) == (str(use.intent), use.to_sign_sha256.hex())


def _id(row: Any) -> UUID:
    id: UUID = row.agency if isinstance(row, AgencyRow) else row.id
    return id


def _about(subject: Subject, id: UUID, row: Any, told: Told, beside: Beside) -> Iterator[Finding]:
    what = f"{subject.name} {id}"
    made = told.of(subject.made)
    if row is None:
        if made:
            yield Finding(Fault.FACT_MISSING, None, None, what)
        return
    if not made:
        yield Finding(Fault.FACT_UNRECORDED, None, None, what)
        return
    if made[0]["agency"] != str(row.agency):
        yield Finding(Fault.FACT_DIFFERS, None, None, f"{what}: agency")
    for differs in subject.look(row, told, beside):
        fault, _, detail = differs.rpartition("|")
        named = f"{what}: {detail}" if not fault else detail
        yield Finding(Fault(fault or Fault.FACT_DIFFERS), None, None, named)


def _each(pairs: Mapping[str, tuple[Any, Any]], facts: Mapping[str, Any]) -> Iterator[str]:
    """`pairs`: by name of the fact its value in the row; of facts that the record mentions."""
    for name, (fact, value) in pairs.items():
        if fact in facts and facts[fact] != value:
            yield name


# -- documents


def _document(row: DocumentRow, told: Told, beside: Beside) -> Iterator[str]:
    record = told.of("document.received")[0]
    code = row.code_hash.hex() if row.code_hash is not None else None
    pairs = {
        "sha256": ("sha256", row.working_sha256), "created_by": ("by", str(row.created_by)),
        "disclosure": ("disclosure", row.disclosure), "code": ("code_sha256", code),
    }  # fmt: skip
    yield from _each(pairs, record["facts"])
    for name in ("name", "subject", "number", "issuer"):
        if not told.personal(record, name, getattr(row, name)):
            yield name
    signed = bool(told.of("signature.delivered"))
    if (row.state == DocumentState.SIGNED.value and not signed) or (
        row.state == DocumentState.UPLOADED.value and signed
    ):
        yield "state"
    yield from _renditions(row, told, beside.renditions[row.id])
    yield from _requests(row, told, beside)


def _renditions(row: DocumentRow, told: Told, rows: Sequence[RenditionRow]) -> Iterator[str]:
    received = told.facts("document.received")[0]
    released = told.facts("signature.delivered") + told.facts("signature.augmented")
    wanted: dict[tuple[str, str | None], int | None] = {
        (str(one["sha256"]), str(one["request"])): one.get("size") for one in released
    }
    for ordinal, one in enumerate(rows, 1):
        what = f"renditions {one.id}"
        if one.ordinal != ordinal or one.agency != row.agency:
            yield f"{Fault.FACT_DIFFERS}|{what}: ordinal"
        if one.kind == RenditionKind.RECEIVED.value:
            if (one.sha256, one.size, ordinal) != (received["sha256"], received["size"], 1):
                yield f"{Fault.FACT_DIFFERS}|{what}: sha256"
            continue
        name = (one.sha256, str(one.request))
        if name not in wanted:
            yield f"{Fault.FACT_DIFFERS}|{what}: sha256"
        elif wanted.pop(name) not in (None, one.size):
            yield f"{Fault.FACT_DIFFERS}|{what}: size"
    for sha256, _ in wanted:
        yield f"{Fault.FACT_MISSING}|renditions of {row.id}: {sha256}"
    if released and (not rows or rows[0].kind != RenditionKind.RECEIVED.value):
        yield f"{Fault.FACT_MISSING}|renditions of {row.id}: {received['sha256']}"


def _requests(row: DocumentRow, told: Told, beside: Beside) -> Iterator[str]:
    by_request: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in told.records:
        if "request" in one["facts"]:
            by_request[str(one["facts"]["request"])].append(one)
    rows = {str(one.id): one for one in beside.requests[row.id]}
    for id in by_request.keys() - rows.keys():
        # A restore wrote down what the token did for a request that its backup did not know.
        if any(one["kind"] != "signature.attempt-ended" for one in by_request[id]):
            yield f"{Fault.FACT_MISSING}|signing_requests {id}"
    for id, request in rows.items():
        mine = Told(by_request[id])
        for differs in _request(request, mine):
            yield f"{Fault.FACT_DIFFERS}|signing_requests {id}: {differs}"
        yield from _intents(mine, beside.intents[request.id])
        yield from _beside(request, mine, beside)


def _request(row: SigningRequestRow, told: Told) -> Iterator[str]:
    delivered, ended = told.facts("signature.delivered"), told.facts("signature.ended")
    if ended:
        right = (row.state, (row.problem or {}).get("code", "")) == (ended[-1]["state"], ended[-1]["code"])
    elif delivered:
        right = row.state in RELEASED
    else:
        right = not RequestState(row.state).ended and row.state not in RELEASED if _is_state(row) else False
    if not right:
        yield "state"
    reached = (delivered + told.facts("signature.augmented"))[-1:]
    if row.reached != (reached[0]["level"] if reached else None):
        yield "reached"
    for one in told.facts("signature.intended")[-1:]:
        yield from _each({"caller": ("caller", str(row.caller)), "key": ("key", row.key)}, one)


def _is_state(row: SigningRequestRow) -> bool:
    return row.state in set(RequestState)


def _intents(told: Told, there: Sequence[IntentRow]) -> Iterator[str]:
    intended = {str(one["intent"]): one for one in told.facts("signature.intended")}
    ended = {str(one["intent"]): one["state"] for one in told.facts("signature.attempt-ended")}
    delivered = {str(one["intent"]): one for one in told.facts("signature.delivered")}
    over = bool(told.of("signature.ended"))
    rows = {str(one.id): one for one in there}
    for id in intended.keys() - rows.keys():
        yield f"{Fault.FACT_MISSING}|intents {id}"
    for id, row in rows.items():
        if id not in intended:
            yield f"{Fault.FACT_UNRECORDED}|intents {id}"
            continue
        one = intended[id]
        differs = list(_each({"key": ("key", row.key), "digest": ("to_sign_sha256", row.digest.hex())}, one))
        if id in delivered:
            right = row.state == "DELIVERED"
            value = hashlib.sha256(row.signature).hexdigest() if row.signature is not None else ""
            differs += _each({"signature": ("signature_sha256", value)}, delivered[id])
        elif id in ended:
            right = row.state == ended[id]
        else:
            right = row.state in ({"VOID", "LOST"} if over else {"OPEN", "WAITING"})
        for name in [*differs, *([] if right else ["state"])]:
            yield f"{Fault.FACT_DIFFERS}|intents {id}: {name}"


def _beside(request: SigningRequestRow, told: Told, beside: Beside) -> Iterator[str]:
    """Evidence, and what a brought file is looked up by."""
    delivered = told.facts("signature.delivered")
    wanted = {
        sha for one in delivered + told.facts("signature.evidence-kept") for sha in one.get("evidence", ())
    }
    there = beside.evidence[request.id]
    for sha256 in sorted(wanted ^ there):
        fault = Fault.FACT_MISSING if sha256 in wanted else Fault.FACT_UNRECORDED
        yield f"{fault}|evidence of {request.id}: {sha256}"
    revisions = {one["revision"] for one in delivered if "revision" in one}
    rows = beside.revisions[request.id]
    for sha256 in sorted(revisions ^ rows):
        fault = Fault.FACT_MISSING if sha256 in revisions else Fault.FACT_UNRECORDED
        yield f"{fault}|signed_revisions of {request.id}: {sha256}"


# -- people, programs, agencies, whom we believe


def _person(row: PersonRow, told: Told, _: Beside) -> Iterator[str]:
    record = told.of("person.made")[0]
    for name in ("login", "name", "title"):
        if not told.personal(record, name, getattr(row, name)):
            yield name
    changes = [one for one in told.records if "password" in one["facts"]]
    last = max((one["at"] for one in changes), default="")
    value = hashlib.sha256(row.password_hash.encode()).hexdigest() if row.password_hash is not None else ""
    if changes and value not in {one["facts"]["password"] for one in changes if one["at"] == last}:
        yield "password_hash"
    if bool(told.of("person.disabled")) != (row.disabled_at is not None):
        yield "disabled_at"


def _client(row: ClientRow, told: Told, _: Beside) -> Iterator[str]:
    pairs = {
        "name": ("name", row.name), "scopes": ("scopes", row.scopes), "key_hash": ("key_sha256", row.key_hash.hex())
    }  # fmt: skip
    yield from _each(pairs, told.facts("client.made")[0])
    if bool(told.of("client.revoked")) != (row.revoked_at is not None):
        yield "revoked_at"


def _agency(row: AgencyRow, told: Told, _: Beside) -> Iterator[str]:
    pairs = {"name": ("name", row.name), "short_name": ("short_name", row.short_name)}
    yield from _each(pairs, told.facts("agency.made")[0])


def _anchor(row: TrustAnchorRow, told: Told, _: Beside) -> Iterator[str]:
    since, until = (rfc3339(at) if at else None for at in (row.since, row.until))
    pairs = {
        "certificate": ("fingerprint", hashlib.sha256(row.certificate).hexdigest()), "uses": ("uses", row.uses),
        "demonstration": ("demonstration", row.demonstration), "provenance": ("provenance", row.provenance),
        "confirmed_by": ("by", row.confirmed_by), "since": ("since", since), "until": ("until", until),
    }  # fmt: skip
    yield from _each(pairs, told.facts("trust.added")[0])
    if bool(told.of("trust.removed")) != (row.removed_at is not None):
        yield "removed_at"


SUBJECTS = (
    Subject(AgencyRow, "agency.made", _agency),
    Subject(PersonRow, "person.made", _person),
    Subject(ClientRow, "client.made", _client),
    Subject(TrustAnchorRow, "trust.added", _anchor),
    Subject(DocumentRow, "document.received", _document),
)
