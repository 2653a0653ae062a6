"""This file counts what waits and how it ended, for `/metrics`: by an index, never by reading the archive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from documents.requests import OPEN
from storage.database import WHOLE_SERVICE, Database
from storage.schema import AuditRecordRow, IntentRow, SigningRequestRow


async def counts(db: Database) -> dict[str, float]:
    """Gauges by name: open requests by state, the age of the oldest is left to `signing_oldest_request` (seconds since
    the epoch of its making), open intents, audit records that wait for their number. Raises DatabaseUnavailable."""

    def work(session: Session) -> dict[str, float]:
        found = {f"signing_requests_{state.lower()}": 0.0 for state in OPEN}
        requests = (
            select(SigningRequestRow.state, func.count())
            .where(SigningRequestRow.state.in_(OPEN))
            .group_by(SigningRequestRow.state)
        )
        for state, count in session.execute(requests):
            found[f"signing_requests_{state.lower()}"] = float(count)
        oldest: datetime | None = session.scalar(
            select(func.min(SigningRequestRow.created_at)).where(SigningRequestRow.state.in_(OPEN))
        )
        found["signing_oldest_request"] = oldest.timestamp() if oldest else 0.0
        for state in ("OPEN", "LOST"):
            query = select(func.count()).select_from(IntentRow).where(IntentRow.state == state)
            found[f"intents_{state.lower()}"] = float(session.scalar(query) or 0)
        waiting = select(func.count()).select_from(AuditRecordRow).where(AuditRecordRow.generation.is_(None))
        found["audit_records_waiting"] = float(session.scalar(waiting) or 0)
        return found

    return await db.read(WHOLE_SERVICE, work)
