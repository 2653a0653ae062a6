"""A worker is killed after each step, another takes up what it left: signed exactly once, or cleanly not at all."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from documents.document import RequestState
from hsm.use_log import read_uses
from tests.crash import POINTS
from tests.house import CHAIRMAN_KEY, House, World, open_world_house

ROOT = Path(__file__).parents[2]


async def crash(point: str, facts: dict[str, Any]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash", point, stdin=asyncio.subprocess.PIPE, cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate(json.dumps(facts).encode())
    assert process.returncode == -9, said.decode()[-2000:]


def facts_of(
    house: House, document: object, request: object, level: str = "B-T", **settings: Any
) -> dict[str, Any]:
    caller = house.world.chairman.caller
    return {
        "home": str(house.settings.home), "tsa_urls": house.settings.tsa_urls, "agency": str(caller.agency),
        "caller": str(caller.id), "document": str(document), "request": str(request), "key": CHAIRMAN_KEY,
        "level": level, "moved": 0, "settings": {name: str(one) for name, one in settings.items()},
    }  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
async def test_killed_and_started_again(world: World, home: Path, point: str) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home) as house:
        document = (await house.upload(caller)).id
        request = house.id()
    await crash(point, facts_of(house, document, request))
    async with open_world_house(world, home) as house:
        # The next start carries on what was left, before anybody asks.
        await house.opened.sweeping.take_up(orphaned=True)
        await house.check(recovered=False)
        # The caller, who got no answer, asks again and gets its document.
        done = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert done.state is RequestState.DONE
        signed = await house.bytes_of(caller, document)
        again = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert (again.id, again.state) == (done.id, done.state)
        assert await house.bytes_of(caller, document) == signed
        await house.check()
        uses = [one for one in read_uses(house.settings.token) if one.request == request]
        # Only where the answer was lost on its way the same bytes were signed a second time, under another number.
        assert len(uses) == (2 if point == "3 the token has signed, its answer is gone" else 1)
        assert len({one.to_sign_sha256 for one in uses}) == 1
        assert len({one.intent for one in uses}) == len(uses)


async def test_the_service_itself_recovers_at_its_start(world: World, home: Path) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home) as house:
        document = (await house.upload(caller)).id
        request = house.id()
    await crash("3 the signature is stored", facts_of(house, document, request))
    async with open_world_house(world, home, serving=True) as house:
        for _ in range(200):
            if (await house.rooms.documents.request(caller, request)).state is RequestState.DONE:
                break
            await asyncio.sleep(0.05)
        await house.check()


async def test_a_crash_in_the_middle_of_an_archive_level(world: World, home: Path) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home) as house:
        document = (await house.upload(caller)).id
        request = house.id()
    await crash("4 judged", facts_of(house, document, request, "B-LTA"))
    async with open_world_house(world, home) as house:
        await house.opened.sweeping.take_up(orphaned=True)
        done = await house.rooms.documents.request(caller, request)
        assert done.state is RequestState.DONE
        assert done.reached == "B-LTA"
        await house.check()


async def test_what_was_learned_since_is_named_before_it_is_kept(world: World, home: Path) -> None:
    """Killed when the signed file was kept, and again when another, who knew newer answers about the certificate, had
    kept these: whoever comes third knows yet others, and nothing of all that lies there without a name."""
    caller = world.chairman.caller
    async with open_world_house(world, home) as house:
        document = (await house.upload(caller)).id
        request = house.id()
    await crash("5 kept", facts_of(house, document, request))
    try:
        world.clock.move(timedelta(days=20))
        later = facts_of(house, document, request) | {"moved": timedelta(days=20).total_seconds()}
        await crash("5 the evidence is kept", later)
        world.clock.move(timedelta(days=20))
        async with open_world_house(world, home) as house:
            await house.opened.sweeping.take_up(orphaned=True)
            assert (await house.rooms.documents.request(caller, request)).state is RequestState.DONE
            await house.check()
    finally:
        world.clock.reset()
