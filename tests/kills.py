"""Kills the service a thousand times while clients sign, and looks whether everything happened exactly once
(`python -m tests.kills [--shape sqlite|servers] [--kills N] [--seed S]`); its figures stand in docs/reliability.md.

- `sqlite`: one `antin serve` on SQLite and a folder. `servers`: four on PostgreSQL and MinIO, of which two are asked (API)
  and two only do durable work and sweeps (workers). All real: HTTP, token process, children that read files.
- They die by SIGKILL at random moments, each alone and several at once, and by themselves at points of the story
  (`tests/mortal.py`); each is started again at once. Clients whose call breaks ask again by the same Idempotency-Key.
- OpenSC's pkcs11-spy stands between the token process and SoftHSM: what it saw is held against the use log and the intents
  (`tests/counted.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from serving import NOT_NOW
from tests import counted
from tests.callers import MOST_STORIES, Crowd, Story
from tests.counted import Ground
from tests.crash import POINTS
from tests.mortal import DOORS, TOKEN, Start

ROOT = Path(__file__).parent.parent
AT_POINTS = [*POINTS, *DOORS, *TOKEN]
ALONE, TOKEN_ALONE, CHILD, FAMILY, TWO, ALL = (
    "one process", "the token process", "a child that reads files", "one process with all its children", "two processes",
    "everything",
)  # fmt: skip
WEIGHTS = {ALONE: 42, TOKEN_ALONE: 23, CHILD: 7, FAMILY: 13, TWO: 8, ALL: 7}
ENDED_WITHIN = 600.0  # seconds, once nobody is killed any more


@dataclass
class Kill:
    what: str
    at: float
    ready_after: float | None = None  # seconds, of the process that was killed


@dataclass
class Server:
    """One `antin serve`, started again whenever it ends."""

    name: str
    port: int
    asked: bool
    pid: int = 0
    point: str = ""
    why: str = ""  # it was killed by us
    ready: bool = False
    was_ready: bool = False
    number: int = 0  # of its start

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Torment:
    """Keeps the servers running, and kills them."""

    def __init__(self, ground: Ground, servers: Sequence[Server], chance: random.Random, clock: str) -> None:
        self.ground, self.servers, self.chance, self.clock = ground, servers, chance, clock
        self.kills: list[Kill] = []
        self.quiet = False
        self._zygote: asyncio.subprocess.Process | None = None
        self._starting, self._keepers = asyncio.Lock(), list[asyncio.Task[None]]()
        self.gave_up = 0  # starts
        self.over = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.mortal", cwd=ROOT, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._keepers = keepers = [asyncio.create_task(self._keep(one)) for one in self.servers]
        keepers.append(asyncio.create_task(self._watch_token()))
        try:
            yield
            self.over = True
            for one in self.servers:
                if one.pid:  # 0 would be our own group
                    with suppress(ProcessLookupError):
                        os.kill(one.pid, signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*keepers), 60)
        finally:
            for task in keepers:
                task.cancel()
            self._zygote.kill()  # its children go with it
            await self._zygote.wait()

    async def _start(self, server: Server) -> None:
        point = self.chance.choice(AT_POINTS) if not self.quiet and self.chance.random() < 0.35 else ""
        if point and not server.asked:
            point = self.chance.choice(list(POINTS))
        server.number += 1
        out = str(self.ground.folder / f"{server.name}.out")
        environment = self.ground.environment | {"ANTIN_PORT": str(server.port)}
        start = Start(
            environment, out, self._ended(server), point, self.chance.choice((1, 1, 1, 2, 3)), self.clock
        )
        async with self._starting:
            if self._zygote is None or self._zygote.stdin is None or self._zygote.stdout is None:
                raise RuntimeError("nothing runs")
            self._zygote.stdin.write(start.to_line())
            server.pid = int(await self._zygote.stdout.readline())
        server.point, server.why, server.ready, server.was_ready = point, "", False, False

    def _ended(self, server: Server) -> str:
        return str(self.ground.folder / f"{server.name}.ended.{server.number}")

    async def _keep(self, server: Server) -> None:
        last: Kill | None = None
        while not self.over:
            await self._start(server)
            looking = asyncio.create_task(self._until_ready(server, last))
            await gone(server.pid)
            looking.cancel()
            server.ready = False
            if self.over:
                return
            if (said := Path(self._ended(server))).exists():
                status = int(said.read_text())
                # No token in sight at its start: its supervisor starts it again.
                if status != NOT_NOW or server.was_ready:
                    raise RuntimeError(f"{server.name} ended by itself: {status}")
                self.gave_up += 1
                continue
            last = Kill(server.why or f"at {server.point}", time.monotonic())
            self.kills.append(last)

    async def _until_ready(self, server: Server, last: Kill | None) -> None:
        async with httpx.AsyncClient(timeout=10, verify=False) as http:
            while True:
                with suppress(httpx.TransportError):
                    if (await http.get(f"{server.address}/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        server.ready = server.was_ready = True
        if last is not None:
            last.ready_after = time.monotonic() - last.at

    async def _watch_token(self) -> None:
        """One that dies at its point is a kill; one that ends with its parent is not."""
        while not self.over:
            await asyncio.sleep(0.1)
            if not (pid := self.token_pid()):
                continue
            command = command_of(pid)
            owners = [one.pid for one in self.servers]
            await gone(pid)
            dies = next((one for one in TOKEN if one.encode() in command), "")
            if dies and owners == [one.pid for one in self.servers] and not self.over:
                self.kills.append(Kill(f"at {dies}", time.monotonic()))

    def token_pid(self) -> int:
        folder = f"{self.ground.home}/token\0".encode()
        return next((one for one in processes() if folder in command_of(one)), 0)

    async def kill(self, wanted: int, until: float) -> None:
        """Until so many were killed, or so long."""
        while len(self.kills) < wanted and time.monotonic() < until:
            self.look()
            await self._moment()
            what = self.chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
            here = self.chance.sample(self.servers, k=min(2, len(self.servers)))
            if here[0].point and what != ALL:
                await self.until_met(here[0])
            if what == ALL:
                self.end(what, [*self.servers], children=True)
            elif what in {ALONE, FAMILY}:
                self.end(what, here[:1], children=what == FAMILY)
            elif what == TWO:
                self.end(what, here, others=[self.token_pid()] if len(here) < 2 else [])
            else:
                token = self.token_pid()
                children = [one for one in family_of(here[0].pid)[1:] if one != token]
                if pid := token if what == TOKEN_ALONE else self.chance.choice(children or [0]):
                    self.kills.append(Kill(what, time.monotonic()))
                    end_all([pid])

    def look(self) -> None:
        """Raises RuntimeError where a server ended by itself."""
        for task in self._keepers:
            if task.done():
                task.result()

    async def _moment(self) -> None:
        """Mostly while somebody is served, now and then while they start."""
        if self.chance.random() < 0.6:
            with suppress(TimeoutError):
                async with asyncio.timeout(20):
                    while not any(one.ready and one.asked for one in self.servers):
                        await asyncio.sleep(0.02)
        await asyncio.sleep(self.chance.uniform(0.0, 1.0))

    async def until_met(self, server: Server) -> None:
        """Its point, if it comes there within a while."""
        pid, left = server.pid, 40
        while server.pid == pid and left:
            left -= server.ready
            await asyncio.sleep(0.05)

    def end(
        self, what: str, servers: Sequence[Server], *, children: bool = False, others: Sequence[int] = ()
    ) -> None:
        pids = list(others)
        for one in servers:
            if not one.why:
                one.why = what
                pids += family_of(one.pid) if children else [one.pid]
        end_all(pids)


# -- processes


def processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def family_of(pid: int) -> list[int]:
    """The process, and whom it started; nobody for one that does not run (else 0 would be everybody's parent)."""
    if pid <= 0:
        return []
    parents: dict[int, int] = {}
    for one in processes():
        with suppress(OSError, ValueError):
            parents[one] = int(Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[1])
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family


def end_all(pids: Sequence[int]) -> None:
    for one in pids:
        if one:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


async def gone(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


# -- the whole


@dataclass
class Outcome:
    shape: str
    kills: list[Kill]
    stories: list[Story]
    counts: counted.Counts
    gave_up: int
    seconds: float

    def nobody_was_refused(self) -> None:
        """Raises AssertionError: each caller had its document, or gave up."""
        assert [one.strange for one in self.stories if one.strange] == []

    def told(self) -> dict[str, Any]:
        ready = [one.ready_after for one in self.kills if one.ready_after is not None]
        again = [one.recovered_after for one in self.stories if one.recovered_after is not None]
        kinds = Counter(
            "at a point of the story" if one.what.startswith("at ") else one.what for one in self.kills
        )
        return {
            "shape": self.shape, "kills": len(self.kills), **{f"kills: {name}": number for name, number in sorted(kinds.items())},
            "points met": len({one.what for one in self.kills if one.what.startswith("at ")}),
            "callers": len(self.stories), "callers answered": sum(bool(one.sha256) for one in self.stories),
            "callers who gave up": sum(not one.patient for one in self.stories if not one.sha256),
            "callers refused without a reason": sum(bool(one.strange) for one in self.stories),
            "calls that broke and were answered": len(again),
            "answered after, median s": round(statistics.median(again or [0]), 1),
            "answered after, worst s": round(max(again or [0]), 1),
            "ready again after, median s": round(statistics.median(ready or [0]), 1),
            "ready again after, worst s": round(max(ready or [0]), 1),
            "starts that gave up, and were begun again": self.gave_up, **self.counts.told(), "seconds": round(self.seconds),
        }  # fmt: skip


async def run(
    ground: Ground, *, kills: int, seed: int, every: float, most: int = MOST_STORIES, minutes: float = 60,
    skip: timedelta | None = None,
) -> Outcome:  # fmt: skip
    """`every` so many seconds somebody comes, where fewer than `most` are there. `skip`: in place of waiting for leases everybody's clock goes on so far, once
    nobody is killed any more. Raises AssertionError where something is lost or done twice."""
    began, chance = time.monotonic(), random.Random(seed)
    servers = [
        Server(f"{ground.shape}-{at}", port, asked=at < ground.asked) for at, port in enumerate(ground.ports)
    ]
    torment = Torment(ground, servers, chance, str(ground.clock.file) if skip else "")
    crowd = Crowd([one.address for one in servers if one.asked], ground.api_key, chance, most=most)
    async with ground.authority(), torment.running(), crowd.http:
        coming = asyncio.create_task(crowd.come(every))
        try:
            await torment.kill(kills, began + minutes * 60)
        except BaseException:
            coming.cancel()
            await crowd.leave()
            raise
        coming.cancel()
        torment.quiet = True
        if skip:
            ground.clock.move(skip)
        await crowd.answered()
        async with asyncio.timeout(ENDED_WITHIN):
            while await ground.open_requests():
                await asyncio.sleep(0.5)
        for story in crowd.stories:
            if story.patient and not story.strange:
                # Asked again, the same answer and the same bytes, whoever is asked.
                again = await crowd.sign(story)
                assert (again.content, await crowd.bytes_of(story)) == (story.answer, story.sha256)
    patient = {one.request for one in crowd.stories if one.patient and not one.strange}
    counts = await counted.check(ground, patient)
    return Outcome(
        ground.shape, torment.kills, crowd.stories, counts, torment.gave_up, time.monotonic() - began
    )


async def tell(shape: str, kills: int, seed: int, every: float, minutes: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="antin-kills-"))  # it stays where something was lost
    async with counted.ground(shape, folder) as made:
        outcome = await run(made, kills=kills, seed=seed, every=every, minutes=minutes)
    told = outcome.told()
    for name, value in told.items():
        print(f"{name:<52} {value}")
    print(json.dumps(told), flush=True)
    outcome.nobody_was_refused()
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("--shape", choices=("sqlite", "servers"))
    parser.add_argument("--kills", type=int, default=500, help="of each shape")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two callers")
    parser.add_argument("--minutes", type=float, default=60, help="of killing at most")
    given = parser.parse_args()
    for shape in [given.shape] if given.shape else ["sqlite", "servers"]:
        asyncio.run(tell(shape, given.kills, given.seed, given.every, given.minutes))


if __name__ == "__main__":
    main()
