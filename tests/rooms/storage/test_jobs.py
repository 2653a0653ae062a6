"""Durable work that waits, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, make_url, text

from storage.database import DatabaseUnavailable
from storage.jobs import SET_ASIDE_AFTER, Jobs, look
from storage.jobs_database import JobsDatabase
from tests import servers
from tests.steering import SteerableClock

AGENCY = UUID(int=7)


class Place:
    """A database for jobs, and the jobs started on it."""

    def __init__(self, url: str, password_file: Path | None) -> None:
        self.url, self.password_file, self.clock = url, password_file, SteerableClock()
        self.calls: list[dict[str, str]] = []
        self.started: list[Jobs] = []

    def jobs(self, version: str = "1", *, older: Sequence[str] = ()) -> Jobs:
        return Jobs(self.url, version, clock=self.clock, password_file=self.password_file, older=older)

    async def start(self, jobs: Jobs) -> Jobs:
        await jobs.start()
        self.started.append(jobs)
        return jobs

    @property
    def schema(self) -> str:
        return "" if self.url.startswith("sqlite") else "dbos."

    @contextmanager
    def tables(self) -> Iterator[Connection]:
        database = JobsDatabase(make_url(self.url), self.password_file, looking=True)
        with database.engine.begin() as connection:
            yield connection
        database.close()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.calls) < count:
                await asyncio.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            made = Place(f"sqlite:///{tmp_path / 'jobs.sqlite'}", None)
        else:
            server = request.getfixturevalue("postgresql_server")
            made = Place(stack.enter_context(servers.new_database(server)), server.password_file)
        yield made
        for one in made.started:
            await one.stop()


async def test_a_job_is_asked_again_at_the_time_it_gives(place: Place) -> None:
    async def finish(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return None if len(place.calls) == 3 else place.clock() + timedelta(hours=1)

    jobs = place.jobs()
    jobs.handle("timestamp", finish)
    await place.start(jobs)
    await jobs.enqueue("timestamp", uuid4(), {"request": "một"}, agency=AGENCY)
    for count in (1, 2, 3):
        await place.until(count)
        while count < 3 and (await jobs.counts())["jobs_waiting"] != 1:
            await asyncio.sleep(0.05)
        place.clock.move(timedelta(hours=1, seconds=1))
        await jobs.hurry()
    assert place.calls == [{"agency": str(AGENCY), "request": "một"}] * 3
    while (await jobs.counts())["jobs_running"]:
        await asyncio.sleep(0.05)
    assert await jobs.counts() == {
        "jobs_started": 1, "jobs_waiting": 0, "jobs_running": 0, "jobs_failed": 0, "jobs_failures": 0
    }  # fmt: skip


async def test_what_a_clock_a_year_ahead_put_down_does_not_wait_for_a_year(place: Place) -> None:
    async def waits(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return place.clock() + timedelta(days=1) if len(place.calls) == 1 else None

    jobs = place.jobs()
    jobs.handle("waits", waits)
    await place.start(jobs)
    await jobs.enqueue("waits", uuid4(), {}, agency=AGENCY)
    await place.until(1)
    while (await jobs.counts())["jobs_waiting"] != 1:
        await asyncio.sleep(0.05)
    for later, called in ((3 * 86_400_000, 1), (365 * 86_400_000, 2)):
        with place.tables() as connection:
            connection.execute(
                text(
                    f"UPDATE {place.schema}workflow_status SET delay_until_epoch_ms = delay_until_epoch_ms + {later} "
                    "WHERE status = 'DELAYED'"
                )
            )
        await jobs.beat()
        await place.until(called)


async def test_attempts_that_are_over_are_forgotten(place: Place) -> None:
    async def thrice(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return place.clock() if len(place.calls) < 4 else None

    jobs, id = place.jobs(), uuid4()
    jobs.handle("thrice", thrice)
    await place.start(jobs)
    await jobs.enqueue("thrice", id, {}, agency=AGENCY)
    await place.until(4)
    while (await jobs.counts())["jobs_running"] or (await jobs.counts())["jobs_waiting"]:
        await asyncio.sleep(0.05)

    def left() -> list[str]:
        with place.tables() as connection:
            rows = connection.scalars(text(f"SELECT workflow_uuid FROM {place.schema}workflow_status"))
            return sorted(rows)

    await jobs._forget()
    assert left() == [f"thrice/{id}/{number}" for number in (1, 2, 3, 4)]
    with place.tables() as connection:
        connection.execute(
            text(f"UPDATE {place.schema}workflow_status SET updated_at = updated_at - 3700000")
        )
    await jobs._forget()
    assert left() == [f"thrice/{id}/1"]
    await jobs.enqueue("thrice", id, {}, agency=AGENCY)  # done is done
    assert left() == [f"thrice/{id}/1"] and len(place.calls) == 4


async def test_the_same_identifier_is_one_job(place: Place) -> None:
    async def once(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return None

    jobs = place.jobs()
    jobs.handle("once", once)
    await place.start(jobs)
    one, other = uuid4(), uuid4()
    await asyncio.gather(*(jobs.enqueue("once", one, {"n": "1"}, agency=AGENCY) for _ in range(5)))
    await place.until(1)
    await jobs.enqueue("once", one, {"n": "1"}, agency=AGENCY)
    await jobs.enqueue("once", other, {"n": "2"}, agency=AGENCY)
    await place.until(2)
    assert place.calls == [{"agency": str(AGENCY), "n": n} for n in "12"]
    with pytest.raises(ValueError, match="nobody handles"):
        await jobs.enqueue("unknown", one, {}, agency=AGENCY)


async def test_what_waits_survives_an_upgrade(place: Place) -> None:
    """P6: another program, the same version of the stored work; a handler in the middle is done again."""
    inside = asyncio.Event()

    async def waits(input: dict[str, str]) -> datetime | None:
        if input["n"] == "0":
            inside.set()
            await asyncio.sleep(3600)
        return place.clock() + timedelta(days=1)

    async def ends(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return None

    old = place.jobs()
    old.handle("renew", waits)
    await old.start()
    await asyncio.gather(*(old.enqueue("renew", uuid4(), {"n": str(n)}, agency=AGENCY) for n in range(12)))
    async with asyncio.timeout(30):
        await inside.wait()
        while (await old.counts())["jobs_waiting"] < 11:
            await asyncio.sleep(0.05)
    await old.stop()
    new = place.jobs()
    new.handle("renew", ends)
    await place.start(new)
    await place.until(1)
    place.clock.move(timedelta(days=1, seconds=1))
    await new.hurry()
    await place.until(12)
    assert sorted(int(one["n"]) for one in place.calls) == list(range(12))


async def test_an_upgrade_with_a_hundred_jobs_waiting_strands_none(place: Place) -> None:
    """P6: another form of the stored work. What waits, what is due and what was in hand goes over to it."""

    async def waits(input: dict[str, str]) -> datetime | None:
        return place.clock() + timedelta(days=1)

    async def ends(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        return None

    old = place.jobs()
    old.handle("renew", waits)
    await old.start()
    await asyncio.gather(*(old.enqueue("renew", uuid4(), {"n": str(n)}, agency=AGENCY) for n in range(100)))
    async with asyncio.timeout(60):
        while (await old.counts())["jobs_running"] or (await old.counts())["jobs_waiting"] != 100:
            await asyncio.sleep(0.05)
    await old.stop()
    strange = place.jobs("3")
    strange.handle("renew", ends)
    await strange.start()
    told = [(one.code, one.detail) for one in await strange.problems()]
    await strange.stop()
    assert told == [("jobs-of-another-form", "100")]
    new = place.jobs("2", older=["1"])
    new.handle("renew", ends)
    await place.start(new)
    assert await new.problems() == []
    place.clock.move(timedelta(days=1, seconds=1))
    await new.hurry()
    await place.until(100)
    assert sorted(int(one["n"]) for one in place.calls) == list(range(100))


async def test_what_fails_again_and_again_is_set_aside_with_its_reason(place: Place) -> None:
    async def fails(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        raise RuntimeError("the page tree bites its tail")

    jobs, one = place.jobs(), uuid4()
    jobs.handle("poison", fails)
    await place.start(jobs)
    await jobs.enqueue("poison", one, {}, agency=AGENCY)
    for count in range(1, SET_ASIDE_AFTER + 1):
        await place.until(count)
        async with asyncio.timeout(30):
            while (await jobs.counts())["jobs_running"]:
                await asyncio.sleep(0.05)
        place.clock.move(timedelta(hours=1))
        await jobs.hurry()
    counts = await jobs.counts()
    assert (counts["jobs_failed"], counts["jobs_waiting"]) == (1, 0)
    told = await jobs.problems()
    why = "RuntimeError: the page tree bites its tail"
    assert [(found.code, found.stops) for found in told] == [("jobs-set-aside", False)]
    assert told[0].detail == f"poison/{one}/{SET_ASIDE_AFTER}: {why}"
    # As `antin doctor` sees it, beside the service.
    assert look(place.url, ["1"], password_file=place.password_file) == told


async def test_that_nobody_does_the_waiting_work_is_told(place: Place) -> None:
    assert [one.code for one in look(place.url, ["1"], password_file=place.password_file)] == ["jobs-away"]
    jobs = place.jobs()
    await place.start(jobs)
    assert look(place.url, ["1"], password_file=place.password_file) == []
    await jobs.stop()
    assert [one.code for one in look(place.url, ["1"], password_file=place.password_file)] == ["jobs-away"]


async def test_a_handler_that_fails_is_asked_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def fails_first(input: dict[str, str]) -> datetime | None:
        place.calls.append(input)
        if len(place.calls) == 1:
            raise RuntimeError("the authority is away")
        return None

    jobs = place.jobs()
    jobs.handle("fails", fails_first)
    await place.start(jobs)
    await jobs.enqueue("fails", uuid4(), {}, agency=AGENCY)
    await place.until(1)
    while (await jobs.counts())["jobs_waiting"] != 1:
        await asyncio.sleep(0.05)
    place.clock.move(timedelta(minutes=1))
    await jobs.hurry()
    await place.until(2)
    assert (await jobs.counts())["jobs_failures"] == 1
    assert "the authority is away" in caplog.text


async def test_work_of_every_minute_goes_on_though_it_fails(place: Place) -> None:
    async def sweep() -> None:
        place.calls.append({})
        raise RuntimeError("once more")

    jobs = place.jobs()
    jobs.every(0.05, "sweep", sweep)
    await place.start(jobs)
    await place.until(3)
    assert (await jobs.counts())["jobs_failures"] >= 2
    assert [(one.code, one.detail) for one in await jobs.problems()] == [
        ("sweep-fails", "sweep: RuntimeError: once more")
    ]


async def test_it_starts_again_after_it_stopped(place: Place) -> None:
    for _ in range(2):
        jobs = place.jobs()
        await jobs.start()
        await jobs.stop()
        await jobs.stop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> Iterator[str]:
    yield f"sqlite:///{tmp_path / 'jobs.sqlite'}"


async def test_one_process_a_host_does_the_jobs(sqlite_url: str) -> None:
    clock = SteerableClock()
    first, second = Jobs(sqlite_url, "1", clock=clock), Jobs(sqlite_url, "1", clock=clock)
    await first.start()
    with pytest.raises(DatabaseUnavailable):
        await second.start()
    await second.stop()
    await first.stop()


async def test_its_database_is_durable_and_holds_no_pickle(sqlite_url: str, tmp_path: Path) -> None:
    import sqlite3

    jobs = Jobs(sqlite_url, "1", clock=SteerableClock())

    async def later(input: dict[str, str]) -> datetime | None:
        return None

    jobs.handle("later", later)
    await jobs.start()
    await jobs.enqueue("later", uuid4(), {"văn bản": "một"}, agency=AGENCY)
    await jobs.stop()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        query = (
            "SELECT w.inputs, serialization FROM workflow_input w JOIN workflow_status USING (workflow_uuid)"
        )
        stored = connection.execute(query).fetchall()
    connection.close()
    assert stored
    assert all(text.startswith("{") and kind == "antin_json" for text, kind in stored)


def test_an_older_sqlite_tells_the_time_as_newer_python_has_the_engine_ask(sqlite_url: str) -> None:
    database = JobsDatabase(make_url(sqlite_url), None)
    before = time.time()
    with database.engine.connect() as connection:
        told = connection.execute(text("SELECT unixepoch('subsec')")).scalar_one()
    database.close()
    assert before - 1 <= told <= time.time() + 1


async def test_work_of_every_minute_does_not_wait_for_the_engine(sqlite_url: str) -> None:
    """The audit trail, the clock and the sweeps go on though no durable work can be done; that begins when it can."""
    clock, done = SteerableClock(), asyncio.Event()

    async def sweep() -> None:
        done.set()

    first, second = Jobs(sqlite_url, "1", clock=clock), Jobs(sqlite_url, "1", clock=clock)
    second.every(60, "sweep", sweep)
    await first.start()
    with pytest.raises(DatabaseUnavailable):
        await second.start()
    async with asyncio.timeout(30):
        await done.wait()
    assert not second.started
    assert (await second.counts())["jobs_started"] == 0
    told = await second.problems()
    assert [(one.code, one.stops) for one in told] == [("jobs-away", False)]
    assert "other jobs already" in told[0].detail
    await first.stop()
    await second._try()  # as every minute
    assert second.started
    assert await second.problems() == []
    await second.stop()
