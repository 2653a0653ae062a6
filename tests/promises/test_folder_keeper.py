"""What only a folder can suffer: bits that flip, disks that fill up, names that are not durable yet."""

from __future__ import annotations

import os
import resource
import secrets
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from storage.folder_store import FolderStore
from storage.store import (
    Damaged,
    StoreUnavailable,
    WorkingName,
)
from tests.promises.stores import LATER, name_of


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[FolderStore]:
    made = FolderStore(tmp_path / "store")
    yield made
    made.close()


async def test_a_flipped_bit_in_the_folder_is_found(folder: FolderStore, tmp_path: Path) -> None:
    content = os.urandom(5000)
    name, source = name_of(content), folder.scratch() / "source"
    source.write_bytes(content)
    await folder.kept.keep(name, source)
    path = tmp_path / "store" / "kept" / str(name.agency) / name.sha256[:2] / name.sha256
    assert path.stat().st_mode & 0o777 == 0o444
    path.chmod(0o644)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(Damaged):
        async with folder.kept.fetch(name):
            pass
    with pytest.raises(Damaged):
        await folder.kept.keep(name, source)


async def test_bytes_and_every_name_are_durable_before_the_answer(
    folder: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; the folders' own names too, though another process made them and died before it had fsynced."""
    content = os.urandom(5000)
    name, source = name_of(content), folder.scratch() / "source"
    kept = tmp_path / "store" / "kept"
    shelf = kept / str(name.agency) / name.sha256[:2]
    shelf.mkdir(parents=True)
    source.write_bytes(content)
    done: list[str] = []
    fsync, link, rename = os.fsync, os.link, Path.rename
    known = {one.stat().st_ino: one.name or "kept" for one in (kept, shelf.parent, shelf)}

    def synced(handle: int) -> None:
        fsync(handle)
        done.append(f"fsync {known.get(os.fstat(handle).st_ino, 'file')}")

    def linked(old: Path, new: Path) -> None:
        link(old, new)
        done.append("link")

    def renamed(old: Path, new: Path) -> Path:
        done.append("rename")
        return rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(Path, "rename", renamed)
    await folder.kept.keep(name, source, retain_until=LATER)
    names = [f"fsync {one.name}" for one in (kept, shelf.parent)]
    end = [f"fsync {shelf.name}"]
    assert done == [*names, "fsync file", "fsync file", "rename", "link", *end]
    done.clear()
    await folder.kept.keep(name, source, retain_until=LATER)
    assert done == ["fsync file", *end]


async def test_what_cannot_be_written_to_its_end_leaves_nothing(folder: FolderStore, tmp_path: Path) -> None:
    """Half a file in scratch would keep a full disk full until the next start."""
    content, elsewhere = os.urandom(900_000), Path("/dev/shm") / secrets.token_hex(8)
    elsewhere.write_bytes(content)  # another file system: it has to be copied
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        with pytest.raises(StoreUnavailable):
            await folder.kept.keep(name_of(content), elsewhere, retain_until=LATER)
        with pytest.raises(StoreUnavailable):
            await folder.working.put(WorkingName(uuid4(), uuid4()), elsewhere, expires=LATER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        elsewhere.unlink()
    assert list(folder.scratch().iterdir()) == []
    assert [one for one in (tmp_path / "store").rglob("*") if one.is_file() and one.suffix != ".lock"] == []


async def test_a_place_that_cannot_be_written_is_told(folder: FolderStore, tmp_path: Path) -> None:
    name, source = name_of(b"x"), folder.scratch() / "source"
    source.write_bytes(b"x")
    (tmp_path / "store" / "kept" / str(name.agency)).write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        await folder.kept.keep(name, source)


def test_scratch_of_the_dead_is_cleared_and_of_the_living_not(tmp_path: Path) -> None:
    dead = tmp_path / "store" / "scratch" / "0123456789abcdef"
    dead.mkdir(parents=True)
    (dead / "half.pdf").write_bytes(b"half")
    dead.with_suffix(".lock").touch()
    living = FolderStore(tmp_path / "store")
    (living.scratch() / "mine.pdf").write_bytes(b"mine")
    other = FolderStore(tmp_path / "store")
    assert not dead.exists()
    assert (living.scratch() / "mine.pdf").exists()
    for one in (living, other):
        one.close()
    assert list((tmp_path / "store" / "scratch").iterdir()) == []
