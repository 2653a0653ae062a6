"""Whom we ask, and what an answer may not do to us: addresses inside our walls, bodies without end, redirects."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from signing.trust.fetcher import MAX_CRL, MAX_OCSP, Fetcher, NotFetched, Reach
from tests.rooms.signing.trust.serving import Asked, Handler, gives, serving, status

LOOPBACK = Reach.allowing(["127.0.0.0/8"])


async def refused(handler: Handler, *, seconds: float = 5, reach: Reach = LOOPBACK) -> str:
    async with serving(x=handler) as server, Fetcher(reach, seconds=seconds) as fetcher:
        with pytest.raises(NotFetched) as wrong:
            await fetcher.crl(f"{server.address}/x")
    return wrong.value.why


async def test_it_fetches_what_is_there() -> None:
    async with (
        serving(a=gives(b"list"), b=gives(lambda body: body[::-1])) as server,
        Fetcher(LOOPBACK) as fetcher,
    ):
        assert await fetcher.crl(f"{server.address}/a") == b"list"
        assert await fetcher.ocsp(f"{server.address}/b", b"question") == b"noitseuq"
    asked = server.seen[1]
    assert (asked.method, asked.headers["content-type"]) == ("POST", "application/ocsp-request")
    assert asked.headers["host"] == server.address.removeprefix("http://")
    assert "cookie" not in asked.headers


async def test_the_loopback_is_not_public() -> None:
    async with serving(x=gives(b"secret")) as server, Fetcher() as fetcher:
        port = server.address.rpartition(":")[2]
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "2130706433",
            "127.1",
        ):
            with pytest.raises(NotFetched):
                await fetcher.crl(f"http://{host}:{port}/x")
    assert not server.asked


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
        "224.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "ff02::1",
    ],
)  # fmt: skip
def test_what_is_inside_our_walls(address: str) -> None:
    assert not Reach().allows(address)
    assert Reach().allows("203.113.131.1")
    assert Reach.allowing(["10.1.0.0/16"]).allows("10.1.2.3")
    assert not Reach.allowing(["10.1.0.0/16"]).allows("10.2.0.1")


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd", "ftp://127.0.0.1/", "ldap://127.0.0.1/cn=crl", "gopher://127.0.0.1/", "//127.0.0.1/x",
        "", "http://", "http:///x", "http://user:secret@127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/",
        "http://127.0.0.1/" + "a" * 3000, "http://\x00/", "javascript:alert(1)",
    ],
)  # fmt: skip
async def test_what_is_no_address(address: str) -> None:
    async with Fetcher(LOOPBACK) as fetcher:
        with pytest.raises(NotFetched) as wrong:
            await fetcher.crl(address)
        assert len(str(wrong.value)) < 400
        with pytest.raises(NotFetched):
            await fetcher.issuer(address)


@pytest.mark.parametrize(
    "to",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "http://localhost/x",
        "gopher://127.0.0.1/x",
        "http://[::1",
    ],
)
async def test_a_redirect_leads_nowhere_else(to: str) -> None:
    assert await refused(status("302 Found", f"Location: {to}"))


async def test_a_redirect_to_the_same_host_is_followed_but_not_for_ever() -> None:
    async with (
        serving(
            a=status("301 Moved", "Location: /b"), b=gives(b"x"), c=status("302 Found", "Location: /c")
        ) as server,
        Fetcher(LOOPBACK) as fetcher,
    ):
        assert await fetcher.crl(f"{server.address}/a") == b"x"
        with pytest.raises(NotFetched, match="again and again"):
            await fetcher.crl(f"{server.address}/c")
    assert server.asked["/c"] == 3


async def test_more_than_any_answer_has() -> None:
    async def declared(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_CRL + 1}\r\n\r\n".encode())

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            writer.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            await writer.drain()

    assert await refused(declared) == "too large"
    assert await refused(endless, seconds=20) == "too large"
    async with serving(x=gives(bytes(MAX_OCSP + 1))) as server, Fetcher(LOOPBACK) as fetcher:
        with pytest.raises(NotFetched, match="too large"):
            await fetcher.ocsp(f"{server.address}/x", b"")


async def test_drop_by_drop() -> None:
    """Neither of the two would ever end by itself."""

    async def drips(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1_000_000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    assert "no answer within" in await refused(drips, seconds=0.4)
    assert "no answer within" in await refused(silent, seconds=0.4)


async def test_nothing_is_unpacked() -> None:
    bomb = gzip.compress(bytes(1 << 20))
    assert await refused(gives(bomb, "Content-Encoding: gzip")) == "a compressed answer"


async def test_answers_that_are_none() -> None:
    async def rubbish(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff\xfe" * 100)

    async def nothing(asked: Asked, writer: asyncio.StreamWriter) -> None:
        return

    async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    assert "404" in await refused(status("404 Not Found"))
    for handler in (rubbish, nothing, cut):
        assert await refused(handler)
    async with Fetcher(LOOPBACK) as fetcher:
        with pytest.raises(NotFetched):
            await fetcher.crl("http://127.0.0.1:1/")


async def test_issuers_certificates_come_from_listed_hosts_only() -> None:
    async with serving(x=gives(b"certificate")) as server:
        async with Fetcher(LOOPBACK) as fetcher:
            with pytest.raises(NotFetched, match="not listed"):
                await fetcher.issuer(f"{server.address}/x")
        async with Fetcher(Reach.allowing(["127.0.0.0/8"], ["127.0.0.1"])) as fetcher:
            assert await fetcher.issuer(f"{server.address}/x") == b"certificate"
