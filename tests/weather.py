"""What may happen to a service that runs: this file does it, and takes it back after a while. All of it is real: signals,
files that are moved away, limits of the kernel, locks of databases, connections that are cut.

- Each is a block: it is broken inside and whole after.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from demonstration.server import DemonstrationServer
from tests import servers
from tests.counted import Ground
from tests.faults import BUSY, CUT, SILENT, Fault, Front
from tests.kills import ALL, ALONE, CHILD, FAMILY, TWO, Server, Torment, family_of, gone
from tests.pki import Answer, Pki, away

HUNG_SECONDS = 90.0  # a driver that hangs is given up after 60


@dataclass(frozen=True)
class Scene:
    ground: Ground
    torment: Torment
    pki: Pki
    authority: DemonstrationServer

    @property
    def chosen(self) -> Server:
        return self.torment.chance.choice(self.torment.servers)


Broken = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Kind:
    name: str
    broken: Broken
    seconds: tuple[float, float] = (1.0, 6.0)  # how long it stays so
    weight: int = 2
    shapes: Sequence[str] = ("sqlite", "servers")
    rare: bool = False  # in long runs only: takes more than a minute


# -- processes


def killed(what: str) -> Broken:
    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        torment, chosen = scene.torment, scene.chosen
        if what == ALL:
            torment.end(what, torment.servers, children=True)
        elif what == TWO:
            torment.end(what, torment.chance.sample(list(torment.servers), k=min(2, len(torment.servers))))
        elif what == CHILD:
            token = torment.token_pid()
            if children := [one for one in family_of(chosen.pid)[1:] if one != token]:
                send(torment.chance.choice(children), signal.SIGKILL)
        else:
            torment.end(what, [chosen], children=what == FAMILY)
        yield

    return broken


@asynccontextmanager
async def killed_at_a_point(scene: Scene) -> AsyncIterator[None]:
    torment, chosen = scene.torment, scene.chosen
    torment.quiet = False
    try:
        for _ in range(4):
            before = chosen.pid
            torment.end(ALONE, [chosen])
            while chosen.pid == before:
                await asyncio.sleep(0.02)
            if chosen.point:
                break
    finally:
        torment.quiet = True
    await torment.until_met(chosen)
    yield


@asynccontextmanager
async def token_killed(scene: Scene) -> AsyncIterator[None]:
    send(scene.torment.token_pid(), signal.SIGKILL)
    yield


@asynccontextmanager
async def token_stopped(scene: Scene) -> AsyncIterator[None]:
    with stopped(scene.torment.token_pid()):
        yield


@asynccontextmanager
async def process_stopped(scene: Scene) -> AsyncIterator[None]:
    with stopped(scene.chosen.pid):
        yield


def stopped(*pids: int) -> ExitStack:
    stack = ExitStack()
    for one in pids:
        send(one, signal.SIGSTOP)
        stack.callback(send, one, signal.SIGCONT)
    return stack


def send(pid: int, which: signal.Signals) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


# -- token


@asynccontextmanager
async def token_away(scene: Scene) -> AsyncIterator[None]:
    tokens = scene.ground.settings.token / "tokens"
    tokens.rename(tokens.with_name("away"))
    try:
        yield
    finally:
        tokens.with_name("away").rename(tokens)


@asynccontextmanager
async def driver_hangs(scene: Scene) -> AsyncIterator[None]:
    """SoftHSM waits for ever where one of its files is a pipe that nobody writes into; who holds it ends for that."""
    folder, pid = scene.ground.settings.token, scene.torment.token_pid()
    (file,) = (folder / "tokens").glob("*/generation")
    kept = file.rename(folder / "generation")
    os.mkfifo(file)
    try:
        if pid:
            await asyncio.wait_for(gone(pid), HUNG_SECONDS)
        yield
    finally:
        pipe = file.rename(folder / "pipe")
        kept.rename(file)
        with suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # who waits there goes on
        pipe.unlink()


# -- authorities


def answers(service: str, answer: Answer = away) -> Broken:
    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        with scene.pki.answering(service, answer):
            yield

    return broken


@asynccontextmanager
async def stamps_silent(scene: Scene) -> AsyncIterator[None]:
    over = threading.Event()

    def silent(_: bytes) -> tuple[str, bytes]:
        over.wait(30)
        return away(b"")

    with scene.pki.answering("tsa", silent):
        yield
    over.set()


@asynccontextmanager
async def revocation_away(scene: Scene) -> AsyncIterator[None]:
    child = scene.authority.child
    with scene.pki.answering("ocsp"), scene.pki.answering("crls"), stopped(child.pid if child else 0):
        yield


# -- bytes and facts


@asynccontextmanager
async def nothing_grows(scene: Scene) -> AsyncIterator[None]:
    """No file of one process and its children can be written beyond a size."""
    family = family_of(scene.chosen.pid)
    most = scene.torment.chance.choice((0, 4096, 60_000, 300_000))
    before = {one: kept for one in family if (kept := _limit(one, most)) is not None}
    try:
        yield
    finally:
        for one, soft in before.items():
            _limit(one, soft)


def _limit(pid: int, soft: int) -> int | None:
    with suppress(ProcessLookupError):
        kept, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        return kept
    return None


def moved(place: Callable[[Ground], Path]) -> Broken:
    """A folder that is not there, and cannot be made."""

    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        folder = place(scene.ground)
        folder.rename(folder.with_name(f"{folder.name}.away"))
        folder.touch()
        try:
            yield
        finally:
            folder.unlink()
            folder.with_name(f"{folder.name}.away").rename(folder)

    return broken


@asynccontextmanager
async def database_locked(scene: Scene) -> AsyncIterator[None]:
    connection = sqlite3.connect(
        scene.ground.home / "antin.sqlite", timeout=30, isolation_level=None, check_same_thread=False
    )
    try:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        yield
        connection.rollback()
    finally:
        connection.close()


@asynccontextmanager
async def database_cut(scene: Scene) -> AsyncIterator[None]:
    """Every connection, again and again."""

    async def cut() -> None:
        while True:
            await asyncio.to_thread(
                servers.run_sql, _postgresql(scene),
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'",
            )  # fmt: skip
            await asyncio.sleep(0.3)

    cutting = asyncio.create_task(cut())
    yield
    cutting.cancel()
    with suppress(asyncio.CancelledError):
        await cutting


@asynccontextmanager
async def database_crashes(scene: Scene) -> AsyncIterator[None]:
    await asyncio.to_thread(_postgresql(scene).crash)
    yield


def _postgresql(scene: Scene) -> servers.PostgresqlServer:
    assert scene.ground.postgresql is not None
    return scene.ground.postgresql


def store_answers(kind: str) -> Broken:
    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        front = scene.ground.front
        assert isinstance(front, Front)
        front.kind, front.methods = kind, {"PUT", "POST", "GET", "HEAD", "DELETE"}
        front.released = threading.Event()
        front.fault = Fault(1, for_good=True, done=scene.torment.chance.random() < 0.5)
        try:
            yield
        finally:
            front.fault.heal()
            front.released.set()

    return broken


AT_ONCE, LONGER = (0.0, 0.0), (4.0, 20.0)
KINDS = (
    Kind(f"killed: {ALONE}", killed(ALONE), AT_ONCE, weight=4),
    Kind(f"killed: {FAMILY}", killed(FAMILY), AT_ONCE),
    Kind(f"killed: {CHILD}", killed(CHILD), AT_ONCE),
    Kind(f"killed: {TWO}", killed(TWO), AT_ONCE, shapes=["servers"]),
    Kind(f"killed: {ALL}", killed(ALL), AT_ONCE, weight=1),
    Kind("killed at a point of the story", killed_at_a_point, AT_ONCE, weight=4),
    Kind("token process killed", token_killed, AT_ONCE, weight=4),
    Kind("token process stopped, then woken", token_stopped),
    Kind("a process stopped, then woken", process_stopped, LONGER),
    Kind("token taken away, put back", token_away, weight=4),
    Kind("the driver hangs", driver_hangs, AT_ONCE, weight=1, rare=True),
    Kind("time-stamp authority away", answers("tsa")),
    Kind("time-stamp authority silent", stamps_silent, LONGER),
    Kind("revocation away", revocation_away),
    Kind("no file grows", nothing_grows),
    Kind(
        "folder of what is kept away",
        moved(lambda ground: ground.home / "store"),
        shapes=["sqlite"],
    ),
    Kind("second place of checkpoints away", moved(lambda ground: ground.settings.checkpoints)),
    Kind("database locked", database_locked, LONGER, shapes=["sqlite"]),
    Kind("database's connections cut", database_cut, shapes=["servers"]),
    Kind("database killed", database_crashes, AT_ONCE, shapes=["servers"]),
    Kind("store answers 503", store_answers(BUSY), shapes=["servers"]),
    Kind("store cuts", store_answers(CUT), shapes=["servers"]),
    Kind("store silent", store_answers(SILENT), LONGER, shapes=["servers"]),
)
