"""A worker that dies: this file signs one document in a process of its own, and kills it at a point of the story
(`python -m tests.crash POINT < facts.json`).

The product knows nothing of it: the methods are wrapped here, and the end is SIGKILL, as a power cut would be.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from documents.office import Caller, CallerKind
from documents.progress import Progress
from documents.signing_steps import SigningSteps
from documents.wish import SignWish
from ground import Times
from hsm.pkcs11_vault import Pkcs11Key
from service import open_house
from settings import Settings
from signing.profile import Level
from tests.steering import SteerableClock

# In the order of the story. What comes after the point has not happened when the process is gone.
POINTS: dict[str, tuple[type, str, str]] = {
    "1 before the original is kept": (SigningSteps, "keep_original", "before"),
    "1 the original is kept": (SigningSteps, "keep_original", "after"),
    "2 the file is prepared, nothing is recorded": (Progress, "intend", "before"),
    "2 the intent is recorded": (Progress, "intend", "after"),
    "3 before the token is asked": (Pkcs11Key, "sign", "before"),
    "3 the token has signed, its answer is gone": (Pkcs11Key, "sign", "after"),
    "3 the signature is stored": (Progress, "signed", "after"),
    "3 the time-stamp is there": (SigningSteps, "timestamp", "after"),
    "4 before our own judgement": (SigningSteps, "judge", "before"),
    "4 judged": (SigningSteps, "judge", "after"),
    "5 kept": (SigningSteps, "keep", "after"),
    "5 the evidence is kept": (SigningSteps, "keep_evidence", "after"),
    "5 recorded": (Progress, "delivered", "after"),
    "5 cleared away": (SigningSteps, "clear", "after"),
}


def die_at(point: str) -> None:
    owner, name, when = POINTS[point]
    told = getattr(owner, name)

    async def dying(*args: Any, **more: Any) -> Any:
        if when == "after":
            await told(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)


async def main(point: str, facts: dict[str, Any]) -> None:
    clock = SteerableClock()
    clock.move(timedelta(seconds=facts["moved"]))
    settings = Settings(home=Path(facts["home"]), tsa_urls=facts["tsa_urls"], workers=1, **facts["settings"])
    agency = UUID(facts["agency"])
    caller = Caller(UUID(facts["caller"]), agency, CallerKind.PERSON, "who dies", "", "")
    wish = SignWish(level=Level(facts["level"]), key=facts["key"])
    async with open_house(settings, times=Times(clock, clock.monotonic), furnished=False) as house:
        die_at(point)
        await house.rooms.sign.sign(caller, UUID(facts["document"]), UUID(facts["request"]), wish)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
