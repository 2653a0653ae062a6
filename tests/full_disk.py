"""A disk that is full: this file signs in a home on a small file system of its own, with less and more room left
(`unshare --user --map-root-user --mount python -m tests.full_disk < facts.json`), and looks whether all is well after."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

from documents.document import RequestState
from documents.intake import Arrival
from documents.office import Caller, CallerKind
from documents.wish import SignWish
from ground import Times
from hsm.key import KeyUnavailable
from service import open_house
from settings import Settings
from signing.profile import Level
from signing.workshop import WorkshopFailed
from storage.database import DatabaseUnavailable
from storage.identifiers import uuid7
from storage.store import StoreUnavailable
from tests.house import check_home
from tests.papers import letter
from tests.steering import SteerableClock

# What can be written of another KiB each time: a signature takes about 200 here.
LEFT = (*range(0, 256, 16), 320, 1024)
AWAY = (StoreUnavailable, DatabaseUnavailable, KeyUnavailable, WorkshopFailed)


async def main(facts: dict[str, Any]) -> None:
    place, home = Path(facts["place"]), Path(facts["place"], "home")
    size = sum(one.stat().st_size for one in Path(facts["home"]).rglob("*") if one.is_file())
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size + (24 << 20)}", "small", str(place)], check=True
    )
    shutil.copytree(facts["home"], home, ignore=shutil.ignore_patterns("socket", "*.lock", "scratch"))
    clock, agency = SteerableClock(), UUID(facts["agency"])
    settings = Settings(home=home, tsa_urls=facts["tsa_urls"], workers=1)
    caller = Caller(UUID(facts["caller"]), agency, CallerKind.PERSON, "who writes much", "", "")
    refused, signed = list[str](), 0
    async with open_house(settings, times=Times(clock, clock.monotonic), furnished=False) as house:
        for left in LEFT:
            content, request = letter(), uuid7(clock())

            async def chunks(content: bytes = content) -> AsyncIterator[bytes]:
                yield content

            arrival = Arrival("cong-van.pdf", declared_size=len(content))
            document = (await house.rooms.intake.receive(caller, uuid7(clock()), chunks(), arrival)).id
            wish = SignWish(level=Level.B_T, key=facts["key"])
            filler = fill(place, left << 10)
            try:
                done = await house.rooms.sign.sign(caller, document, request, wish)
                assert done.state is RequestState.DONE, done
                signed += 1
            except AWAY as why:
                refused.append(f"{left}: {type(why).__name__}")
            found = await house.rooms.documents.get(caller, document)
            if found.signed:
                async with house.rooms.documents.open(caller, found) as path:
                    assert path.stat().st_size
            filler.unlink()
            await house.sweeping.take_up(orphaned=True)
            found = await house.rooms.documents.get(caller, document)
            async with house.rooms.documents.open(caller, found, 1 if found.renditions else None) as path:
                assert path.read_bytes() == content
            done = await house.rooms.sign.sign(caller, document, request, wish)
            assert done.state is RequestState.DONE, (left, done)
        await check_home(settings, house, recovered=True)
    print(json.dumps([refused, signed]))


def fill(place: Path, left: int) -> Path:
    """So many bytes, and no more, can be written besides."""
    filler = place / "filler"
    free = os.statvfs(place)
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - left))
    return filler


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
