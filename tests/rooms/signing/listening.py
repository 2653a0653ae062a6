"""Servers that answer as a test says: this file listens on the loopback, for HTTP by TCP and for the time by UDP."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

REPLY = "application/timestamp-reply"
Work = Callable[[bytes], Awaitable[bytes]]  # the request's body in, the whole HTTP answer out
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, *, status: str = "200 OK", media_type: str = REPLY, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class Listening:
    """`asked`: the heads of the requests that came."""

    work: Work
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tsa"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head)
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            writer.write(await self.work(await reader.readexactly(length)))
            await writer.drain()


@asynccontextmanager
async def listening(work: Work) -> AsyncIterator[Listening]:
    made = Listening(work)
    async with connected(made.serve) as made.port:
        yield made


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[int]:
    """The port where each connection is served so; at the end all are closed, and nothing runs on."""
    running: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn


# -- the time

EPOCH = datetime(1900, 1, 1, tzinfo=UTC)


def stamp(moment: datetime) -> int:
    """NTP timestamp; its era is left out."""
    since = moment - EPOCH
    return ((since.days * 86400 + since.seconds) << 32 | (since.microseconds << 32) // 1_000_000) & (
        1 << 64
    ) - 1


@dataclass
class TimeServer(asyncio.DatagramProtocol):
    """Answers by `clock`, `off` from it; `packets` may say something else."""

    clock: Callable[[], datetime]
    off: timedelta = timedelta()
    silent: bool = False
    packets: Callable[[bytes, bytes], list[bytes]] | None = None
    asked: int = 0
    address: str = ""
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.address = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked += 1
        if self.silent or self.transport is None:
            return
        now = stamp(self.clock() + self.off)
        sound = struct.pack("!BBbbII4s", 0x24, 2, 6, -20, 0, 0, b"TEST") + struct.pack(
            "!Q8sQQ", now, data[40:48], now, now
        )
        for packet in self.packets(data, sound) if self.packets else [sound]:
            self.transport.sendto(packet, addr)  # type: ignore[arg-type]


def _same(server: TimeServer) -> TimeServer:
    return server


@asynccontextmanager
async def time_servers(*servers: TimeServer, at: Sequence[str] = ()) -> AsyncIterator[list[str]]:
    """The addresses, while they listen; `at`: of this host, by default its loopback."""
    loop = asyncio.get_running_loop()
    made = []
    for one, host in zip(servers, at or ["127.0.0.1"] * len(servers), strict=True):
        transport, _ = await loop.create_datagram_endpoint(partial(_same, one), local_addr=(host, 0))
        made.append(transport)
    try:
        yield [one.address for one in servers]
    finally:
        for transport in made:
            transport.close()
