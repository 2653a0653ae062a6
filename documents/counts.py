"""This file counts what waits and how it ended, for `/metrics`: by an index, never by reading the archive.

- Every passing state of a request has an owner, who is to end it, and a time limit; what is older is told as stuck.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from documents.document import RequestState
from documents.leases import SET_ASIDE_AFTER
from documents.requests import HOLDER_ANSWERS_WITHIN, OPEN
from storage.database import WHOLE_SERVICE, Database
from storage.problem import Problem
from storage.schema import AuditRecordRow, IntentRow, KeptFaultRow, ScrubRow, SigningRequestRow


@dataclass(frozen=True)
class Passing:
    """A state that is none to stay in."""

    limit: timedelta  # since the request was made
    owner: str  # who ends it


# The sweep of requests, every 15 seconds, takes up each of them; beyond the limit it waits for its owner in vain.
PASSING = {
    RequestState.RECORDED: Passing(timedelta(minutes=30), "requests.take-up"),
    RequestState.PREPARED: Passing(
        HOLDER_ANSWERS_WITHIN + timedelta(minutes=30), "the key's holder or token"
    ),
    RequestState.TIMESTAMP_PENDING: Passing(timedelta(hours=24), "the time-stamp authority"),
    RequestState.REVOCATION_PENDING: Passing(timedelta(days=7), "the certificate's issuer (CRL, OCSP)"),
}
SHOWN = 20


async def stuck(db: Database, now: datetime) -> list[Problem]:
    """`request-set-aside` with its reason, `stuck` for each state with its owner. Raises DatabaseUnavailable."""
    row = SigningRequestRow

    def work(session: Session) -> list[Problem]:
        aside = select(row.id, row.failures, row.failing).where(
            row.state.in_(OPEN), row.failures >= SET_ASIDE_AFTER
        )
        found = [
            Problem("request-set-aside", f"{request}: {why} ({failures})", stops=False)
            for request, failures, why in session.execute(aside.order_by(row.id).limit(SHOWN))
        ]
        for state, passing in PASSING.items():
            late = select(func.count(), func.min(row.created_at)).where(
                row.state == state.value, row.created_at < now - passing.limit
            )
            count, oldest = session.execute(late).one()
            if count:
                told = f"{state.value}: {count}, {oldest:%Y-%m-%dT%H:%MZ}, {passing.owner}"
                found.append(Problem("stuck", told, stops=False))
        return found

    return await db.read(WHOLE_SERVICE, work)


async def counts(db: Database) -> dict[str, float]:
    """Gauges by name: open requests by state, the age of the oldest is left to `signing_oldest_request` (seconds since
    the epoch of its making), open intents, audit records that wait for their number, kept objects that
    are not as they were, and when all was last read through (seconds since the epoch). Raises DatabaseUnavailable."""

    def work(session: Session) -> dict[str, float]:
        found = {f"signing_requests_{state.lower()}": 0.0 for state in OPEN}
        requests = (
            select(SigningRequestRow.state, func.count())
            .where(SigningRequestRow.state.in_(OPEN))
            .group_by(SigningRequestRow.state)
        )
        for state, count in session.execute(requests):
            found[f"signing_requests_{state.lower()}"] = float(count)
        aside = select(func.count()).where(
            SigningRequestRow.state.in_(OPEN), SigningRequestRow.failures >= SET_ASIDE_AFTER
        )
        found["signing_requests_set_aside"] = float(session.scalar(aside) or 0)
        oldest: datetime | None = session.scalar(
            select(func.min(SigningRequestRow.created_at)).where(SigningRequestRow.state.in_(OPEN))
        )
        found["signing_oldest_request"] = oldest.timestamp() if oldest else 0.0
        for state in ("OPEN", "LOST"):
            query = select(func.count()).select_from(IntentRow).where(IntentRow.state == state)
            found[f"intents_{state.lower()}"] = float(session.scalar(query) or 0)
        waiting = select(func.count()).select_from(AuditRecordRow).where(AuditRecordRow.generation.is_(None))
        found["kept_faults"] = float(session.scalar(select(func.count()).select_from(KeptFaultRow)) or 0)
        whole: datetime | None = session.scalar(select(ScrubRow.ended_at))
        found["kept_read_through"] = whole.timestamp() if whole else 0.0
        found["audit_records_waiting"] = float(session.scalar(waiting) or 0)
        return found

    return await db.read(WHOLE_SERVICE, work)
