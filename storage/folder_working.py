"""What lies in a folder for a while: this file keeps the promise `WorkingSpace`.

- `<agency>/<UUID>`, fsynced and renamed to its name, the folder fsynced.
- The time it expires is its modification time: losing it costs nothing, and putting stays one fsync and one rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from storage.durable import Folders, sync_file, sync_folder
from storage.folder_access import Threads, begun, new_file, uuids
from storage.store import NotKept, WorkingName


class FolderWorking:
    def __init__(self, folder: Path, scratch: Path, threads: ThreadPoolExecutor) -> None:
        self._folder, self._scratch, self._run = folder, scratch, Threads(threads)
        self._folders = Folders(folder)

    async def put(self, name: WorkingName, source: Path, *, expires: datetime) -> None:
        await self._run(lambda: self._put(name, source, expires))

    def fetch(self, name: WorkingName) -> AbstractAsyncContextManager[Path]:
        return self._fetch(name)

    @asynccontextmanager
    async def _fetch(self, name: WorkingName) -> AsyncIterator[Path]:
        # A second name for it, so that it stays while it is read, whatever the sweep deletes.
        held = new_file(self._scratch)
        await self._run(lambda: _link(self._path(name), held, name))
        try:
            yield held
        finally:
            held.unlink(missing_ok=True)

    async def delete(self, name: WorkingName) -> None:
        await self._run(lambda: self._path(name).unlink(missing_ok=True))

    async def extend(self, name: WorkingName, *, expires: datetime) -> None:
        def work() -> None:
            path = self._path(name)
            if not path.exists():
                raise NotKept(str(name))
            _expire(path, expires)
            sync_file(path)

        await self._run(work)

    async def expired(self, now: datetime) -> AsyncIterator[WorkingName]:
        for agency in await self._run(lambda: uuids(self._folder)):
            found = await self._run(partial(_over, self._folder / str(agency), now))
            for id in found:
                yield WorkingName(agency, id)

    def _path(self, name: WorkingName) -> Path:
        return self._folder / str(name.agency) / str(name.id)

    def _put(self, name: WorkingName, source: Path, expires: datetime) -> None:
        path = self._path(name)
        self._folders.make(path.parent)
        if source.stat().st_dev == path.parent.stat().st_dev:
            _move(source, path, expires)
            return
        with begun(self._scratch) as copy:
            shutil.copyfile(source, copy)
            _move(copy, path, expires)


def _move(file: Path, path: Path, expires: datetime) -> None:
    _expire(file, expires)
    sync_file(file)
    file.rename(path)
    sync_folder(path.parent)


def _link(path: Path, held: Path, name: WorkingName) -> None:
    try:
        os.link(path, held)
    except FileNotFoundError:
        raise NotKept(str(name)) from None


def _expire(path: Path, at: datetime) -> None:
    seconds = at.timestamp()
    os.utime(path, (seconds, seconds))


def _over(folder: Path, now: datetime) -> list[UUID]:
    found = []
    for id in uuids(folder):
        try:
            if (folder / str(id)).stat().st_mtime <= now.timestamp():
                found.append(id)
        except FileNotFoundError:
            continue  # deleted meanwhile
    return found
