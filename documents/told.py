"""What is needed to hold facts against records: this file reads what was recorded about things, and what hangs on documents,
for many at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.schema import (
    AuditDetailRow,
    AuditRecordRow,
    EvidenceRow,
    IntentRow,
    RenditionRow,
    SignedRevisionRow,
    SigningRequestRow,
)


@dataclass
class Told:
    """What was recorded about one thing, oldest first."""

    records: list[dict[str, Any]] = field(default_factory=list)
    details: dict[tuple[str, str], str] = field(default_factory=dict)  # (record, name): value

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.records if one.get("kind") == kind]

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [one["facts"] for one in self.of(kind)]

    def personal(self, record: Mapping[str, Any], name: str, value: str | None) -> bool:
        """Whether the value is the one that the record committed to, as far as it did."""
        if name not in (record.get("personal") or {}):
            return True
        told = self.details.get((str(record["id"]), name))
        return told == value if told is not None else not value


@dataclass
class Beside:
    """What hangs on documents: renditions and requests by document, the rest by request."""

    renditions: defaultdict[UUID, list[RenditionRow]] = field(default_factory=lambda: defaultdict(list))
    requests: defaultdict[UUID, list[SigningRequestRow]] = field(default_factory=lambda: defaultdict(list))
    intents: defaultdict[UUID, list[IntentRow]] = field(default_factory=lambda: defaultdict(list))
    evidence: defaultdict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    revisions: defaultdict[UUID | None, set[str]] = field(default_factory=lambda: defaultdict(set))

    @staticmethod
    def of(session: Session, documents: Sequence[UUID]) -> Beside:
        found = Beside()
        by_ordinal = select(RenditionRow).order_by(RenditionRow.ordinal)
        for rendition in session.scalars(by_ordinal.where(RenditionRow.document.in_(documents))):
            found.renditions[rendition.document].append(rendition)
        for request in session.scalars(
            select(SigningRequestRow).where(SigningRequestRow.document.in_(documents))
        ):
            found.requests[request.document].append(request)
        ids = [one.id for many in found.requests.values() for one in many]
        for intent in session.scalars(select(IntentRow).where(IntentRow.request.in_(ids))):
            found.intents[intent.request].append(intent)
        for evidence in session.scalars(select(EvidenceRow).where(EvidenceRow.request.in_(ids))):
            found.evidence[evidence.request].add(evidence.sha256)
        for revision in session.scalars(
            select(SignedRevisionRow).where(SignedRevisionRow.document.in_(documents))
        ):
            found.revisions[revision.request].add(revision.sha256)
        return found


def told_about(session: Session, ids: Sequence[UUID]) -> defaultdict[UUID, Told]:
    """By what they are about."""
    told: defaultdict[UUID, Told] = defaultdict(Told)
    about: dict[UUID, UUID] = {}
    query = select(AuditRecordRow).where(AuditRecordRow.about.in_(ids)).order_by(AuditRecordRow.id)
    for row in session.scalars(query):
        if row.about is not None and (body := _body(row)) is not None:
            told[row.about].records.append(body)
            about[row.id] = row.about
    for detail in session.scalars(select(AuditDetailRow).where(AuditDetailRow.record.in_(about))):
        told[about[detail.record]].details[str(detail.record), detail.name] = detail.value
    return told


def _body(row: AuditRecordRow) -> dict[str, Any] | None:
    """What is no record is named by the check of the log."""
    try:
        body = json.loads(row.body)
        shaped = (
            isinstance(body, dict)
            and isinstance(body.get("facts"), dict)
            and isinstance(body.get("kind"), str)
        )
        return body if shaped and body.get("agency") == str(row.agency) else None
    except (ValueError, RecursionError):
        return None
