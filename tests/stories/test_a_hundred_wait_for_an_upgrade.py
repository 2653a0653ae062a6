"""P6: a hundred stories wait for a time-stamp or for revocation data when the service is upgraded, to a program with another
form of stored work."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import ground
from documents.document import RequestState
from signing.profile import Level
from storage.schema import RenditionRow, SigningRequestRow
from tests.house import CHAIRMAN_KEY, House, World, open_world_house

STORIES, OF_JOBS = 100, 10  # those that owe revocation data are a job each


def states(session: Session) -> dict[str, int]:
    row = SigningRequestRow.state
    return {state: count for state, count in session.execute(select(row, func.count()).group_by(row))}


async def wait_for(house: House, state: RequestState) -> None:
    async with asyncio.timeout(240):
        while await house.facts(states) != {state.value: STORIES}:
            await asyncio.sleep(0.2)


async def test_an_upgrade_strands_none(world: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = world.chairman.caller
    monkeypatch.setattr(ground, "JOB_VERSION", "before")
    monkeypatch.setattr(ground, "OLDER_JOBS", ())
    with ExitStack() as away:
        for service in ("ocsp", "crls"):
            away.enter_context(world.pki.answering(service))
        async with open_world_house(world, home, serving=True) as house:
            async with asyncio.timeout(30):
                while not (await house.rooms.counts())["jobs_started"]:
                    await asyncio.sleep(0.05)
            for number in range(STORIES):
                if number == OF_JOBS:
                    away.enter_context(world.pki.answering("tsa"))
                document = (await house.upload(caller)).id
                level = Level.B_LT if number < OF_JOBS else Level.B_T
                waiting = await house.sign(caller, document, CHAIRMAN_KEY, level=level)
                state = (
                    RequestState.REVOCATION_PENDING if number < OF_JOBS else RequestState.TIMESTAMP_PENDING
                )
                assert waiting.state is state
            waiting_jobs = await house.rooms.counts()
            assert waiting_jobs["jobs_waiting"] + waiting_jobs["jobs_running"] == OF_JOBS
    monkeypatch.setattr(ground, "JOB_VERSION", "after")
    monkeypatch.setattr(ground, "OLDER_JOBS", ("before",))
    world.clock.move(timedelta(minutes=1))
    async with open_world_house(world, home, serving=True) as house:
        await wait_for(house, RequestState.DONE)

        def signed(session: Session) -> list[UUID]:
            return list(session.scalars(select(RenditionRow.document).where(RenditionRow.kind == "signed")))

        found = await house.facts(signed)
        assert len(found) == len(set(found)) == STORIES
        async with asyncio.timeout(120):  # the jobs, too, come to their end: none is left in the old form
            while (await house.rooms.counts())["jobs_waiting"] or (await house.rooms.counts())[
                "jobs_running"
            ]:
                await asyncio.sleep(0.2)
        assert [one for one in await house.rooms.ready() if one.part == "jobs"] == []
