"""What has had its time goes, what was left lying goes on, and nothing else is touched."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from documents.counts import PASSING, counts, stuck
from documents.document import RequestState
from documents.leases import DIED, LEASE, SET_ASIDE, SET_ASIDE_AFTER
from documents.requests import HOLDER_ANSWERS_WITHIN, Held
from documents.sweeping import Sweeping
from documents.wish import SignWish
from signing.profile import Level
from signing.timestamping.clock import ClockUnsure
from storage.schema import SigningRequestRow
from storage.store import Damaged, KeptName
from tests.house import House
from tests.rooms.documents.desk import SOON, Desk


def sweeping_of(desk: Desk) -> Sweeping:
    return Sweeping(desk.db, desk.store, desk.requests, desk.sign, desk.clock)


async def test_what_waits_for_a_holder_outside_is_left_alone(desk: Desk) -> None:
    """Or whoever answers meets a worker that holds the request, and the file is read anew every few seconds."""
    await desk.make_key("the")
    document, request = (await desk.receive()).id, desk.id()
    wish = SignWish(
        level=Level.B_T, certificate=desk.pki.certificate(desk.labels["the"]), chain=desk.pki.chain
    )
    await desk.sign.prepare(desk.caller, document, request, wish)
    sweeping = sweeping_of(desk)
    before = await desk.db.read(desk.caller.agency, lambda s: s.get_one(SigningRequestRow, request).lease)
    await sweeping.take_up()
    assert (
        await desk.db.read(desk.caller.agency, lambda s: s.get_one(SigningRequestRow, request).lease)
        == before
    )
    desk.clock.move(HOLDER_ANSWERS_WITHIN + SOON)
    await sweeping.take_up()
    assert (await desk.request(request)).state is RequestState.EXPIRED


async def test_one_that_fails_by_itself_rests_longer_each_time(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """A kept original that somebody took away: nothing is lost by waiting for it, and the machine is not kept busy."""
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask(document, request=request)
    original = (await desk.documents.get(desk.caller, document)).renditions[0].sha256
    path = desk.folder / "store" / "kept" / str(desk.caller.agency) / original[:2] / original
    path.rename(desk.folder / "taken away")
    sweeping, tried = sweeping_of(desk), list[int]()
    with caplog.at_level(logging.WARNING, "antin.sweeping"):
        for _ in range(12):
            await sweeping.take_up()
            tried.append(caplog.text.count("Damaged"))
            desk.clock.move(timedelta(seconds=15))
    assert tried == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    with pytest.raises(Damaged):
        async with desk.documents.open(desk.caller, await desk.documents.get(desk.caller, document)):
            pass
    (desk.folder / "taken away").rename(path)
    desk.clock.move(timedelta(hours=1))
    await sweeping.take_up()
    assert (await desk.request(request)).state is RequestState.DONE
    assert await desk.store.kept.stat(KeptName(desk.caller.agency, original))


async def test_what_kills_its_worker_rests_and_is_set_aside_with_its_reason(desk: Desk) -> None:
    """The first death is taken up at once; a file that kills every process is not the end of the service."""
    document, request = (await desk.receive()).id, desk.id()
    assert isinstance(
        await desk.requests.claim(desk.caller, document, request, SignWish(key="con-dau")), Held
    )
    died = 0
    for _ in range(60):
        desk.clock.move(LEASE + timedelta(seconds=1))
        if await desk.requests.take(request) is not None:
            died += 1  # nobody lets it go
    assert died == 6  # within 41 minutes: at once, after 1, 2, 4, 8 and 16
    for _ in range(10):
        desk.clock.move(timedelta(hours=1))
        await desk.requests.take(request)
    failures, why = await desk.db.read(
        desk.caller.agency,
        lambda s: (
            s.get_one(SigningRequestRow, request).failures,
            s.get_one(SigningRequestRow, request).failing,
        ),
    )
    assert (failures, why) == (SET_ASIDE_AFTER, DIED)
    assert await desk.requests.waiting(orphaned=True) == []
    # Once a day it has its chance, and at once where its caller asks.
    desk.clock.move(SET_ASIDE)
    assert await desk.requests.waiting() == [request]
    done = await desk.ask(document, request=request)
    assert done.state is RequestState.DONE


async def test_what_a_dead_worker_held_does_not_queue_behind_what_waits_for_the_world(desk: Desk) -> None:
    waits, held = desk.id(), desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask((await desk.receive()).id, request=waits)
        await desk.requests.claim(desk.caller, (await desk.receive()).id, held, SignWish(key="con-dau"))
        desk.clock.move(LEASE + timedelta(seconds=1))
        assert await desk.requests.waiting() == [waits, held]
        assert await desk.requests.waiting(left=True) == [held]
    await sweeping_of(desk).take_over()
    states = {one: (await desk.request(one)).state for one in (waits, held)}
    assert states == {waits: RequestState.TIMESTAMP_PENDING, held: RequestState.DONE}


async def test_a_job_whose_request_another_holds_is_asked_again(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    held = await desk.requests.claim(desk.caller, document, request, SignWish(level=Level.B_T, key="con-dau"))
    assert isinstance(held, Held)
    words, sweeping = {"request": str(request)}, sweeping_of(desk)
    assert await sweeping.go_on(words) is not None
    await desk.requests.let_go(held)
    with desk.pki.answering("tsa"):
        assert await sweeping.go_on(words) is None  # it waits in the sweep's row
    assert (await desk.request(request)).state is RequestState.TIMESTAMP_PENDING


async def test_a_restart_does_not_begin_with_a_bad_one_anew(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask(document, request=request)
    original = (await desk.documents.get(desk.caller, document)).renditions[0].sha256
    path = desk.folder / "store" / "kept" / str(desk.caller.agency) / original[:2] / original
    path.rename(desk.folder / "taken away")
    # The durable job leaves it to the sweep, and does not go on by itself besides.
    assert await sweeping_of(desk).go_on({"request": str(request)}) is None
    assert await desk.requests.waiting() == []
    assert await desk.requests.waiting(orphaned=True) == []
    desk.clock.move(timedelta(seconds=31))
    assert await desk.requests.waiting() == [request]
    # What waits for the world again has failed of nothing any more.
    (desk.folder / "taken away").rename(path)
    with desk.pki.answering("tsa"):
        await sweeping_of(desk).take_up()
    row = await desk.db.read(desk.caller.agency, lambda s: s.get_one(SigningRequestRow, request))
    assert (row.failures, row.failing, row.rests_until) == (None, None, None)


async def test_a_lease_of_a_clock_that_was_wrong_binds_nobody(desk: Desk) -> None:
    """Or what was in hand while the clock stood a year ahead would wait for a year."""
    document, request = (await desk.receive()).id, desk.id()
    desk.clock.jump(timedelta(days=365))
    await desk.requests.claim(desk.caller, document, request, SignWish(key="con-dau"))
    desk.clock.jump(timedelta(days=-365))
    assert await desk.requests.waiting() == [request]
    await sweeping_of(desk).take_up()
    assert (await desk.request(request)).state is RequestState.DONE


async def test_a_clock_that_was_set_forward_deletes_nothing(house: House) -> None:
    """An upload that nobody has signed lies in `working` alone."""
    document = await house.upload(house.world.clerk.caller)
    house.clock.jump(timedelta(days=365))
    try:
        with pytest.raises(ClockUnsure):
            await house.opened.sweeping.clear()
    finally:
        house.clock.jump(-timedelta(days=365))
    async with house.rooms.documents.open(house.world.clerk.caller, document) as path:
        assert path.stat().st_size == document.size


async def test_what_waits_too_long_or_is_set_aside_is_told_with_its_owner(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask(document, request=request)
    assert await stuck(desk.db, desk.clock()) == []
    for _ in range(SET_ASIDE_AFTER):
        await desk.requests.failed(request, RuntimeError("the page tree bites its tail"))
    told = await stuck(desk.db, desk.clock() + timedelta(hours=25))
    assert [(one.code, one.stops) for one in told] == [("request-set-aside", False), ("stuck", False)]
    assert told[0].detail == f"{request}: RuntimeError: the page tree bites its tail ({SET_ASIDE_AFTER})"
    assert told[1].detail.startswith("TIMESTAMP_PENDING: 1, ")
    assert told[1].detail.endswith("the time-stamp authority")
    assert (await counts(desk.db))["signing_requests_set_aside"] == 1


def test_every_passing_state_has_an_owner_and_a_limit() -> None:
    assert {one for one in RequestState if not one.ended} == set(PASSING)
