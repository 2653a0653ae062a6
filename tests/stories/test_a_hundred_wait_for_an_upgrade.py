"""P6: a hundred stories wait for revocation data when the service is upgraded, to a program with another form of stored work."""

from __future__ import annotations

import asyncio
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

STORIES = 100


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
    with world.pki.answering("ocsp"), world.pki.answering("crls"):
        async with open_world_house(world, home, serving=True) as house:
            async with asyncio.timeout(30):
                while not (await house.rooms.counts())["jobs_started"]:
                    await asyncio.sleep(0.05)
            for _ in range(STORIES):
                document = (await house.upload(caller)).id
                waiting = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LT)
                assert waiting.state is RequestState.REVOCATION_PENDING
            waiting_jobs = await house.rooms.counts()
            assert waiting_jobs["jobs_waiting"] + waiting_jobs["jobs_running"] == STORIES
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
