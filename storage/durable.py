"""What survives a power cut: this file holds the few steps that make a file and its name durable on this host.

- A file is durable when it was fsynced, its name when its folder was. A folder just made is a name in its parent.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Folders:
    """Makes folders below one that is durable. Each is fsynced into its parent once a process, also where it is there
    already: who made it a moment ago may die before doing so."""

    def __init__(self, root: Path) -> None:
        self._durable = {root}

    def make(self, folder: Path) -> None:
        if folder in self._durable and folder.is_dir():
            return
        self.make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        self._durable.add(folder)


def make_folder(folder: Path) -> None:
    """Makes it and the missing ones above it, each name durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
