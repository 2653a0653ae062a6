"""`antin audit check` as the archive grows: this file measures that its cost is that of what is new.

- The rival is the same check with the same news over a smaller archive: a ratio near 1 means that age costs nothing.
- Both read again the share of old records that every check does; the smaller archive is as large as that share.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import insert
from sqlalchemy.orm import Session

from bench.table import Row, interleaved_async
from documents import checked
from documents.checked import RECORDS_AGAIN
from documents.log_keeper import KEY, LogKeeper
from documents.trail import Trail
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from storage.database import WHOLE_SERVICE, Database
from storage.folder_store import FolderStore
from storage.identifiers import uuid7
from storage.log.check import BLOCK
from storage.log.records import canonical, rfc3339
from storage.log.second_place import SecondPlace
from storage.schema import SERVICE, AuditRecordRow

NEW = 1000  # records since the last check
PIECE = 10_000


class Home:
    """A log of so many records that was found whole, and its news."""

    def __init__(self, folder: Path, db: Database, store: FolderStore) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vault = UnsafeMemoryVault()
        holder = Holder(HolderKind.SERVICE, SERVICE)
        key = KeyDescription(KEY, SERVICE, Purpose.AUDIT, holder, frozenset(), b"", (), ())
        vault.add(key, ec.generate_private_key(ec.SECP256R1()))
        self._db, self._folder, self._at = db, folder / "checkpoints", datetime.now(UTC)
        self._keeper = LogKeeper(db, store, vault, SecondPlace(self._folder), lambda: self._at)
        self._trail = Trail(db, lambda: self._at, keys=vault, elsewhere=self._folder)
        self._whole = b""

    async def fill(self, count: int) -> None:
        await self._tell(count)
        await self._trail.check()
        self._whole = (self._folder / checked.FILE).read_bytes() if count > BLOCK else b""
        await self._tell(NEW)

    async def check(self) -> None:
        if self._whole:
            (self._folder / checked.FILE).write_bytes(self._whole)  # as if these were the news each time
        found = await self._trail.check()
        if found.findings or not found.signatures:
            raise SystemExit(str(found))

    async def check_all(self) -> None:
        await self._trail.check(everything=True)

    async def _tell(self, count: int) -> None:
        for begin in range(0, count, PIECE):
            rows = [_row(self._at + timedelta(milliseconds=n)) for n in range(min(PIECE, count - begin))]
            self._at += timedelta(milliseconds=PIECE)
            await self._db.transact(WHOLE_SERVICE, partial(_insert, rows=rows))
            await self._keeper.catch_up()


def _insert(session: Session, rows: list[dict[str, UUID | bytes | None]]) -> None:
    session.execute(insert(AuditRecordRow), rows)


def _row(at: datetime) -> dict[str, UUID | bytes | None]:
    id = uuid7(at)
    body = {
        "v": 1, "id": str(id), "agency": str(SERVICE), "kind": "person.logged-in", "at": rfc3339(at), "about": None,
        "facts": {"by": "self", "person": str(SERVICE)}, "personal": {},
    }  # fmt: skip
    return {"id": id, "agency": SERVICE, "about": None, "body": canonical(body)}


@asynccontextmanager
async def _home(folder: Path, count: int) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        db = Database(f"sqlite:///{folder / 'antin.sqlite'}")
        stack.push_async_callback(db.close)
        db.migrate()
        store = FolderStore(folder / "store")
        stack.callback(store.close)
        home = Home(folder, db, store)
        await home.fill(count)
        yield home


async def measure(rounds: int, large: int) -> list[Row]:
    """`large`: records of the larger archive."""
    small = min(RECORDS_AGAIN, max(1, large // 4))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        async with _home(folder / "old", large) as old, _home(folder / "young", small) as young:
            aged, new = await interleaved_async(rounds, old.check, young.check)
            whole, again = await interleaved_async(max(1, rounds // 10), old.check_all, old.check)
    case = f"SQLite, an archive of {large:,} records: antin audit check, {NEW:,} new ones"
    print(f"audit: {large:,} records against {small:,}", file=sys.stderr)
    return [
        Row("database", case, aged, new, f"the same with {small:,}", "ms"),
        Row("database", f"{case}, --all", whole, again, "without --all", "ms"),
    ]
