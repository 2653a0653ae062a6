"""Every test of the facts runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.database import Database
from tests import servers


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.PostgresqlServer]:
    with servers.postgresql() as server:
        yield server


async def migrate(url: str, server: servers.PostgresqlServer) -> None:
    """As the tables' owner does it."""
    owner = Database(url, password_file=server.password_file, connections=1)
    owner.migrate()
    await owner.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Migrated and empty."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            made = Database(f"sqlite:///{tmp_path / 'antin.sqlite'}")
        else:
            server = request.getfixturevalue("postgresql_server")
            url = stack.enter_context(servers.new_kept_database(server))
            await migrate(url.replace("//service@", "//keeper@"), server)
            made = Database(url, password_file=server.password_file)
        made.migrate()
        yield made
        await made.close()
