"""The service is killed at random moments and at points of the story, alone and with whatever it started, while clients sign:
each request is signed once, each caller who asks again has its document, and the token did what its log says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests import counted, kills

KILLS = 8  # a thousand: `python -m tests.kills`, docs/reliability.md
LEASES_ARE_OVER = timedelta(minutes=2)


async def test_exactly_once(tmp_path: Path) -> None:
    async with counted.ground("sqlite", tmp_path) as ground:
        outcome = await kills.run(ground, kills=KILLS, seed=7, every=0.5, most=10, skip=LEASES_ARE_OVER)
    outcome.nobody_was_refused()
    told = outcome.told()
    assert told["kills"] >= KILLS
    assert all(one.sha256 for one in outcome.stories if one.patient) and told["callers answered"], told
    assert told["C_SignInit"] <= told["lines of the use log"], told
