"""A backup made while the service runs: this file copies facts, bytes and secrets in the order that holds.

    1. `working`: what the facts name of it now.
    2. The facts, all of one moment, and with them the list of what their rows name.
    3. `working` again: what came between.
    4. `kept`: a row is written after its object is kept, and nothing of ours deletes from `kept`, so that whatever the rows
       of that moment name is still there. The other way round a row could name what came after its copy.
    5. Secrets of the home, and the newest checkpoints, which may say more than the facts.
    6. The token's folder: its use log is never older than the facts. What was signed since is known by it, and the restore
       calls it LOST.
    7. The manifest, with the digest of every file: a folder without one is no backup.

- Durable work is not copied: the sweeps find all of it in the facts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

import backup_form as form
import ground
from documents.backup_names import begun_names, kept_names, working_names
from ground import Times
from hsm import key_book, token_copy
from settings import Settings
from storage import snapshot
from storage.database import WHOLE_SERVICE, Database
from storage.log.records import rfc3339
from storage.problem import Problem
from storage.schema import SERVICE
from storage.store import Damaged, KeptName, NotKept, ObjectStore, WorkingName

OF_THE_HOME = ("seal.key", "demonstration")
NEWEST = 100  # checkpoints: all of them lie in `kept` and in the second place
AT_ONCE = 8

Told = Callable[[str, int, int], None]  # of what, how many of how many


class NotReady(Exception):
    """The database is not one that can be copied."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(", ".join(f"{one.code}: {one.detail}" for one in problems))


class TokenOutOfReach(Exception):
    """The token's folder is not there for us to read, and nobody said to leave it out."""


@dataclass(frozen=True)
class Wish:
    """`objects`: whether `kept` is copied; a bucket that its provider copies elsewhere need not be."""

    objects: bool = True
    token: bool = True


@dataclass(frozen=True)
class Made:
    folder: Path
    kept: int  # objects that it names
    copied: int  # of them now; the others lay there
    missing: Sequence[str]  # what the facts name and the store does not give as it was kept


async def make(settings: Settings, backups: Path, wish: Wish, *, times: Times, told: Told) -> Made:
    """Raises NotReady, TokenOutOfReach, ProgramMissing, DatabaseUnavailable, StoreUnavailable, OSError, sqlite3.Error."""
    if wish.token and not os.access(settings.token / key_book.FILE, os.R_OK):
        raise TokenOutOfReach(str(settings.token))
    db, store = ground.database(settings), ground.store(settings)
    try:
        if problems := [one for one in db.check() if one.stops]:
            raise NotReady(problems)
        folder = backups / times.wall().strftime(form.NAMED)
        form.make_private(backups)
        folder.mkdir(mode=0o700)
        return await _Making(settings, db, store, backups, folder, told).run(wish, rfc3339(times.wall()))
    finally:
        store.close()
        await db.close()


@dataclass(frozen=True)
class _Making:
    settings: Settings
    db: Database
    store: ObjectStore
    backups: Path
    folder: Path
    told: Told

    async def run(self, wish: Wish, now: str) -> Made:
        # 1. `working`: what the facts name of it now.
        await self._copy_working(await self.db.read(WHOLE_SERVICE, working_names))

        # 2. The facts, all of one moment, and the list of what their rows name.
        begun, working = await self.db.read(WHOLE_SERVICE, self._moment)

        # 3. `working` again: what came between.
        await self._copy_working(working)

        # 4. `kept`: whatever the rows of that moment name is still there.
        named, copied, missing = await self._copy_kept(begun, objects=wish.objects)

        # 5. Secrets of the home, and the newest checkpoints.
        for name in OF_THE_HOME:
            form.copy_tree(self.settings.home, name, self.folder / form.SECRETS)
        for one in sorted(self.settings.checkpoints.glob("*.checkpoint"))[-NEWEST:]:
            form.copy_file(one, self.folder / form.CHECKPOINTS / one.name)

        # 6. The token's folder.
        if wish.token:
            await asyncio.to_thread(token_copy.copy_out, self.settings.token, self.folder / form.TOKEN)

        # 7. The manifest.
        manifest = form.Manifest(
            made_at=now, database=self.db.kind, objects=wish.objects, token=wish.token, kept=named, files={}
        )
        await asyncio.to_thread(form.close, self.folder, manifest)
        return Made(self.folder, named, copied, missing)

    def _moment(self, session: Session) -> tuple[list[KeptName], list[WorkingName]]:
        """One transaction that only reads."""
        settings, told = self.settings, partial(self.told, "facts")
        file = self.folder / snapshot.file_name(self.db.kind)
        snapshot.copy_out(
            session, settings.database, file, password_file=settings.database_password_file, told=told
        )
        begun = set(begun_names(session))
        with form.writing(self._names) as out:
            for one in kept_names(session):
                begun.discard(one)
                out.write(f"{one}\n")
        return list(begun), working_names(session)

    @property
    def _names(self) -> Path:
        return self.folder / f"{form.LIST}.names"

    async def _copy_working(self, names: Iterable[WorkingName]) -> None:
        for name in names:
            target = self.folder / form.WORKING / str(name)
            if target.exists():
                continue
            try:
                async with self.store.working.fetch(name) as path:
                    await asyncio.to_thread(form.copy_file, path, target)
            except NotKept:
                continue  # its request has just ended, or its time is over

    async def _copy_kept(self, begun: Sequence[KeptName], *, objects: bool) -> tuple[int, int, list[str]]:
        """How many are listed, how many of them were copied now, and what is not as it was kept."""
        with self._names.open() as lines:
            of = sum(1 for _ in lines) + len(begun)
        done, listed, copied, missing = 0, 0, 0, list[str]()
        with form.writing(self.folder / form.LIST) as out:
            async for batch in self._batches(begun):
                results = await asyncio.gather(*(self._copy_one(one, objects=objects) for one, _ in batch))
                for (name, certain), (line, new) in zip(batch, results, strict=True):
                    if line:
                        out.write(line)
                        listed, copied = listed + 1, copied + new
                    elif certain:
                        missing.append(str(name))
                done += len(batch)
                self.told("kept", done, max(of, done))
        self._names.unlink()
        return listed, copied, missing

    async def _batches(self, begun: Sequence[KeptName]) -> AsyncIterator[list[tuple[KeptName, bool]]]:
        """What rows name and must be there, what is perhaps there, and the checkpoints, which name themselves."""
        batch: list[tuple[KeptName, bool]] = []
        async for one in self._every(begun):
            batch.append(one)
            if len(batch) == AT_ONCE:
                yield batch
                batch = []
        yield batch

    async def _every(self, begun: Sequence[KeptName]) -> AsyncIterator[tuple[KeptName, bool]]:
        with self._names.open() as lines:
            for line in lines:
                yield form.name_of(line.strip()), True
        for one in begun:
            yield one, False
        async for one in self.store.kept.names(SERVICE):
            yield one, True

    async def _copy_one(self, name: KeptName, *, objects: bool) -> tuple[str, bool]:
        """Its line, or nothing where it is not as it was kept; and whether it was copied now."""
        target = form.place_of(self.backups, name)
        try:
            kept = await self.store.kept.stat(name)
            if not objects or (target.exists() and target.stat().st_size == kept.size):
                return form.Listed(name, kept).line(), False
            async with self.store.kept.fetch(name) as path:
                await asyncio.to_thread(form.copy_file, path, target)
        except (NotKept, Damaged):
            return "", False
        return form.Listed(name, kept).line(), True
