"""Two processes share a PostgreSQL and a MinIO: one is killed or paused in the middle of a story, the other takes it over
within a minute; the paused one wakes up and changes nothing."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from documents.document import RequestState
from documents.leases import LEASE
from hsm.use_log import read_uses
from signing.trust.anchors import Anchor
from storage.schema import SigningRequestRow
from tests import servers
from tests.crash import POINTS
from tests.house import House, World, open_world_house
from tests.stories.test_we_crash_between_two_steps import facts_of

ROOT = Path(__file__).parents[2]
SWEEP = timedelta(seconds=10)  # chores.py: how often what a dead worker held is looked for
TWICE = "3 the token has signed, its answer is gone"
OVER = {"5 recorded", "5 cleared away"}  # nothing is left to take over


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.PostgresqlServer]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[servers.S3Server]:
    with servers.minio() as server:
        yield server


@pytest.fixture
def shared(
    postgresql: servers.PostgresqlServer, s3: servers.S3Server, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Two processes and nothing in common but these: a database, buckets of their own."""
    credentials, name = tmp_path / "credentials", uuid4().hex
    credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")
    with servers.new_database(postgresql) as url, servers.new_database(postgresql) as jobs:
        yield {
            "database_url": url, "database_password_file": postgresql.password_file, "jobs_database_url": jobs,
            "s3_endpoint": f"{'https' if s3.secure else 'http'}://{s3.endpoint}", "s3_credentials_file": credentials,
            "s3_kept_bucket": f"kept-{name}", "s3_working_bucket": f"working-{name}",
        }  # fmt: skip


@asynccontextmanager
async def worker(
    point: str, end: signal.Signals, facts: dict[str, Any]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has met its point."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash", point, end.name, cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(facts).encode())
    process.stdin.close()
    try:
        async with asyncio.timeout(60):
            while end is signal.SIGSTOP and state_of(process.pid) != "T":
                assert process.returncode is None
                await asyncio.sleep(0.02)
            if end is signal.SIGKILL:
                await process.wait()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def believed(house: House) -> None:
    root = Anchor(house.world.pki.certificate("root"), provenance="the test world")
    await house.rooms.trusted.add(root, confirmed_by="test")


def request_row(session: Session, request: Any) -> dict[str, Any]:
    row = session.get_one(SigningRequestRow, request)
    return {one.name: getattr(row, one.name) for one in SigningRequestRow.__table__.columns}


@pytest.mark.parametrize("point", POINTS)
async def test_paused_passed_and_woken(world: World, home: Path, shared: dict[str, Any], point: str) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home, **shared) as house:
        await believed(house)
        document, request = (await house.upload(caller)).id, house.id()
        facts = facts_of(house, document, request, **shared)
        async with worker(point, signal.SIGSTOP, facts) as paused:
            await house.opened.sweeping.take_over()
            if point not in OVER:
                assert not (
                    await house.rooms.documents.request(caller, request)
                ).state.ended  # it may yet wake up
            house.clock.move(LEASE + SWEEP)
            await house.opened.sweeping.take_over()
            done = await house.rooms.documents.request(caller, request)
            assert done.state is RequestState.DONE
            signed, row = (
                await house.bytes_of(caller, document),
                await house.facts(lambda s: request_row(s, request)),
            )
            os.kill(paused.pid, signal.SIGCONT)
            said = (await paused.communicate())[0].decode().strip()
        assert said == "DONE" if point in OVER else said.startswith(("TakenOver", "KeyRefused", "NotKept")), (
            said
        )
        assert await house.bytes_of(caller, document) == signed
        assert await house.facts(lambda s: request_row(s, request)) == row
        await house.check()
        uses = [one for one in read_uses(house.settings.token) if one.request == request]
        assert len(uses) == (2 if point == TWICE else 1)


async def test_a_living_service_takes_over_by_itself(
    world: World, home: Path, shared: dict[str, Any]
) -> None:
    """No conductor, no restart, nobody asks: the sweep finds it when its lease is over."""
    caller = world.chairman.caller
    async with open_world_house(world, home, serving=True, **shared) as house:
        await believed(house)
        document, request = (await house.upload(caller)).id, house.id()
        facts = facts_of(house, document, request, **shared)
        async with worker("3 the signature is stored", signal.SIGKILL, facts):
            house.clock.move(LEASE)
        async with asyncio.timeout(2 * SWEEP.total_seconds()):
            while not (await house.rooms.documents.request(caller, request)).state.ended:
                await asyncio.sleep(0.2)
        assert (await house.rooms.documents.request(caller, request)).state is RequestState.DONE
        await house.check()
    assert timedelta(minutes=1) > LEASE + SWEEP


async def test_durable_work_that_cannot_start_is_seen(world: World, home: Path) -> None:
    """Sweeps do its work meanwhile; that it is so stands on /readyz, /metrics and in `antin doctor`, and not in a log alone."""
    with (home / "jobs.sqlite.lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)  # another process has it
        async with open_world_house(world, home, serving=True) as house:
            async with asyncio.timeout(30):
                while not (told := [one for one in await house.rooms.ready() if one.part == "jobs"]):
                    await asyncio.sleep(0.1)
            assert [(one.code, one.stops) for one in told] == [("jobs-away", False)]
            assert (await house.rooms.counts())["jobs_started"] == 0
            async with open_world_house(world, home) as beside:
                seen = await beside.opened.watch.troubles()
            assert [one.code for one in seen if one.part == "jobs"] == ["jobs-away"]
    async with open_world_house(world, home) as alone:  # where no service runs nothing is to be done
        assert [one for one in await alone.opened.watch.troubles() if one.part == "jobs"] == []
