"""The one door to the facts, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from storage.database import WHOLE_SERVICE, Database, DatabaseUnavailable, NotDurable, OutOfScope
from storage.schema import AgencyRow, ClientRow
from tests import servers
from tests.rooms.storage.conftest import migrate
from tests.servers import run_sql

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


def agency(id: UUID, name: str = "Ủy ban nhân dân xã An Phước") -> AgencyRow:
    return AgencyRow(agency=id, name=name, short_name="UBND", created_at=NOW)


async def test_what_is_answered_is_there(db: Database) -> None:
    one = uuid4()

    def work(session: Session) -> str:
        session.add(agency(one))
        return "done"

    assert await db.transact(one, work) == "done"
    row = await db.read(one, lambda s: s.get_one(AgencyRow, one))
    assert (row.name, row.created_at) == ("Ủy ban nhân dân xã An Phước", NOW)
    assert db.read_now(WHOLE_SERVICE, lambda s: list(s.scalars(select(AgencyRow.agency)))) == [one]


async def test_a_failing_work_leaves_nothing_and_harms_nobody(db: Database) -> None:
    ids = [uuid4() for _ in range(20)]

    def work(id: UUID, fails: bool) -> None:
        def run(session: Session) -> None:
            session.add(agency(id))
            session.flush()
            if fails:
                raise KeyError(str(id))

        return run  # type: ignore[return-value]

    answers = await asyncio.gather(
        *(db.transact(id, work(id, n % 3 == 0)) for n, id in enumerate(ids)),  # type: ignore[func-returns-value, arg-type]
        return_exceptions=True,
    )
    assert [isinstance(one, KeyError) for one in answers] == [n % 3 == 0 for n in range(20)]
    there = await db.read(WHOLE_SERVICE, lambda s: set(s.scalars(select(AgencyRow.agency))))
    assert there == {id for n, id in enumerate(ids) if n % 3}


async def test_works_see_one_another_as_if_one_after_the_other(db: Database) -> None:
    one = uuid4()
    await db.transact(one, lambda s: s.add(agency(one, "0")))

    def count(session: Session) -> None:
        row = session.get_one(AgencyRow, one)  # read and write back, without a lock
        row.name = str(int(row.name) + 1)

    await asyncio.gather(*(db.transact(one, count) for _ in range(24)))
    assert await db.read(one, lambda s: s.get_one(AgencyRow, one).name) == "24"


async def test_two_that_make_the_same_row_are_one_after_the_other(db: Database) -> None:
    one = uuid4()

    def make(session: Session) -> bool:
        if session.get(AgencyRow, one) is not None:
            return False
        session.add(agency(one))
        return True

    made = await asyncio.gather(*(db.transact(one, make) for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]


async def test_a_constraint_broken_is_the_works_own_fault(db: Database) -> None:
    one = uuid4()
    await db.transact(one, lambda s: s.add(agency(one)))
    with pytest.raises(IntegrityError):
        await db.transact(one, lambda s: s.add(agency(one)))


IN_THE_WAY = {
    "sqlite": [
        "CREATE TRIGGER in_the_way BEFORE INSERT ON agencies BEGIN SELECT RAISE(ABORT, 'in the way'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''in the way''; END'",
        "CREATE TRIGGER in_the_way BEFORE INSERT ON agencies FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}


async def test_a_strangers_trigger_is_no_fault_of_the_work(
    db: Database, request: pytest.FixtureRequest
) -> None:
    for one in IN_THE_WAY[db.kind]:
        if db.kind == "postgresql":  # the service may not do this
            name = await db.read(WHOLE_SERVICE, lambda s: s.scalar(text("SELECT current_database()")))
            run_sql(request.getfixturevalue("postgresql_server"), one, role="keeper", database=str(name))
        else:
            await db.transact(WHOLE_SERVICE, lambda s, one=one: s.execute(text(one)))  # type: ignore[misc]
    with pytest.raises(DatabaseUnavailable, match="in the way"):
        await db.transact(WHOLE_SERVICE, lambda s: s.add(agency(uuid4())))


async def test_rows_of_another_agency_cannot_be_written(db: Database) -> None:
    ours, theirs = uuid4(), uuid4()
    with pytest.raises(OutOfScope):
        await db.transact(ours, lambda s: s.add(agency(theirs)))
    assert await db.read(WHOLE_SERVICE, lambda s: s.scalar(select(AgencyRow.agency))) is None


async def test_a_read_cannot_write(db: Database) -> None:
    one = uuid4()

    def work(session: Session) -> None:
        session.add(agency(one))
        session.flush()

    with pytest.raises((DatabaseUnavailable, DBAPIError)):
        await db.read(one, work)
    assert await db.read(WHOLE_SERVICE, lambda s: s.scalar(select(AgencyRow.agency))) is None


async def test_a_read_does_not_wait_behind_a_write(db: Database) -> None:
    one, loop = uuid4(), asyncio.get_running_loop()
    inside, go_on = asyncio.Event(), asyncio.Event()

    def slow(session: Session) -> None:
        session.add(agency(one))
        session.flush()
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

    writing = asyncio.create_task(db.transact(one, slow))
    await inside.wait()
    assert await db.read(one, lambda s: s.get(AgencyRow, one)) is None
    go_on.set()
    await writing
    assert await db.read(one, lambda s: s.get(AgencyRow, one)) is not None


async def test_what_was_given_back_can_be_read_after_the_end(db: Database) -> None:
    one = uuid4()

    def work(session: Session) -> ClientRow:
        row = ClientRow(
            id=uuid4(), agency=one, name="một cửa", key_hash=b"k", scopes=["verify"], created_at=NOW
        )
        session.add(row)
        return row

    assert (await db.transact(one, work)).scopes == ["verify"]


async def test_it_finds_nothing_wrong_with_itself(db: Database) -> None:
    assert db.check() == []


async def test_where_a_commit_is_worth_nothing_nothing_is_written(
    postgresql_server: servers.PostgresqlServer,
) -> None:
    """An operator set `synchronous_commit` off: told before anything is answered, and by `antin doctor`."""
    with servers.new_kept_database(postgresql_server) as url:
        await migrate(url.replace("//service@", "//keeper@"), postgresql_server)
        run_sql(postgresql_server, f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
        db = Database(url, password_file=postgresql_server.password_file)
        with pytest.raises(NotDurable, match="synchronous_commit=off"):
            await db.transact(WHOLE_SERVICE, lambda s: s.add(agency(uuid4())))
        assert [one.code for one in db.check()] == ["not-durable"]
        await db.close()


async def test_what_was_answered_survives_the_servers_death() -> None:
    """Every process of PostgreSQL is killed in the middle of works, and again. Whose answer was lost may be there or not."""
    answered: set[UUID] = set()
    lost = 0
    with servers.postgresql() as server, servers.new_kept_database(server) as url:
        await migrate(url.replace("//service@", "//keeper@"), server)
        db = Database(url, password_file=server.password_file)

        async def works(enough: asyncio.Event, over: asyncio.Event, wanted: int) -> None:
            nonlocal lost
            while not over.is_set():
                if len(answered) >= wanted:
                    enough.set()
                one = uuid4()
                try:
                    await db.transact(one, lambda s, one=one: s.add(agency(one)))  # type: ignore[misc]
                except DatabaseUnavailable:
                    lost += 1
                else:
                    answered.add(one)

        for crashes in range(1, 6):
            enough, over = asyncio.Event(), asyncio.Event()
            writing = [asyncio.create_task(works(enough, over, 60 * crashes)) for _ in range(6)]
            await enough.wait()
            server.crash()  # here: a child ends with the thread that started it
            over.set()
            await asyncio.gather(*writing)
            there = await db.read(WHOLE_SERVICE, lambda s: set(s.scalars(select(AgencyRow.agency))))
            assert answered <= there
        await db.close()
    assert lost


async def test_migrating_again_changes_nothing(db: Database) -> None:
    db.migrate()
    assert db.check() == []


async def test_a_schema_of_another_program_is_named(db: Database) -> None:
    def set_version(number: str) -> None:
        db.transact_now(
            WHOLE_SERVICE, lambda s: s.execute(text(f"UPDATE alembic_version SET version_num = '{number}'"))
        )

    set_version("9999")
    assert [one.code for one in db.check()] == ["too-new"]
    set_version("0000")
    assert [one.code for one in db.check()] == ["not-migrated"]


async def test_closed_is_closed(db: Database) -> None:
    await db.close()
    with pytest.raises(DatabaseUnavailable):
        await db.transact(WHOLE_SERVICE, lambda s: None)


def test_a_password_in_the_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="password"):
        Database("postgresql://antin:secret@127.0.0.1/antin")
