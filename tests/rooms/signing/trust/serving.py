"""A web server of a test, well-behaved or not: this file speaks just enough HTTP, and counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    seen: list[Asked] = field(default_factory=list)
    address: str = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, path, headers, body)
            self.asked[path] += 1
            self.seen.append(asked)
            handler = self.handlers.get(path, status("404 Not Found"))
            await handler(asked, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[Server]:
    """Handlers by their path without the slash."""
    made = Server({f"/{name}": handler for name, handler in handlers.items()})
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


def gives(body: bytes | Callable[[bytes], bytes], *headers: str) -> Handler:
    """200 with this body, or with what is made of the request's."""

    async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
        content = body if isinstance(body, bytes) else body(asked.body)
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(content)}", "Connection: close", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)

    return handle


def status(line: str, *headers: str) -> Handler:
    async def handle(asked: Asked, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {line}", "Content-Length: 0", "Connection: close", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode())

    return handle
