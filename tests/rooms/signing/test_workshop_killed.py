"""A child of the workshop that somebody else ends: nothing is said of the file by that."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from signing.workshop import Workshop, WorkshopKilled

MEMORY = 64 << 20


def sleeps_once(file: Path) -> str:
    if file.exists():
        return "again"
    file.write_text(str(os.getpid()))
    time.sleep(60)
    return "at once"


async def kill(file: Path) -> None:
    while not file.exists() or not file.read_text():
        await asyncio.sleep(0.01)
    os.kill(int(file.read_text()), signal.SIGKILL)


async def test_what_a_signature_waits_for_is_its_callers_to_repeat(tmp_path: Path) -> None:
    async with Workshop(1) as workshop:
        task = asyncio.create_task(workshop.run(sleeps_once, tmp_path / "pid", seconds=60, memory=MEMORY))
        await kill(tmp_path / "pid")
        with pytest.raises(WorkshopKilled):
            await task
        assert await workshop.run(sleeps_once, tmp_path / "pid", seconds=60, memory=MEMORY) == "again"


async def test_what_changes_nothing_is_done_again(tmp_path: Path) -> None:
    async with Workshop(1) as workshop:
        task = asyncio.create_task(
            workshop.run_beside(sleeps_once, tmp_path / "pid", seconds=60, memory=MEMORY)
        )
        await kill(tmp_path / "pid")
        assert await task == "again"
