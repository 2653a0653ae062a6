"""This file shows pages as images, made in a child process and kept for a while in `working`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from documents.document import Document, Documents
from documents.inspecting import NeedsPassword, Unreadable, page_size, read_codes, render_page
from documents.office import Caller
from signing.workshop import Workshop, WorkshopFailed
from storage.folder_access import passing
from storage.store import NotKept, ObjectStore, StoreUnavailable, WorkingName

WIDTHS = (240, 480, 800, 1200)  # pixels; others are rounded up, so that nobody fills the space with sizes
KEPT_FOR = timedelta(days=3)
SECONDS, MEMORY = 20.0, 1 << 30
FAILED_FOR = timedelta(minutes=10)  # a page that took all of that is not drawn again at once
REMEMBERED = 1024
NAMESPACE = UUID("6f5a0d1c-94a1-4b52-9f3e-0a6d1c2b7e10")


class PreviewUnavailable(Exception):
    """No picture can be made: `why` is `password`, `unreadable` or `limit`. The document itself is untouched."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Previews:
    def __init__(
        self, documents: Documents, store: ObjectStore, workshop: Workshop, clock: Callable[[], datetime]
    ) -> None:
        self._documents, self._store, self._workshop, self._clock = documents, store, workshop, clock
        self._failed: dict[
            WorkingName, datetime
        ] = {}  # pages beyond our limits, and for how long they are left alone

    async def page(self, caller: Caller, document: Document, page: int, *, width: int = 800) -> bytes:
        """PNG of a page (from 1) of the newest rendition. Raises PreviewUnavailable, NoSuchDocument."""
        wide = _rounded(width)
        name = self._name(document.agency, document.sha256 or "", page, wide)
        if (cached := await self._cached(name)) is not None:
            return cached
        if self._failed.get(name, self._clock()) > self._clock():
            raise PreviewUnavailable("limit")
        async with self._documents.open(caller, document) as path:
            try:
                picture = await self.render(path, page, width=wide)
            except PreviewUnavailable as failed:
                self._note(name, failed.why)
                raise
        await self._keep(name, picture)
        return picture

    async def size(self, caller: Caller, document: Document, page: int) -> tuple[float, float]:
        """Width and height in points of a page (from 1) as it is shown. Raises PreviewUnavailable, NoSuchDocument."""
        async with self._documents.open(caller, document) as path:
            wide, high = await self._look(self._workshop.run, page_size, path, page)
        return wide, high

    async def render(self, path: Path, page: int, *, width: int) -> bytes:
        """PNG, without the cache. Raises PreviewUnavailable."""
        picture: bytes = await self._look(self._workshop.run_beside, render_page, path, page, _rounded(width))
        return picture

    async def read_codes(self, photo: Path) -> list[str]:
        """What the QR codes in a photo (JPEG, PNG) say. Raises PreviewUnavailable."""
        said: list[str] = await self._look(self._workshop.run_beside, read_codes, photo)
        return said

    async def _look(
        self, run: Callable[..., Awaitable[Any]], function: Callable[..., Any], *args: Any
    ) -> Any:
        try:
            return await run(function, *args, seconds=SECONDS, memory=MEMORY)
        except NeedsPassword as why:
            raise PreviewUnavailable("password") from why
        except Unreadable as why:
            raise PreviewUnavailable("unreadable") from why
        except WorkshopFailed as why:
            raise PreviewUnavailable("limit") from why

    def _note(self, name: WorkingName, why: str) -> None:
        if why == "limit":
            if len(self._failed) >= REMEMBERED:
                self._failed.clear()
            self._failed[name] = self._clock() + FAILED_FOR

    async def _cached(self, name: WorkingName) -> bytes | None:
        try:
            async with self._store.working.fetch(name) as path:
                return path.read_bytes()
        except (NotKept, StoreUnavailable):
            return None

    async def _keep(self, name: WorkingName, picture: bytes) -> None:
        file = self._store.scratch() / f"{name.id}.{id(picture)}.png"
        with suppress(StoreUnavailable), passing(file):  # the picture is shown all the same
            file.write_bytes(picture)
            await self._store.working.put(name, file, expires=self._clock() + KEPT_FOR)

    @staticmethod
    def _name(agency: UUID, sha256: str, page: int, width: int) -> WorkingName:
        return WorkingName(agency, uuid5(NAMESPACE, f"{agency}/{sha256}/{page}/{width}"))


def _rounded(width: int) -> int:
    return next((one for one in WIDTHS if one >= width), WIDTHS[-1])
