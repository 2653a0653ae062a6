"""Time-stamp authorities elsewhere: order, limits, hostile answers, and being left in peace."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signing.timestamping.clock import ClockUnsure
from signing.timestamping.remote import FAILURES, PEACE, RemoteAuthorities
from signing.timestamping.source import TimestampUnavailable, Token, obtain
from tests.rooms.signing.listening import Work, connected, http, listening
from tests.rooms.signing.stamping import NOW, Ours, ours
from tests.steering import SteerableClock

DIGEST = hashlib.sha256(b"van ban").digest()
WORLD, STRANGER = ours(), ours()


async def good(body: bytes) -> bytes:
    return http(await WORLD.authority.stamp(body))


async def untrusted(body: bytes) -> bytes:
    return http(await STRANGER.authority.stamp(body))


async def forever(_: bytes) -> bytes:
    await asyncio.sleep(60)
    return b""


def always(answer: bytes) -> Work:
    async def work(_: bytes) -> bytes:
        return answer

    return work


@asynccontextmanager
async def remotes(*urls: str, world: Ours = WORLD, **more: Any) -> AsyncIterator[RemoteAuthorities]:
    terms: dict[str, Any] = {"clock": lambda: NOW, "trust": lambda: world.trust, "seconds": 0.5} | more
    async with RemoteAuthorities(urls, **terms) as made:
        yield made


async def _obtain(source: RemoteAuthorities) -> Token:
    return await obtain(source, DIGEST, hash_name="sha256", trust=WORLD.trust, now=NOW)


async def test_the_first_that_answers_is_taken_over_one_connection() -> None:
    async with listening(good) as first, listening(good) as second, remotes(first.url, second.url) as source:
        tokens = [await _obtain(source) for _ in range(3)]
        assert len({one.serial for one in tokens}) == 3
        assert (len(first.asked), len(second.asked)) == (3, 0)
        head = first.asked[0].lower()
        assert b"content-type: application/timestamp-query" in head
        assert b"accept-encoding: identity" in head and b"post /tsa http/1.1" in head


BAD: dict[str, tuple[Work, str]] = {
    "away": (always(http(b"", status="503 Service Unavailable")), "HTTP status 503"),
    "silent": (forever, "no answer within"),
    "closes": (always(b""), "no answer within"),
    "not HTTP": (always(b"\x15\x03\x01\0\x02\x02\x28\r\n\r\n"), "RemoteProtocolError"),
    "garbage": (always(http(b"\x30\x03garbage")), "no TimeStampResp"),
    "a page": (always(http(b"<html>", media_type="text/html")), "another media type"),
    "redirects": (
        always(http(b"", status="302 Found", more="Location: file:///etc/passwd\r\n")),
        "HTTP status 302",
    ),
    "compressed": (
        always(http(gzip.compress(bytes(1 << 20)), more="Content-Encoding: gzip\r\n")),
        "compressed",
    ),
    "too much": (always(http(bytes(1 << 20))), "larger"),
    "untrusted": (untrusted, "not believed"),
    "rejects": (always(http(bytes.fromhex("30093007020102030205a0"))), "badAlg"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_one_costs_a_question_to_the_next(case: str) -> None:
    work, why = BAD[case]
    async with listening(work) as bad, listening(good) as next_:
        async with remotes(bad.url, next_.url) as source:
            await _obtain(source)
            assert (len(bad.asked), len(next_.asked)) == (1, 1)
        async with remotes(bad.url) as source:
            with pytest.raises(TimestampUnavailable, match=why) as caught:
                await _obtain(source)
            (tried,) = caught.value.tried
            assert tried.startswith(f"127.0.0.1:{bad.port}/tsa: ")


async def test_a_slow_drip_ends_in_time() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\r\n")
        while True:
            writer.write(b"0")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with connected(drip) as port, remotes(f"http://127.0.0.1:{port}") as source:
        with pytest.raises(TimestampUnavailable, match="no answer within"):
            await _obtain(source)


async def test_nobody_listens_and_nobody_is_configured() -> None:
    async with remotes("http://127.0.0.1:1/tsa", "http://user:secret@127.0.0.1:2") as source:
        with pytest.raises(TimestampUnavailable) as caught:
            await _obtain(source)
        assert caught.value.tried == ("127.0.0.1:1/tsa: ConnectError", "127.0.0.1:2: ConnectError")
    async with remotes() as source:
        with pytest.raises(TimestampUnavailable, match="no time-stamp source is configured"):
            await _obtain(source)


async def test_one_that_fails_again_and_again_is_left_in_peace() -> None:
    clock, answer = SteerableClock(), [http(b"", status="500 Oh")]

    async def work(body: bytes) -> bytes:
        return answer[0] or await good(body)

    async with listening(work) as server, remotes(server.url, monotonic=clock.monotonic) as source:
        for _ in range(FAILURES + 3):
            with pytest.raises(TimestampUnavailable) as caught:
                await _obtain(source)
        assert len(server.asked) == FAILURES
        assert "left in peace" in caught.value.tried[0] and 0 < caught.value.retry_after <= PEACE
        # One question finds out that it is still away; then it has peace for twice as long.
        clock.move(timedelta(seconds=PEACE + 1))
        for _ in range(3):
            with pytest.raises(TimestampUnavailable):
                await _obtain(source)
        assert len(server.asked) == FAILURES + 1
        clock.move(timedelta(seconds=PEACE + 1))
        with pytest.raises(TimestampUnavailable):
            await _obtain(source)
        assert len(server.asked) == FAILURES + 1
        clock.move(timedelta(seconds=PEACE))
        answer[0] = b""
        await _obtain(source)
        await _obtain(source)
        assert len(server.asked) == FAILURES + 3


async def test_only_one_question_finds_out_whether_it_is_back() -> None:
    clock = SteerableClock()
    async with (
        listening(forever) as server,
        remotes(server.url, monotonic=clock.monotonic, seconds=0.2) as source,
    ):
        for _ in range(FAILURES):
            with pytest.raises(TimestampUnavailable):
                await _obtain(source)
        clock.move(timedelta(seconds=PEACE + 1))
        results = await asyncio.gather(*(_obtain(source) for _ in range(8)), return_exceptions=True)
        assert all(isinstance(one, TimestampUnavailable) for one in results)
        assert len(server.asked) == FAILURES + 1


async def test_a_rejected_question_says_nothing_of_the_authority() -> None:
    async with listening(BAD["rejects"][0]) as server, remotes(server.url) as source:
        for _ in range(FAILURES + 2):
            with pytest.raises(TimestampUnavailable, match="badAlg"):
                await _obtain(source)
        assert len(server.asked) == FAILURES + 2


async def test_without_the_time_nobody_is_asked() -> None:
    def off() -> datetime:
        raise ClockUnsure(timedelta(hours=1), retry_after=9)

    async with listening(good) as server, remotes(server.url, clock=off) as source:
        with pytest.raises(TimestampUnavailable, match="our clock") as caught:
            await _obtain(source)
        assert caught.value.retry_after == 9 and not server.asked


@pytest.mark.parametrize("url", ["", "tsa.example", "ftp://tsa.example", "file:///etc/passwd", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        RemoteAuthorities([url], clock=lambda: NOW, trust=lambda: WORLD.trust)


async def test_openssl_over_http(tmp_path: Path) -> None:
    """`openssl ts` asks, curl's place is taken by Python, ours answers over HTTP."""
    (tmp_path / "root.pem").write_bytes(WORLD.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "data").write_bytes(b"van ban")

    def openssl(*words: str) -> str:
        done = subprocess.run(["openssl", "ts", *words], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout + done.stderr

    openssl("-query", "-data", "data", "-sha384", "-cert", "-out", "q")
    async with listening(good) as server, remotes(server.url) as source:
        (tmp_path / "r").write_bytes(await source.stamp((tmp_path / "q").read_bytes()))
    said = openssl("-verify", "-queryfile", "q", "-in", "r", "-CAfile", "root.pem", "-attime", "1790000000")
    assert "Verification: OK" in said, said
