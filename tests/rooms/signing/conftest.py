"""One public key infrastructure for each module, and a hand that signs below it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.pki import Pki
from tests.rooms.signing.levels import Hand
from tests.steering import SteerableClock


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pki]:
    with Pki(tmp_path_factory.mktemp("pki"), SteerableClock()) as made:
        yield made


@pytest.fixture(scope="module")
def key(pki: Pki) -> rsa.RSAPrivateKey:
    return pki.person("binh")


@pytest.fixture
async def hand(pki: Pki, key: rsa.RSAPrivateKey) -> AsyncIterator[Hand]:
    async with Hand.of(pki, pki.clock, key) as one:
        yield one
