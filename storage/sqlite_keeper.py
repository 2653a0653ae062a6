"""SQLite: this file keeps the facts in one file, for one host.

- One thread writes. What waits for it is taken together into one transaction, and all are answered after the one commit
  (group commit). Where a work fails all are done again, each in a savepoint: it takes back nothing but itself.
- WAL with synchronous=FULL: a commit is an fsync of the log. Both are set and read back at each connection.
- BEGIN IMMEDIATE for writing, so that no work fails in its middle because another process wrote; readers have
  connections of their own that cannot write.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from storage.database import DatabaseUnavailable, Door, NotDurable, Scope
from storage.problem import Problem

T = TypeVar("T")

TOGETHER = 64  # works in one commit
WAITING = 2048  # works that may wait; more is an overload, and told so
BUSY_MS = 2_000  # what SQLite itself waits for another process's lock
TRIES = 4


@dataclass(frozen=True)
class _Order:
    scope: Scope
    work: Callable[[Door], Any]
    answer: Future[Any]


@dataclass(frozen=True)
class _Done:
    value: Any = None
    error: BaseException | None = None


class SqliteKeeper:
    def __init__(self, url: URL, *, readers: int) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("facts are kept in a file")
        self.file = Path(url.database)
        self._writing = _engine(self.file, connections=1, begin="BEGIN IMMEDIATE", query_only=False)
        self._reading = _engine(self.file, connections=readers, begin="BEGIN", query_only=True)
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="database-read")
        self._orders: queue.Queue[_Order | None] = queue.Queue(WAITING)
        self._closed = False
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    def write(self, scope: Scope, work: Callable[[Door], T], turn: str | None) -> Future[T]:
        """Everything takes turns here."""
        answer: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise DatabaseUnavailable("closed")
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="database-write", daemon=True)
                self._writer.start()
            try:
                self._orders.put_nowait(_Order(scope, work, answer))
            except queue.Full:
                raise DatabaseUnavailable("too many works wait for the writer") from None
        return answer

    def read(self, scope: Scope, work: Callable[[Door], T]) -> Future[T]:
        def run() -> T:
            try:
                with Door(self._reading, scope) as session:
                    return work(session)
            except (DBAPIError, sqlite3.Error) as why:
                raise _unavailable(why) from why

        if self._closed:
            raise DatabaseUnavailable("closed")
        return self._readers.submit(run)

    def migrate(self) -> None:
        from storage.migrations.run import migrate

        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            migrate(self._writing)
        except (DBAPIError, sqlite3.Error) as why:
            raise _unavailable(why) from why

    def check(self) -> list[Problem]:
        from storage.migrations.run import version_problems

        if not self.file.exists():
            return [Problem("not-migrated", f"{self.file} is not there")]
        try:
            with self._reading.connect() as connection:
                return version_problems(connection)
        except NotDurable as why:
            return [Problem("not-durable", str(why))]
        except (SQLAlchemyError, sqlite3.Error) as why:
            return [Problem("database-away", str(why))]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            writer = self._writer
            self._writer = None
        if writer is not None:
            self._orders.put(None)
            writer.join()
        self._readers.shutdown()
        self._reading.dispose()
        self._writing.dispose()

    # -- the writer's thread

    def _write_on(self) -> None:
        last = False
        while not last:
            orders, last = self._take()
            orders = [one for one in orders if one.answer.set_running_or_notify_cancel()]
            if not orders:
                continue
            done = self._commit_bounded(orders)
            for order, result in zip(orders, done, strict=True):
                if result.error is not None:
                    order.answer.set_exception(result.error)
                else:
                    order.answer.set_result(result.value)
            del orders, done

    def _take(self) -> tuple[list[_Order], bool]:
        """What waits, at least one; and whether it is the last."""
        taken: list[_Order] = []
        order = self._orders.get()
        while order is not None:
            taken.append(order)
            if len(taken) == TOGETHER:
                return taken, False
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return taken, False
        return taken, True

    def _commit_bounded(self, orders: list[_Order]) -> list[_Done]:
        """A lock that another process holds is waited for; nothing of a failed commit is told as done."""
        error: BaseException = DatabaseUnavailable("busy")
        for attempt in range(TRIES):
            try:
                return self._commit(orders)
            except (DBAPIError, sqlite3.Error, NotDurable) as why:
                error = _unavailable(why)
                if "database is locked" not in str(why):
                    break
                time.sleep(0.02 * 2**attempt)
            except Exception as why:
                error = why
                break
        return [_Done(error=error) for _ in orders]

    def _commit(self, orders: list[_Order]) -> list[_Done]:
        try:
            with self._writing.connect() as connection, connection.begin():
                return [_Done(_bare(connection, order)) for order in orders]
        except _Failed:
            # Seldom. A work may be run again: so is each of them, in a savepoint of its own.
            with self._writing.connect() as connection, connection.begin():
                return [_run(connection, order) for order in orders]


class _Failed(Exception):
    """One of the works failed, and took the others' transaction with it."""


def _bare(connection: Connection, order: _Order) -> Any:
    """One work without a savepoint, which would cost as much as a statement more. Raises _Failed."""
    try:
        with Door(connection, order.scope, join_transaction_mode="rollback_only") as session, session.begin():
            return order.work(session)
    except BaseException as why:
        raise _Failed from why


def _run(connection: Connection, order: _Order) -> _Done:
    """One work in its savepoint. What ends the whole transaction (disk full, a lost lock) is raised."""
    together = Door(connection, order.scope, join_transaction_mode="create_savepoint")
    try:
        with together as session, session.begin():
            value = order.work(session)
        return _Done(value)
    except DBAPIError as why:
        raw = connection.connection.dbapi_connection
        if raw is None or not raw.in_transaction:
            raise
        return _Done(error=_unavailable(why))
    except BaseException as why:
        return _Done(error=why)


def _unavailable(why: Exception) -> Exception:
    """What is the work's own fault (a constraint, wrong SQL) stays what it is."""
    cause = why.orig if isinstance(why, DBAPIError) else why
    text = str(cause)
    if isinstance(cause, sqlite3.OperationalError) and not text.startswith(("no such column", "near ")):
        return DatabaseUnavailable(text)
    if getattr(cause, "sqlite_errorname", None) == "SQLITE_CONSTRAINT_TRIGGER":  # none is ours
        return DatabaseUnavailable(text)
    if type(cause) is sqlite3.DatabaseError:  # "file is not a database", "disk image is malformed"
        return DatabaseUnavailable(text)
    return why


def _engine(file: Path, *, connections: int, begin: str, query_only: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)), poolclass=QueuePool, pool_size=connections, max_overflow=0, hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours to begin
        mode = _pragma(connection, "journal_mode=WAL")
        _pragma(connection, "synchronous=FULL")
        _pragma(connection, "foreign_keys=ON")
        if query_only:
            _pragma(connection, "query_only=ON")
        if mode != "wal" or _pragma(connection, "synchronous") != 2:
            raise NotDurable(f"{file}: journal_mode={mode}, synchronous={_pragma(connection, 'synchronous')}")

    @event.listens_for(engine, "begin")
    def started(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _pragma(connection: sqlite3.Connection, text: str) -> Any:
    row = connection.execute(f"PRAGMA {text}").fetchone()
    return row[0] if row else None
