"""The token goes away in the middle of work and comes back: 503 and not 500, no half-written document, no second signature."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from documents.document import RequestState
from hsm.key import KeyUnavailable
from hsm.use_log import read_uses
from tests.house import CHAIRMAN_KEY, House


async def test_the_token_process_dies_and_is_started_again(house: House) -> None:
    caller, request = house.world.chairman.caller, house.id()
    document = (await house.upload(caller)).id
    os.kill(_token_process(house), signal.SIGKILL)
    with pytest.raises(KeyUnavailable):
        await house.sign(caller, document, CHAIRMAN_KEY, request=request)
    done = None
    for _ in range(100):
        try:
            done = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
            break
        except KeyUnavailable:
            await asyncio.sleep(0.1)
    assert done is not None
    assert done.state is RequestState.DONE
    assert len([one for one in read_uses(house.settings.token) if one.request == request]) == 1
    await house.check()


async def test_the_token_is_taken_away_and_put_back(house: House) -> None:
    caller = house.world.chairman.caller
    first, second = [(await house.upload(caller)).id for _ in range(2)]
    assert (await house.sign(caller, first, CHAIRMAN_KEY)).state is RequestState.DONE
    tokens = house.settings.token / "tokens"
    away = tokens.with_name("away")
    tokens.rename(away)
    request = house.id()
    try:
        troubles = await house.opened.watch.troubles()
        assert any(one.part == "token" and one.stops for one in troubles), troubles
        with pytest.raises(KeyUnavailable):
            await house.sign(caller, second, CHAIRMAN_KEY, request=request)
    finally:
        away.rename(tokens)
    done = None
    for _ in range(100):
        try:
            done = await house.sign(caller, second, CHAIRMAN_KEY, request=request)
            break
        except KeyUnavailable:
            await asyncio.sleep(0.1)
    assert done is not None
    assert done.state is RequestState.DONE
    await house.check()


def _token_process(house: House) -> int:
    """The child of ours that holds this home's token."""
    for entry in (one.name for one in Path("/proc").iterdir()):
        if entry.isdigit():
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"hsm.token_process" in command and os.fsencode(house.settings.token) in command:
                return int(entry)
    raise AssertionError("no token process")
