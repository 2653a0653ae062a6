"""The migrated schema is the one that the program's tables say, on both databases."""

from __future__ import annotations

import uuid

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from storage.database import WHOLE_SERVICE, Database
from storage.schema import Row, TrustAnchorRow


async def test_schema_and_migrations_agree(db: Database) -> None:
    def work(session: Session) -> list[object]:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, Row.metadata))

    assert await db.transact(WHOLE_SERVICE, work) == []


def test_every_table_has_its_agency() -> None:
    """P3: audit, jobs and the rest, from the first migration on."""
    assert [name for name, table in Row.metadata.tables.items() if "agency" not in table.c] == []


async def test_postgresql_shows_no_row_without_a_scope(db: Database) -> None:
    ours, theirs = uuid.uuid4(), uuid.uuid4()
    for one in (ours, theirs):
        await db.transact(one, lambda s, one=one: s.execute(text(  # type: ignore[misc]
            "INSERT INTO agencies (agency, name, short_name, created_at) VALUES (:one, 'n', 's', '2026-11-24')"),
            {"one": str(one) if db.kind == "postgresql" else one.hex}))  # fmt: skip
    count = text("SELECT count(*) FROM agencies")
    assert await db.read(WHOLE_SERVICE, lambda s: s.scalar(count)) == 2
    if db.kind == "postgresql":
        assert await db.read(ours, lambda s: s.scalar(count)) == 1
        changed = text("UPDATE agencies SET name = 'x' RETURNING agency")
        assert await db.transact(ours, lambda s: list(s.scalars(changed))) == [ours]
        hidden = text("SELECT set_config('antin.agency', '', true)")
        assert await db.read(ours, lambda s: (s.execute(hidden), s.scalar(count))[1]) == 0


async def test_every_table_is_fenced_in_postgresql(db: Database) -> None:
    if db.kind == "postgresql":
        unfenced = text(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND NOT (relrowsecurity AND relforcerowsecurity) AND relname <> 'alembic_version'"
        )
        assert await db.read(WHOLE_SERVICE, lambda s: list(s.scalars(unfenced))) == []
    assert await db.read(WHOLE_SERVICE, lambda s: list(s.scalars(select(TrustAnchorRow.id)))) == []
