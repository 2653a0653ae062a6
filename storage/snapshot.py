"""A database copied out while it is used, and put back into an empty one: this file knows how each kind does it.

- The copy is of one moment, that of the session it is asked by: what else that session reads is of the same moment.
- SQLite's own backup, inside the session's read transaction: a writer neither waits for it nor makes it begin again.
- PostgreSQL by `pg_dump`, on the session's exported snapshot, in the form that `pg_restore` reads. Row-level security
  holds for who dumps as for who works: the dump names the whole service as its scope, or it would be empty.
- A password reaches the programs by a file that only we read, never by arguments or environment.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from storage.database import DatabaseUnavailable
from storage.durable import sync_file, sync_folder

PAGES = 4096  # SQLite copies so many at a time, and tells how far it is
LINES_OF_REASON = 5

Told = Callable[[int, int], None]  # how much of how much


class ProgramMissing(Exception):
    """`pg_dump` or `pg_restore` is not on this host."""

    def __init__(self, program: str) -> None:
        super().__init__(program)
        self.program = program


class NotEmpty(Exception):
    """The database holds something: nothing is put over it."""


def file_name(kind: str) -> str:
    return "facts.sqlite" if kind == "sqlite" else "facts.pgdump"


def copy_out(session: Session, url: str, file: Path, *, password_file: Path | None, told: Told) -> None:
    """Durable when it returns. Raises ProgramMissing, DatabaseUnavailable, OSError."""
    file.unlink(missing_ok=True)  # a work may be run again
    if session.get_bind().dialect.name == "sqlite":
        _copy_sqlite(session, file, told)
    else:
        _dump(session, make_url(url), file, password_file)
    sync_file(file)
    sync_folder(file.parent)


def copy_in(url: str, file: Path, *, password_file: Path | None) -> None:
    """Into a database that holds nothing. Durable when it returns. Raises NotEmpty, ProgramMissing, DatabaseUnavailable,
    OSError."""
    target = make_url(url)
    refuse_full(url, password_file=password_file)
    if target.get_backend_name() == "sqlite":
        place = Path(target.database or "")
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.new")
        shutil.copyfile(file, new)
        new.chmod(0o600)
        sync_file(new)
        new.rename(place)
        sync_folder(place.parent)
        return
    arguments = ["--no-owner", "--exit-on-error", "--single-transaction", str(file)]
    _run("pg_restore", target, arguments, password_file)


def refuse_full(url: str, *, password_file: Path | None) -> None:
    """Raises NotEmpty, DatabaseUnavailable."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        if Path(target.database or "").exists():
            raise NotEmpty(str(target.database))
        return
    password = password_file.read_text().strip() if password_file else None
    engine = create_engine(target.set(drivername="postgresql+psycopg", password=password))
    try:
        with engine.connect() as connection:
            count = text("SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace")
            if connection.scalar(count):
                raise NotEmpty(str(target.database))
    except SQLAlchemyError as why:
        raise DatabaseUnavailable(str(getattr(why, "orig", why)).strip()) from why
    finally:
        engine.dispose()


def _copy_sqlite(session: Session, file: Path, told: Told) -> None:
    session.scalar(text("SELECT count(*) FROM alembic_version"))  # from here on it is one moment
    source = session.connection().connection.dbapi_connection
    if not isinstance(source, sqlite3.Connection):
        raise TypeError(type(source).__name__)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(file)) as target:
            source.backup(target, pages=PAGES, progress=lambda _, left, of: told(of - left, of))
            target.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself
            (found,) = target.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as why:
        raise DatabaseUnavailable(str(why)) from why
    if found != "ok":
        raise DatabaseUnavailable(f"the copy is damaged: {found}")


def _dump(session: Session, url: URL, file: Path, password_file: Path | None) -> None:
    # The exported snapshot lives as long as this transaction, which does nothing while the program runs.
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    session.execute(text("SET LOCAL statement_timeout = 0"))
    moment = session.scalar(text("SELECT pg_export_snapshot()"))
    arguments = [
        "--format=custom", "--no-owner", "--enable-row-security", f"--snapshot={moment}", f"--file={file}"
    ]  # fmt: skip
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    _run("pg_dump", url, arguments, password_file)


def _run(program: str, url: URL, arguments: list[str], password_file: Path | None) -> None:
    found = shutil.which(program)
    if found is None:
        raise ProgramMissing(program)
    address = url.set(drivername="postgresql", password=None).render_as_string()
    with _pass_file(password_file) as environment:
        command = [found, "--no-password", f"--dbname={address}", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, errors="replace", check=False
        )  # fmt: skip
    if done.returncode:
        reason = " ".join(done.stderr.strip().splitlines()[-LINES_OF_REASON:])
        raise DatabaseUnavailable(f"{program}: {reason}")


@contextmanager
def _pass_file(password_file: Path | None) -> Iterator[dict[str, str]]:
    scope = {"PGOPTIONS": "-c antin.agency=*"}
    if password_file is None:
        yield scope
        return
    password = password_file.read_text().strip().replace("\\", "\\\\").replace(":", "\\:")
    with tempfile.NamedTemporaryFile("w", prefix="antin-") as file:  # mode 0600
        file.write(f"*:*:*:*:{password}\n")
        file.flush()
        yield scope | {"PGPASSFILE": file.name}
