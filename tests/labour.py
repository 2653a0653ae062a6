"""A process that does jobs (`python -m tests.labour HOST WHAT < facts.json`): this file lets it die, stop or go on in the
middle of one, with real signals. It says on standard output what it comes to.

The product knows nothing of it: `_put` is wrapped here so that the test hears what became of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.jobs import Jobs


def say(what: str) -> None:
    print(what, flush=True)


async def main(host: str, what: str, facts: dict[str, str]) -> None:
    jobs = Jobs(
        facts["url"], "1", clock=lambda: datetime.now(UTC), host=host, password_file=Path(facts["password_file"])
    )  # fmt: skip
    put = jobs._put

    def told(*args: Any, **more: Any) -> None:
        try:
            put(*args, **more)
        except BaseException as why:
            say(f"refused {type(why).__name__}")
            raise
        say("put")

    async def work(input: dict[str, str]) -> datetime | None:
        say("began")
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "stops":
            os.kill(os.getpid(), signal.SIGSTOP)
            say("woke")
        return datetime.now(UTC)

    jobs._put = told  # type: ignore[method-assign]
    jobs.handle("work", work)
    await jobs.start()
    say(f"started {jobs._executor}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.load(sys.stdin)))
