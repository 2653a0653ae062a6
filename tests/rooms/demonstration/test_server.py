"""The demonstration server: its address is for ever, it ends with its parent, and hostile callers get nowhere (K6)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from catalogue import say
from demonstration.server import HOST, PORT, REQUEST_LIMIT, AddressTaken, DemonstrationServer
from tests.rooms.demonstration.conftest import Served

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def somebody_else(port: int, said: bytes) -> AsyncIterator[int]:
    """Listens at our port and says something of its own."""

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    listening = await asyncio.start_server(answer, HOST, port)
    async with listening:
        yield int(listening.sockets[0].getsockname()[1])


async def get(address: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(address + path)


async def test_the_address_is_chosen_once(tmp_path: Path) -> None:
    addresses, roots = set(), set()
    for _ in range(3):
        async with DemonstrationServer.start(tmp_path) as server:
            addresses.add(server.address)
            roots.add((await get(server.address, "/root.cer")).content)
    assert len(addresses) == len(roots) == 1


async def test_who_comes_second_joins_and_takes_over(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        one = await first.enter_async_context(DemonstrationServer.start(tmp_path))
        second = await stack.enter_async_context(DemonstrationServer.start(tmp_path))
        assert second.address == one.address
        assert second.child is None
        await first.aclose()
        await until_there(second.address)
        assert second.child is not None


async def test_several_that_start_at_once_are_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        starting = [DemonstrationServer.start(tmp_path) for _ in range(4)]
        started = await asyncio.gather(*(stack.enter_async_context(one) for one in starting))
        assert len({one.address for one in started}) == 1
        assert (await get(started[0].address, "/issuing.cer")).status_code == 200


async def test_a_server_that_dies_is_started_again(served: Served) -> None:
    assert served.server.child is not None
    os.kill(served.server.child.pid, signal.SIGKILL)
    served.server.child.wait()
    await until_there(served.server.address)


async def test_an_address_that_is_somebody_elses_now_is_said(tmp_path: Path) -> None:
    async with DemonstrationServer.start(tmp_path) as server:
        port = server.port
    for said in (b"", b"HTTP/1.0 200 OK\r\n\r\nwelcome"):
        async with somebody_else(port, said):
            with pytest.raises(AddressTaken) as taken:
                async with DemonstrationServer.start(tmp_path):
                    pass
            assert taken.value.port == port
            assert str(port) in say(taken.value.sentence, "vi", port=port)


async def test_another_homes_server_is_not_ours(tmp_path: Path) -> None:
    async with DemonstrationServer.start(tmp_path / "a") as one:
        async with DemonstrationServer.start(tmp_path / "b"):
            pass
        (tmp_path / "b" / PORT).write_text(str(one.port))
        with pytest.raises(AddressTaken):
            async with DemonstrationServer.start(tmp_path / "b"):
                pass


async def test_before_the_first_certificate_another_port_does_as_well(tmp_path: Path) -> None:
    async with somebody_else(0, b"") as taken:
        (tmp_path / PORT).write_text(str(taken))
        async with DemonstrationServer.start(tmp_path) as server:
            assert server.port != taken


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys; from pathlib import Path; from demonstration.server import DemonstrationServer\n"
        "async def main():\n"
        "    async with DemonstrationServer.start(Path(sys.argv[1])) as server:\n"
        "        print(server.child.pid, server.address, flush=True)\n"
        "        os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    pid, address = done.stdout.split()
    for _ in range(200):
        if not _lives(int(pid)):
            break
        await asyncio.sleep(0.05)
    assert not _lives(int(pid))
    with pytest.raises(httpx.ConnectError):
        await get(address, "/root.cer")


async def test_it_tells_what_stands_in_certificates(served: Served) -> None:
    for path, media_type in (
        ("/root.cer", "application/pkix-cert"),
        ("/issuing.cer", "application/pkix-cert"),
        ("/root.crl", "application/pkix-crl"),
        ("/issuing.crl", "application/pkix-crl"),
    ):
        answer = await get(served.server.address, path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert (await get(served.server.address, "/ocsp/%00")).content.hex() == "30030a0101"
    for path in ("/", "/root.key", "/../authority/root.key", "/issuing.cer/../../port", "/" + "a" * 10_000):
        assert (await get(served.server.address, path)).status_code == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /ocsp HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", b"413"),
        (b"POST /ocsp HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (REQUEST_LIMIT + 1), b"413"),
        (b"POST /ocsp HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        ("POST /ocsp HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode("latin-1"), b"411"),
        (b"POST /ocsp HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /other HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"404"),
        (b"DELETE /root.cer HTTP/1.1\r\n\r\n", b"501"),
        (b"GET " + b"/a" * 50_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"\xff\xfe\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request_of_ours_is_refused(served: Served, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, served.server.port)
    writer.write(sent)
    said = await asyncio.wait_for(reader.read(4096), 10)
    assert status in said.split(b"\n")[0] + said[:400], said
    writer.close()
    assert (await get(served.server.address, "/root.cer")).status_code == 200


async def test_many_that_say_nothing_do_not_hold_it_up_for_long(served: Served) -> None:
    silent = [await asyncio.open_connection(HOST, served.server.port) for _ in range(40)]
    await until_there(served.server.address)
    for _, writer in silent:
        writer.close()


async def until_there(address: str, *, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            if (await get(address, "/root.cer")).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
