"""Everything that may go wrong, at random, while offices work (`scripts/soak [MINUTES] [--seed S]`): this file breaks one thing
after the other, mends it, sees how long it takes until a document is signed again, and looks at the whole house now and then.

- Real processes (`tests/kills.py`), real faults (`tests/weather.py`), callers of several kinds (`tests/offices.py`).
- In a pause nobody new comes: every caller has its answer, every request an end; then the house is looked at, and how much
  memory and how many files its processes hold.
- One table in the end. Exit status 1 where anything is broken, with the seed that chose the same faults.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from service import open_house
from tests import counted
from tests.callers import Crowd, Story, by_seal
from tests.counted import Counts, Ground
from tests.house import check_home
from tests.kills import ENDED_WITHIN, Server, Torment, family_of
from tests.offices import SCOPES, Holder, Offices
from tests.pki import Pki
from tests.weather import KINDS, Kind, Scene

RECOVERED_WITHIN = 180.0  # seconds, until a document is signed again
MOST_MEMORY, MOST_FILES = 1 << 30, 512  # of one process: bytes, and open files


@dataclass(frozen=True)
class Plan:
    minutes: float
    seed: int
    clients: int = 8
    every: float = 0.3  # seconds between two who come, while there is room
    pause: float = 120.0  # seconds of faults between two looks at the house
    kinds: Sequence[Kind] = KINDS


@dataclass
class Row:
    times: int = 0
    after: list[float] = field(default_factory=list)  # seconds from mended to signed


@dataclass
class Soak:
    ground: Ground
    plan: Plan
    scene: Scene
    crowd: Crowd
    offices: Offices
    rows: dict[str, Row] = field(default_factory=dict)
    pauses: int = 0
    memory: int = 0
    files: int = 0

    @property
    def torment(self) -> Torment:
        return self.scene.torment

    async def go_on(self) -> None:
        """Until its time is over. Raises AssertionError where something is broken."""
        until = time.monotonic() + self.plan.minutes * 60
        await self.signs_again("the start")
        while time.monotonic() < until:
            coming = asyncio.create_task(self.crowd.come(self.plan.every))
            try:
                pause = min(until, time.monotonic() + self.plan.pause)
                while time.monotonic() < pause:
                    await self.break_something()
            finally:
                coming.cancel()
            await self.look()

    async def break_something(self) -> None:
        chance = self.torment.chance
        left = [one for one in self.plan.kinds if one.name not in self.rows]  # each once before any twice
        (kind,) = chance.choices(
            [one for one in left or self.plan.kinds], [one.weight for one in left or self.plan.kinds]
        )
        seconds = chance.uniform(*kind.seconds)
        said(f"{kind.name}, {seconds:.1f} s")
        async with kind.broken(self.scene):
            await asyncio.sleep(seconds)
        mended = time.monotonic()
        await self.signs_again(kind.name)
        row = self.rows.setdefault(kind.name, Row())
        row.times += 1
        row.after.append(time.monotonic() - mended)
        said(f"    signed again after {row.after[-1]:.1f} s")
        await asyncio.sleep(chance.uniform(0.0, 2.0))

    async def signs_again(self, what: str) -> None:
        """Who comes now has a signed document, whichever process is asked."""
        waiting = {asyncio.create_task(self._signs(one)) for one in self.crowd.addresses}
        try:
            async with asyncio.timeout(RECOVERED_WITHIN):
                while waiting:
                    done, waiting = await asyncio.wait(waiting, timeout=1.0)
                    self.torment.look()
                    for task in done:
                        task.result()
        except TimeoutError as why:
            raise AssertionError(f"nothing is signed after: {what} ({self.crowd.refused})") from why
        finally:
            for task in waiting:
                task.cancel()

    async def _signs(self, address: str) -> None:
        crowd = Crowd([address], self.ground.api_key, self.torment.chance)
        async with crowd.http:
            story = Story(patient=True, hurried=False)
            await by_seal(crowd, story)
            assert not story.strange, story.strange
        self.crowd.stories.append(story)

    async def look(self) -> None:
        """Raises AssertionError."""
        said("pause")
        await self.crowd.answered()
        said("    everybody is answered")
        async with asyncio.timeout(ENDED_WITHIN):
            while open_ones := await self.ground.open_requests():
                said(f"    {open_ones} requests are open")
                await asyncio.sleep(2)
        for story in self.crowd.stories:
            assert not story.strange, story.strange
        for server in self.torment.servers:
            for pid in family_of(server.pid):
                self.hold(pid)
        async with open_house(self.ground.settings) as house:
            await check_home(self.ground.settings, house, recovered=True)
        self.torment.look()
        self.pauses += 1
        said("    the house is whole")

    def hold(self, pid: int) -> None:
        with suppress(OSError):
            pages = Path(f"/proc/{pid}/statm").read_text().split()  # none of whoever has just ended
            self.memory = max(self.memory, int(pages[1]) * resource.getpagesize())
            self.files = max(self.files, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
        assert (self.memory < MOST_MEMORY, self.files < MOST_FILES) == (True, True), (self.memory, self.files)

    def table(self, counts: Counts) -> str:
        every = [one for row in self.rows.values() for one in row.after]
        stories, kills = self.crowd.stories, Counter(one.what for one in self.torment.kills)
        lines = [f"{'fault':<48}{'times':>6}{'signed again':>13}{'median s':>10}{'worst s':>9}"]
        for name, after in [*((one, self.rows[one].after) for one in sorted(self.rows)), ("all", every)]:
            lines.append(
                f"{name:<48}{len(after):>6}{len(after):>13}{statistics.median(after or [0]):>10.1f}{max(after, default=0):>9.1f}"
            )
        told: dict[str, object] = {
            "shape": self.ground.shape, "seed": self.plan.seed, "minutes": self.plan.minutes,
            "clients at once": self.plan.clients, "processes killed or dead at a point": sum(kills.values()),
            "callers": len(stories), "callers with a signed document": sum(bool(one.sha256) for one in stories),
            **dict(sorted(self.offices.had.items())),
            **{f"asked again: {name}": number for name, number in sorted(self.crowd.refused.items())},
            **counts.told(), "looks at the whole house": self.pauses + 1,
            "memory of a process, at most, MiB": self.memory >> 20, "open files of a process, at most": self.files,
        }  # fmt: skip
        return "\n".join([*lines, "", *(f"{name:<52} {value}" for name, value in told.items())])


def said(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


async def run(ground: Ground, pki: Pki, plan: Plan) -> Soak:
    """Raises AssertionError where something is lost, done twice or stuck."""
    chance = random.Random(plan.seed)
    servers = [
        Server(f"{ground.shape}-{at}", port, asked=at < ground.asked) for at, port in enumerate(ground.ports)
    ]
    offices = Offices(Holder(pki.person("Nguyễn Văn Chính"), pki.certificate("Nguyễn Văn Chính"), pki.chain))
    torment = Torment(ground, servers, chance, "")
    torment.quiet = True
    addresses = [one.address for one in servers if one.asked]
    crowd = Crowd(
        addresses, ground.api_key, random.Random(plan.seed + 1), ways=offices.ways, most=plan.clients
    )  # fmt: skip
    async with ground.authority() as authority, torment.running(), crowd.http:
        soak = Soak(ground, plan, Scene(ground, torment, pki, authority), crowd, offices)
        try:
            await soak.go_on()
            for story in crowd.stories:
                if story.answer and story.patient:
                    again = await crowd.sign(story)
                    assert (again.content, await crowd.bytes_of(story)) == (story.answer, story.sha256)
        finally:
            await crowd.leave()
    return soak


async def soak(shape: str, folder: Path, plan: Plan) -> str:
    """The table. Raises AssertionError."""
    keys = folder / "authorities"
    keys.mkdir()
    with Pki(keys, lambda: datetime.now(UTC)) as pki:
        more = {"scopes": SCOPES, "anchors": [pki.certificate("root")], "tsa_urls": [pki.tsa_url]}
        async with counted.ground(shape, folder, fronted=True, **more) as ground:  # type: ignore[arg-type]
            done = await run(ground, pki, plan)
            answered = {one.request for one in done.crowd.stories if one.sha256}
            return done.table(await counted.check(ground, answered))


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak")
    parser.add_argument("minutes", type=float, nargs="?", default=10.0)
    parser.add_argument("--shape", choices=counted.SHAPES, default="sqlite")
    parser.add_argument("--seed", type=int, default=None, help="by default one that nobody chose")
    parser.add_argument("--clients", type=int, default=8, help="at once")
    parser.add_argument(
        "--every", type=float, default=0.3, help="seconds between two who come, while there is room"
    )
    parser.add_argument("--pause", type=float, default=120.0, help="seconds between two looks at the house")
    parser.add_argument("--only", default="", help="faults whose name has one of these in it, by commas")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    kinds = [
        one for one in KINDS
        if given.shape in one.shapes and any(part in one.name for part in given.only.split(","))
    ]  # fmt: skip
    plan = Plan(given.minutes, seed, given.clients, given.every, given.pause, kinds)
    folder = Path(tempfile.mkdtemp(prefix="antin-soak-"))  # it stays where something is broken
    said(f"seed {seed}, in {folder}")
    try:
        print(asyncio.run(soak(given.shape, folder, plan)))
    except BaseException:
        print(json.dumps({"broken": True, "shape": given.shape, "seed": seed, "folder": str(folder)}))
        raise
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
