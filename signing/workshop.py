"""Child processes that read files of strangers: this file hands them their work, with limits of time and memory.

- A child has no network, no sockets and no way to start programs (`signing/confinement.py`); what it sends back is
  opened as values only (`signing/parcels.py`).
- A call that takes too long, or is given up by its caller, ends its child; the next call gets a fresh one, forked in
  a few milliseconds from a template that has everything imported.
- Two kinds of work, `run` (what a signature waits for) and `run_beside` (judging, pictures), of each as many calls at
  once as there are workers; others wait in order. There is a place more than workers, so neither kind ever takes the last
  one from the other: who saturates verification stops no signature, and the other way round.
- All from one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from signing.parcels import InChild, NotAValue, open_value, pack_order
from signing.workshop_child import ANSWER, MESSAGE_LIMIT, NO_MEMORY, ORDER, RAISED

ANSWER_LIMIT = 64 << 20  # bytes
MOST_WAITING = 64  # calls of `run_beside`; those of `run` are bounded at the doors (`web/limits.py`)
WAIT_FOR_A_PLACE = 5.0  # seconds, said to whoever finds none
START_SECONDS = 30.0
END_SECONDS = 5.0
GONE = "the template is gone"  # and its children with it


class WorkshopFailed(Exception):
    """The call has no result: `why` is `time`, `memory` or `crashed`; `detail` is for the log. What the function itself
    raises comes back as itself."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why, self.detail = why, detail


class WorkshopKilled(Exception):
    """The child was ended from outside (an administrator, the kernel short of memory): that says nothing of the file. The
    call may be made again."""

    retry_after = 1.0


class WorkshopBusy(Exception):
    """As many wait as may: nothing was done. `retry_after` in seconds."""

    retry_after = WAIT_FOR_A_PLACE


