"""A driver that hangs, a thread that dies, a memory that must not be written out: the process ends and begins anew (T5).

SoftHSM hangs for real where one of its files is a pipe that nobody writes into.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hsm import enrolment, token_process
from hsm.key import KeyUnavailable, Refusal, Refused
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import HUNG, SOCKET, answers
from hsm.token_run import only_one
from hsm.use_log import SIGNED, read_uses
from tests.rooms.hsm.test_token_keys import SEAL
from tests.rooms.hsm.test_token_signs import check
from tests.rooms.hsm.tokens import CLERK, ROOT, certificate_for, order_for, run_token


@asynccontextmanager
async def alone(token: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A token process that nobody starts again."""
    command = [sys.executable, "-m", "hsm.token_process", "--folder", str(token), *options]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def until_it_listens(token: Path) -> Pkcs11Vault:
    while not await answers(token / SOCKET):
        await asyncio.sleep(0.02)
    return Pkcs11Vault(token / SOCKET)


def block(token: Path, name: str) -> Path:
    """Whoever reads that file of the token waits; what stood there."""
    (file,) = (token / "tokens").glob(f"*/{name}")
    kept = file.rename(token / name)
    os.mkfifo(file)
    return kept


def unblock(token: Path, name: str) -> None:
    (file,) = (token / "tokens").glob(f"*/{name}")
    file.unlink()
    (token / name).rename(file)


async def until_somebody_reads(token: Path, name: str) -> int:
    """The pipe's other end, from which nothing comes."""
    (pipe,) = (token / "tokens").glob(f"*/{name}")
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            await asyncio.sleep(0.02)


async def test_a_driver_that_hangs_ends_its_process_and_no_other(token: Path) -> None:
    async with alone(token, "--hang-seconds", "3") as child:
        vault = await until_it_listens(token)
        key = await vault.open("seal")
        done, hangs = order_for(key.description), order_for(key.description)
        check(key, done, (await key.sign([done]))[0])
        block(token, "generation")
        with pytest.raises(KeyUnavailable) as away:
            await key.sign([hangs])
        assert (away.value.why, away.value.asked) == ("connection-lost", True)
        assert await child.wait() == HUNG
        await vault.close()
    assert [(one.intent, one.result) for one in read_uses(token)] == [
        (done.intent, SIGNED), (hangs.intent, None),
    ]  # fmt: skip

    unblock(token, "generation")
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        assert await (await vault.open("seal")).sign([hangs]) == [Refused(Refusal.ALREADY_SERVED)]
        await vault.close()


async def test_a_driver_that_hangs_while_it_is_opened(token: Path) -> None:
    block(token, "token.object")
    async with alone(token, "--hang-seconds", "1") as child:
        assert await child.wait() == HUNG
    async with alone(token) as child:
        writer = await until_somebody_reads(token, "token.object")
        child.terminate()
        assert await child.wait() == 0
        os.close(writer)
    assert not _holds(token)


async def test_who_cannot_start_it_leaves_nothing_behind(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_process, "START_SECONDS", 2.0)
    block(token, "token.object")
    with pytest.raises(KeyUnavailable) as away:
        async with run_token(token):
            raise AssertionError("it started")
    assert away.value.why == "token-process-away"
    assert not _holds(token)


async def test_a_slow_token_is_not_taken_for_one_that_hangs(token: Path) -> None:
    """A large key takes seconds to make, and a long list seconds to sign: each answer counts for itself."""
    async with alone(token, "--hang-seconds", "1"):
        vault = await until_it_listens(token)
        request = await enrolment.make_key(
            token / SOCKET, replace(SEAL, algorithm="rsa-4096", granted=frozenset({CLERK}))
        )
        await enrolment.install(token / SOCKET, SEAL.name, certificate_for(request), [])
        key = await vault.open(SEAL.name)
        orders = [order_for(key.description) for _ in range(256)]
        for order, result in zip(orders, await key.sign(orders), strict=True):
            check(key, order, result)
        await vault.close()


async def test_a_process_that_dies_writes_no_memory_to_disk(token: Path) -> None:
    async with alone(token) as child:
        vault = await until_it_listens(token)
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        (core,) = [one for one in limits.splitlines() if one.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        # The kernel gives the files of a process that must not be dumped to root, so that its own user cannot read them.
        assert Path(f"/proc/{child.pid}/environ").stat().st_uid == 0
        child.send_signal(signal.SIGSEGV)
        assert await child.wait() == -signal.SIGSEGV
        await vault.close()


def _holds(token: Path) -> bool:
    """Whether a process works on the folder."""
    with only_one(token) as nobody_else:
        return not nobody_else
