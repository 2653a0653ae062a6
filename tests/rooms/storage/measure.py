"""How many works a second the door lets through: `python -m tests.rooms.storage.measure` prints the table of
docs/decisions/one-writer-door.md."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import UUID, uuid4

from storage.database import Database, Door
from storage.identifiers import uuid7
from storage.log.records import record
from storage.schema import ClientRow
from tests import servers

CALLERS = (1, 8, 32)
SECONDS = 3.0


def work(agency: UUID) -> None:
    now = datetime.now(UTC)
    id = uuid7(now)

    def run(session: Door) -> None:
        if session.get(ClientRow, id) is None:
            session.add(
                ClientRow(id=id, agency=agency, name="n", key_hash=id.bytes, scopes=[], created_at=now)
            )
        record(session, agency=agency, kind="client.made", at=now, about=id, facts={"by": "measure"})

    return run  # type: ignore[return-value]


async def rate(db: Database, callers: int, *, agencies: int) -> float:
    done, until = 0, time.monotonic() + SECONDS
    names = [uuid4() for _ in range(agencies)]

    async def call(agency: UUID) -> None:
        nonlocal done
        while time.monotonic() < until:
            await db.transact(agency, work(agency))  # type: ignore[func-returns-value, arg-type]
            done += 1

    await asyncio.gather(*(call(names[n % agencies]) for n in range(callers)))
    return done / SECONDS


async def main() -> None:
    print("| works a second, callers: | " + " | ".join(map(str, CALLERS)) + " |")
    print("|---|" + "---|" * len(CALLERS))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(servers.postgresql())
        url = stack.enter_context(servers.new_database(server))
        for name, db in (
            ("SQLite", Database(f"sqlite:///{folder}/antin.sqlite")),
            ("PostgreSQL 15", Database(url, password_file=server.password_file)),
        ):
            db.migrate()
            await rate(db, 1, agencies=1)
            for agencies in (1, 32):
                rates = [f"{await rate(db, n, agencies=agencies):.0f}" for n in CALLERS]
                print(f"| {name}, agencies: {agencies} | " + " | ".join(rates) + " |")
            await db.close()


if __name__ == "__main__":
    asyncio.run(main())
