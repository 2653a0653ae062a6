"""What a file of a stranger may do to a child of ours, and what it may not."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from signing.parcels import NotAValue, open_value, pack_value
from signing.profile import Level
from signing.workshop import Workshop, WorkshopFailed, WorkshopKilled

MIB = 1 << 20
ROOT = Path(__file__).parents[3]


class Refused(Exception):
    """With an `__init__` that pickle alone would trip over."""

    def __init__(self, reason: str, *, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Value:
    name: str
    at: datetime
    level: Level
    id: UUID
    path: Path
    parts: tuple[bytes, ...]


VALUE = Value("Văn bản", datetime(2026, 1, 2, tzinfo=UTC), Level.B_T, UUID(int=7), Path("/a"), (b"x", b"y"))


def same(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def raises() -> None:
    raise Refused("vì", detail="thế")


def sleeps(seconds: float, file: Path | None = None) -> None:
    if file is not None:
        file.write_text(str(os.getpid()))
    time.sleep(seconds)


def meets(mine: Path, other: Path) -> bool:
    """True only where the other one runs at the same time."""
    mine.touch()
    until = time.monotonic() + 20
    while not other.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def spins() -> None:
    while True:
        pass


def eats(size: int) -> int:
    return len(bytearray(size))


def recurses() -> None:
    recurses()


def crashes() -> None:
    ctypes.string_at(0)


def leaves() -> None:
    os._exit(3)


def refused_calls() -> dict[str, str]:
    """Each way out, and how it ended."""

    def thread() -> None:
        worker = threading.Thread(target=lambda: None)
        worker.start()
        worker.join()

    ways: dict[str, Callable[[], object]] = {
        "inet": lambda: socket.socket(socket.AF_INET),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "pair": socket.socketpair,
        "program": lambda: subprocess.run(["true"], check=True),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "kill": lambda: os.kill(os.getppid(), 0),
        "thread": thread,
        "read": lambda: Path("/etc/hosts").read_bytes(),
    }
    told = {}
    for name, way in ways.items():
        try:
            way()
            told[name] = "done"
        except PermissionError:
            told[name] = "refused"
    return told


def open_descriptors() -> list[str]:
    told = []
    for number in range(50):
        with contextlib.suppress(FileNotFoundError):
            told.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    return told


def environment() -> dict[str, str]:
    return dict(os.environ)


class Call:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def answers_with_a_call() -> object:
    return Call()


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop(2) as made:
        yield made


async def run(
    workshop: Workshop, function: object, *args: object, seconds: float = 10, memory: int = 64 * MIB
) -> object:
    return await workshop.run(function, *args, seconds=seconds, memory=memory)  # type: ignore[arg-type]


async def test_values_come_back_as_they_were(workshop: Workshop) -> None:
    assert await run(workshop, same, VALUE) == VALUE
    assert await workshop.run(same, value=[VALUE], seconds=5, memory=64 * MIB) == [VALUE]


async def test_large_values_go_both_ways(workshop: Workshop) -> None:
    large = os.urandom(5 * MIB)
    assert await run(workshop, same, large) == large


async def test_an_answer_has_a_bound(workshop: Workshop) -> None:
    with pytest.raises(WorkshopFailed) as failed:
        await run(workshop, bytes, 70 * MIB, memory=500 * MIB)
    assert failed.value.why == "crashed"
    assert await run(workshop, same, 1) == 1


async def test_a_call_costs_little(workshop: Workshop) -> None:
    await run(workshop, same, 1)
    took = []
    for _ in range(200):
        began = time.process_time()
        await run(workshop, same, 1)
        took.append(time.process_time() - began)
    assert sorted(took)[20] < 0.001


async def test_what_it_raises_comes_back_typed(workshop: Workshop) -> None:
    with pytest.raises(Refused) as refused:
        await run(workshop, raises)
    assert (refused.value.reason, refused.value.detail) == ("vì", "thế")
    assert str(refused.value) == "vì: thế"
    assert "in raises" in str(refused.value.__cause__)
    with pytest.raises(ZeroDivisionError):
        await run(workshop, divmod, 1, 0)
    with pytest.raises(RecursionError):
        await run(workshop, recurses)


async def test_too_long_is_ended(workshop: Workshop) -> None:
    for function, args in ((sleeps, (60,)), (spins, ())):
        with pytest.raises(WorkshopFailed) as failed:
            await asyncio.wait_for(run(workshop, function, *args, seconds=0.2), 30)
        assert failed.value.why == "time"
    assert await run(workshop, same, 1) == 1


async def test_too_much_memory_is_refused_and_does_not_stay(workshop: Workshop) -> None:
    assert await run(workshop, eats, 30 * MIB) == 30 * MIB
    with pytest.raises(WorkshopFailed) as failed:
        await run(workshop, eats, 100 * MIB)
    assert failed.value.why == "memory"
    assert await run(workshop, eats, 100 * MIB, memory=200 * MIB) == 100 * MIB


async def test_a_crash_ends_one_call_only(workshop: Workshop) -> None:
    other = asyncio.create_task(run(workshop, sleeps, 0.5))
    for function, sign in ((crashes, "SIGSEGV"), (leaves, "exit status 3")):
        with pytest.raises(WorkshopFailed) as failed:
            await run(workshop, function)
        assert failed.value.why == "crashed"
        assert sign in failed.value.detail
    assert await run(workshop, same, 1) == 1
    await other


async def test_no_socket_no_program_no_process(workshop: Workshop) -> None:
    assert workshop.confined
    told = await run(workshop, refused_calls)
    assert isinstance(told, dict)
    allowed = {"thread", "read"}
    assert told == {name: "done" if name in allowed else "refused" for name in told}


async def test_nothing_is_inherited(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIN_PIN", "1234")
    with (tmp_path / "secret").open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        async with Workshop(1) as other:
            descriptors = await run(other, open_descriptors)
            assert "ANTIN_PIN" not in (await run(other, environment))  # type: ignore[operator]
    assert isinstance(descriptors, list)
    assert sum(one.startswith("socket:") for one in descriptors) == 1
    assert not any("secret" in one for one in descriptors)


async def test_given_up_by_its_caller_it_is_ended(workshop: Workshop, tmp_path: Path) -> None:
    task = asyncio.create_task(run(workshop, sleeps, 60, tmp_path / "pid"))
    process = await _written(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(process)
    assert await run(workshop, same, 1) == 1


async def test_as_many_at_once_as_workers_and_the_others_in_order(workshop: Workshop, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    met = tuple(await asyncio.gather(run(workshop, meets, here, there), run(workshop, meets, there, here)))
    assert met == (True, True)
    order: list[int] = []

    async def one(number: int) -> None:
        await run(workshop, sleeps, 0.05)
        order.append(number)

    async with Workshop(1) as single:
        workshop = single
        await asyncio.gather(*(one(number) for number in range(5)))
    assert order == sorted(order)


async def test_a_child_that_has_grown_is_replaced(workshop: Workshop) -> None:
    async with Workshop(1) as single:
        first = await run(single, pid)
        assert await run(single, pid) == first
        with pytest.raises(WorkshopFailed):
            await run(single, eats, 100 * MIB)
        assert await run(single, pid) != first


async def test_an_answer_that_is_more_than_a_value_is_not_opened(workshop: Workshop) -> None:
    with pytest.raises(WorkshopFailed) as failed:
        await run(workshop, answers_with_a_call)
    assert failed.value.why == "crashed"
    for hostile in (
        pickle.dumps(Call()),
        pickle.dumps(subprocess.run),
        b"",
        b"\x80\x05X",
        pickle.dumps(open),
    ):
        with pytest.raises(NotAValue):
            open_value(hostile, "tests")
    assert open_value(pack_value(VALUE), "tests") == VALUE
    with pytest.raises(NotAValue):
        open_value(pack_value(VALUE), "signing")
    assert open_value(pack_value(timedelta(1)), "signing") == timedelta(1)


async def test_it_starts_by_itself_and_is_closed_twice() -> None:
    made = Workshop(1)
    await made.close()
    made = Workshop(1)
    assert await run(made, same, 1) == 1
    child = await run(made, pid)
    await made.close()
    await made.close()
    assert isinstance(child, int)
    await _gone(child)
    with pytest.raises(WorkshopFailed):
        await run(made, same, 1)


async def test_it_is_started_again_when_the_template_is_gone() -> None:
    async with Workshop(1) as made:
        template = made._template
        assert template is not None
        assert await run(made, same, 1) == 1
        os.kill(template._process.pid, signal.SIGKILL)
        # Its child goes with it, a moment later: until then an answer may still come, or a broken line.
        for _ in range(3):
            with contextlib.suppress(WorkshopKilled):
                await run(made, same, 1)
            await asyncio.sleep(0.05)
        assert await run(made, same, 1) == 1


PARENT = """
import asyncio, os
from signing.workshop import Workshop
import signing.workshop as here
async def main():
    workshop = Workshop(1)
    print(await workshop.run(os.getpid, seconds=5, memory=1 << 26), workshop._template._process.pid, flush=True)
    await workshop.run(__import__("time").sleep, 60, seconds=60, memory=1 << 26)
asyncio.run(main())
"""


async def test_children_die_with_their_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    pids = [int(one) for one in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    for one in pids:
        await _gone(one)


async def _written(file: Path) -> int:
    while not file.exists() or not file.read_text():
        await asyncio.sleep(0.01)
    return int(file.read_text())


async def _gone(process: int) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{process} still lives")


async def test_neither_kind_of_work_takes_the_last_place_from_the_other() -> None:
    """Saturated with one, it does the other: verification stays up while signing is busy, and the other way round."""
    async with Workshop(1) as made:
        for busy, other in ((made.run, made.run_beside), (made.run_beside, made.run)):
            hanging = [
                asyncio.create_task(busy(time.sleep, 600, seconds=600, memory=64 * MIB)) for _ in range(5)
            ]
            await asyncio.sleep(0)  # each has taken its place or its turn
            assert await other(same, 1, seconds=20, memory=64 * MIB) == 1
            assert not any(one.done() for one in hanging)
            for one in hanging:
                one.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            assert await busy(same, 2, seconds=20, memory=64 * MIB) == 2
