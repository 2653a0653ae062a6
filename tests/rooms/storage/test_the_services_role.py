"""P3: the role that the service has in PostgreSQL owns nothing and cannot take the fence between agencies away; where one does
not hold, it is named."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable, NotMigrated, OutOfScope
from tests import servers
from tests.rooms.storage.conftest import migrate
from tests.rooms.storage.test_agencies import OURS, furnish, raw

HANDBOOK = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


@asynccontextmanager
async def as_role(
    server: servers.PostgresqlServer, words: Sequence[str], *, role: str = "service"
) -> AsyncIterator[Database]:
    """The database after its owner, PostgreSQL's own, has said `words`."""
    with ExitStack() as stack:
        url = stack.enter_context(servers.new_kept_database(server))
        await migrate(url.replace("//service@", "//keeper@"), server)
        for word in words:
            servers.run_sql(server, word, database=url.rsplit("/", 1)[-1])
        db = Database(url.replace("//service@", f"//{role}@"), password_file=server.password_file)
        try:
            yield db
        finally:
            await db.close()


async def test_the_service_owns_nothing_and_cannot_take_the_fence_away(
    postgresql_server: servers.PostgresqlServer,
) -> None:
    async with as_role(postgresql_server, []) as db:
        db.migrate()
        assert db.check() == []
        for words in (
            "ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY",
            "DROP POLICY agency ON documents",
            "CREATE POLICY all_of_it ON documents USING (true)",
            "CREATE TABLE more (agency uuid)",
            "TRUNCATE documents CASCADE",
            "SET ROLE keeper",
        ):
            with pytest.raises((DatabaseUnavailable, DBAPIError)):
                await db.transact(WHOLE_SERVICE, lambda s, words=words: raw(s, words))  # type: ignore[misc]
        # Whoever asks to have the fence off is refused, not served without it.
        with pytest.raises((OutOfScope, DatabaseUnavailable)):
            await db.transact(
                OURS, lambda s: (raw(s, "SET LOCAL row_security = off"), raw(s, "SELECT * FROM documents"))
            )


async def test_who_may_not_migrate_is_told_so(postgresql_server: servers.PostgresqlServer) -> None:
    with servers.new_kept_database(postgresql_server) as url:
        db = Database(url, password_file=postgresql_server.password_file)
        with pytest.raises(NotMigrated):
            db.migrate()
        assert [one.code for one in db.check()] == ["not-migrated"]
        await migrate(url.replace("//service@", "//keeper@"), postgresql_server)
        db.migrate()
        assert db.check() == []
        await db.close()


@pytest.mark.parametrize(
    ("words", "role", "told"),
    [
        ([], "keeper", [("owns-tables", "keeper", False)]),
        ([], "owner", [("bypasses-row-fence", "owner: owner", True)]),
        (["GRANT keeper TO service"], "service", [("owns-tables", "service", False)]),
        (["GRANT owner TO service"], "service", [("bypasses-row-fence", "service: owner", True)]),
        (["ALTER ROLE service BYPASSRLS"], "service", [("bypasses-row-fence", "service: service", True)]),
        (
            ["ALTER TABLE documents DISABLE ROW LEVEL SECURITY"], "service",
            [("no-row-fence", "documents", True)],
        ),
        (
            ["ALTER TABLE documents NO FORCE ROW LEVEL SECURITY"], "service",
            [("no-row-fence", "documents", True)],
        ),
        (["DROP POLICY agency ON documents"], "service", [("no-row-fence", "documents", True)]),
        (["CREATE TABLE more (agency uuid)"], "service", [("no-row-fence", "more", True)]),
    ],
)  # fmt: skip
async def test_a_fence_that_does_not_hold_is_named(
    postgresql_server: servers.PostgresqlServer,
    words: list[str],
    role: str,
    told: list[tuple[str, str, bool]],
) -> None:
    try:
        async with as_role(postgresql_server, words, role=role) as db:
            assert [(one.code, one.detail, one.stops) for one in db.check()] == told
    finally:
        for undo in (
            "REVOKE keeper FROM service",
            "REVOKE owner FROM service",
            "ALTER ROLE service NOBYPASSRLS",
        ):
            servers.run_sql(postgresql_server, undo)


async def test_roles_are_made_by_the_handbook(postgresql_server: servers.PostgresqlServer) -> None:
    found = re.search(r"```sql\n(CREATE ROLE antin_owner.*?)```", HANDBOOK.read_text(), re.DOTALL)
    assert found
    password = postgresql_server.password_file.read_text().strip()
    role, database = "owner", "postgres"
    try:
        for line in found[1].splitlines():
            words = line.partition("--")[0].strip().replace("'...'", f"'{password}'")
            if words.startswith("\\connect"):
                _, database, role = words.split()
            else:
                servers.run_sql(postgresql_server, words, role=role, database=database)
        url = postgresql_server.url("antin", "antin_owner")
        await migrate(url, postgresql_server)
        db = Database(postgresql_server.url("antin", "antin"), password_file=postgresql_server.password_file)
        db.migrate()
        assert db.check() == []
        await furnish(db)
        await db.close()
    finally:
        for undo in ("DATABASE antin", "DATABASE antin_jobs", "ROLE antin", "ROLE antin_owner"):
            servers.run_sql(postgresql_server, f"DROP {undo}")
