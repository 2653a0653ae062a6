"""The one door to the facts: this file gives a session to work in, and sets the agency whose rows it may see (P3).

- `transact` is the only way to write. A work is a function over a session that may be run again: it does nothing
  besides, and takes what it needs (identifiers, the time) from outside. It answers only when what it did is durable.
- Works of one agency see one another as if they had run one after the other, on both databases. Works over the whole
  service lock the rows by which they decide (`with_for_update`), or take turns by a name.
- A scope is an agency, SERVICE for rows that belong to none, or WHOLE_SERVICE for what crosses agencies: sweeps, log-in,
  the audit trail. What is read and written is held against it here, on both databases; on PostgreSQL the database holds
  every row against it once more, whatever is asked and however (row-level security).
- `read` never waits behind a write, and cannot write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy.engine import make_url

from storage.door import WHOLE_SERVICE, Door, OutOfScope, Question, Scope, WholeService, table_of
from storage.problem import Problem

T = TypeVar("T")

__all__ = [
    "WHOLE_SERVICE", "Database", "DatabaseUnavailable", "Door", "Keeper", "NotDurable", "NotMigrated", "OutOfScope",
    "Question", "Scope", "WholeService", "table_of",
]  # fmt: skip


class DatabaseUnavailable(Exception):
    """The database does not answer, is full, is busy for too long or may not be used. If that was at the very end of a
    work, it may have been done all the same: its repetition finds out."""


class NotDurable(DatabaseUnavailable):
    """The database answers before what it was given would survive a power cut."""


class NotMigrated(DatabaseUnavailable):
    """The schema is not this program's, and the role may not change it: the owner of the tables does."""


class Keeper(Protocol):
    """One kind of database."""

    def write(self, scope: Scope, work: Callable[[Door], T], turn: str | None) -> Future[T]: ...

    def read(self, scope: Scope, work: Callable[[Door], T]) -> Future[T]: ...

    def check(self) -> list[Problem]: ...

    def migrate(self) -> None: ...

    def close(self) -> None: ...


class Database:
    """Opened without touching the database: the first work does. `url` is SQLAlchemy's, without a password; that is
    read from `password_file` at each new connection. Raises ValueError for a URL that holds one."""

    def __init__(self, url: str, *, password_file: Path | None = None, connections: int = 8) -> None:
        parsed = make_url(url)
        if parsed.password is not None:
            raise ValueError("a database's URL holds no password: name the file that does")
        self.kind = parsed.get_backend_name()
        self._keeper: Keeper
        if self.kind == "sqlite":
            from storage.sqlite_keeper import SqliteKeeper

            self._keeper = SqliteKeeper(parsed, readers=min(connections, 4))
        elif self.kind == "postgresql":
            from storage.postgresql_keeper import PostgresqlKeeper

            self._keeper = PostgresqlKeeper(parsed, password_file, connections=connections)
        else:
            raise ValueError(f"neither SQLite nor PostgreSQL: {self.kind}")

    async def transact(self, scope: Scope, work: Callable[[Door], T], *, turn: str | None = None) -> T:
        """What `work` gave back, once it is durable. Works over the whole service that name the same `turn` are done
        one after the other; an agency's always are. Raises what `work` raises (nothing of it stays then),
        DatabaseUnavailable, OutOfScope."""
        return await asyncio.wrap_future(self._keeper.write(scope, work, turn))

    async def read(self, scope: Scope, work: Callable[[Door], T]) -> T:
        """One consistent view of what is durable. Raises what `work` raises, DatabaseUnavailable."""
        return await asyncio.wrap_future(self._keeper.read(scope, work))

    def transact_now(self, scope: Scope, work: Callable[[Door], T]) -> T:
        """The same without asyncio."""
        return self._keeper.write(scope, work, None).result()

    def read_now(self, scope: Scope, work: Callable[[Door], T]) -> T:
        return self._keeper.read(scope, work).result()

    def migrate(self) -> None:
        """Brings the schema to this program's, as the role that owns the tables. Cheap where nothing is to be done, and
        any role's to ask then. Raises DatabaseUnavailable, NotMigrated."""
        self._keeper.migrate()

    def check(self) -> list[Problem]:
        """`database-away`, `not-durable`, `not-migrated`, `too-new`, `old-server`; of row-level security `no-row-fence`
        (tables without it), `bypasses-row-fence` (this role, or one it may become) and `owns-tables` (it could take the
        fence away)."""
        return self._keeper.check()

    async def close(self) -> None:
        """After the works that were accepted."""
        await asyncio.to_thread(self._keeper.close)
