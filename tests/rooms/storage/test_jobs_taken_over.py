"""Processes that die, and one that is paused and wakes up: another does their jobs, and the woken one changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import make_url, text

from storage.jobs import DEATHS, WORKFLOW, Jobs
from storage.jobs_database import SILENT, JobsDatabase
from tests import servers
from tests.servers import PostgresqlServer
from tests.steering import SteerableClock

ROOT = Path(__file__).parents[3]


@dataclass
class Worker:
    process: asyncio.subprocess.Process

    async def says(self, word: str) -> str:
        """The rest of the first line that begins with `word`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while line := (await self.process.stdout.readline()).decode():
                if line.startswith(word):
                    return line.removeprefix(word).strip()
        raise AssertionError(f"it never said {word}")


@dataclass
class Yard:
    """A database that several hosts share."""

    url: str
    password_file: Path
    calls: list[UUID]

    @asynccontextmanager
    async def worker(self, host: str, what: str) -> AsyncIterator[Worker]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.labour", host, what, cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps({"url": self.url, "password_file": str(self.password_file)}).encode())
        process.stdin.close()
        try:
            yield Worker(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def ours(self) -> AsyncIterator[Jobs]:
        """This process, of a host of its own; each job is done at its first attempt."""
        jobs = Jobs(self.url, "1", clock=SteerableClock(), host="ours", password_file=self.password_file)

        async def work(input: dict[str, str]) -> datetime | None:
            self.calls.append(UUID(input["id"]))
            return None

        jobs.handle("work", work)
        await jobs.start()
        try:
            yield jobs
        finally:
            await jobs.stop()

    def sql(self, statement: str, **named: object) -> list[tuple[object, ...]]:
        database = JobsDatabase(make_url(self.url), self.password_file)
        with database.engine.begin() as connection:
            found = connection.execute(text(statement), named)
            rows = [tuple(one) for one in found] if found.returns_rows else []
        database.close()
        return rows

    def silence(self, executor: str) -> None:
        """Half a minute passes in which it says nothing."""
        self.sql(
            "UPDATE dbos.antin_living SET seen = seen - :by WHERE executor = :executor",
            by=SILENT + 1, executor=executor,
        )  # fmt: skip

    def put_down(self, id: UUID) -> None:
        """As another process would: for whoever takes it."""
        self.sql(
            "INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_version, "
            "application_name, created_at, updated_at, recovery_attempts, priority, serialization) VALUES "
            "(:id, 'ENQUEUED', :name, 'antin', '1', 'antin', 1000 * extract(epoch from now()), 1000 * extract(epoch from now()), 0, 0, "
            "'antin_json')",
            id=f"work/{id}/1", name=WORKFLOW,
        )  # fmt: skip
        inputs = {"args": ["work", str(id), 1, "2026-01-01T00:00:00+00:00", {"id": str(id)}], "kwargs": {}}
        self.sql(
            "INSERT INTO dbos.workflow_input (workflow_uuid, inputs) VALUES (:id, :inputs)",
            id=f"work/{id}/1", inputs=json.dumps(inputs),
        )  # fmt: skip

    def rows(self) -> list[tuple[object, ...]]:
        return self.sql(
            "SELECT workflow_uuid, status, split_part(executor_id, '/', 1) FROM dbos.workflow_status"
        )

    async def until_done(self, id: UUID) -> None:
        async with asyncio.timeout(30):
            while (f"work/{id}/1", "SUCCESS", "ours") not in self.rows():
                await asyncio.sleep(0.05)


@pytest.fixture
def yard(postgresql_server: PostgresqlServer) -> Iterator[Yard]:
    with servers.new_database(postgresql_server) as url:
        yield Yard(url, postgresql_server.password_file, [])


async def test_the_jobs_of_a_killed_process_are_taken_over(yard: Yard) -> None:
    id = uuid4()
    async with yard.worker("theirs", "dies") as worker:
        executor = await worker.says("started")
        yard.put_down(id)
        assert await worker.process.wait() == -signal.SIGKILL
        async with yard.ours() as jobs:
            await jobs.beat()
            assert yard.rows() == [(f"work/{id}/1", "PENDING", "theirs")]  # it may still live
            yard.silence(executor)
            await jobs.beat()
            await yard.until_done(id)
    assert yard.calls == [id]


async def test_who_wakes_up_after_another_took_over_changes_nothing(yard: Yard) -> None:
    """It wanted to put its next attempt down: the job that another has finished would go on."""
    id = uuid4()
    async with yard.worker("theirs", "stops") as worker:
        executor = await worker.says("started")
        yard.put_down(id)
        await worker.says("began")
        async with yard.ours() as jobs:
            yard.silence(executor)
            await jobs.beat()
            await yard.until_done(id)
            before = yard.sql("SELECT * FROM dbos.workflow_status")
            os.kill(worker.process.pid, signal.SIGCONT)
            await worker.says("woke")
            assert await worker.says("refused")
            assert yard.sql("SELECT * FROM dbos.workflow_status") == before
    assert yard.calls == [id]


async def test_what_kills_each_process_is_set_aside(yard: Yard) -> None:
    id = uuid4()
    for count in range(DEATHS + 1):
        async with yard.worker(f"theirs{count}", "dies") as worker:
            executor = await worker.says("started")
            if count == 0:
                yard.put_down(id)
            else:
                yard.sql("UPDATE dbos.workflow_status SET status = 'ENQUEUED' WHERE status = 'PENDING'")
            assert await worker.process.wait() == -signal.SIGKILL
            yard.silence(executor)
    async with yard.ours() as jobs:
        await jobs.beat()
        async with asyncio.timeout(30):
            while not (told := await jobs.problems()):
                await asyncio.sleep(0.05)
        assert [one.code for one in told] == ["jobs-set-aside"]
        assert told[0].detail.startswith(f"work/{id}/1: ")
        assert (await jobs.counts())["jobs_failed"] == 1
    assert yard.calls == []


async def test_a_clock_of_the_database_that_is_set_back_kills_nobody_and_keeps_nobody_alive(
    yard: Yard,
) -> None:
    id = uuid4()
    async with yard.worker("theirs", "dies") as worker:
        await worker.says("started")
        yard.put_down(id)
        assert await worker.process.wait() == -signal.SIGKILL
        async with yard.ours() as jobs:
            yard.sql("UPDATE dbos.antin_living SET seen = seen + 86400 * 365")
            await jobs.beat()
            assert yard.rows() == [(f"work/{id}/1", "PENDING", "theirs")]  # whoever lives has yet to say so
            await jobs.beat()
            await yard.until_done(id)
    assert yard.calls == [id]


async def test_who_was_silent_itself_lets_the_others_speak_first(yard: Yard) -> None:
    """The database was away for a minute: nobody is dead for that."""
    id = uuid4()
    async with yard.worker("theirs", "stops") as worker:
        executor = await worker.says("started")
        yard.put_down(id)
        await worker.says("began")
        async with yard.ours() as jobs:
            for one in (executor, jobs._executor):
                yard.silence(one)
            await jobs.beat()
            assert yard.rows() == [(f"work/{id}/1", "PENDING", "theirs")]
            await jobs.beat()  # in time: now it is the other who says nothing
            await yard.until_done(id)
