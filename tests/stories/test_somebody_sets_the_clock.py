"""Somebody sets the wall clock, or the time servers contradict it: signing and stamping stop and say why; everything else
goes on by the best time that is known; once the clock is right what waited goes on by itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.document import RequestState
from documents.requests import Held
from documents.wish import SignWish
from hsm.use_log import read_uses
from signing.profile import Level
from signing.timestamping.clock import ClockUnsure
from signing.verification.report import Verdict
from storage.schema import AuditCheckpointRow, AuditRecordRow
from tests.house import CHAIRMAN_KEY, PASSWORD, House, World, open_world_house, sequenced
from tests.papers import letter
from tests.rooms.signing.listening import TimeServer, time_servers
from web.app import build

BOUND = timedelta(seconds=1)
YEAR = timedelta(days=365)
NEAR = timedelta(seconds=20)  # the tests' own time
API, LETTER = "/api/v1", letter()


@asynccontextmanager
async def asked(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The house's own doors, for the program."""

    @asynccontextmanager
    async def rooms() -> AsyncIterator[Any]:
        yield house.rooms

    app = build(rooms, write_log=lambda _: None)
    async with app.router.lifespan_context(app):
        transport, key = httpx.ASGITransport(app), {"Authorization": f"Bearer {house.world.api_key}"}
        async with httpx.AsyncClient(transport=transport, base_url=house.rooms.address, headers=key) as http:
            yield http


def times_told(session: Session) -> tuple[list[datetime], list[datetime]]:
    """Of the audit records, and of the checkpoints, in their order."""
    row, points = AuditRecordRow, AuditCheckpointRow
    bodies = session.scalars(select(row.body).order_by(row.generation, row.number))
    records = [datetime.fromisoformat(json.loads(one)["at"]) for one in bodies]
    checkpoints = select(points.created_at).order_by(points.generation, points.size)
    return records, list(session.scalars(checkpoints))


def uses(house: House) -> int:
    return sum(one.key in {CHAIRMAN_KEY, "con-dau"} for one in read_uses(house.settings.token))


async def post(http: httpx.AsyncClient, key: str) -> httpx.Response:
    return await http.post(
        f"{API}/documents", content=LETTER, headers={"Content-Type": "application/pdf", "Idempotency-Key": key}
    )  # fmt: skip


@pytest.mark.parametrize("by", [YEAR, -YEAR, timedelta(seconds=1.5), timedelta(seconds=-1.5)], ids=str)
async def test_a_jump_stops_signing_alone(house: House, by: timedelta) -> None:
    world, rooms, began = house.world, house.rooms, house.clock.true()
    caller, requests = world.chairman.caller, house.opened.sweeping.requests
    signed = (await house.upload(caller)).id
    assert (await house.sign(caller, signed, CHAIRMAN_KEY)).state is RequestState.DONE
    waits, unsigned, held = (house.id() for _ in range(3))
    with world.pki.answering("tsa"):
        await house.sign(caller, (await house.upload(caller)).id, CHAIRMAN_KEY, request=waits)
    document, of_held = [(await house.upload(caller)).id for _ in range(2)]
    in_hand = await requests.claim(caller, of_held, held, SignWish(level=Level.B_T, key=CHAIRMAN_KEY))
    assert isinstance(in_hand, Held)
    session = await rooms.office.log_in(world.chairman.login, PASSWORD)
    before = uses(house)
    async with asked(house) as http:
        first = await post(http, "first")
        assert first.status_code == 201, first.text
        house.clock.jump(by)

        # Signing and stamping stop, with their reason; no key is touched.
        with pytest.raises(ClockUnsure):
            await house.sign(caller, document, CHAIRMAN_KEY, request=unsigned)
        told = await http.post(
            f"{first.headers['location']}/signatures", json={"key": "con-dau", "level": "B-T"}
        )
        assert (told.status_code, told.json()["code"]) == (503, "clock-unsure"), told.text
        assert int(told.headers["Retry-After"]) > 0
        assert [one.code for one in await house.opened.watch.troubles() if one.stops] == ["clock-off"]
        ready = await http.get("/readyz")
        assert (ready.status_code, "clock-off" in ready.text) == (503, True)
        await house.opened.sweeping.take_up()
        assert uses(house) == before

        # What needs no sure time goes on by the time that was known: nobody is logged out, nothing is forgotten.
        report = await rooms.verifying.verify_kept(caller, signed)
        assert report.verdict is Verdict.VALID and abs(report.validation_time - house.clock.true()) < NEAR
        assert await rooms.office.by_session(session) == caller
        assert await rooms.office.log_in(world.chairman.login, PASSWORD)
        await rooms.once.sweep()
        await rooms.verifying.sweep()
        with pytest.raises(ClockUnsure):
            await house.opened.sweeping.clear()
        again = await post(http, "first")
        assert again.headers["location"] == first.headers["location"]
        assert (await post(http, "second")).status_code == 201
        # Who holds a request holds it, and no longer than before.
        assert held not in await requests.waiting() and await requests.take(held) is None
        await sequenced(house)

        house.clock.jump(-by)
        await requests.let_go(in_hand)
        await house.opened.sweeping.clear()
        await house.opened.sweeping.take_up()
        states = {(await rooms.documents.request(caller, one)).state for one in (waits, unsigned, held)}
        assert states == {RequestState.DONE}
        assert (await post(http, "second")).headers["Idempotent-Replayed"] == "true"
    assert [one.code for one in await house.opened.watch.troubles() if one.stops] == []
    await sequenced(house)
    records, checkpoints = await house.facts(times_told)
    assert sum(one > began - NEAR for one in records) > 10
    assert max(records + checkpoints) < house.clock() + NEAR, "of a time that has not come"
    for told in (
        records[1:],
        checkpoints,
    ):  # the first says that the log was opened, after what it then numbered
        assert all(one <= two + BOUND for one, two in pairwise(told))
    await house.check()


