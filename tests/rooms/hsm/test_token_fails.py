"""What goes wrong with tokens, drivers and PINs, and what comes of it (T6, T7, T13, T15)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hsm.key import KeyUnavailable, PinRefused, Purpose, Refusal, Refused, Signed
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import ANOTHER_RUNS, SOCKET, TokenProcess, answers
from hsm.use_log import read_uses
from tests.rooms.hsm.test_token_signs import check
from tests.rooms.hsm.tokens import (
    ROOT,
    calls_in,
    copy_token,
    order_for,
    run_token,
    through_spy,
    until_ready,
)


async def test_a_driver_that_dies_in_the_middle(
    vault: Pkcs11Vault, process: TokenProcess, token: Path
) -> None:
    """Its orders were perhaps signed: they are never served again, and the process is started anew."""
    key = await vault.open("seal-rsa")
    orders = [order_for(key.description) for _ in range(256)]
    asking = asyncio.create_task(key.sign(orders))
    while not list(read_uses(token)):
        await asyncio.sleep(0.005)
    dead = process.pid
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    with pytest.raises(KeyUnavailable) as away:
        await asking
    assert (away.value.asked, away.value.why) == (True, "connection-lost")

    await until_ready(vault)
    assert process.pid != dead
    lost = {one.intent for one in read_uses(token)}
    again = await key.sign(orders)
    for order, result in zip(orders, again, strict=True):
        if order.intent in lost:
            assert result == Refused(Refusal.ALREADY_SERVED)
        else:
            check(key, order, result)
    assert len(list(read_uses(token))) == len(orders)


async def test_killed_while_softhsm_writes_what_the_token_is(token: Path) -> None:
    """SoftHSM empties two files and writes them anew at each log-in: `token.object`, `generation`."""
    for name, left in (("token.object", 0), ("token.object", 100), ("generation", 0)):
        async with run_token(token) as process:
            vault = Pkcs11Vault(process.socket)
            key = await vault.open("seal")
            order = order_for(key.description)
            check(key, order, (await key.sign([order]))[0])
            await vault.close()
        (file,) = (token / "tokens").glob(f"*/{name}")
        os.truncate(file, left)
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        assert (await vault.probe()).ready
        await vault.close()


async def test_an_order_that_nobody_waits_for_any_more_is_not_served(
    vault: Pkcs11Vault, process: TokenProcess, token: Path
) -> None:
    hasty = Pkcs11Vault(process.socket, seconds=0.1)
    key, slow = await hasty.open("seal"), await vault.open("seal-rsa")
    async with asyncio.TaskGroup() as meanwhile:
        meanwhile.create_task(slow.sign([order_for(slow.description) for _ in range(255)]))
        while not list(read_uses(token)):
            await asyncio.sleep(0.005)
        with pytest.raises(KeyUnavailable) as away:
            await key.sign([order_for(key.description)])
    assert (away.value.asked, away.value.why) == (True, "no-answer-in-time")
    await until_ready(vault)
    assert {one.key for one in read_uses(token)} == {"seal-rsa"}
    await hasty.close()


async def test_a_token_that_goes_away_and_comes_back(vault: Pkcs11Vault, token: Path) -> None:
    key = await vault.open("seal")
    order = order_for(key.description)
    check(key, order, (await key.sign([order]))[0])
    (token / "tokens").rename(token / "pulled")
    for _ in range(3):
        with pytest.raises(KeyUnavailable) as away:
            await key.sign([order_for(key.description)])
        assert away.value.retry_after > 0
    assert not (await vault.probe()).ready
    spent = len(list(read_uses(token)))
    assert spent <= 2  # at most one order reached the token before its absence was known

    (token / "pulled").rename(token / "tokens")
    await until_ready(vault)
    order = order_for(key.description)
    check(key, order, (await key.sign([order]))[0])
    assert len(list(read_uses(token))) == spent + 1


async def test_a_wrong_pin_is_tried_once_and_never_again(token: Path, tmp_path: Path) -> None:
    right = (token / "pin").read_text()
    spied = tmp_path / "spy"
    environment = through_spy(token, spied)
    (token / "pin").write_text("wrong\n")
    for _ in range(3):
        async with run_token(token, environment=environment) as process:
            vault = Pkcs11Vault(process.socket)
            for _ in range(3):
                with pytest.raises(PinRefused) as refused:
                    await vault.descriptions()
                assert not refused.value.asked
            assert (await vault.probe()).why == "pin-refused"
            await vault.close()
    assert calls_in(spied, "C_Login") == 1

    (token / "pin").write_text(right)
    async with run_token(token, environment=environment) as process:
        vault = Pkcs11Vault(process.socket)
        key = await vault.open("seal")
        order = order_for(key.description)
        check(key, order, (await key.sign([order]))[0])
        await vault.close()


async def test_no_more_operations_than_lines(token: Path, tmp_path: Path) -> None:
    spied = tmp_path / "spy"
    environment = through_spy(token, spied)
    async with run_token(token, environment=environment) as process:
        vault = Pkcs11Vault(process.socket)
        keys = [await vault.open(name) for name in ("seal", "seal-rsa", "chairman")]
        orders = [(key, order_for(key.description)) for key in keys for _ in range(10)]
        for key, order in [*orders, *orders]:
            await key.sign([order])
        (token / "tokens").rename(token / "pulled")
        for key in keys:
            with contextlib.suppress(KeyUnavailable):
                await key.sign([order_for(key.description)])
        (token / "pulled").rename(token / "tokens")
        await asyncio.sleep(1.2)
        for key in keys:
            with contextlib.suppress(KeyUnavailable):
                await key.sign([order_for(key.description)])
        await vault.close()
    lines = list(read_uses(token))
    assert len(orders) <= calls_in(spied, "C_SignInit") <= len(lines)
    assert len(lines) == len({one.intent for one in lines})


async def test_several_processes_that_start_at_once(made_token: Path, tmp_path: Path) -> None:
    folders = [copy_token(made_token, tmp_path / str(number)) for number in range(8)]
    async with AsyncExitStack() as stack:
        running = await asyncio.gather(*(stack.enter_async_context(run_token(one)) for one in folders))
        for process in running:
            vault = Pkcs11Vault(process.socket)
            assert len(await vault.descriptions()) == 7
            assert (await vault.probe()).probed
            await vault.close()


async def test_two_processes_never_hold_one_folder(token: Path, process: TokenProcess) -> None:
    command = [sys.executable, "-m", "hsm.token_process", "--folder", str(token)]
    second = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=20, check=False)
    assert second.returncode == ANOTHER_RUNS
    assert (await Pkcs11Vault(process.socket).probe()).ready


async def test_who_comes_second_joins_and_takes_over_when_the_first_ends(token: Path) -> None:
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        await first.enter_async_context(run_token(token))
        second = await stack.enter_async_context(run_token(token))
        assert second.pid is None
        vault = Pkcs11Vault(second.socket)
        assert (await vault.probe()).ready
        await first.aclose()
        await until_ready(vault)
        assert second.pid is not None
        await vault.close()


async def test_it_ends_with_its_parent(token: Path) -> None:
    script = (
        "import asyncio, sys, os; from pathlib import Path; from hsm.token_process import TokenProcess\n"
        "async def main():\n"
        "    async with TokenProcess.start(Path(sys.argv[1])) as process:\n"
        "        print(process.pid, flush=True)\n"
        "        os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(token)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    pid = int(done.stdout)
    for _ in range(200):
        if not _lives(pid):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the token process outlives its parent")


async def test_a_pin_stands_in_no_argument_environment_or_log(token: Path) -> None:
    pin = (token / "pin").read_text().strip()
    with (token / "told").open("wb") as told:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hsm.token_process", "--folder", str(token), cwd=ROOT, stderr=told,
        )  # fmt: skip
        try:
            while not await answers(token / SOCKET):
                await asyncio.sleep(0.02)
            async with run_token(token) as process:
                vault = Pkcs11Vault(process.socket)
                key = await vault.open("seal")
                assert isinstance((await key.sign([order_for(key.description)]))[0], Signed)
                public = [Path(f"/proc/{child.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
                await vault.close()
                child.terminate()
                assert await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()
    files = [one for one in token.rglob("*") if one.is_file() and one != token / "pin"]
    assert token / "told" in files and token / "uses.sqlite" in files
    assert not [one for one in files if pin.encode() in one.read_bytes()]
    assert pin.encode() not in b"".join(public)


async def test_the_log_key_signs_texts_and_needs_no_certificate(vault: Pkcs11Vault) -> None:
    key = await vault.open("audit")
    assert (key.description.purpose, key.description.certificate) == (Purpose.AUDIT, b"")
    order = order_for(key.description)
    check(key, order, (await key.sign([order]))[0])


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
