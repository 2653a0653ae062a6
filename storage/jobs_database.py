"""Where waiting work lies: this file opens the job engine's own database, as durably as the facts, and hands the work of
a dead process to the living.

- The engine leaves SQLite in rollback mode (T14): WAL and synchronous=FULL are set and read back here.
- One process does the jobs of an SQLite: a lock beside the file says so. On PostgreSQL each of many says every few
  seconds that it lives, by the database's clock, and takes over from whoever has said nothing for half a minute. The
  engine alone takes up only what a process of the same name and version left.
- A paused process that wakes up afterwards changes nothing: the engine writes an outcome, or the next attempt, only for
  the execution that owns the row, and taking over takes the ownership away.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, create_engine, event, text
from sqlalchemy.engine import URL, Engine

from storage.database import DatabaseUnavailable, NotDurable

CONNECTIONS = 12
BEAT = 10.0  # seconds between two signs of life
SILENT = 30.0  # seconds after which a process that gives none is taken for dead
OVERDUE = 300.0  # seconds that work may be due without anybody beginning it
FURTHEST = 7 * 86400.0  # seconds: what is due later was put down by a clock that was wrong
SUPERSEDED = 3600.0  # seconds after which an ended attempt that is not a job's first is of no use to anybody
SHOWN = 20  # of what was set aside
TABLE_LOCK = 0x416E4A6F62  # PostgreSQL's CREATE TABLE IF NOT EXISTS is not safe beside itself

COUNT = "SELECT status, count(*) FROM {schema}workflow_status WHERE completed_at IS NULL OR status <> 'SUCCESS' GROUP BY status"
LIVING = "CREATE TABLE IF NOT EXISTS {schema}antin_living (executor TEXT PRIMARY KEY, host TEXT NOT NULL, seen {float} NOT NULL)"
SEEN = "SELECT {now} - seen FROM {schema}antin_living WHERE executor = :executor"
BEGIN = "INSERT INTO {schema}antin_living (executor, host, seen) VALUES (:executor, :host, {now})"
BEAT_AGAIN = "UPDATE {schema}antin_living SET seen = {now} WHERE executor = :executor"
GONE = "DELETE FROM {schema}antin_living WHERE executor = :executor"
BURY = "DELETE FROM {schema}antin_living WHERE seen < {now} - 86400"
ALIVE = "SELECT executor FROM {schema}antin_living WHERE seen > {now} - :silent AND seen < {now} + :silent"
# As the engine itself hands over what its own predecessor left; the owner is what fences the one who wakes up.
TAKE_OVER = """UPDATE {schema}workflow_status SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
    updated_at = CAST(1000 * {now} AS BIGINT), application_version = :version, queue_name = coalesce(queue_name, :queue)
    WHERE status = 'PENDING' AND name = :workflow AND application_version IN :known AND executor_id NOT IN :living"""
ADOPT = """UPDATE {schema}workflow_status SET application_version = :version
    WHERE status IN ('ENQUEUED', 'DELAYED') AND name = :workflow AND application_version IN :older"""
NEARER = """UPDATE {schema}workflow_status SET delay_until_epoch_ms = CAST(1000 * {now} AS BIGINT)
    WHERE status = 'DELAYED' AND name = :workflow AND delay_until_epoch_ms > 1000 * ({now} + :furthest)"""
# The first tells that the job was done; of the others only the last matters, and only while it goes on.
ATTEMPTS = """SELECT workflow_uuid FROM {schema}workflow_status WHERE status = 'SUCCESS' AND name = :workflow
    AND workflow_uuid NOT LIKE '%/1' AND updated_at < 1000 * ({now} - :superseded) LIMIT :many"""
OTHERS = """SELECT count(*) FROM {schema}workflow_status
    WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING') AND application_version NOT IN :known"""
LATE = """SELECT count(*) FROM {schema}workflow_status
    WHERE status = 'ENQUEUED' AND
    CASE WHEN coalesce(delay_until_epoch_ms, 0) > updated_at THEN delay_until_epoch_ms ELSE updated_at END / 1000.0 < {now} - :overdue"""
SET_ASIDE = """SELECT s.workflow_uuid, s.status, o.error FROM {schema}workflow_status s
    LEFT JOIN {schema}workflow_output o ON o.workflow_uuid = s.workflow_uuid
    WHERE s.status IN ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') ORDER BY s.created_at DESC LIMIT :shown"""


@dataclass(frozen=True)
class Work:
    """What the engine calls its work, and which forms of it this program reads: the newest first."""

    workflow: str
    queue: str
    versions: Sequence[str]


@dataclass(frozen=True)
class Look:
    living: int  # processes
    of_unknown_form: int  # unfinished jobs that this program cannot read
    late: int  # jobs that are due and that nobody begins
    set_aside: Sequence[tuple[str, str]]  # job and reason, newest first


