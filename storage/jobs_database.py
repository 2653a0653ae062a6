"""Where waiting work lies: this file opens the job engine's own database, as durably as the facts.

- The engine leaves SQLite in rollback mode (T14): WAL and synchronous=FULL are set and read back here.
- One process a host starts the jobs: on SQLite a lock beside the file says so.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Engine

from storage.database import DatabaseUnavailable, NotDurable

CONNECTIONS = 12
COUNT = "SELECT status, count(*) FROM {schema}workflow_status WHERE completed_at IS NULL OR status <> 'SUCCESS' GROUP BY status"


class JobsDatabase:
    """Raises DatabaseUnavailable where another process of this host has it."""

    def __init__(self, url: URL, password_file: Path | None) -> None:
        self._lock = -1
        if url.get_backend_name() == "sqlite":
            self.schema = ""
            file = Path(url.database or "jobs.sqlite")
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(file.with_name(f"{file.name}.lock"))
            self.engine = _sqlite(url)
        else:
            self.schema = "dbos."
            self.engine = _postgresql(url, password_file)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each of the engine's states; finished ones apart."""
        with self.engine.connect() as connection:
            rows = connection.execute(text(COUNT.format(schema=self.schema))).all()
        return {status: count for status, count in rows}

    def close(self) -> None:
        self.engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


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
