"""This file runs the service until it is told to end, and says where it is and who can log in.

- The port is taken first, so that a second start says at once that another runs.
- The end is orderly: requests in hand are answered, durable work is put down, every child process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from catalogue import LANGUAGES, N_, say
from documents.rooms import Rooms
from service import House, open_house
from settings import Settings
from web.app import SERVER, build

if TYPE_CHECKING:
    from demonstration.home import Furnished

ENDED, NOT_NOW = 0, 2


def serve(settings: Settings, *, as_json: bool = False) -> int:
    """The exit status. Raises what keeps the house from opening."""
    try:
        listening = socket.create_server(
            (settings.bind, settings.port), family=socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        )
    except OSError as why:
        _tell(
            N_("Không mở được cổng %(port)s: %(why)s. Hãy đặt PORT khác, hoặc dừng chương trình đang giữ cổng này."),
            port=settings.port,
            why=why.strerror or "",
        )  # fmt: skip
        return NOT_NOW
    # asyncio sets it only where a socket names its protocol; without it each answer waits for the client's delayed ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listening:
        asyncio.run(_serve(settings, listening, as_json=as_json))
    return ENDED


async def _serve(settings: Settings, listening: socket.socket, *, as_json: bool) -> None:
    async with open_house(settings, serving=True) as house:
        write_log = None if settings.production else _to_file(settings.home / "access.log")
        app = build(lambda: _given(house.rooms), write_log=write_log)
        config = uvicorn.Config(app, lifespan="on", log_config=None, **SERVER)
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, server.handle_exit, one, None)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        if server.started:
            (_welcome_program if as_json else _welcome)(settings, house)
        await running


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn would raise them again in the middle of the orderly end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _given(rooms: Rooms) -> AsyncIterator[Rooms]:
    yield rooms


def _to_file(file: Path) -> Callable[[str], None]:
    out = file.open("a", buffering=1)

    def write(line: str) -> None:
        out.write(line + "\n")

    return write


def _welcome(settings: Settings, house: House) -> None:
    _tell(N_("Ấn Tín đang chạy tại %(address)s (dừng bằng Ctrl-C)."), address=settings.address)
    if house.told is not None:
        _introduce(house.told)


def _welcome_program(settings: Settings, house: House) -> None:
    """One line; a password only where it was made at this start."""
    told = house.told
    people = [{"login": one.login, "password": one.password} for one in told.people] if told else []
    print(
        json.dumps({"address": settings.address, "people": people, "sample": told.url if told else None}),
        flush=True,
    )


def _introduce(told: Furnished) -> None:
    _tell(N_("Đây là bản trình diễn: chứng thư do chính máy này cấp, không có giá trị bên ngoài."))
    _tell(N_("Người đăng nhập được:"))
    for person in told.people:
        password = person.password or "·" * 16
        print(f"    {person.login:<12} {password:<20} {person.title}: {person.name}")
    if any(person.password is None for person in told.people):
        _tell(N_("Quên mật khẩu thì đặt lại bằng: antin people reset TÊN"))
    if told.url:
        _tell(N_("Kiểm tra văn bản mẫu đã ký: %(link)s"), link=told.url)
    sys.stdout.flush()


def _tell(sentence: str, **data: object) -> None:
    """Vietnamese, then English."""
    for language in LANGUAGES:
        print(say(sentence, language, **data))
    sys.stdout.flush()
