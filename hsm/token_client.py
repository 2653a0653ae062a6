"""The near end of a token process' socket: this file asks, matches answers to questions, and tells truly whether a
question may have reached the token.

- One connection for all callers of one event loop, opened when it is needed.
- What was sent and not answered was perhaps done: `asked` is true then.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from hsm.frames import BOOK_CHANGED, FRAME_LIMIT, BadFrame, FrameReader, pack, take
from hsm.key import KeyUnavailable, NoSuchKey, PinRefused

PATH_LIMIT = 100  # bytes of a Unix socket's address; sun_path has 108


class EnrolmentRefused(ValueError):
    """`reason` is one of: name-bad, name-taken, subject-bad, unsupported, person, certificate-bad, other-key, expired,
    chain-broken, usage-wrong."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class TokenClient:
    """`book_changed` is called when the process says that its book of keys changed, and when the connection is lost."""

    def __init__(
        self, socket: Path, *, seconds: float, book_changed: Callable[[], None] = lambda: None
    ) -> None:
        self._socket, self._seconds, self._book_changed = socket, seconds, book_changed
        self._line: _Line | None = None
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, verb: str, *, name: str = "token", **more: object) -> Any:
        """The answer's `result`. Raises KeyUnavailable, PinRefused, NoSuchKey, EnrolmentRefused."""
        line = self._line
        if line is None or line.closed or self._loop is not asyncio.get_running_loop():
            line = await self._connect(name)
        message = {"verb": verb, "name": name, "within": float(self._seconds), **more}
        try:
            async with asyncio.timeout(self._seconds):
                answer = await line.ask(message)
        except TimeoutError as wrong:
            raise KeyUnavailable(name, why="no-answer-in-time", asked=True) from wrong
        except ConnectionError as wrong:
            raise KeyUnavailable(name, why="connection-lost", asked=True, retry_after=1) from wrong
        if "error" in answer:
            raise error_of(name, answer["error"])
        return answer.get("result")

    async def close(self) -> None:
        line, self._line = self._line, None
        if line is not None and self._loop is asyncio.get_running_loop():
            await line.close()

    async def _connect(self, name: str) -> _Line:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._opening, self._line = loop, asyncio.Lock(), None
        async with self._opening:
            if self._line is not None and not self._line.closed:
                return self._line
            try:
                with reachable(self._socket) as address:
                    async with asyncio.timeout(self._seconds):
                        _, line = await loop.create_unix_connection(
                            lambda: _Line(self._book_changed), address
                        )
            except (OSError, TimeoutError) as wrong:
                raise KeyUnavailable(name, why="token-process-away", retry_after=1) from wrong
            self._line = line
            return line


class _Line(asyncio.Protocol):
    """One connection: questions out, answers in, in any order."""

    def __init__(self, book_changed: Callable[[], None]) -> None:
        self._book_changed = book_changed
        self._reader = FrameReader()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(BOOK_CHANGED + 1)
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.get_running_loop().create_future()
        self.closed = False

    async def ask(self, message: dict[str, object]) -> dict[str, Any]:
        """Raises ConnectionError: sent or not, nobody knows."""
        if self._transport is None or self.closed:
            raise ConnectionResetError
        number = next(self._numbers)
        frame = pack({"id": number, **message})
        if len(frame) > FRAME_LIMIT:
            raise ValueError("orders too large for one frame")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._transport.write(frame)
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self._gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                number = take(message, "id", int)
                if number == BOOK_CHANGED:
                    self._book_changed()
                elif (waiting := self._waiting.get(number)) is not None and not waiting.done():
                    waiting.set_result(message)
        except BadFrame:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._book_changed()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the token process went away"))
        if not self._gone.done():
            self._gone.set_result(None)


@contextlib.contextmanager
def reachable(socket: Path) -> Iterator[str]:
    """An address for a socket whose path may be too long for one: then through its opened folder. Raises OSError."""
    path = str(socket)
    if len(os.fsencode(path)) <= PATH_LIMIT:
        yield path
        return
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)


def error_of(name: str, plain: object) -> Exception:
    """What the process says, as what it means."""
    if not isinstance(plain, dict):
        return KeyUnavailable(name, why="answer-not-understood", asked=True)
    kind, why = str(plain.get("kind")), str(plain.get("why"))
    if kind == "no-such-key":
        return NoSuchKey(name)
    if kind == "rejected":
        return EnrolmentRefused(why, str(plain.get("detail", "")))
    retry_after, asked = plain.get("retry_after"), plain.get("asked") is True
    unavailable = PinRefused if kind == "pin-refused" else KeyUnavailable
    return unavailable(
        name, why=why, asked=asked, retry_after=retry_after if isinstance(retry_after, (int, float)) else 5.0
    )
