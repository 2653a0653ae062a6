"""What a backup looks like: this file writes and reads its manifest, and copies its files.

- `DIR/<time>/` is one backup, whole with what it names in `DIR/kept/`, which all backups there share.
- `manifest.json` is written last and holds the digest of every file beside it; `kept.list` names the objects, a line each:
  name, size and the time until which it is held, or `-`.
- Folders are 0700 and files 0600: key files lie in them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from storage.digests import copy_hashing, sha256_of
from storage.durable import sync_file, sync_folder
from storage.store import Kept, KeptName

FORM = 1
MANIFEST, LIST = "manifest.json", "kept.list"
KEPT, WORKING, SECRETS, TOKEN, CHECKPOINTS = "kept", "working", "home", "token", "checkpoints"
NAMED = "%Y%m%dT%H%M%SZ"


class NoBackup(Exception):
    """There is no backup there, or none of that name that came to its end."""


class BackupDamaged(Exception):
    """A file is missing, or is not what the manifest says."""


@dataclass(frozen=True)
class Manifest:
    made_at: str  # RFC 3339
    database: str  # sqlite | postgresql
    objects: bool  # whether what it names lies in `kept` here; otherwise the store has a copy of its own
    token: bool
    kept: int
    files: dict[str, str]  # path below the folder -> SHA-256
    form: int = FORM


@dataclass(frozen=True)
class Listed:
    name: KeptName
    kept: Kept

    def line(self) -> str:
        until = self.kept.retain_until
        return f"{self.name} {self.kept.size} {until.isoformat() if until else '-'}\n"

    @staticmethod
    def read(line: str) -> Listed:
        """Raises ValueError."""
        name, size, until = line.split()
        return Listed(name_of(name), Kept(int(size), None if until == "-" else datetime.fromisoformat(until)))


def name_of(text: str) -> KeptName:
    """Raises ValueError."""
    agency, _, sha256 = text.partition("/")
    return KeptName(UUID(agency), sha256)


def place_of(backups: Path, name: KeptName) -> Path:
    return backups / KEPT / str(name.agency) / name.sha256[:2] / name.sha256


def close(folder: Path, manifest: Manifest) -> None:
    """The backup is one from here on, also after a power cut."""
    for entry in [folder, *folder.rglob("*")]:
        (sync_folder if entry.is_dir() else sync_file)(entry)
    files = {str(one.relative_to(folder)): sha256_of(one) for one in _files(folder)}
    new = folder / f"{MANIFEST}.new"
    with writing(new) as out:
        out.write(json.dumps(asdict(manifest) | {"files": files}, indent=1, sort_keys=True) + "\n")
    sync_file(new)
    new.rename(folder / MANIFEST)
    sync_folder(folder)
    sync_folder(folder.parent)


def find(backups: Path, name: str | None) -> Path:
    """The newest that came to its end, or the one of this name. Raises NoBackup."""
    found = [one.parent for one in sorted(backups.glob(f"*/{MANIFEST}")) if name in {None, one.parent.name}]
    if not found:
        raise NoBackup(str(backups / name if name else backups))
    return found[-1]


def read(folder: Path) -> Manifest:
    """Every file beside it is as it says. Raises BackupDamaged, OSError."""
    try:
        plain: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        manifest = Manifest(**plain)
    except (ValueError, TypeError) as wrong:
        raise BackupDamaged(str(folder / MANIFEST)) from wrong
    if manifest.form != FORM:
        raise BackupDamaged(f"{folder / MANIFEST}: form {manifest.form}")
    for name, sha256 in manifest.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise BackupDamaged(str(folder / name))
    return manifest


def copy_file(file: Path, into: Path) -> str:
    """Its SHA-256. Whole and durable under its name, or not there."""
    make_private(into.parent)
    new = into.with_name(f".{into.name}.new")
    with file.open("rb") as source, os.fdopen(_create(new), "wb") as out:
        digest = copy_hashing(source, out)
        out.flush()
        os.fsync(out.fileno())
    new.rename(into)
    sync_folder(into.parent)
    return digest


def writing(file: Path) -> TextIO:
    return os.fdopen(_create(file), "w")


def copy_tree(top: Path, name: str, into: Path) -> None:
    """A file, or what lies below a folder, under the same name; locks and sockets are no content."""
    entry = top / name
    for one in [entry] if entry.is_file() else _files(entry):
        if one.suffix != ".lock":
            copy_file(one, into / one.relative_to(top))


def make_private(folder: Path) -> None:
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def _create(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.rglob("*")):
        if entry.is_file() and entry.name != MANIFEST:
            yield entry
