"""Signs with many clients for a while, and then checks the whole house (`scripts/soak`): this file is for long runs,
whose figures stand in docs/operations.md.

MINUTES (10) and CLIENTS (16) say how long and how many.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from service import open_house
from settings import Settings
from tests.house import check_home
from tests.load import run_clients, service


def main() -> None:
    minutes, clients = float(os.environ.get("MINUTES", "10")), int(os.environ.get("CLIENTS", "16"))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with service(home) as running:
            until, total = time.monotonic() + minutes * 60, 0
            while time.monotonic() < until:
                load = run_clients(running, clients=clients, signatures=200, weight=80_000)
                total += load.signed
                slow = sorted(load.waits)[int(len(load.waits) * 0.95)] if load.waits else 0.0
                print(
                    f"{total} signed, {load.rate:.1f}/s, median {statistics.median(load.waits or [0]) * 1000:.0f} ms, "
                    f"p95 {slow * 1000:.0f} ms, memory {running.memory() >> 20} MiB, refused {load.refused or 'none'}",
                    flush=True,
                )
        asyncio.run(_check(home))
    print("the house is whole")


async def _check(home: Path) -> None:
    settings = Settings(home=home)
    async with open_house(settings) as house:
        await house.rooms.trusted.reload()
        await check_home(settings, house, recovered=True)


if __name__ == "__main__":
    main()
