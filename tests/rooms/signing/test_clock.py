"""The clock's guard: jumps, time servers that agree, lie, contradict each other and fall silent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from signing.timestamping import sntp
from signing.timestamping.clock import DRIFT, ClockGuard, ClockUnsure, steady_clock, wall_clock
from signing.timestamping.sntp import NoTime
from tests.rooms.signing.listening import TimeServer, stamp, time_servers
from tests.steering import SteerableClock

BOUND = timedelta(seconds=1)


@pytest.fixture
def clock() -> SteerableClock:
    return SteerableClock()


def guard(clock: SteerableClock, *sources: str, bound: timedelta = BOUND) -> ClockGuard:
    return ClockGuard(sources, bound=bound, wall=clock, monotonic=clock.monotonic)


# -- without time servers


@pytest.mark.parametrize("by", [timedelta(days=366), timedelta(days=-366), timedelta(seconds=-1.5)])
def test_a_jump_is_found(clock: SteerableClock, by: timedelta) -> None:
    watched = guard(clock)
    assert abs(watched.now() - clock()) < BOUND and watched.trouble() is None
    clock.jump(by)
    with pytest.raises(ClockUnsure) as caught:
        watched.now()
    assert abs(caught.value.off - by) < timedelta(seconds=0.1)
    assert caught.value.retry_after > 0 and "off by" in (watched.trouble() or "")
    clock.jump(-by)
    assert watched.trouble() is None
    watched.now()


@pytest.mark.parametrize("by", [timedelta(days=366), timedelta(days=-366), timedelta(seconds=1.5)])
def test_whoever_must_go_on_is_told_the_best_time_that_is_known(clock: SteerableClock, by: timedelta) -> None:
    watched = guard(clock)
    clock.jump(by)
    clock.move(timedelta(hours=3))
    assert abs(watched.best() - clock.true()) < timedelta(seconds=0.1)
    clock.jump(-by)
    assert abs(watched.best() - clock()) < timedelta(seconds=0.1)


def test_time_that_passes_is_no_jump(clock: SteerableClock) -> None:
    watched = guard(clock)
    clock.move(timedelta(days=400))
    clock.jump(timedelta(milliseconds=500))
    assert abs(watched.now() - clock()) < BOUND


async def test_without_servers_measuring_changes_nothing(clock: SteerableClock) -> None:
    watched = guard(clock)
    clock.jump(timedelta(hours=1))
    await watched.measure()
    assert watched.trouble() is not None


def test_a_bound_is_needed() -> None:
    with pytest.raises(ValueError, match="positive"):
        ClockGuard((), bound=timedelta())


def test_the_machines_own_clocks() -> None:
    watched = ClockGuard((), bound=BOUND)
    assert watched.now().utcoffset() == timedelta()
    assert wall_clock().tzinfo is UTC and steady_clock() <= steady_clock()
    assert watched.error == BOUND


# -- with time servers


async def test_nothing_is_told_before_somebody_was_asked(clock: SteerableClock) -> None:
    async with time_servers(TimeServer(clock), TimeServer(clock)) as sources:
        watched = guard(clock, *sources)
        assert "no time server has been asked" in (watched.trouble() or "")
        with pytest.raises(ClockUnsure):
            watched.now()
        await watched.measure()
        assert watched.trouble() is None


OFF = timedelta(seconds=60)
RIGHT = timedelta(milliseconds=20)


@pytest.mark.parametrize(
    ("offs", "sure"),
    [
        ((RIGHT,), True),
        ((OFF,), False),
        ((RIGHT, -RIGHT), True),
        ((RIGHT, OFF), False),  # two that contradict each other: nobody knows
        ((OFF, OFF), False),
        ((RIGHT, -RIGHT, OFF), True),  # one liar among three
        ((RIGHT, OFF, -OFF), False),
        ((RIGHT, -RIGHT, RIGHT, OFF, OFF), True),
    ],
)
async def test_who_is_believed(clock: SteerableClock, offs: tuple[timedelta, ...], sure: bool) -> None:
    async with time_servers(*(TimeServer(clock, off) for off in offs)) as sources:
        watched = guard(clock, *sources)
        await watched.measure()
        assert (watched.trouble() is None) is sure


async def test_a_wrong_clock_is_refused_until_it_is_set_right(clock: SteerableClock) -> None:
    truth = SteerableClock()
    async with time_servers(TimeServer(truth), TimeServer(truth)) as sources:
        clock.jump(timedelta(seconds=30))
        watched = guard(clock, *sources)
        await watched.measure()
        with pytest.raises(
            ClockUnsure, match=r"2 of 2 time servers say that the clock is off by 30\.0"
        ) as caught:
            watched.now()
        assert abs(caught.value.off - timedelta(seconds=30)) < timedelta(seconds=0.2)
        clock.jump(timedelta(seconds=-30))
        assert watched.trouble() is not None  # until somebody says so
        await watched.measure()
        watched.now()


@pytest.mark.parametrize("by", [timedelta(days=366), timedelta(days=-366), timedelta(seconds=30)])
async def test_servers_tell_the_best_time_of_a_clock_that_was_wrong_from_the_start(
    clock: SteerableClock, by: timedelta
) -> None:
    async with time_servers(TimeServer(clock.true), TimeServer(clock.true)) as sources:
        clock.jump(by)
        watched = guard(clock, *sources)
        assert abs(watched.best() - clock()) < timedelta(seconds=0.1)  # nobody has said anything yet
        await watched.measure()
        clock.move(timedelta(hours=1))
        assert abs(watched.best() - clock.true()) < timedelta(seconds=0.2)
        assert watched.trouble() is not None


async def test_a_leap_second(clock: SteerableClock) -> None:
    """The second that is told twice: the wall clock is a second back, and so is everybody else's."""
    servers = TimeServer(clock), TimeServer(clock)
    async with time_servers(*servers) as sources:
        watched = guard(clock, *sources, bound=timedelta(milliseconds=900))
        await watched.measure()
        clock.jump(timedelta(seconds=-1))
        assert watched.trouble() is not None  # for a minute at most
        assert abs(watched.best() - clock()) < timedelta(seconds=1.2)
        await watched.measure()
        watched.now()


