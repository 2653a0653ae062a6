"""A use log that is gone, cut, damaged or cannot be written: nothing is signed (K3, K5)."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hsm.key import KeyUnavailable
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import LOG_GONE, TokenProcess
from hsm.use_log import FILE, read_uses
from tests.rooms.hsm.test_token_signs import check
from tests.rooms.hsm.tokens import ROOT, order_for, run_token, until_ready


async def used(token: Path) -> None:
    """Signs a little, so that there is something to lose."""
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        key = await vault.open("seal")
        await key.sign([order_for(key.description) for _ in range(100)])
        await vault.close()


def remove(log: Path) -> None:
    log.unlink()


def empty(log: Path) -> None:
    log.write_bytes(b"")


def cut(log: Path) -> None:
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])


def garble(log: Path) -> None:
    log.write_bytes(b"not a database, and long enough to be looked at" * 1000)


@pytest.mark.parametrize("damage", [remove, empty, cut, garble])
async def test_a_log_that_is_not_whole_is_never_begun_anew(token: Path, damage: object) -> None:
    """What it served would be served again."""
    await used(token)
    damage(token / FILE)  # type: ignore[operator]
    command = [sys.executable, "-m", "hsm.token_process", "--folder", str(token)]
    ended = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == LOG_GONE
    with pytest.raises(KeyUnavailable) as away:
        async with run_token(token):
            raise AssertionError("it started")
    assert away.value.why == "log-unavailable"


async def test_a_log_that_is_taken_away_or_exchanged_while_it_is_used(
    token: Path, vault: Pkcs11Vault
) -> None:
    key = await vault.open("seal")
    log, kept = token / FILE, token / "kept"
    log.rename(kept)
    await refused(vault)
    log.write_bytes(b"")
    await refused(vault)
    log.unlink()
    kept.rename(log)
    await until_ready(vault)
    order = order_for(key.description)
    check(key, order, (await key.sign([order]))[0])
    assert [one.intent for one in read_uses(token)] == [order.intent]


async def test_a_full_disk(token: Path, vault: Pkcs11Vault, process: TokenProcess) -> None:
    """For a process a file that may not grow is a full disk."""
    key, child = await vault.open("seal"), process.pid
    assert child is not None
    before = resource.prlimit(child, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await refused(vault)
    assert not list(read_uses(token))
    resource.prlimit(child, resource.RLIMIT_FSIZE, before)
    order = order_for(key.description)
    check(key, order, (await key.sign([order]))[0])
    assert (await vault.probe()).ready
    assert process.pid == child


async def test_a_token_that_comes_back_to_a_full_disk(
    token: Path, vault: Pkcs11Vault, process: TokenProcess
) -> None:
    """That a PIN is tried must be written down first, so it is not tried."""
    key, child = await vault.open("seal"), process.pid
    assert child is not None
    (token / "tokens").rename(token / "pulled")
    assert not (await vault.probe()).ready
    before = resource.prlimit(child, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    (token / "pulled").rename(token / "tokens")
    for _ in range(20):
        with pytest.raises(KeyUnavailable) as away:
            await key.sign([order_for(key.description)])
        assert not away.value.asked
        if away.value.why == "log-unavailable":
            break
        await asyncio.sleep(away.value.retry_after)
    else:
        raise AssertionError(away.value.why)
    resource.prlimit(child, resource.RLIMIT_FSIZE, before)
    await until_ready(vault)
    assert process.pid == child


async def test_only_its_owner_reads_it(token: Path) -> None:
    await used(token)
    open_files = [one.name for one in token.glob(f"{FILE}*") if one.stat().st_mode & 0o077]
    assert not open_files


async def refused(vault: Pkcs11Vault) -> None:
    key = await vault.open("seal")
    with pytest.raises(KeyUnavailable) as away:
        await key.sign([order_for(key.description)])
    assert (away.value.why, away.value.asked) == ("log-unavailable", False)
    health = await vault.probe()
    assert (health.ready, health.why) == (False, "log-unavailable")
