"""This file answers who holds a result in the hand: by code, or by the file itself (C1-C3).

- Unknown, unpublished and secret are one answer, given by the same single query.
- A brought file is looked up by the digests of its signed revisions, so that it is found even with bytes appended.
- What is shown is judged anew, never remembered from signing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import exists, select

from documents.codes import Codes
from documents.document import (
    Disclosure,
    Document,
    Documents,
    NoSuchDocument,
    RenditionKind,
    RequestState,
    read_document,
)
from documents.inspecting import NeedsPassword, Unreadable
from documents.judging import Judging
from documents.office import Caller, CallerKind
from documents.preview import Previews, PreviewUnavailable
from signing.verification.report import Report
from storage.database import WHOLE_SERVICE, Database, Door
from storage.schema import AgencyRow, DocumentRow, RenditionRow, SignedRevisionRow

# Asked within the one query: what is secret or not signed yet costs no more steps than what nobody knows (C2).
_PUBLISHED = (
    DocumentRow.disclosure != Disclosure.NONE.value,
    exists().where(
        RenditionRow.document == DocumentRow.id, RenditionRow.kind != RenditionKind.RECEIVED.value
    ),
)


@dataclass(frozen=True)
class Code:
    text: str  # in groups of four
    url: str


@dataclass(frozen=True)
class PublicResult:
    """What is known of a result; what of it may be shown is the page's duty by `disclosure` (C2)."""

    document: Document
    agency_name: str
    disclosure: Disclosure
    report: Report  # of the newest rendition, judged now
    signed_at: datetime | None


class Results:
    def __init__(
        self, db: Database, documents: Documents, *, codes: Codes, judging: Judging, previews: Previews,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._db, self._documents, self._codes = db, documents, codes
        self._judging, self._previews, self._clock = judging, previews, clock

    async def code_for(self, caller: Caller, document: Document) -> Code | None:
        """The code of a document of the caller's own agency. Raises NoSuchDocument."""
        if document.agency != caller.agency:
            raise NoSuchDocument(str(document.id))

        row = await self._db.read(caller.agency, lambda door: door.look(DocumentRow, document.id))
        sealed = row.code_sealed if row is not None else None
        if sealed is None:
            return None
        code = self._codes.open(sealed, document.id)
        return Code(self._codes.spaced(code), self._codes.url(code))

    async def look_up(self, typed: str) -> PublicResult | None:
        """By the code as somebody typed it."""
        code = self._codes.read(typed)
        # A code that fails its check is asked for all the same: the answer takes as long.
        digest = self._codes.hash(code or "")

        def work(session: Door) -> tuple[Document, str] | None:
            row = session.execute(
                select(DocumentRow.id, DocumentRow.agency, AgencyRow.short_name)
                .join(AgencyRow, AgencyRow.agency == DocumentRow.agency)
                .where(DocumentRow.code_hash == digest, *_PUBLISHED)
            ).first()
            return (read_document(session, row[1], row[0]), row[2]) if row else None

        return await self._result(await self._db.read(WHOLE_SERVICE, work))

    async def by_revisions(self, revisions: Iterable[str]) -> PublicResult | None:
        """By the SHA-256 of a brought file's signed revisions."""
        wanted = [one for one in revisions if one][:100]

        def work(session: Door) -> tuple[Document, str] | None:
            row = session.execute(
                select(SignedRevisionRow.document, SignedRevisionRow.agency, AgencyRow.short_name)
                .join(AgencyRow, AgencyRow.agency == SignedRevisionRow.agency)
                .join(DocumentRow, DocumentRow.id == SignedRevisionRow.document)
                .where(SignedRevisionRow.sha256.in_(wanted), *_PUBLISHED)
                .order_by(SignedRevisionRow.id.desc())
            ).first()
            return (read_document(session, row[1], row[0]), row[2]) if row else None

        return await self._result(await self._db.read(WHOLE_SERVICE, work) if wanted else None)

    async def first_page(self, result: PublicResult, *, width: int = 480) -> bytes | None:
        """PNG, or None where none can be made."""
        try:
            return await self._previews.page(
                _as_agency(result.document.agency), result.document, 1, width=width
            )
        except (PreviewUnavailable, NeedsPassword, Unreadable):
            return None

    def signed_file(self, result: PublicResult) -> AbstractAsyncContextManager[Path]:
        """The newest rendition, for whom all of it is shown."""
        return self._documents.open(_as_agency(result.document.agency), result.document)

    async def _result(self, found: tuple[Document, str] | None) -> PublicResult | None:
        if found is None:
            return None
        document, agency_name = found
        async with self._documents.open(_as_agency(document.agency), document) as path:
            report = await self._judging.of_kept(path, name=document.name, sha256=document.sha256 or "")
        signed = [
            one.ended_at for one in document.requests if one.state is RequestState.DONE and one.ended_at
        ]
        return PublicResult(document, agency_name, document.disclosure, report, max(signed, default=None))


def _as_agency(agency: UUID) -> Caller:
    """The public looks through the agency's own door, at what has been decided to be shown."""
    return Caller(agency, agency, CallerKind.OPERATOR, "public", "", "")
