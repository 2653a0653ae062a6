"""The promises `SigningKey` and `KeyVault`: one suite over every keeper, a token's process and memory alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm.key import (
    Holder,
    HolderKind,
    KeyDescription,
    KeyVault,
    Mechanism,
    NoSuchKey,
    Purpose,
    Refusal,
    Refused,
    Signed,
    SigningKey,
    SigningOrder,
    SigningResult,
)
from hsm.mechanisms import mechanisms_of
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.public_keys import verify
from hsm.token_process import TokenProcess
from hsm.unsafe_memory_vault import PrivateKey, UnsafeKeysWarning, UnsafeMemoryVault
from tests.rooms.hsm.tokens import (
    AGENCY,
    CHAIRMAN,
    CLERK,
    EVERY_MECHANISM,
    OTHER_AGENCY,
    SERVICE,
    STRANGER,
    WISHES,
    copy_token,
    make_token,
    order_for,
    signed_attributes,
)

STAMPED = signed_attributes(content_type="2a864886f70d0109100104")


def in_memory() -> UnsafeMemoryVault:
    """The same keys as the test token's, but its probe key."""
    with pytest.warns(UnsafeKeysWarning):
        vault = UnsafeMemoryVault()
    for wish in WISHES:
        key: PrivateKey
        if wish.algorithm == "rsa-2048":
            key = rsa.generate_private_key(65537, 2048)
        else:
            key = ec.generate_private_key(ec.SECP384R1() if wish.algorithm == "ec-p384" else ec.SECP256R1())
        vault.add(
            KeyDescription(wish.name, wish.agency, wish.purpose, wish.holder, wish.granted, b"", (), ()), key
        )
    return vault


@pytest.fixture(scope="module")
def made_token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "token"
    make_token(folder)
    return folder


@pytest.fixture(params=["token", "memory"])
async def vault(request: pytest.FixtureRequest, made_token: Path, tmp_path: Path) -> AsyncIterator[KeyVault]:
    if request.param == "memory":
        yield in_memory()
        return
    async with TokenProcess.start(copy_token(made_token, tmp_path / "token")) as process:
        opened = Pkcs11Vault(process.socket)
        yield opened
        await opened.close()


def check(key: SigningKey, order: SigningOrder, result: SigningResult) -> None:
    assert isinstance(result, Signed), result
    verify(key.description.public_key, order.mechanism, order.to_sign, result.signature)


async def test_keys_are_described_in_the_order_of_their_names(vault: KeyVault) -> None:
    described = {one.name: one for one in await vault.descriptions() if one.purpose is not Purpose.PROBE}
    assert list(described) == sorted(one.name for one in WISHES)
    for wish in WISHES:
        key = described[wish.name]
        assert (await vault.open(wish.name)).description == key
        assert (key.agency, key.purpose, key.holder) == (wish.agency, wish.purpose, wish.holder)
        assert key.granted == wish.granted
        assert key.mechanisms == mechanisms_of(key.public_key)


async def test_a_key_that_nobody_has(vault: KeyVault) -> None:
    with pytest.raises(NoSuchKey):
        await vault.open("nobody")


@pytest.mark.parametrize(("name", "mechanism"), EVERY_MECHANISM)
async def test_every_mechanism_verifies(vault: KeyVault, name: str, mechanism: Mechanism) -> None:
    key = await vault.open(name)
    order = order_for(key.description, mechanism=mechanism)
    check(key, order, (await key.sign([order]))[0])


async def test_one_result_for_each_order_in_their_order(vault: KeyVault) -> None:
    key = await vault.open("seal")
    orders = [order_for(key.description, person=STRANGER if n % 3 else CLERK) for n in range(20)]
    for order, result in zip(orders, await key.sign(orders), strict=True):
        if order.person == STRANGER:
            assert result == Refused(Refusal.NOT_THE_HOLDER)
        else:
            check(key, order, result)
    assert list(await key.sign([])) == []


async def test_an_intent_is_served_once_however_many_ask(vault: KeyVault) -> None:
    key = await vault.open("seal")
    order = order_for(key.description)
    answers = await asyncio.gather(*(key.sign([order]) for _ in range(10)))
    signed = [one for (one,) in answers if isinstance(one, Signed)]
    assert len(signed) == 1
    check(key, order, signed[0])
    assert [one for (one,) in answers if one is not signed[0]] == [Refused(Refusal.ALREADY_SERVED)] * 9


async def test_a_refused_order_spends_nothing(vault: KeyVault) -> None:
    key = await vault.open("seal")
    order = order_for(key.description)
    assert await key.sign([order_for(key.description, intent=order.intent, person=STRANGER)]) == [
        Refused(Refusal.NOT_THE_HOLDER)
    ]
    check(key, order, (await key.sign([order]))[0])


async def test_a_stale_lease_is_never_served(vault: KeyVault) -> None:
    key, request = await vault.open("seal"), uuid4()
    newer = order_for(key.description, request=request, lease=3)
    check(key, newer, (await key.sign([newer]))[0])
    older = order_for(key.description, request=request, lease=2)
    assert await key.sign([older]) == [Refused(Refusal.STALE_LEASE)]
    same = order_for(key.description, request=request, lease=3)
    check(key, same, (await key.sign([same]))[0])


@pytest.mark.parametrize(
    ("name", "other", "reason"),
    [
        ("seal", {"agency": OTHER_AGENCY}, Refusal.WRONG_AGENCY),
        ("seal", {"person": STRANGER}, Refusal.NOT_THE_HOLDER),
        ("seal", {"person": CHAIRMAN}, Refusal.NOT_THE_HOLDER),
        ("chairman", {"person": CLERK}, Refusal.NOT_THE_HOLDER),
        ("chairman", {"person": AGENCY}, Refusal.NOT_THE_HOLDER),
        ("seal", {"to_sign": STAMPED}, Refusal.WRONG_PURPOSE),
        ("seal", {"to_sign": bytes(32)}, Refusal.WRONG_PURPOSE),
        ("stamp", {"to_sign": signed_attributes()}, Refusal.WRONG_PURPOSE),
        ("audit", {"to_sign": signed_attributes()}, Refusal.WRONG_PURPOSE),
        ("seal", {"mechanism": Mechanism.RSA_PSS_SHA256}, Refusal.WRONG_MECHANISM),
        ("seal-p384", {"mechanism": Mechanism.ECDSA_SHA256}, Refusal.WRONG_MECHANISM),
    ],
)
async def test_what_a_key_refuses(
    vault: KeyVault, name: str, other: dict[str, object], reason: Refusal
) -> None:
    key = await vault.open(name)
    (result,) = await key.sign([order_for(key.description, **other)])
    assert isinstance(result, Refused)
    assert result.reason is reason


async def test_the_services_keys_sign_for_the_service(vault: KeyVault) -> None:
    for name in ("stamp", "audit"):
        key = await vault.open(name)
        assert key.description.holder == Holder(HolderKind.SERVICE, SERVICE)
        order = order_for(key.description, person=SERVICE)
        check(key, order, (await key.sign([order]))[0])


async def test_what_never_waits_has_nothing_to_collect(vault: KeyVault) -> None:
    key = await vault.open("seal")
    with pytest.raises(LookupError):
        await key.collect("ticket")
