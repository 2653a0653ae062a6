"""An API of its own for each test, asked in process or over a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from documents.rooms import Rooms
from tests.rooms.web.rooms import People, Wishes, open_rooms, settle
from web.app import SERVER, build
from web.punctual import HEAD_WITHIN, Punctual


def left_behind(folder: Path) -> list[str]:
    """Every file in either space, and in scratch, but the mark that scratch is ours."""
    store = folder / "store"
    files = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    return sorted(str(one) for one in files if one.suffix != ".lock")


@dataclass
class Api:
    app: FastAPI
    rooms: Rooms
    people: People
    folder: Path
    http: httpx.AsyncClient
    log: list[str] = field(default_factory=list)

    def left_behind(self) -> list[str]:
        return left_behind(self.folder)

    def as_other(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.people.other_key}"}


@pytest.fixture
def wishes(tmp_path: Path) -> Wishes:
    return Wishes(tmp_path)


@asynccontextmanager
async def running(wishes: Wishes, *, client: tuple[str, int] = ("127.0.0.1", 40000)) -> AsyncIterator[Api]:
    log: list[str] = []
    app = build(lambda: open_rooms(wishes), write_log=log.append)
    async with app.router.lifespan_context(app):
        rooms: Rooms = app.state.rooms
        people = await settle(rooms)
        transport = httpx.ASGITransport(app, client=client)
        headers = {"Authorization": f"Bearer {people.key}"}
        async with httpx.AsyncClient(transport=transport, base_url=wishes.address, headers=headers) as http:
            yield Api(app, rooms, people, wishes.folder, http, log)


@pytest.fixture
async def api(wishes: Wishes) -> AsyncIterator[Api]:
    async with running(wishes) as api:
        yield api


@dataclass
class Served:
    """The API behind uvicorn, on a port of the loopback."""

    port: int
    key: str
    folder: Path

    def exchange(self, *pieces: bytes, wait: float = 5.0) -> bytes:
        """Sends the bytes as they are, and reads until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return answer


@pytest.fixture
def serve(wishes: Wishes) -> Iterator[Callable[..., Served]]:
    """Starts the API, once, with `piece_within` seconds for each piece of a body, `head_within` for a request's head."""
    stop: list[Callable[[], None]] = []

    def start(*, piece_within: float = 30.0, head_within: float = HEAD_WITHIN) -> Served:
        started, keys, servers = threading.Event(), list[str](), list[uvicorn.Server]()
        listening = socket.create_server(("127.0.0.1", 0))

        async def main() -> None:
            app = build(lambda: open_rooms(wishes), write_log=lambda _: None, piece_within=piece_within)
            options = SERVER | {"http": type("Quick", (Punctual,), {"head_within": head_within})}
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", **options))
            servers.append(server)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            keys.append((await settle(app.state.rooms)).key)
            started.set()
            await serving

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()

        def end() -> None:
            servers[0].should_exit = True
            thread.join(20)
            assert not thread.is_alive()

        stop.append(end)
        assert started.wait(20)
        return Served(listening.getsockname()[1], keys[0], wishes.folder)

    yield start
    for end in stop:
        end()
