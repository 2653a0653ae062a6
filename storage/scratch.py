"""A place for files being made: this file gives each process a folder of its own and clears away those of the dead.

- Several processes share a home (the service, a command beside it), so none may empty the whole place: a folder is
  its process's while that holds the lock beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from storage.durable import make_folder


class Scratch:
    """Raises OSError."""

    def __init__(self, place: Path) -> None:
        make_folder(place)
        for lock in place.glob("*.lock"):
            _clear(lock)
        self.folder, self._lock = _claim(place)

    def close(self) -> None:
        if self._lock >= 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.with_suffix(".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def _claim(place: Path) -> tuple[Path, int]:
    while True:
        folder = place / secrets.token_hex(8)
        lock = folder.with_suffix(".lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Another process may have taken the new lock for a dead one's before we held it.
        if os.fstat(handle).st_nlink:
            folder.mkdir(mode=0o700)
            return folder, handle
        os.close(handle)


def _clear(lock: Path) -> None:
    try:
        handle = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its process lives
    else:
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)
    finally:
        os.close(handle)
