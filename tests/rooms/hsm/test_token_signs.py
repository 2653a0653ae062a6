"""A real token process on SoftHSM signs what it may, and refuses the rest (K1-K3)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import pytest

from hsm.key import (
    KeyUnavailable,
    Mechanism,
    NoSuchKey,
    Refusal,
    Refused,
    Signed,
    SigningKey,
    SigningOrder,
    SigningResult,
)
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.public_keys import verify
from hsm.token_process import TokenProcess
from hsm.use_log import SIGNED, read_uses
from tests.rooms.hsm.tokens import (
    CHAIRMAN,
    CLERK,
    OTHER_AGENCY,
    STRANGER,
    order_for,
    run_token,
    signed_attributes,
)


def check(key: SigningKey, order: SigningOrder, result: SigningResult) -> None:
    assert isinstance(result, Signed), result
    verify(key.description.public_key, order.mechanism, order.to_sign, result.signature)


async def reason(key: SigningKey, order: SigningOrder) -> Refusal:
    (result,) = await key.sign([order])
    assert isinstance(result, Refused)
    return result.reason


async def test_each_use_stands_in_the_log_with_its_result(vault: Pkcs11Vault, token: Path) -> None:
    key = await vault.open("seal")
    orders = [order_for(key.description) for _ in range(3)]
    await key.sign(orders)
    await key.sign([order_for(key.description, person=STRANGER)])
    await asyncio.sleep(0.4)
    assert [(one.intent, one.result) for one in read_uses(token)] == [(one.intent, SIGNED) for one in orders]


async def test_a_served_intent_is_refused_also_after_a_restart(token: Path) -> None:
    order: SigningOrder | None = None
    for _ in range(2):
        async with run_token(token) as process:
            vault = Pkcs11Vault(process.socket)
            key = await vault.open("seal")
            if order is None:
                order = order_for(key.description, lease=4)
                check(key, order, (await key.sign([order]))[0])
            assert await reason(key, order) is Refusal.ALREADY_SERVED
            stale = order_for(key.description, request=order.request, lease=3)
            assert await reason(key, stale) is Refusal.STALE_LEASE
            await vault.close()
    assert len(list(read_uses(token))) == 1


async def test_one_intent_twice_in_one_list_is_served_once(vault: Pkcs11Vault) -> None:
    key = await vault.open("seal")
    order = order_for(key.description)
    first, second = await key.sign([order, order])
    check(key, order, first)
    assert second == Refused(Refusal.ALREADY_SERVED)


async def test_whoever_may_not_is_refused_and_leaves_no_line(vault: Pkcs11Vault, token: Path) -> None:
    seal, chairman, stamp = [await vault.open(name) for name in ("seal", "chairman", "stamp")]
    stamps = signed_attributes(content_type="2a864886f70d0109100104")
    assert await reason(seal, order_for(seal.description, agency=OTHER_AGENCY)) is Refusal.WRONG_AGENCY
    assert await reason(seal, order_for(seal.description, person=STRANGER)) is Refusal.NOT_THE_HOLDER
    assert await reason(chairman, order_for(chairman.description, person=CLERK)) is Refusal.NOT_THE_HOLDER
    assert await reason(seal, order_for(seal.description, to_sign=stamps)) is Refusal.WRONG_PURPOSE
    assert await reason(seal, order_for(seal.description, to_sign=bytes(32))) is Refusal.WRONG_PURPOSE
    attributes = signed_attributes()
    assert await reason(stamp, order_for(stamp.description, to_sign=attributes)) is Refusal.WRONG_PURPOSE
    pss = Mechanism.RSA_PSS_SHA256
    assert await reason(seal, order_for(seal.description, mechanism=pss)) is Refusal.WRONG_MECHANISM
    assert not list(read_uses(token))
    order = order_for(chairman.description, person=CHAIRMAN)
    check(chairman, order, (await chairman.sign([order]))[0])


async def test_a_list_of_256_orders_and_not_one_more(vault: Pkcs11Vault) -> None:
    key = await vault.open("seal")
    orders = [order_for(key.description) for _ in range(256)]
    orders[100] = order_for(key.description, person=STRANGER)
    results = await key.sign(orders)
    for number, (order, result) in enumerate(zip(orders, results, strict=True)):
        if number == 100:
            assert result == Refused(Refusal.NOT_THE_HOLDER)
        else:
            check(key, order, result)
    with pytest.raises(ValueError, match="256"):
        await key.sign([*orders, orders[0]])


async def test_what_the_queue_cannot_hold_is_refused_before_the_token_is_asked(token: Path) -> None:
    async with run_token(token, queue_limit=8) as process:
        vault = Pkcs11Vault(process.socket)
        key = await vault.open("seal-rsa")
        lists = [[order_for(key.description) for _ in range(4)] for _ in range(6)]
        answers = await asyncio.gather(*(key.sign(one) for one in lists), return_exceptions=True)
        full = [one for one in answers if isinstance(one, KeyUnavailable)]
        assert full
        assert all((one.why, one.asked) == ("queue-full", False) and one.retry_after > 0 for one in full)
        served = {one.intent for one in read_uses(token)}
        assert len(served) == 4 * (len(lists) - len(full))
        await asyncio.sleep(full[0].retry_after)
        orders = [order_for(key.description) for _ in range(8)]
        for order, result in zip(orders, await key.sign(orders), strict=True):
            check(key, order, result)
        await vault.close()


async def test_32_parallel_requests_for_some_seconds(vault: Pkcs11Vault, process: TokenProcess) -> None:
    keys = [await vault.open(name) for name in ("seal", "seal-rsa", "seal-p384", "chairman")]
    over, before = time.monotonic() + 3.0, process.pid
    done = 0

    async def ask(number: int) -> None:
        nonlocal done
        while time.monotonic() < over:
            key = keys[number % len(keys)]
            order = order_for(key.description)
            check(key, order, (await key.sign([order]))[0])
            done += 1

    await asyncio.gather(*(ask(number) for number in range(32)))
    assert done > 100
    assert process.pid == before
    assert (await vault.probe()).ready


async def test_a_key_that_nobody_has(vault: Pkcs11Vault) -> None:
    with pytest.raises(NoSuchKey):
        await vault.open("nobody")
    with pytest.raises(LookupError):
        await (await vault.open("seal")).collect(str(uuid4()))


async def test_only_keys_for_documents_stamps_and_the_log_are_described(vault: Pkcs11Vault) -> None:
    names = [one.name for one in await vault.descriptions()]
    assert names == ["audit", "chairman", "probe", "seal", "seal-p384", "seal-rsa", "stamp"]
    probe = await vault.open("probe")
    assert await reason(probe, order_for(probe.description)) is Refusal.WRONG_PURPOSE
