"""The far end of a workshop: this file is the template process, and the children that it forks.

- `python -m signing.workshop_child FD`: the template imports what readers need, once, in one thread, and forks a
  confined child for each line that it is handed. It reads no stranger's file itself.
- A child answers one call after another, and leaves when it has grown or run out of memory: a fork costs little.
- The template goes when its parent does (its line ends), the children with the template.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

from signing.confinement import confine, die_with_parent
from signing.parcels import pack_value
from startup import begin_log, leave_no_core

ORDER = struct.Struct("!QQ")  # bytes that follow, bytes of memory that the call may take
ANSWER = struct.Struct("!BBQ")  # kind, whether the child leaves, bytes that follow
VALUE, RAISED, NO_MEMORY = 0, 1, 2
MESSAGE_LIMIT = 512
GROWN = (
    192 << 20
)  # bytes over the template's size at which a child leaves: what it holds it does not give back
ROOM_TO_SAY_SO = 8 << 20  # bytes beyond a call's limit, to pack that it ran out
LINE = 3

# By name, so that the makers and the judges of signatures meet nowhere but here, in a process of their own.
PRELOADED = (
    "pikepdf", "pypdfium2", "PIL.Image", "PIL.PngImagePlugin", "uuid", "cryptography.x509",
    "signing.pades", "signing.longterm", "signing.verification.own_work", "signing.verification.answer",
)  # fmt: skip


def template(control: socket.socket) -> None:
    """Messages: `fork N` with a child's line, `end N` (no answer), `why N` (answered by its exit status)."""
    for name in PRELOADED:
        # What cannot be imported is said by the call that needs it.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    children: dict[int, int] = {}
    control.send(b"confined" if _can_be_confined() else b"open")
    while True:
        message, lines, _, _ = socket.recv_fds(control, MESSAGE_LIMIT, 1)
        if not message:
            return
        verb, _, number = message.decode().partition(" ")
        if verb == "fork":
            children[int(number)] = _forked(lines[0])
        else:
            status = _ended(children.pop(int(number), None))
            if verb == "why":
                control.send(str(status).encode())


def _can_be_confined() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if confine() else 1)
    return os.waitpid(child, 0)[1] == 0


def _forked(line: int) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(line)
        return child
    try:
        die_with_parent(parent)
        os.dup2(line, LINE)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.closerange(LINE + 1, 4096)
        _die_first()
        leave_no_core()
        confine()
        _serve()
    finally:
        os._exit(0)


def _die_first() -> None:
    """When the machine has no memory left, we are to go, not the service."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _ended(child: int | None) -> int:
    if child is None:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _serve() -> None:
    born = _size()[1]
    while (head := _read(ORDER.size)) is not None:
        size, memory = ORDER.unpack(head)
        order = _read(size)
        if order is None:
            return
        kind, body = _answer(order, memory)
        del order
        leaves = kind == NO_MEMORY or _size()[1] > born + GROWN
        _write(ANSWER.pack(kind, leaves, len(body)))
        _write(body)
        if leaves:
            return


def _answer(order: bytes, memory: int) -> tuple[int, bytes]:
    _limit(memory)
    try:
        try:
            function, args, more = pickle.loads(order)  # noqa: S301 (ours: it comes from our parent alone)
            return VALUE, pack_value((function(*args, **more), ""))
        except MemoryError:
            return NO_MEMORY, b""
        except Exception as error:
            _limit(memory + ROOM_TO_SAY_SO)
            return RAISED, _packed(error)
    except (MemoryError, RecursionError):
        return NO_MEMORY, b""
    finally:
        _limit(None)


def _packed(error: Exception) -> bytes:
    told = "".join(traceback.format_exception(error))[-4000:]
    try:
        return pack_value((error, told))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError):
        return pack_value((f"{type(error).__name__}: {error}"[:1000], told))


def _limit(memory: int | None) -> None:
    """Bytes that may come on top of what is there; None: as before."""
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = most if memory is None else _size()[0] + memory
    if most != resource.RLIM_INFINITY:
        soft = min(soft, most)
    resource.setrlimit(resource.RLIMIT_AS, (soft, most))


def _size() -> tuple[int, int]:
    """Bytes of address space, bytes that are in memory."""
    with open("/proc/self/statm", "rb", buffering=0) as told:  # noqa: PTH123 (the quickest way, at each call)
        pages = told.read(100).split()
    return int(pages[0]) * resource.getpagesize(), int(pages[1]) * resource.getpagesize()


def _read(size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = os.read(LINE, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(body: bytes) -> None:
    rest: Any = memoryview(body)
    while rest:
        rest = rest[os.write(LINE, rest[: 1 << 20]) :]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, whose end is ours
    begin_log("workshop", "warning")
    with contextlib.suppress(OSError):
        template(socket.socket(fileno=int(sys.argv[1])))
