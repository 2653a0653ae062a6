"""PostgreSQL 15 or later: this file keeps the facts for real, for several hosts.

- Works of one agency are done one after the other (an advisory lock taken with the first statement), so that a work is
  right here when it is right on SQLite's one writer. Agencies do not wait for one another. Works over the whole service
  take no such lock unless they name one: they lock the rows by which they decide (docs/decisions/one-writer-door.md).
- A deadlock, a lost race for a unique value or a connection found dead is done again, a few times.
- Every transaction begins by setting its scope and by looking at what a commit would be worth: with
  `synchronous_commit` or `fsync` off nothing is written.
- Blocking calls run in threads here; readers have threads of their own.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from storage.database import (
    DatabaseUnavailable,
    Door,
    NotDurable,
    NotMigrated,
    OutOfScope,
    Scope,
    WholeService,
)
from storage.problem import Problem

T = TypeVar("T")

TRIES = 12
WAITING = 2048  # works that may wait for a thread
OPTIONS = "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=120000"
AGAIN = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not to be had
UNIQUE = "23505"
FORBIDDEN = "42501"
OLDEST = 150000

BEGIN = text(
    "SELECT set_config('antin.agency', :scope, true), current_setting('synchronous_commit'), current_setting('fsync')"
)
BEGIN_IN_TURN = text(
    "SELECT set_config('antin.agency', :scope, true), current_setting('synchronous_commit'), current_setting('fsync'), "
    "pg_advisory_xact_lock(hashtextextended(:turn, 0))"
)
# What a role may become by SET ROLE counts as what it is.
FENCE = text(
    "WITH ours AS (SELECT * FROM pg_class WHERE relkind IN ('r', 'p') AND relname <> 'alembic_version' "
    " AND relnamespace = current_schema()::regnamespace) "
    "SELECT current_setting('server_version_num')::int, current_user, "
    "(SELECT string_agg(rolname, ', ') FROM pg_roles "
    " WHERE (rolsuper OR rolbypassrls) AND pg_has_role(current_user, oid, 'MEMBER')), "
    "(SELECT string_agg(relname, ', ') FROM ours WHERE NOT (relrowsecurity AND relforcerowsecurity "
    " AND EXISTS (SELECT FROM pg_policy WHERE polrelid = ours.oid))), "
    "(SELECT count(*) FROM ours WHERE pg_has_role(current_user, relowner, 'MEMBER'))"
)


class PostgresqlKeeper:
    def __init__(self, url: URL, password_file: Path | None, *, connections: int) -> None:
        readers = max(2, connections // 2)
        self._engine = _engine(url, password_file, connections=connections + readers + 1)
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._writers = ThreadPoolExecutor(connections, thread_name_prefix="database-write")
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="database-read")
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._closed = False

    def write(self, scope: Scope, work: Callable[[Door], T], turn: str | None) -> Future[T]:
        turn = turn if isinstance(scope, WholeService) else str(scope)
        return self._submit(self._writers, lambda: _bounded(lambda: _write(self._engine, scope, work, turn)))

    def read(self, scope: Scope, work: Callable[[Door], T]) -> Future[T]:
        return self._submit(self._readers, lambda: _bounded(lambda: _read(self._reading, scope, work)))

    def migrate(self) -> None:
        from storage.migrations.run import migrate

        try:
            migrate(self._engine)
        except (DBAPIError, PoolExhausted) as why:
            if _state(why) == FORBIDDEN:
                raise NotMigrated(str(getattr(why, "orig", why)).strip()) from why
            raise _unavailable(why) from why

    def check(self) -> list[Problem]:
        from storage.migrations.run import version_problems

        try:
            with self._reading.connect() as connection:
                _begin(connection, "")
                return version_problems(connection) + _fence_problems(connection)
        except NotDurable as why:
            return [Problem("not-durable", str(why))]
        except (SQLAlchemyError, OSError) as why:
            return [Problem("database-away", str(_unavailable(why)))]

    def close(self) -> None:
        self._closed = True
        self._writers.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    def _submit(self, threads: ThreadPoolExecutor, run: Callable[[], T]) -> Future[T]:
        if self._closed:
            raise DatabaseUnavailable("closed")
        if not self._waiting.acquire(blocking=False):
            raise DatabaseUnavailable("too many works wait for a connection")
        future = threads.submit(run)
        future.add_done_callback(lambda _: self._waiting.release())
        return future


class _Unfinished(Exception):
    """The connection was lost before the commit was asked for: nothing was done."""


def _write(engine: Engine, scope: Scope, work: Callable[[Door], T], turn: str | None) -> T:
    ending = False
    try:
        with Door(engine, scope) as session:
            _begin(session.connection(), _name(scope), turn)
            value = work(session)
            session.flush()
            ending = True
            session.commit()
            return value
    except DBAPIError as why:
        if why.connection_invalidated and not ending:
            raise _Unfinished from why
        raise


def _read(engine: Engine, scope: Scope, work: Callable[[Door], T]) -> T:
    try:
        with Door(engine, scope) as session:
            _begin(session.connection(), _name(scope))
            return work(session)
    except DBAPIError as why:
        if why.connection_invalidated:
            raise _Unfinished from why
        raise


def _begin(on: Connection, scope: str, turn: str | None = None) -> None:
    begin, named = (BEGIN_IN_TURN, {"scope": scope, "turn": turn}) if turn else (BEGIN, {"scope": scope})
    _, commit, fsync, *_lock = on.execute(begin, named).one()
    if commit == "off" or fsync == "off":
        raise NotDurable(f"synchronous_commit={commit}, fsync={fsync}")


def _bounded(once: Callable[[], T]) -> T:
    races = 0
    for attempt in range(TRIES):
        try:
            return once()
        except _Unfinished as why:
            lost: BaseException = why.__cause__ or why
            if attempt > 1:
                raise DatabaseUnavailable(str(lost)) from lost
        except (DBAPIError, PoolExhausted) as why:
            state = _state(why)
            races += state == UNIQUE
            if not (state in AGAIN or (state == UNIQUE and races == 1)):
                raise _unavailable(why) from why
        time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 7)))  # noqa: S311 - spreads, hides nothing
    raise DatabaseUnavailable(f"others were in the way {TRIES} times")


def _state(why: Exception) -> str | None:
    return getattr(why.orig, "sqlstate", None) if isinstance(why, DBAPIError) else None


def _unavailable(why: Exception) -> Exception:
    """What is the work's own fault (a constraint, wrong SQL) stays what it is. Classes of SQLSTATE: 08 connection, 25
    transaction, 28 and 42501 rights, 3D no database, 53 resources, 54 limits, 57 operator, 58 system, P0 a trigger
    that is none of ours, XX internal."""
    state = _state(why)
    if state == FORBIDDEN and "row-level security" in str(why):
        return OutOfScope(str(getattr(why, "orig", why)))
    classes = ("08", "25", "28", "3D", "40", "53", "54", "55", "57", "58", "P0", "XX")
    if state is None or state.startswith(classes) or state in (FORBIDDEN, "42P01"):
        return DatabaseUnavailable(str(getattr(why, "orig", why)).strip())
    return why


def _name(scope: Scope) -> str:
    return "*" if isinstance(scope, WholeService) else str(scope)


def _fence_problems(connection: Connection) -> list[Problem]:
    version, role, bypassing, unfenced, owned = connection.execute(FENCE).one()
    found = []
    if version < OLDEST:
        found.append(Problem("old-server", str(version)))
    if bypassing:
        found.append(Problem("bypasses-row-fence", f"{role}: {bypassing}"))
    elif owned:  # who may bypass owns everything besides
        found.append(Problem("owns-tables", role, stops=False))
    if unfenced:
        found.append(Problem("no-row-fence", unfenced))
    return found


def _engine(url: URL, password_file: Path | None, *, connections: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"), isolation_level="READ COMMITTED", pool_size=connections,
        max_overflow=0, pool_timeout=10, pool_recycle=3600, hide_parameters=True,
        connect_args={
            "connect_timeout": 5, "application_name": "antin", "options": OPTIONS, "tcp_user_timeout": 20_000,
        },
    )  # fmt: skip

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _args: list[Any], wanted: dict[str, Any]) -> None:
        if password_file is not None:
            wanted["password"] = password_file.read_text().strip()

    return engine
