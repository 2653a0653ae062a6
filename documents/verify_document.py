"""This file judges what somebody brings, and keeps the answer for a quarter of an hour (C3)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from documents.document import Documents
from documents.intake import clean_name, land
from documents.judging import Judging
from documents.office import Caller
from documents.preview import Previews, PreviewUnavailable
from documents.results import PublicResult, Results
from signing.verification.report import Report
from signing.verification.stored import report_from_stored, to_stored
from storage.database import WHOLE_SERVICE, Database
from storage.folder_access import passing
from storage.identifiers import uuid7
from storage.schema import SERVICE, VerificationRow
from storage.store import NotKept, ObjectStore, WorkingName

ANSWER_LASTS = timedelta(minutes=15)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Brought:
    """The answer for a brought file. `token`, 256 random bits, is its only way in."""

    token: str
    report: Report
    name: str
    sha256: str
    size: int
    ours: PublicResult | None
    expires_at: datetime


@dataclass(frozen=True)
class Verifying:
    db: Database
    store: ObjectStore
    documents: Documents
    judging: Judging
    results: Results
    previews: Previews
    clock: Callable[[], datetime]
    limit: int  # bytes

    async def judge(
        self,
        chunks: AsyncIterator[bytes],
        *,
        name: str,
        declared_size: int | None,
        password: str | None = None,
    ) -> Report:
        """Judges and forgets: nothing of the file is left. Raises intake.NotAccepted, StoreUnavailable."""
        file = self.store.scratch() / f"{uuid7(self.clock())}.brought"
        with passing(file):
            landed = await land(chunks, file, limit=self.limit, declared=declared_size)
            return await self.judging.of_stranger(
                file, name=clean_name(name), sha256=landed.sha256, password=password
            )

    async def judge_empty(self, name: str) -> Report:
        """A file of no bytes."""
        file = self.store.scratch() / f"{uuid7(self.clock())}.brought"
        with passing(file):
            file.touch()
            return await self.judging.of_stranger(
                file, name=clean_name(name), sha256=hashlib.sha256().hexdigest()
            )

    async def bring(self, chunks: AsyncIterator[bytes], *, name: str, declared_size: int | None) -> Brought:
        """Judges, and keeps file and answer for ANSWER_LASTS. Raises intake.NotAccepted, StoreUnavailable."""
        now = self.clock()
        working = WorkingName(SERVICE, uuid7(now))
        file = self.store.scratch() / f"{working.id}.brought"
        shown = clean_name(name)
        with passing(file):
            landed = await land(chunks, file, limit=self.limit, declared=declared_size)
            report = await self.judging.of_stranger(file, name=shown, sha256=landed.sha256)
            ours = await self.results.by_revisions(one.signed_revision or "" for one in report.signatures)
            expires = self.clock() + ANSWER_LASTS
            await self.store.working.put(working, file, expires=expires)
        token = secrets.token_urlsafe(32)

        def work(session: Session) -> None:
            session.add(
                VerificationRow(
                    token_hash=_hash(token), agency=SERVICE, working=working.id, name=shown, sha256=landed.sha256,
                    size=landed.size, document=ours.document.id if ours else None, report=to_stored(report),
                    created_at=now, expires_at=expires,
                )
            )  # fmt: skip

        await self.db.transact(WHOLE_SERVICE, work)
        return Brought(token, report, shown, landed.sha256, landed.size, ours, expires)

    async def brought(self, token: str) -> Brought | None:
        """The answer again; None once its time is over."""
        row = await self._row(token)
        if row is None:
            return None
        report = report_from_stored(row.report)
        ours = await self.results.by_revisions(one.signed_revision or "" for one in report.signatures)
        return Brought(token, report, row.name, row.sha256, row.size, ours, row.expires_at)

    async def brought_page(self, token: str, page: int, *, width: int = 480) -> bytes | None:
        """PNG of a page of the brought file."""
        row = await self._row(token)
        if row is None:
            return None
        try:
            async with self.store.working.fetch(WorkingName(SERVICE, row.working)) as path:
                return await self.previews.render(path, page, width=width)
        except (NotKept, PreviewUnavailable):
            return None

    @asynccontextmanager
    async def signed_revision(self, token: str, number: int) -> AsyncIterator[Path]:
        """The brought file as it was when its signature `number` (from 0) was made (C3). Raises NotKept, also where
        these are not the bytes that were judged."""
        row = await self._row(token)
        signatures = report_from_stored(row.report).signatures if row is not None else ()
        one = signatures[number] if 0 <= number < len(signatures) else None
        if row is None or one is None or one.signed_size is None or one.signed_revision is None:
            raise NotKept("no such revision")
        file = self.store.scratch() / f"{uuid7(self.clock())}.revision"
        with passing(file):
            async with self.store.working.fetch(WorkingName(SERVICE, row.working)) as path:
                digest = await asyncio.to_thread(_copy_head, path, file, one.signed_size)
            if digest != one.signed_revision:
                raise NotKept("other bytes than those that were judged")
            yield file

    async def signed_page(self, token: str, number: int, page: int, *, width: int = 480) -> bytes | None:
        """PNG of a page of that revision."""
        try:
            async with self.signed_revision(token, number) as path:
                return await self.previews.render(path, page, width=width)
        except (NotKept, PreviewUnavailable):
            return None

    async def codes_in_photo(self, chunks: AsyncIterator[bytes]) -> list[str]:
        """What the QR codes in a photo say; nothing of it is left. Raises intake.NotAccepted, PreviewUnavailable."""
        file = self.store.scratch() / f"{uuid7(self.clock())}.photo"
        with passing(file):
            await land(chunks, file, limit=self.limit, declared=None)
            return await self.previews.read_codes(file)

    async def verify_kept(self, caller: Caller, document: UUID, ordinal: int | None = None) -> Report:
        """Judges a rendition of the caller's agency. Raises NoSuchDocument, StoreUnavailable, Damaged."""
        found = await self.documents.get(caller, document)
        chosen = next((one for one in found.renditions if one.ordinal == ordinal), None)
        sha256 = (chosen.sha256 if chosen else found.sha256) or ""
        async with self.documents.open(caller, found, ordinal) as path:
            return await self.judging.of_kept(path, name=found.name, sha256=sha256)

    async def sweep(self) -> None:
        """Answers whose time is over go; their files go with the sweep of `working`."""
        now = self.clock()
        await self.db.transact(
            WHOLE_SERVICE,
            lambda s: s.execute(delete(VerificationRow).where(VerificationRow.expires_at <= now)),
        )

    async def _row(self, token: str) -> VerificationRow | None:
        now = self.clock()

        def work(session: Session) -> VerificationRow | None:
            row = session.get(VerificationRow, _hash(token))
            if row is None or row.expires_at <= now:
                return None
            session.expunge(row)
            return row

        return await self.db.read(SERVICE, work)


def _copy_head(source: Path, out: Path, size: int) -> str:
    """The first `size` bytes of a file; their SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as opened, out.open("xb") as copied:
        while size > 0 and (piece := opened.read(min(CHUNK, size))):
            digest.update(piece)
            copied.write(piece)
            size -= len(piece)
    return digest.hexdigest()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
