"""What a token was asked to sign: this file keeps the use log, one line per intent, written before the call (K3, K5).

- A line is durable before the token is asked: SQLite in WAL mode, `synchronous` FULL, both checked when it is opened.
- An intent stands in it once, for ever; nothing is ever deleted.
- It is begun once, with the token's book. A log that is gone or emptied afterwards is an error, never an empty log: what
  it served would be served again.
- Its result may be missing: then nobody knows whether the token signed, and the intent is LOST.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from hsm.key_book import sync_folder

FILE = "uses.sqlite"
VERSION = 1
SIGNED = "signed"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    intent BLOB NOT NULL UNIQUE,
    key TEXT NOT NULL,
    to_sign_sha256 BLOB NOT NULL,
    mechanism TEXT NOT NULL,
    request BLOB NOT NULL,
    lease INTEGER NOT NULL,
    agency BLOB NOT NULL,
    person BLOB NOT NULL,
    at TEXT NOT NULL,
    result TEXT
);
CREATE INDEX IF NOT EXISTS uses_by_request ON uses (request, lease);
CREATE TRIGGER IF NOT EXISTS uses_stay BEFORE DELETE ON uses BEGIN SELECT RAISE(ABORT, 'uses stay'); END;
"""
_INSERT = (
    "INSERT INTO uses (intent, key, to_sign_sha256, mechanism, request, lease, agency, person, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class LogUnavailable(Exception):
    """The use log cannot be written. Nothing may be signed."""


@dataclass(frozen=True)
class Use:
    """One line. `result`: "signed", "failed: ..." (the token said no), or None (nobody knows)."""

    intent: UUID
    key: str
    to_sign_sha256: bytes
    mechanism: str
    request: UUID
    lease: int
    agency: UUID
    person: UUID
    at: datetime
    result: str | None = None


def begin(folder: Path) -> None:
    """An empty log, for its owner's eyes alone; one that is there stays as it is. Returns when it would survive a power
    cut. Raises OSError, sqlite3.Error."""
    os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600))
    base = sqlite3.connect(folder / FILE, isolation_level=None)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.executescript(_SCHEMA)
    finally:
        base.close()
    sync_folder(folder)


class UseLog:
    """Used by the one thread that opened it."""

    def __init__(self, folder: Path) -> None:
        """Raises LogUnavailable."""
        self._file = folder / FILE
        try:
            self._node = self._file.stat().st_ino
            self._base = sqlite3.connect(self._file, isolation_level=None, timeout=10.0)
            (mode,) = self._base.execute("PRAGMA journal_mode = WAL").fetchone()
            self._base.execute("PRAGMA synchronous = FULL")
            (synchronous,) = self._base.execute("PRAGMA synchronous").fetchone()
            self.count()
        except (sqlite3.Error, OSError) as wrong:
            raise LogUnavailable(str(wrong)) from wrong
        if mode != "wal" or synchronous != 2:
            raise LogUnavailable(f"journal_mode {mode}, synchronous {synchronous}")
        self._results: list[tuple[str, bytes]] = []

    def close(self) -> None:
        self.note_results()
        self._base.close()

    def served(self, intents: Sequence[UUID]) -> set[UUID]:
        """Those that stand in the log."""
        rows = self._among("SELECT intent FROM uses WHERE intent IN ({})", intents)
        return {UUID(bytes=row[0]) for row in rows}

    def highest_leases(self, requests: Sequence[UUID]) -> dict[UUID, int]:
        """The highest lease that each request was served under."""
        rows = self._among(
            "SELECT request, max(lease) FROM uses WHERE request IN ({}) GROUP BY request", requests
        )
        return {UUID(bytes=row[0]): row[1] for row in rows}

    def record(self, uses: Iterable[Use]) -> None:
        """Returns when the lines would survive a power cut. Writes the results of earlier lines beside. Raises
        LogUnavailable: then the lines may stand there or not, and nothing may be signed."""
        lines = [
            (
                one.intent.bytes, one.key, one.to_sign_sha256, one.mechanism, one.request.bytes, one.lease,
                one.agency.bytes, one.person.bytes, one.at.astimezone(UTC).isoformat(),
            )
            for one in uses
        ]  # fmt: skip
        try:
            self._still_there()
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany(_INSERT, lines)
            self._write_results()
            self._base.execute("COMMIT")
        except (sqlite3.Error, OSError) as wrong:
            self._roll_back()
            raise LogUnavailable(str(wrong)) from wrong
        self._results.clear()

    def result(self, intent: UUID, result: str) -> None:
        """Notes it for the next transaction: the answer need not wait for it, as a missing result says no less than
        the truth."""
        self._results.append((result, intent.bytes))

    def note_results(self) -> None:
        """Writes what is noted; what cannot be written now stays noted."""
        if not self._results:
            return
        try:
            self._base.execute("BEGIN IMMEDIATE")
            self._write_results()
            self._base.execute("COMMIT")
            self._results.clear()
        except sqlite3.Error:
            self._roll_back()

    def check(self) -> int:
        """Writes as durably as a line is written, without adding one. The lines ever written. Raises LogUnavailable."""
        try:
            self._still_there()
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute(f"PRAGMA user_version = {VERSION}")
            self._base.execute("COMMIT")
            return self.count()
        except (sqlite3.Error, OSError) as wrong:
            self._roll_back()
            raise LogUnavailable(str(wrong)) from wrong

    def count(self) -> int:
        """Lines ever written."""
        row = self._base.execute("SELECT max(number) FROM uses").fetchone()
        return row[0] or 0

    def _still_there(self) -> None:
        """Lines in a file that no name leads to any more are lost with this process. Raises OSError."""
        if self._file.stat().st_ino != self._node:
            raise FileNotFoundError(f"{self._file} is another file now")

    def _write_results(self) -> None:
        self._base.executemany("UPDATE uses SET result = ? WHERE intent = ?", self._results)

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # said already; the next BEGIN fails if it is still open
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")

    def _among(self, query: str, ids: Sequence[UUID]) -> list[tuple[bytes, int]]:
        marks = ", ".join("?" * len(ids))
        try:
            return self._base.execute(query.format(marks), [one.bytes for one in ids]).fetchall()
        except sqlite3.Error as wrong:
            raise LogUnavailable(str(wrong)) from wrong


def last_use(folder: Path) -> int:
    """The number of the newest line, 0 for none. Raises sqlite3.Error."""
    base = sqlite3.connect(f"{(folder / FILE).absolute().as_uri()}?mode=rw", uri=True, timeout=10.0)
    try:
        return base.execute("SELECT max(number) FROM uses").fetchone()[0] or 0
    finally:
        base.close()


def read_uses(folder: Path, *, after: int = 0, last: int = 2**62) -> Iterator[Use]:
    """Every line, or those after a number and up to another, in the order of writing, for whoever may read the token's
    folder; also while the token works."""
    base = sqlite3.connect(f"{(folder / FILE).absolute().as_uri()}?mode=rw", uri=True, timeout=10.0)
    try:
        query = (
            "SELECT intent, key, to_sign_sha256, mechanism, request, lease, agency, person, at, result"
            " FROM uses WHERE number > ? AND number <= ? ORDER BY number"
        )
        for intent, key, digest, mechanism, request, lease, agency, person, at, result in base.execute(
            query, (after, last)
        ):
            yield Use(
                UUID(bytes=intent), key, digest, mechanism, UUID(bytes=request), lease,
                UUID(bytes=agency), UUID(bytes=person), datetime.fromisoformat(at), result,
            )  # fmt: skip
    finally:
        base.close()