async def test_a_clock_that_drifts(clock: SteerableClock) -> None:
    """200 ppm, without NTP: told after an hour and a half, before it is further off than the bound."""
    async with time_servers(TimeServer(clock.true), TimeServer(clock.true)) as sources:
        watched, sure = guard(clock, *sources), []
        for _ in range(6):
            await watched.measure()
            sure.append(watched.trouble() is None)
            clock.move(timedelta(minutes=30))
            clock.jump(timedelta(seconds=0.36))
        assert sure == [True, True, True, False, False, False]


async def test_errors_add_up(clock: SteerableClock) -> None:
    """0.7 s off by the servers is allowed, and a jump of 0.7 s more is not: together it is above the bound."""
    async with time_servers(*(TimeServer(clock, timedelta(seconds=0.7)) for _ in range(2))) as sources:
        watched = guard(clock, *sources)
        await watched.measure()
        watched.now()
        clock.jump(timedelta(seconds=-0.7))
        with pytest.raises(ClockUnsure):
            watched.now()
        clock.jump(timedelta(seconds=1.4))  # to the other side of the truth, no further than the bound
        watched.now()


async def test_two_that_agree_with_us_and_not_with_each_other(clock: SteerableClock) -> None:
    far = timedelta(seconds=0.6)
    async with time_servers(TimeServer(clock, far), TimeServer(clock, -far)) as sources:
        watched = guard(clock, *sources)
        await watched.measure()
        watched.now()
        clock.jump(timedelta(seconds=0.5))  # 1.1 s from one of them
        assert watched.trouble() is not None


