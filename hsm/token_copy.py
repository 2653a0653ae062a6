"""The token's folder copied out while the token works, and put back: this file knows in which order.

- The book first, the token's own files after it, the use log last: whatever the copied book names is in the copied token,
  and whatever was signed with it until then stands in the copied log.
- The use log by SQLite's own backup: the token process goes on writing meanwhile.
- What is copied are secrets: mode 0600 in folders of 0700. A vendor's token keeps its keys itself; its folder holds book,
  log and, if at all, the PIN.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from hsm import key_book, use_log
from hsm.soft_token import SETTINGS

TOKENS = "tokens"
PLAIN = (key_book.FILE, SETTINGS, "pin", "pin-tried.json")


def copy_out(folder: Path, into: Path) -> None:
    """Durable once the folder is synced. Raises OSError, sqlite3.Error."""
    into.mkdir(mode=0o700)
    for name in PLAIN:
        if (folder / name).is_file():
            _copy(folder / name, into / name)
    if (folder / TOKENS).is_dir():
        _copy_tree(folder / TOKENS, into / TOKENS)
    _copy_log(folder / use_log.FILE, into / use_log.FILE)


def copy_in(copied: Path, folder: Path) -> None:
    """Into a folder without a book. The book comes last: a folder that has one is whole. Raises OSError."""
    if (folder / key_book.FILE).exists():
        raise FileExistsError(str(folder / key_book.FILE))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (copied / TOKENS).is_dir():
        _copy_tree(copied / TOKENS, folder / TOKENS)
    for name in (use_log.FILE, *reversed(PLAIN)):
        if (copied / name).is_file():
            _copy(copied / name, folder / name)
            if name == SETTINGS:
                _point(folder / name, folder)
    key_book.sync_folder(folder)


def _point(settings: Path, folder: Path) -> None:
    """SoftHSM is told its folder in full."""
    lines = [one for one in settings.read_text().splitlines() if "directories.tokendir" not in one]
    settings.write_text("\n".join([f"directories.tokendir = {(folder / TOKENS).absolute()}", *lines]) + "\n")


def _copy_log(file: Path, into: Path) -> None:
    os.close(os.open(into, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    address = f"{file.absolute().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=10.0)) as source,
        closing(sqlite3.connect(into)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def _copy_tree(folder: Path, into: Path) -> None:
    into.mkdir(mode=0o700, exist_ok=True)
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            _copy_tree(entry, into / entry.name)
        elif entry.is_file() and entry.suffix != ".lock":
            _copy(entry, into / entry.name)
    key_book.sync_folder(into)


def _copy(file: Path, into: Path) -> None:
    with (
        file.open("rb") as source,
        os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out,
    ):
        shutil.copyfileobj(source, out)
        out.flush()
        os.fsync(out.fileno())