class JobsDatabase:
    """Raises DatabaseUnavailable where another process has it. `looking` takes no lock and makes no file."""

    def __init__(self, url: URL, password_file: Path | None, *, looking: bool = False) -> None:
        self._lock = -1
        self.alone = url.get_backend_name() == "sqlite"  # whatever another process held is a dead one's
        if self.alone:
            self._words = {"schema": "", "now": "unixepoch('subsec')", "float": "REAL"}
            file = Path(url.database or "jobs.sqlite")
            if not looking:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._lock = _lock(file.with_name(f"{file.name}.lock"))
            self.engine = _sqlite(url)
        else:
            clock = "extract(epoch from clock_timestamp())::double precision"
            self._words = {"schema": "dbos.", "now": clock, "float": "DOUBLE PRECISION"}
            self.engine = _postgresql(url, password_file)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each of the engine's states; finished ones apart."""
        with self.engine.connect() as connection:
            rows = connection.execute(self._said(COUNT)).all()
        return {status: count for status, count in rows}

    def prepare(self) -> None:
        """After the engine made its own tables."""
        with self.engine.begin() as connection:
            if not self.alone:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TABLE_LOCK})
            connection.execute(self._said(LIVING))

    def beat(self, executor: str, host: str, work: Work) -> int:
        """Says that this process lives, and takes over the work of dead ones, also in older forms: how many jobs. Who
        was silent itself (paused, the database away or its clock set) lets the others speak first."""
        with self.engine.begin() as connection:
            silent_for = connection.scalar(self._said(SEEN), {"executor": executor})
            self._speak(connection, executor, host, known=silent_for is not None)
            connection.execute(self._said(NEARER), {"workflow": work.workflow, "furthest": FURTHEST})
            older, found = list(work.versions[1:]), 0
            if older:
                named = {"version": work.versions[0], "workflow": work.workflow, "older": older}
                found = connection.execute(self._said(ADOPT, "older"), named).rowcount
            if not self.alone and (silent_for is None or abs(silent_for) > SILENT):
                return found
            living = (
                [executor] if self.alone else list(connection.scalars(self._said(ALIVE), {"silent": SILENT}))
            )
            named = {
                "version": work.versions[0], "workflow": work.workflow, "queue": work.queue,
                "known": list(work.versions), "living": living,
            }  # fmt: skip
            return found + connection.execute(self._said(TAKE_OVER, "known", "living"), named).rowcount

    def superseded(self, work: Work, many: int) -> list[str]:
        """Attempts that ended a while ago, their job's first apart."""
        named = {"workflow": work.workflow, "superseded": SUPERSEDED, "many": many}
        with self.engine.connect() as connection:
            return list(connection.scalars(self._said(ATTEMPTS), named))

    def gone(self, executor: str) -> None:
        """This process ends: what it left is anybody's at once."""
        with self.engine.begin() as connection:
            connection.execute(self._said(GONE), {"executor": executor})

    def look(self, work: Work) -> Look:
        with self.engine.connect() as connection:
            known = {"known": list(work.versions)}
            return Look(
                living=len(connection.scalars(self._said(ALIVE), {"silent": SILENT}).all()),
                of_unknown_form=connection.scalar(self._said(OTHERS, "known"), known) or 0,
                late=connection.scalar(self._said(LATE), {"overdue": OVERDUE}) or 0,
                set_aside=[
                    (id, str(json.loads(why)) if status == "ERROR" and why else "its process died each time")
                    for id, status, why in connection.execute(self._said(SET_ASIDE), {"shown": SHOWN})
                ],
            )  # fmt: skip

    def close(self) -> None:
        self.engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _speak(self, connection: Connection, executor: str, host: str, *, known: bool) -> None:
        if known:
            connection.execute(self._said(BEAT_AGAIN), {"executor": executor})
        else:
            connection.execute(self._said(BURY))
            connection.execute(self._said(BEGIN), {"executor": executor, "host": host})

    def _said(self, statement: str, *lists: str) -> Any:
        said = text(statement.format(**self._words))
        return said.bindparams(*(bindparam(one, expanding=True) for one in lists))


def _lock(file: Path) -> int:
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DatabaseUnavailable(f"another process of this host does the jobs of {file.stem}") from None
    return handle


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=0, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = (
            "IMMEDIATE"  # as the engine itself has it: writers wait at their beginning
        )
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous=FULL")
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or synchronous != 2:
            raise NotDurable(f"{url.database}: journal_mode={mode}, synchronous={synchronous}")
        if sqlite3.sqlite_version_info < (3, 42):
            # From Python 3.12 on the engine asks for what only a newer SQLite knows; an older one would answer NULL.
            connection.create_function("unixepoch", 1, _unixepoch)

    return engine


def _unixepoch(modifier: str) -> float:
    """Seconds, to the millisecond."""
    if modifier != "subsec":
        raise ValueError(modifier)
    return round(time.time(), 3)


def _postgresql(url: URL, password_file: Path | None) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"), pool_size=CONNECTIONS, max_overflow=0, pool_timeout=10,
        pool_pre_ping=True, hide_parameters=True,
        connect_args={"connect_timeout": 5, "application_name": "antin-jobs", "tcp_user_timeout": 20_000},
    )  # fmt: skip

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _args: list[Any], wanted: dict[str, Any]) -> None:
        if password_file is not None:
            wanted["password"] = password_file.read_text().strip()

    return engine