class Workshop:
    """`confined`: whether children run under the filter of system calls; known once it has started."""

    def __init__(self, workers: int) -> None:
        self.confined = False
        # The last one used is taken first: a child that is not needed is not made.
        self._places: asyncio.Queue[_Place] = asyncio.LifoQueue()
        for _ in range(max(1, workers) + 1):
            self._places.put_nowait(_Place())
        self._signing, self._beside = (asyncio.Semaphore(max(1, workers)) for _ in range(2))
        self._waiting = 0
        self._template: _Template | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Not needed before `run`, but the first call is quicker then. Raises WorkshopFailed."""
        await self._running()

    async def run(
        self, function: Callable[..., Any], *args: Any, seconds: float, memory: int, **more: Any
    ) -> Any:
        """`function` (of a module, not a closure) with these arguments, in a child. `memory`: bytes that it may take on
        top of what the child has. `seconds` run from its start, not from ours. Raises WorkshopFailed, WorkshopKilled, and
        whatever `function` raises."""
        order = pack_order(function, args, more)
        async with self._signing:
            return await self._run_somewhere(order, memory, seconds, function)

    async def run_beside(
        self, function: Callable[..., Any], *args: Any, seconds: float, memory: int, **more: Any
    ) -> Any:
        """The same for work that no signature waits for, and that changes nothing: a child that was killed is followed by
        another, once. Raises WorkshopBusy besides."""
        order = pack_order(function, args, more)
        if self._beside.locked() and self._waiting >= MOST_WAITING:
            raise WorkshopBusy
        self._waiting += 1
        try:
            await self._beside.acquire()
        finally:
            self._waiting -= 1
        try:
            with contextlib.suppress(WorkshopKilled):
                return await self._run_somewhere(order, memory, seconds, function)
            return await self._run_somewhere(order, memory, seconds, function)
        finally:
            self._beside.release()

    async def _run_somewhere(
        self, order: bytes, memory: int, seconds: float, function: Callable[..., Any]
    ) -> Any:
        place = await self._places.get()
        try:
            return await self._run(place, ORDER.pack(len(order), memory) + order, seconds, function)
        except BaseException:
            # Half an answer may be on its way, or the child still at work: nobody shall get that as theirs.
            if place.busy:
                place.end()
            raise
        finally:
            self._places.put_nowait(place)

    async def close(self) -> None:
        """Ends every child at once."""
        self._closed = True
        async with self._starting:
            template, self._template = self._template, None
            if template is not None:
                await template.end()
        idle = [self._places.get_nowait() for _ in range(self._places.qsize())]
        for place in idle:
            place.end()
            self._places.put_nowait(place)

    async def _run(self, place: _Place, order: bytes, seconds: float, function: Callable[..., Any]) -> Any:
        template = await self._running()
        line = place.line_of(template)
        loop = asyncio.get_running_loop()
        place.busy = True
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_sendall(line, order)
                head = await _exactly(loop, line, ANSWER.size)
                kind, leaves, size = ANSWER.unpack(head)
                if size > ANSWER_LIMIT:
                    raise WorkshopFailed("crashed", f"an answer of {size} bytes")
                body = await _exactly(loop, line, size) if size else b""
        except TimeoutError as late:
            raise WorkshopFailed("time", f"{seconds:g} s, {function.__qualname__}") from late
        except OSError as gone:
            why = await template.why(place.number)
            if why in {signal.SIGKILL.name, GONE}:
                raise WorkshopKilled(f"{why}, {function.__qualname__}") from gone
            raise WorkshopFailed("crashed", f"{why}, {function.__qualname__}") from gone
        if leaves:
            place.end()
        place.busy = False
        return _result(kind, body, function)

    async def _running(self) -> _Template:
        async with self._starting:
            if self._closed:
                raise WorkshopFailed("crashed", "the workshop is closed")
            if self._template is not None and self._template.runs:
                return self._template
            if self._template is not None:
                await self._template.end()
            self._template = await _Template.started()
            self.confined = self._template.confined
            return self._template


class _Place:
    """Room for one child at a time."""

    def __init__(self) -> None:
        self.busy = False
        self.number = 0
        self._template: _Template | None = None
        self._line: socket.socket | None = None

    def line_of(self, template: _Template) -> socket.socket:
        """To a child of this template. Raises WorkshopFailed."""
        if self._line is not None and self._template is template:
            return self._line
        self.end()
        self._template = template
        self.number, self._line = template.fork()
        return self._line

    def end(self) -> None:
        self.busy = False
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self._template is not None:
            self._template.kill(self.number)


class _Template:
    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.confined = False
        self.runs = True
        self._process, self._control = process, control
        self._asking = asyncio.Lock()
        self._numbers = itertools.count(1)

    @staticmethod
    async def started() -> _Template:
        process, ours = _spawned()
        ours.setblocking(False)
        template = _Template(process, ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                said = await asyncio.get_running_loop().sock_recv(ours, MESSAGE_LIMIT)
        except (TimeoutError, OSError) as wrong:
            await template.end()
            raise WorkshopFailed("crashed", f"it does not start: {wrong}") from wrong
        except BaseException:
            await template.end()
            raise
        if not said:
            await template.end()
            raise WorkshopFailed("crashed", "it does not start")
        template.confined = said == b"confined"
        return template

    def fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        with theirs:
            try:
                socket.send_fds(self._control, [f"fork {number}".encode()], [theirs.fileno()])
            except OSError as gone:
                ours.close()
                self.runs = False
                raise WorkshopKilled(GONE) from gone
        ours.setblocking(False)
        return number, ours

    def kill(self, number: int) -> None:
        try:
            self._control.send(f"end {number}".encode())
        except OSError:
            self.runs = False

    async def why(self, number: int) -> str:
        """Ends the child; how it ended."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            try:
                async with asyncio.timeout(END_SECONDS):
                    await loop.sock_sendall(self._control, f"why {number}".encode())
                    status = int(await loop.sock_recv(self._control, MESSAGE_LIMIT))
            except (OSError, ValueError):
                self.runs = False
                return GONE
        if status >= 0:
            return f"exit status {status}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
        return f"signal {-status}"

    async def end(self) -> None:
        """Its children end with it."""
        self.runs = False
        self._control.close()
        await asyncio.to_thread(_waited, self._process)


def _spawned() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "signing.workshop_child", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as wrong:
            ours.close()
            raise WorkshopFailed("crashed", f"it does not start: {wrong}") from wrong
    return process, ours


def _waited(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    """What an interpreter needs to find its modules; none of our settings, which may name secrets."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
        if name in os.environ
    }
    ours = str(Path(__file__).parent.parent)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([ours, *(path for path in sys.path if path and path != ours)]),
    }


def _result(kind: int, body: bytes, function: Callable[..., Any]) -> Any:
    if kind == NO_MEMORY:
        raise WorkshopFailed("memory", function.__qualname__)
    try:
        value, told = open_value(body, function.__module__.partition(".")[0])
    except (NotAValue, ValueError, TypeError) as wrong:
        raise WorkshopFailed("crashed", f"{function.__qualname__} answered no value: {wrong}") from wrong
    if kind == RAISED:
        if isinstance(value, Exception):
            raise value from InChild(str(told))
        raise WorkshopFailed("crashed", str(value)) from InChild(str(told))
    return value


async def _exactly(loop: asyncio.AbstractEventLoop, line: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = await loop.sock_recv(line, min(size, 1 << 20))
        if not part:
            raise ConnectionResetError("the child is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
