"""What a copy of the facts needs beside it: this file names the objects that its rows name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from documents.requests import OPEN
from storage.schema import DocumentRow, EvidenceRow, RenditionRow, RevocationAnswerRow, SigningRequestRow
from storage.store import KeptName, WorkingName

PIECE = 1000


def kept_names(session: Session) -> Iterator[KeptName]:
    """Each once. A row is written after its object is kept, and nothing of ours deletes from `kept`: whatever the rows of a
    moment name is there at that moment and ever after."""
    rows = (RenditionRow, EvidenceRow, RevocationAnswerRow)
    every = union(*(select(one.agency, one.sha256) for one in rows)).subquery()
    for agency, sha256 in session.execute(select(every).execution_options(yield_per=PIECE)):
        yield KeptName(agency, sha256)


def begun_names(session: Session) -> Iterator[KeptName]:
    """What open requests were about to keep: it may be kept already or not. Whoever goes on looks for it, and so gives out
    the same file and not another."""
    open_ones = select(SigningRequestRow.agency, SigningRequestRow.finished).where(
        SigningRequestRow.state.in_(OPEN)
    )
    for agency, finished in session.execute(open_ones):
        yield from _of(agency, finished or {})


def _of(agency: UUID, finished: dict[str, Any]) -> Iterator[KeptName]:
    for sha256 in [finished.get("sha256"), *(digest for _, digest in finished.get("evidence", ()))]:
        if sha256:
            yield KeptName(agency, sha256)


def working_names(session: Session) -> list[WorkingName]:
    """Uploads that no request has taken up, and what open requests have prepared."""
    uploads = select(DocumentRow.agency, DocumentRow.working).where(DocumentRow.working.is_not(None))
    prepared = select(SigningRequestRow.agency, SigningRequestRow.working).where(
        SigningRequestRow.state.in_(OPEN), SigningRequestRow.working.is_not(None)
    )
    found = [*session.execute(uploads), *session.execute(prepared)]
    return [WorkingName(agency, id) for agency, id in found if id is not None]