@pytest.mark.parametrize("by", [timedelta(seconds=1), timedelta(seconds=-1)], ids=str)
async def test_a_second_within_the_bound_stops_nothing(world: World, home: Path, by: timedelta) -> None:
    async with open_world_house(world, home, clock_bound_ms=1500) as house:
        caller, requests = world.chairman.caller, house.opened.sweeping.requests
        first, second = [(await house.upload(caller)).id for _ in range(2)]
        held = house.id()
        in_hand = await requests.claim(caller, first, held, SignWish(level=Level.B_T, key=CHAIRMAN_KEY))
        assert isinstance(in_hand, Held)
        house.clock.jump(by)
        assert await requests.take(held) is None
        done = await house.sign(caller, second, CHAIRMAN_KEY)
        assert (done.state, done.reached) == (RequestState.DONE, Level.B_T)
        assert await house.opened.sweeping.clear() == 0
        house.clock.jump(-by)
        await requests.let_go(in_hand)
        await house.opened.sweeping.take_up()
        assert (await house.rooms.documents.request(caller, held)).state is RequestState.DONE
        await house.check()


def set_off(servers: list[TimeServer], *off: float) -> None:
    for server, seconds in zip(servers, off, strict=True):
        server.off = timedelta(seconds=seconds)


def fall_silent(servers: list[TimeServer], house: House) -> None:
    for server in servers:
        server.silent = True
    house.clock.move(timedelta(hours=4))  # 1.4 s of the worst crystal


FAULTS: tuple[tuple[str, Callable[[list[TimeServer], House], None]], ...] = (
    ("1 of 2 time servers say", lambda servers, _: set_off(servers, 0, 60)),
    ("2 of 2 time servers say", lambda servers, _: set_off(servers, 60, 60)),
    ("2 of 2 time servers say", lambda servers, _: set_off(servers, 60, -60)),
    ("2 of 2 time servers say", lambda servers, _: set_off(servers, 1.2, 1.2)),  # it drifts, NTP is off
    ("nobody has confirmed the clock", fall_silent),
)


async def test_time_servers_that_contradict_or_are_away(world: World, home: Path) -> None:
    servers = [TimeServer(world.clock.true) for _ in range(2)]
    async with (
        time_servers(*servers) as sources,
        open_world_house(world, home, clock_sources=sources) as house,
    ):
        caller, measure = world.chairman.caller, house.opened.watch.guard.measure
        for said, fault in FAULTS:
            document, request = (await house.upload(caller)).id, house.id()
            assert [one.code for one in await house.opened.watch.troubles() if one.stops] == []
            fault(servers, house)
            await measure()
            (stops,) = [one for one in await house.opened.watch.troubles() if one.stops]
            assert (stops.code, said in stops.detail) == ("clock-off", True), stops
            with pytest.raises(ClockUnsure):
                await house.sign(caller, document, CHAIRMAN_KEY, request=request)
            assert abs(house.rooms.clock() - house.clock.true()) < BOUND + BOUND
            for server in servers:
                server.silent, server.off = False, timedelta()
            await measure()
            await house.opened.sweeping.take_up()
            assert (await house.rooms.documents.request(caller, request)).state is RequestState.DONE
        await house.check()
