"""What is kept in a folder: this file keeps the promise `KeptSpace`.

- `<agency>/<two hex digits>/<SHA-256>`, mode 0444. Written beside, fsynced, linked to its name (a link never
  overwrites), and the folder fsynced: then it would survive a power cut.
- The retention stands in a small file beside it, `<SHA-256>.until`, and is only lengthened. No door here deletes; who may
  write in the folder can, and the sweep that holds the log against the store names it (P2).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from storage.digests import copy_hashing, sha256_of
from storage.durable import Folders, sync_folder
from storage.folder_access import Threads, begun, entries, uuids
from storage.store import SHA256_HEX, AlreadyKept, Damaged, Kept, KeptName, NotKept, StoreUnavailable

READ_ONLY = 0o444


class FolderKept:
    def __init__(self, folder: Path, scratch: Path, threads: ThreadPoolExecutor) -> None:
        self._folder, self._scratch, self._run = folder, scratch, Threads(threads)
        self._folders = Folders(folder)

    async def keep(self, name: KeptName, source: Path, *, retain_until: datetime | None = None) -> None:
        await self._run(lambda: self._keep(name, source, retain_until))

    def fetch(self, name: KeptName) -> AbstractAsyncContextManager[Path]:
        return self._fetch(name)

    @asynccontextmanager
    async def _fetch(self, name: KeptName) -> AsyncIterator[Path]:
        path = self._path(name)
        await self._run(lambda: _verify(path, name))
        yield path

    async def stat(self, name: KeptName) -> Kept:
        path = self._path(name)
        return await self._run(lambda: Kept(_size(path, name), _until(path)))

    async def retain(self, name: KeptName, until: datetime) -> None:
        path = self._path(name)

        def work() -> None:
            _size(path, name)
            if self._lengthen(path, until):
                sync_folder(path.parent)

        await self._run(work)

    async def names(self, agency: UUID | None = None) -> AsyncIterator[KeptName]:
        agencies = [agency] if agency else await self._run(lambda: uuids(self._folder))
        for one in agencies:
            shelves = await self._run(partial(entries, self._folder / str(one)))
            for shelf in shelves:
                for entry in await self._run(partial(entries, shelf)):
                    if SHA256_HEX.fullmatch(entry.name):
                        yield KeptName(one, entry.name)

    def _path(self, name: KeptName) -> Path:
        return self._folder / str(name.agency) / name.sha256[:2] / name.sha256

    def _keep(self, name: KeptName, source: Path, retain_until: datetime | None) -> None:
        path = self._path(name)
        self._folders.make(path.parent)
        with begun(self._scratch) as new:
            with source.open("rb") as read, new.open("xb") as out:
                if copy_hashing(read, out) != name.sha256:
                    raise AlreadyKept(str(name))
                out.flush()
                os.fchmod(out.fileno(), READ_ONLY)
                os.fsync(out.fileno())
            if retain_until is not None:
                self._lengthen(path, retain_until)
            try:
                os.link(new, path)
            except FileExistsError:
                _verify(path, name)
        sync_folder(path.parent)  # also where it was there: whoever linked it may have died before this

    def _lengthen(self, path: Path, until: datetime) -> bool:
        """Whether the folder is to be fsynced for it."""
        shelf = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(shelf, fcntl.LOCK_EX)  # two at once: the longer one stands
            standing = _until(path)
            if standing is not None and standing >= until:
                return False
            with begun(self._scratch) as new:
                with new.open("x", encoding="ascii") as out:
                    out.write(until.astimezone(UTC).isoformat())
                    out.flush()
                    os.fchmod(out.fileno(), READ_ONLY)
                    os.fsync(out.fileno())
                new.rename(_beside(path))
            return True
        finally:
            os.close(shelf)


def _verify(path: Path, name: KeptName) -> None:
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise NotKept(str(name)) from None
    if found != name.sha256:
        raise Damaged(str(name))


def _size(path: Path, name: KeptName) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise NotKept(str(name)) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.until")


def _until(path: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(_beside(path).read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError as why:
        raise StoreUnavailable(f"{_beside(path)} holds no time") from why
