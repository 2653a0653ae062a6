"""A folder keeps the bytes: this file keeps the promise `ObjectStore` on one host's own file system.

- Kept, working and scratch lie on one file system, so that a finished file gets its name by a link or a rename.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage.durable import make_folder
from storage.folder_access import faults, new_file
from storage.folder_kept import FolderKept
from storage.folder_working import FolderWorking
from storage.problem import Problem
from storage.scratch import Scratch

NEARLY_FULL = 1 << 30  # bytes
THREADS = 8


class FolderStore:
    """Raises StoreUnavailable where the folder cannot be made or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with faults():
            for space in ("kept", "working"):
                make_folder(folder / space)
            self._scratch = Scratch(folder / "scratch")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self.kept = FolderKept(folder / "kept", self._scratch.folder, self._threads)
        self.working = FolderWorking(folder / "working", self._scratch.folder, self._threads)

    def scratch(self) -> Path:
        return self._scratch.folder

    def check(self) -> list[Problem]:
        """`store-away`, `store-nearly-full`."""
        try:
            probe = new_file(self._scratch.folder)
            probe.write_bytes(b"probe")
            probe.unlink()
            free = shutil.disk_usage(self._folder).free
        except OSError as why:
            return [Problem("store-away", str(why))]
        if free < NEARLY_FULL:
            return [Problem("store-nearly-full", f"{free >> 20} MiB left", stops=False)]
        return []

    def close(self) -> None:
        self._threads.shutdown()
        self._scratch.close()
