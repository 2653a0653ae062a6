"""The promise `TimestampSource`: one suite over every keeper, our own authority and a stranger's over HTTP alike."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from signing.timestamping.remote import RemoteAuthorities
from signing.timestamping.source import TimestampSource, TimestampUnavailable, Token, obtain, response_of
from signing.timestamping.token import TokenRefused, check_token
from signing.trust.anchors import TrustSnapshot
from tests.pki import Pki
from tests.rooms.signing.stamping import Root, ours
from tests.steering import SteerableClock

clock = SteerableClock()


@dataclass
class Kept:
    source: TimestampSource
    trust: TrustSnapshot

    async def token(self, data: bytes = b"van ban", hash_name: str = "sha256") -> Token:
        digest = hashlib.new(hash_name, data).digest()
        return await obtain(self.source, digest, hash_name=hash_name, trust=self.trust, now=clock())


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pki]:
    with Pki(tmp_path_factory.mktemp("pki"), clock) as made:
        yield made


@pytest.fixture(params=["ours", "remote"])
async def kept(request: pytest.FixtureRequest, pki: Pki) -> AsyncIterator[Kept]:
    if request.param == "ours":
        world = ours(clock)
        yield Kept(world.authority, world.trust)
        return
    async with RemoteAuthorities([pki.tsa_url], clock=clock, trust=lambda: pki.trust) as remote:
        yield Kept(remote, pki.trust)


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
async def test_a_token_that_can_be_believed(kept: Kept, hash_name: str) -> None:
    token = await kept.token(hash_name=hash_name)
    digest = hashlib.new(hash_name, b"van ban").digest()
    assert (token.imprint, token.hash_name) == (digest, hash_name)
    assert abs(token.time - clock()) < timedelta(seconds=5)
    assert token.signer in token.certificates and token.authority
    path = check_token(token, digest=digest, hash_name=hash_name, trust=kept.trust, at=clock())
    assert path[0] == token.signer and path[-1] == kept.trust.anchors[0].certificate


async def test_asking_twice_gives_two_tokens(kept: Kept) -> None:
    first, second = await kept.token(), await kept.token()
    assert first.der != second.der and first.nonce != second.nonce


async def test_many_tasks_get_each_their_own(kept: Kept) -> None:
    tokens = await asyncio.gather(*(kept.token(b"%d" % number) for number in range(16)))
    wanted = [hashlib.sha256(b"%d" % number).digest() for number in range(16)]
    assert [one.imprint for one in tokens] == wanted


async def test_whom_nobody_believes_gives_no_token(kept: Kept) -> None:
    token = await kept.token()
    stranger = Root.make().trust
    with pytest.raises(TokenRefused):
        check_token(token, digest=token.imprint, hash_name="sha256", trust=stranger, at=clock())
    with pytest.raises(TimestampUnavailable, match="not believed"):
        await obtain(kept.source, bytes(32), hash_name="sha256", trust=stranger, now=clock())


async def test_a_request_that_is_none_gets_no_token(kept: Kept) -> None:
    for request in (b"", b"\x30\x00", b"GET / HTTP/1.1", bytes(1 << 15)):
        try:
            response = await kept.source.stamp(request)
        except TimestampUnavailable:
            continue
        assert response_of(b"")[2:7] not in response[:16], "granted"


async def test_an_old_answer_is_no_answer(kept: Kept) -> None:
    """Time passed for us and not for the answer: replayed, or an authority whose clock stands."""
    with pytest.raises(TimestampUnavailable, match="far from ours"):
        await obtain(
            kept.source, bytes(32), hash_name="sha256", trust=kept.trust, now=clock() + timedelta(minutes=10)
        )  # fmt: skip
