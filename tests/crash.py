"""A worker that dies or is paused: this file signs one document in a process of its own, and sends it a signal at a point
of the story (`python -m tests.crash POINT [SIGSTOP] < facts.json`).

The product knows nothing of it: the methods are wrapped here. SIGKILL ends it, as a power cut would; after SIGSTOP it goes
on when it is woken, and says in the end what came of it.
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
from hsm.key import Purpose
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
    "5 about to be kept": (SigningSteps, "keep", "before"),
    "5 kept": (SigningSteps, "keep", "after"),
    "5 the evidence is kept": (SigningSteps, "keep_evidence", "after"),
    "5 recorded": (Progress, "delivered", "after"),
    "5 cleared away": (SigningSteps, "clear", "after"),
}


def meet_at(point: str, end: signal.Signals) -> None:
    owner, name, when = POINTS[point]
    told = getattr(owner, name)

    async def dying(*args: Any, **more: Any) -> Any:
        if owner is Pkcs11Key and args[0].description.purpose is not Purpose.SIGNING:
            return await told(*args, **more)  # a checkpoint of the audit trail, where the last is old
        result = await told(*args, **more) if when == "after" else None
        os.kill(os.getpid(), end)
        return result if when == "after" else await told(*args, **more)

    setattr(owner, name, dying)


async def main(point: str, end: signal.Signals, facts: dict[str, Any]) -> str:
    clock = SteerableClock()
    clock.move(timedelta(seconds=facts["moved"]))
    settings = Settings(home=Path(facts["home"]), tsa_urls=facts["tsa_urls"], workers=1, **facts["settings"])
    agency = UUID(facts["agency"])
    caller = Caller(UUID(facts["caller"]), agency, CallerKind.PERSON, "who dies", "", "")
    wish = SignWish(level=Level(facts["level"]), key=facts["key"])
    async with open_house(settings, times=Times(clock, clock.monotonic), furnished=False) as house:
        meet_at(point, end)
        try:
            done = await house.rooms.sign.sign(caller, UUID(facts["document"]), UUID(facts["request"]), wish)
        except Exception as why:
            return f"{type(why).__name__} {why}"
        return done.state


if __name__ == "__main__":
    which = signal.Signals[sys.argv[2]] if len(sys.argv) > 2 else signal.SIGKILL
    print(asyncio.run(main(sys.argv[1], which, json.load(sys.stdin))))
