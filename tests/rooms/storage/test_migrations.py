"""The migrated schema is the one that the program's tables say, on both databases."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.orm import Session

from storage.database import WHOLE_SERVICE, Database
from storage.schema import Row


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
