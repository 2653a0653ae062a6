"""How a folder keeper reaches its file system: this file turns its faults into one, and names what lies in a folder."""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from storage.store import StoreUnavailable

T = TypeVar("T")

# What a disk says that is full, worn out, or not to be written any more; and what stands where scratch is not there.
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})
AWAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE})


@contextmanager
def faults() -> Iterator[None]:
    """Every fault of the file system is StoreUnavailable."""
    try:
        yield
    except OSError as why:
        raise StoreUnavailable(str(why)) from why


@contextmanager
def disk_faults(said: frozenset[int] = DISK) -> Iterator[None]:
    """Around work with files in scratch: what the disk cannot do is StoreUnavailable. Other OSErrors (a line that was cut,
    a time that is over, a program that is not installed) stay what they are."""
    try:
        yield
    except OSError as why:
        if why.errno not in said:
            raise
        raise StoreUnavailable(str(why)) from why


@contextmanager
def passing(file: Path) -> Iterator[Path]:
    """A file in scratch, gone at the end. Its disk's faults, a folder that is away among them, are StoreUnavailable, also
    where it cannot be removed: then what went wrong before is the answer, and scratch is cleared by its sweep."""
    with disk_faults(DISK | AWAY):
        try:
            yield file
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)


class Threads:
    """Runs blocking work beside the event loop."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def __call__(self, run: Callable[[], T]) -> T:
        def guarded() -> T:
            with faults():
                return run()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)


def entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def uuids(folder: Path) -> list[UUID]:
    """What bears a UUID for its name; other things are not of ours."""
    found = []
    for entry in entries(folder):
        try:
            found.append(UUID(entry.name))
        except ValueError:
            continue
    return found


@contextmanager
def begun(scratch: Path) -> Iterator[Path]:
    """A file being made: what is left of it under this name at the end goes, so that a full disk stays no fuller."""
    new = new_file(scratch)
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def new_file(scratch: Path) -> Path:
    """A name that nothing bears."""
    return scratch / secrets.token_hex(12)
