"""Brings a database to this program's schema: this file runs Alembic inside one transaction, on both databases.

- One at a time: SQLite's writer lock, or an advisory lock. Either all steps are done, or none.
- Where the schema is the newest, Alembic is not even imported.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import Engine

from storage.problem import Problem

FOLDER = Path(__file__).parent
ADVISORY_LOCK = 0x416E54696E  # "AnTin"


def newest() -> str:
    """The revision that this program knows: versions/<revision>_<what>.py."""
    return max(file.name.split("_")[0] for file in (FOLDER / "versions").glob("[0-9]*.py"))


def version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def version_problems(connection: Connection) -> list[Problem]:
    found, wanted = version(connection), newest()
    if found == wanted:
        return []
    code = "too-new" if found and found > wanted else "not-migrated"
    return [Problem(code, f"schema {found or 'none'}, this program's is {wanted}")]


def migrate(engine: Engine) -> None:
    """A schema newer than this program's is left alone: `check` names it."""
    with engine.begin() as connection:
        if (version(connection) or "") >= newest():
            return
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            connection.execute(text("SELECT set_config('antin.agency', '*', true)"))
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
