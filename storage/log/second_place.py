"""The second place of checkpoints, a folder that the database's administrator cannot reach: this file writes and reads it
(P4).

- A checkpoint is a file of its own, named by generation and size, and never written over: another of the same name is
  another log's.
- Between two checkpoints the file `head` says what the log is, unsigned: what is deleted before it is covered shows.
- A file is written under a hidden name first: one that its process did not live to rename says nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from storage.durable import sync_folder
from storage.log.checkpoints import Checkpoint, SignedCheckpoint
from storage.log.sequencer import Forked

ENDING = ".checkpoint"
HEAD = "head"
LARGEST = 64 * 1024  # bytes
MOST = 2_000_000  # files: four years of minutes

Place = tuple[int, int]  # generation and size


class SecondPlace:
    """Raises OSError where it is away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def take(self, signed: SignedCheckpoint) -> None:
        """Durable when it returns. Raises Forked."""
        await asyncio.to_thread(self._take, signed)

    async def after(self, generation: int, size: int) -> Sequence[SignedCheckpoint]:
        return await asyncio.to_thread(lambda: [
            one for name, one in self.read(lambda place: place >= (generation, size)) if name != HEAD
        ])  # fmt: skip

    async def note(self, head: Checkpoint) -> None:
        """It is lost with a power cut at worst."""
        await asyncio.to_thread(self._write, HEAD, SignedCheckpoint(head, None), durable=False)

    def writable(self) -> None:
        """Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        probe = self.folder / f".writable.{secrets.token_hex(8)}"
        probe.write_bytes(b"?")
        probe.unlink(missing_ok=True)

    def read(
        self, wanted: Callable[[Place], bool] = lambda _: True
    ) -> Iterator[tuple[str, SignedCheckpoint]]:
        """Name and checkpoint of each file whose name tells a place that is wanted, or none. What is no checkpoint is
        passed over. Blocks."""
        if not self.folder.exists():
            return
        names = sorted(one.name for one in os.scandir(self.folder) if not one.name.startswith("."))[-MOST:]
        for name in names:
            place = place_of(name)
            if place is not None and not wanted(place):
                continue
            file = self.folder / name
            if file.is_file() and file.stat().st_size <= LARGEST:
                try:
                    yield name, SignedCheckpoint.from_stored(file.read_bytes())
                except ValueError:
                    continue

    def _take(self, signed: SignedCheckpoint) -> None:
        at = signed.checkpoint
        name = f"{at.generation:06}-{at.size:012}{ENDING}"
        if (self.folder / name).exists():
            other = SignedCheckpoint.from_stored((self.folder / name).read_bytes())
            if other.checkpoint.root != at.root:
                raise Forked(f"generation {at.generation}, {at.size} records")
            return
        self._write(name, signed, durable=True)

    def _write(self, name: str, signed: SignedCheckpoint, *, durable: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f".{name}.{secrets.token_hex(8)}"  # two processes may take the same one there
        with new.open("wb") as out:
            out.write(signed.to_stored())
            if durable:
                out.flush()
                os.fsync(out.fileno())
        new.replace(self.folder / name)
        if durable:
            sync_folder(self.folder)


def place_of(name: str) -> Place | None:
    """What a file's name says of its checkpoint."""
    generation, dash, size = name.removesuffix(ENDING).partition("-")
    if not (name.endswith(ENDING) and dash and generation.isdecimal() and size.isdecimal()):
        return None
    return int(generation), int(size)
