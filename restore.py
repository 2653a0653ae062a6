"""A backup put back into an empty home: this file does it in the order that can be broken off.

1. The backup is whole, and nothing is where it shall go. From here on a mark says that this home is half restored: the
   service does not open it.
2. `kept`, each object against its name, held as long as it was; `working` has another day.
3. Secrets of the home, checkpoints that are not there, and the token's folder if its token has no book here: one that
   outlived the facts knows more than the backup.
4. The facts, brought to this program's schema.
5. One transaction opens the log's new generation, calls LOST what the token did since, and ends what may have been
   answered since (documents/restored.py).
6. The mark goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import backup_form as form
import ground
from backup import Told
from documents.restored import Settled, settle
from documents.trail import checkpoints_in
from ground import Times
from hsm import key_book, token_copy, use_log
from hsm.key import Purpose
from hsm.use_log import Use, read_uses
from settings import Settings
from storage import snapshot
from storage.database import WHOLE_SERVICE
from storage.durable import sync_folder
from storage.log.checkpoints import Checkpoint
from storage.log.sequencer import TURN
from storage.store import AlreadyKept, Damaged, NotKept, ObjectStore, WorkingName

OUTLIVES = {"token", "checkpoints"}  # what may be in the home before
WORKING_FOR = timedelta(days=1)
AT_ONCE = 8


class HomeNotEmpty(Exception):
    """Something lies where the backup shall go."""


class OtherDatabase(Exception):
    """The backup is of another kind of database than the settings name."""


@dataclass(frozen=True)
class Wish:
    """`backup`: its name, or the newest; `checkpoints` are brought from the second place."""

    by: str
    backup: str | None = None
    checkpoints: Sequence[Checkpoint] = ()


@dataclass(frozen=True)
class Restored:
    backup: str
    settled: Settled
    kept: int
    missing: Sequence[str]  # what the facts name and neither backup nor store has as it was kept
    uses_seen: bool  # whether the token's use log could be held against the facts


async def restore(settings: Settings, backups: Path, wish: Wish, *, times: Times, told: Told) -> Restored:
    """Raises NoBackup, BackupDamaged, HomeNotEmpty, NotEmpty,
    OtherDatabase, ProgramMissing, DatabaseUnavailable, StoreUnavailable, OSError."""
    # 1. The backup is whole, and nothing is where it shall go.
    folder = form.find(backups, wish.backup)
    manifest = await asyncio.to_thread(form.read, folder)
    if not settings.database.startswith(manifest.database):
        raise OtherDatabase(manifest.database)
    there = sorted(one.name for one in settings.home.iterdir()) if settings.home.exists() else []
    if left := [one for one in there if one not in OUTLIVES]:
        raise HomeNotEmpty(", ".join(left))
    password_file = settings.database_password_file
    snapshot.refuse_full(settings.database, password_file=password_file)
    form.make_private(settings.home)
    mark = settings.home / ground.HALF_RESTORED
    mark.write_text(f"{folder.name}\n")
    sync_folder(settings.home)

    # 2. `kept` and `working`.
    store = ground.store(settings)
    try:
        missing = await _keep(store, backups, folder, manifest, told)
        await _put(store, folder, times)
    finally:
        store.close()

    # 3. Secrets, checkpoints, token.
    for entry in sorted((folder / form.SECRETS).glob("*")):
        form.copy_tree(folder / form.SECRETS, entry.name, settings.home)
    known = [*wish.checkpoints, *(one.checkpoint for one in checkpoints_in(settings.checkpoints))]
    known += [one.checkpoint for one in checkpoints_in(folder / form.CHECKPOINTS)]
    for file in sorted((folder / form.CHECKPOINTS).glob("*.checkpoint")):
        if not (settings.checkpoints / file.name).exists():
            form.copy_file(file, settings.checkpoints / file.name)
    if manifest.token and not (settings.token / key_book.FILE).exists():
        await asyncio.to_thread(token_copy.copy_in, folder / form.TOKEN, settings.token)

    # 4. The facts.
    file = folder / snapshot.file_name(manifest.database)
    await asyncio.to_thread(snapshot.copy_in, settings.database, file, password_file=password_file)
    db = ground.database(settings)
    try:
        await asyncio.to_thread(db.migrate)

        # 5. One transaction.
        seen = (settings.token / use_log.FILE).exists()
        uses = await asyncio.to_thread(lambda: list(_of_documents(settings.token))) if seen else []
        facts = {"backup": folder.name, "made_at": manifest.made_at, "by": wish.by}
        work = partial(settle, now=times.wall(), known=known, uses=uses, facts=facts)
        settled = await db.transact(WHOLE_SERVICE, work, turn=TURN)
    finally:
        await db.close()

    # 6. The mark goes.
    mark.unlink()
    sync_folder(settings.home)
    return Restored(folder.name, settled, manifest.kept, missing, seen)


async def _keep(
    store: ObjectStore, backups: Path, folder: Path, manifest: form.Manifest, told: Told
) -> list[str]:
    """What is missing. Where the backup holds no objects the store's own copy is looked at."""
    missing, done, batch = list[str](), 0, list[form.Listed]()

    async def one(listed: form.Listed) -> str:
        file = form.place_of(backups, listed.name)
        try:
            if manifest.objects and not file.is_file():
                return str(listed.name)
            if manifest.objects:
                await store.kept.keep(listed.name, file, retain_until=listed.kept.retain_until)
            else:
                await store.kept.stat(listed.name)
        except (NotKept, AlreadyKept, Damaged):
            return str(listed.name)
        return ""

    with (folder / form.LIST).open() as lines:
        for line in lines:
            batch.append(form.Listed.read(line))
            done += 1
            if len(batch) == AT_ONCE or done == manifest.kept:
                missing += [name for name in await asyncio.gather(*map(one, batch)) if name]
                batch.clear()
                told("kept", done, manifest.kept)
    return missing


async def _put(store: ObjectStore, folder: Path, times: Times) -> None:
    for file in sorted((folder / form.WORKING).glob("*/*")):
        copy = store.scratch() / file.name
        form.copy_file(file, copy)  # the store may move what it is given
        name = WorkingName(UUID(file.parent.name), UUID(file.name))
        await store.working.put(name, copy, expires=times.wall() + WORKING_FOR)
        copy.unlink(missing_ok=True)


def _of_documents(token: Path) -> Iterator[Use]:
    """Uses of signing and seal keys. A request for a certificate is signed outside of any document, by no lease."""
    keys = {one.name for one in key_book.load(token).keys if one.purpose in {Purpose.SIGNING, Purpose.SEAL}}
    return (one for one in read_uses(token) if one.key in keys and one.lease > 0)