async def test_servers_that_fall_silent_are_believed_for_a_while(clock: SteerableClock) -> None:
    servers = TimeServer(clock), TimeServer(clock)
    async with time_servers(*servers) as sources:
        watched = guard(clock, *sources)
        await watched.measure()
        servers[0].silent = servers[1].silent = True
        clock.move(timedelta(hours=1))
        await watched.measure()
        watched.now()
        clock.move(timedelta(seconds=BOUND.total_seconds() / DRIFT))
        with pytest.raises(ClockUnsure, match="nobody has confirmed the clock well enough"):
            watched.now()
        servers[0].silent = False
        await watched.measure()
        assert watched.trouble() is not None, "one of two is not enough"
        servers[1].silent = False
        await watched.measure()
        watched.now()


async def test_no_server_there_at_all(clock: SteerableClock) -> None:
    watched = guard(clock, "127.0.0.1:1", "host with spaces", "127.0.0.1:0")
    await watched.measure()
    said = watched.trouble() or ""
    assert "127.0.0.1:1: no answer" in said and "127.0.0.1:0: not a host" in said


# -- one server's answer


def _changed(offset: int, value: bytes) -> Callable[[bytes, bytes], list[bytes]]:
    return lambda _, sound: [sound[:offset] + value + sound[offset + len(value) :]]


REFUSED = {
    "unsynchronised": _changed(0, b"\xe4"),
    "kiss of death": _changed(1, b"\0"),
    "stratum 16": _changed(1, b"\x10"),
    "no transmit time": _changed(40, bytes(8)),
    "no receive time": _changed(32, bytes(8)),
    "far from its own source": _changed(8, struct.pack("!I", 60 << 16)),
    "backwards": _changed(40, struct.pack("!Q", 1 << 62)),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_server_that_does_not_know(clock: SteerableClock, case: str) -> None:
    async with time_servers(TimeServer(clock, packets=REFUSED[case])) as (source,):
        with pytest.raises(NoTime, match="the server"):
            await sntp.ask(source, wall=clock, monotonic=clock.monotonic)


async def test_other_packets_are_passed_over(clock: SteerableClock) -> None:
    def noisy(_: bytes, sound: bytes) -> list[bytes]:
        forged = sound[:24] + bytes(8) + sound[32:]
        asked = b"\x23" + sound[1:]
        return [b"", b"\xff" * 2000, sound[:47], forged, asked, sound + b"authenticator", sound]

    async with time_servers(TimeServer(clock, OFF, packets=noisy)) as (source,):
        found = await sntp.ask(source, wall=clock, monotonic=clock.monotonic)
    assert abs(found.offset - OFF) < timedelta(seconds=0.2)
    assert timedelta() <= found.error < timedelta(seconds=0.5)


async def test_only_noise_ends_in_time(clock: SteerableClock) -> None:
    async with time_servers(TimeServer(clock, packets=lambda *_: [bytes(48)] * 100)) as (source,):
        begun = asyncio.get_running_loop().time()
        with pytest.raises(NoTime, match="no answer within"):
            await sntp.ask(source, wall=clock, monotonic=clock.monotonic, seconds=0.3)
        assert asyncio.get_running_loop().time() - begun < 2


@pytest.mark.parametrize("year", [2026, 2035, 2036, 2040, 2100])
async def test_eras(year: int) -> None:
    """The seconds of NTP begin anew in February 2036."""
    moment = datetime(year, 3, 1, tzinfo=UTC)
    assert 0 <= stamp(moment) < 1 << 64
    async with time_servers(TimeServer(lambda: moment, OFF)) as (source,):
        found = await sntp.ask(source, wall=lambda: moment, monotonic=steady_clock)
    assert abs(found.offset - OFF) < timedelta(seconds=0.2)


@pytest.mark.parametrize(
    ("server", "parsed"),
    [
        ("time.example", ("time.example", 123)),
        ("time.example:1123", ("time.example", 1123)),
        ("::1", ("::1", 123)),
        ("[::1]", ("::1", 123)),
        ("[::1]:5", ("::1", 5)),
    ],
)
def test_addresses(server: str, parsed: tuple[str, int]) -> None:
    assert sntp.parse(server) == parsed


@pytest.mark.parametrize("server", ["", ":123", "host:", "host:x", "host:0", "host:65536", "[]:1"])
def test_what_is_no_address(server: str) -> None:
    with pytest.raises(NoTime):
        sntp.parse(server)
