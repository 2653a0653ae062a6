"""A durable commit of the story, against the same statements given to the driver itself: this file measures both keepers.

- The commit is that of an intent (`documents/progress.py`): the request's row is looked at, an intent and an audit record
  are written. The rivals have the same schema and pragmas (SQLite: WAL, FULL) or the same scope set (PostgreSQL), rows
  that are ready made, and no rule to hold.
- 32 works at once: the rival's one connection commits each by itself, ours shares commits.
- As the archive grows the rival is the same work in a small one: a ratio near 1 means that age costs nothing.
- Where there is no PostgreSQL its rows are missing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import insert

from bench import audit
from bench.table import Row, interleaved_async, show
from documents.document import Documents, DocumentState, RequestState
from documents.office import Caller, CallerKind
from documents.progress import Progress
from documents.requests import Base, Held
from documents.wish import SignWish, wish_to_stored
from signing import pades
from signing.prepared import PreparedSignature
from storage.database import WHOLE_SERVICE, Database, Door
from storage.folder_store import FolderStore
from storage.identifiers import uuid7
from storage.log.records import canonical, record
from storage.schema import AuditRecordRow, DocumentRow, IntentRow, SigningRequestRow
from storage.schema import Row as TableRow
from tests import servers
from tests.papers import letter
from tests.rooms.signing import pens

ROUNDS, AT_ONCE = 60, 32
SMALL, LARGE = 100, 100_000  # documents
SQLITE_PEER, PG_PEER = "sqlite3, the same pragmas", "psycopg"
AGENCY = pens.AGENCY
PERSON = Caller(pens.PERSON, AGENCY, CallerKind.PERSON, "Trần Thị Bình", "Chủ tịch", "UBND xã An Phước")
SHA256 = "0" * 64
INTENT = (
    "INSERT INTO intents (id, agency, request, ordinal, key, digest, lease, state, created_at) VALUES ({})"
)
RECORD = "INSERT INTO audit_records (id, agency, about, body) VALUES ({})"
LOOK = "SELECT * FROM signing_requests WHERE id = {}"


def main(rounds: int = ROUNDS, large: int = LARGE) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared = _prepared(folder)
        rows = asyncio.run(_sqlite(folder, prepared, rounds, large))
        rows += asyncio.run(audit.measure(max(1, rounds // 6), large))
        try:
            server = stack.enter_context(servers.postgresql())
        except servers.Missing as why:
            print(f"PostgreSQL is not measured: {why}", file=sys.stderr)
        else:
            url = stack.enter_context(servers.new_database(server))
            rows += asyncio.run(_postgresql(server, url, prepared, rounds))
    show(rows)


def _prepared(folder: Path) -> PreparedSignature:
    source = folder / "paper.pdf"
    source.write_bytes(letter())
    return pades.prepare(source, folder / "prepared.pdf", wish=pens.PLAIN, signer=pens.pen().signer)


# -- the archive


def _now() -> datetime:
    return datetime.now(UTC)


def _archive(db: Database, prepared: PreparedSignature, count: int) -> list[Held]:
    """So many signed documents with what was written down about each. The last ones' requests are open again, in our
    hands."""
    stored, wish = prepared.to_stored(), SignWish(key="con-dau")
    begun = _now() - timedelta(seconds=count)
    held: list[Held] = []
    for begin in range(0, count, 10_000):
        rows: dict[type[TableRow], list[dict[str, Any]]] = {
            one: [] for one in (DocumentRow, SigningRequestRow, IntentRow, AuditRecordRow)
        }
        for number in range(begin, min(begin + 10_000, count)):
            at = begun + timedelta(seconds=number)
            document, request, open_ = uuid7(at), uuid7(at), number >= count - AT_ONCE
            rows[DocumentRow].append({
                "id": document, "agency": AGENCY, "created_by": PERSON.id, "name": "cong-van.pdf",
                "disclosure": "public", "state": DocumentState.SIGNED.value, "pages": 2, "size": 80_000, "version": 3,
                "created_at": at, "changed_at": at,
            })  # fmt: skip
            rows[SigningRequestRow].append({
                "id": request, "agency": AGENCY, "document": document, "caller": PERSON.id, "key": "con-dau",
                "level": "B-T", "wish": wish_to_stored(wish, bytes), "state": "PREPARED" if open_ else "DONE",
                "prepared": stored if open_ else None, "lease": 1, "created_at": at, "ended_at": None if open_ else at,
            })  # fmt: skip
            rows[IntentRow].append({
                "id": uuid7(at), "agency": AGENCY, "request": request, "ordinal": 0, "key": "con-dau",
                "digest": request.bytes * 2, "lease": 1, "state": "DELIVERED", "created_at": at,
            })  # fmt: skip
            rows[AuditRecordRow] += [
                {"id": uuid7(at), "agency": AGENCY, "about": document, "body": _body(at, document)}
                for _ in range(3)
            ]
            if open_:
                base = Base(SHA256, 80_000, None)
                held.append(
                    Held(
                        request, AGENCY, document, PERSON.id, wish, RequestState.PREPARED, 1, base, None, prepared,
                        None, None, None,
                    )
                )  # fmt: skip

        def work(session: Door, rows: dict[type[TableRow], list[dict[str, Any]]] = rows) -> None:
            for table, values in rows.items():
                session.execute(insert(table), values)

        db.transact_now(WHOLE_SERVICE, work)
    return held


def _body(at: datetime, about: UUID) -> bytes:
    facts = {"request": str(about), "intent": str(about), "key": "con-dau", "to_sign_sha256": SHA256}
    return canonical(
        {"v": 1, "agency": str(AGENCY), "kind": "signature.intended", "at": at.isoformat(), "facts": facts}
    )


class Ours:
    """Works as the rooms ask for them."""

    def __init__(self, db: Database, held: list[Held]) -> None:
        self.db, self.held = db, held
        self._progress = Progress(db, _now)

    async def intend(self, which: int = 0) -> None:
        self.held[which] = await self._progress.intend_again(self.held[which])

    async def intend_at_once(self) -> None:
        await asyncio.gather(*(self.intend(one) for one in range(AT_ONCE)))

    async def note(self) -> None:
        now, about = _now(), self.held[0].document

        def work(session: Door) -> None:
            record(
                session,
                agency=AGENCY,
                kind="document.seen",
                at=now,
                about=about,
                facts={"to": str(PERSON.id)},
            )

        await self.db.transact(AGENCY, work)


class Theirs:
    """The same statements by the driver alone: `run` does them in one transaction."""

    def __init__(
        self, run: Callable[[Sequence[tuple[str, tuple[Any, ...]]]], None], held: Held, mark: str
    ) -> None:
        self._run, self._held, self._mark = run, held, mark
        self._id: Callable[[UUID], Any] = (lambda id: id.hex) if mark == "?" else (lambda id: id)
        self._ordinal = 1_000_000

    async def intend(self) -> None:
        self._ordinal += 1
        now, held, id = _now(), self._held, self._id
        self._run([
            (LOOK.format(self._mark), (id(held.id),)),
            (self._values(INTENT, 9), (
                id(uuid7(now)), id(AGENCY), id(held.id), self._ordinal, "con-dau", held.id.bytes * 2, 1, "OPEN",
                str(now) if self._mark == "?" else now,
            )),
            self._record(now),
        ])  # fmt: skip

    async def intend_each(self) -> None:
        for _ in range(AT_ONCE):
            await self.intend()

    async def note(self) -> None:
        self._run([self._record(_now())])

    def _record(self, now: datetime) -> tuple[str, tuple[Any, ...]]:
        about, id = self._held.document, self._id
        return self._values(RECORD, 4), (id(uuid7(now)), id(AGENCY), id(about), _body(now, about))

    def _values(self, statement: str, count: int) -> str:
        return statement.format(", ".join([self._mark] * count))


async def _against(ours: Ours, theirs: Theirs, where: str, peer: str, rounds: int) -> list[Row]:
    intend, other = await interleaved_async(rounds, ours.intend, theirs.intend)
    note, other_note = await interleaved_async(rounds, ours.note, theirs.note)
    shared, each = await interleaved_async(max(1, rounds // 6), ours.intend_at_once, theirs.intend_each)
    return [
        Row("database", f"{where}: one durable intent", intend, other, peer, "ms"),
        Row("database", f"{where}: one durable audit record", note, other_note, peer, "ms"),
        Row(
            "database",
            f"{where}: {AT_ONCE} durable intents at once",
            shared,
            each,
            f"{peer}, one by one",
            "ms",
        ),
    ]


# -- SQLite


async def _sqlite(folder: Path, prepared: PreparedSignature, rounds: int, large: int) -> list[Row]:
    files = [folder / f"{name}.sqlite" for name in ("small", "rival", "large")]
    small, rival, old = (Database(f"sqlite:///{one}") for one in files)
    opened = []
    for db, count in ((small, SMALL), (rival, SMALL), (old, large)):
        db.migrate()
        opened.append(Ours(db, _archive(db, prepared, count)))
    await rival.close()
    here, there, aged = opened
    with closing(sqlite3.connect(files[1], isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

        def run(statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                connection.execute(statement, values).fetchall()
            connection.execute("COMMIT")

        rows = await _against(here, Theirs(run, there.held[0], "?"), "SQLite", SQLITE_PEER, rounds)
    rows += await _growth(folder, aged, here, large, rounds)
    await small.close()
    await old.close()
    return rows


async def _growth(folder: Path, aged: Ours, young: Ours, large: int, rounds: int) -> list[Row]:
    with closing(FolderStore(folder / "store")) as store:
        lists = [Documents(one.db, store) for one in (aged, young)]
        pairs: dict[str, list[Callable[[], Coroutine[object, object, object]]]] = {
            "one durable intent": [aged.intend, young.intend],
            "one durable audit record": [aged.note, young.note],
            "the newest 50 documents": [lambda of=of: of.list(PERSON) for of in lists],  # type: ignore[misc]
            "one document with its requests": [
                lambda of=of, id=who.held[0].document: of.get(PERSON, id)  # type: ignore[misc]
                for of, who in zip(lists, (aged, young), strict=True)
            ],
        }
        rows = []
        for what, pair in pairs.items():
            old, new = await interleaved_async(rounds, *pair)
            rows.append(
                Row(
                    "database",
                    f"SQLite with {large:,} documents: {what}",
                    old,
                    new,
                    f"the same with {SMALL}",
                    "ms",
                )
            )
    return rows


# -- PostgreSQL


async def _postgresql(
    server: servers.PostgresqlServer, url: str, prepared: PreparedSignature, rounds: int
) -> list[Row]:
    db = Database(url, password_file=server.password_file)
    db.migrate()
    ours = Ours(db, _archive(db, prepared, 2 * AT_ONCE))
    with psycopg.connect(
        url.replace("+psycopg", ""), password=server.password_file.read_text().strip(), autocommit=True
    ) as connection:

        def run(statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
            with connection.transaction():
                connection.execute("SELECT set_config('antin.agency', %s, true)", (str(AGENCY),))
                for statement, values in statements:
                    connection.execute(statement.encode(), values)

        rows = await _against(ours, Theirs(run, ours.held[-1], "%s"), "PostgreSQL", PG_PEER, rounds)
    await db.close()
    return rows


if __name__ == "__main__":
    main()
