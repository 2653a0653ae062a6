"""Processes of the service that may be killed: this file starts `antin serve` as often as it is asked, in a fraction of the
time (`python -m tests.mortal`), and lets one die at a point of the story.

- One process imports everything once, builds the HTTP app, and forks; what runs then is `antin serve` itself, with its token
  process and its other children.
- Each line of standard input is one start, `Start` as JSON; the answer is the number of the process.
- The product knows nothing of the points: the methods are wrapped here. A token process that is to die is this module
  too (`python -m tests.mortal token POINT NTH ...`).
"""

from __future__ import annotations

import ctypes
import gc
import inspect
import json
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
DOCUMENTS_KEYS = {"signing", "seal"}
EVERYTHING = (  # that a start imports
    "dbos", "demonstration.authority", "demonstration.home", "demonstration.server", "hsm.token_process", "psycopg",
    "service", "serving", "storage.jobs_database", "storage.minio_store", "storage.postgresql_keeper", "tests.crash",
    "web.pages.routes",
)  # fmt: skip

# Module, class ("" for a function), name, before or after. The others stand in tests/crash.py.
DOORS: dict[str, tuple[str, str, str, str]] = {
    "0 the upload's number is taken": ("documents.once", "Once", "begin", "after"),
    "0 the document is recorded": ("documents.intake", "Intake", "receive", "after"),
    "0 the request is claimed": ("documents.requests", "Requests", "claim", "after"),
    "6 before the answer is noted": ("documents.once", "Once", "finish", "before"),
    "6 the answer is noted, and not sent": ("documents.once", "Once", "finish", "after"),
}
TOKEN: dict[str, tuple[str, str, str, str]] = {
    "token: asked, nothing written down": ("hsm.use_log", "UseLog", "record", "before"),
    "token: written down, not signed": ("hsm.use_log", "UseLog", "record", "after"),
    "token: signed, not answered": ("hsm.token_signing", "", "sign", "after"),
}


@dataclass(frozen=True)
class Start:
    """`point`: where it dies by itself, the `nth` time it comes there; one of `TOKEN` is where its token process does.
    `clock`: a file of eight bytes, by how many seconds everybody's clock is ahead."""

    environment: dict[str, str]
    out: str  # file
    ended: str  # file where it says its exit status; it is not there when it was killed
    point: str = ""
    nth: int = 1
    clock: str = ""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass
class SharedClock:
    """As far ahead as `file` says, in every process that has it open."""

    file: Path
    _ahead: Any = field(default=None)

    def __post_init__(self) -> None:
        with self.file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), 8)

    def move(self, by: timedelta) -> None:
        self._ahead[:] = (self.seconds + int(by.total_seconds())).to_bytes(8)

    @property
    def seconds(self) -> int:
        return int.from_bytes(self._ahead[:])

    def times(self) -> Any:
        from ground import Times
        from signing.timestamping.clock import steady_clock

        return Times(
            lambda: datetime.now(UTC) + timedelta(seconds=self.seconds), lambda: steady_clock() + self.seconds
        )


def die_at(point: str, nth: int) -> None:
    """The method ends its process the nth time that it is called for a key of documents."""
    owner, name, when = _place_of(point)
    told, left = getattr(owner, name), [nth]

    def come(args: tuple[Any, ...]) -> None:
        purpose = getattr(getattr(args[0], "description", None), "purpose", None)
        if purpose is not None and purpose.value not in DOCUMENTS_KEYS:
            return  # a checkpoint of the audit trail, a time-stamp
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    async def waiting(*args: Any, **more: Any) -> Any:
        if when == "before":
            come(args)
        result = await told(*args, **more)
        if when == "after":
            come(args)
        return result

    def plain(*args: Any, **more: Any) -> Any:
        if when == "before":
            come(args)
        result = told(*args, **more)
        if when == "after":
            come(args)
        return result

    setattr(owner, name, waiting if inspect.iscoroutinefunction(told) else plain)


def _place_of(point: str) -> tuple[Any, str, str]:
    from tests.crash import POINTS

    if point in POINTS:
        return POINTS[point]
    module, owner, name, when = (DOORS | TOKEN)[point]
    found: Any = import_module(module)
    return (getattr(found, owner) if owner else found), name, when


class _Prepared:
    """What takes a tenth of a second or more and is the same in each start."""

    def __init__(self) -> None:
        from argon2 import PasswordHasher

        from documents.rooms import Rooms
        from web.app import build

        self.opener: Callable[[], AbstractAsyncContextManager[Rooms]] = _not_yet
        self.app = build(lambda: self.opener(), write_log=lambda line: None)
        hashed = PasswordHasher().hash("nobody's")  # nobody gets a password here
        PasswordHasher.hash = lambda self, password, *, salt=None: hashed  # type: ignore[method-assign]

    def build(self, opener: Any, **_: Any) -> Any:
        self.opener = opener
        return self.app


def _not_yet() -> Any:
    raise RuntimeError("nothing is open")


def _serve(start: Start, prepared: _Prepared) -> NoReturn:
    """In the child: what the command does."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(start.environment)
    with Path(os.devnull).open("rb") as nothing, Path(start.out).open("ab") as out:
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    import service
    import serving

    setattr(serving, "build", prepared.build)  # noqa: B010
    if start.clock:
        times = SharedClock(Path(start.clock)).times()
        opened = service.open_house
        setattr(serving, "open_house", lambda *args, **more: opened(*args, **more, times=times))  # noqa: B010
    if start.point in TOKEN:
        _another_token_process(start.point, start.nth)
    elif start.point:
        die_at(start.point, start.nth)
    sys.argv = ["antin", "serve", "--json"]
    service.antin()
    _end(start.ended, 0)


def _end(said: str, status: int) -> NoReturn:
    """Nobody but us waits for it."""
    Path(said).write_text(str(status))
    os._exit(status)


def _another_token_process(point: str, nth: int) -> None:
    import startup

    told: Callable[..., Any] = startup.start_child
    at_first = [True]

    def start_child(module: str, *arguments: str, **more: Any) -> Any:
        if module == "hsm.token_process" and at_first:
            at_first.clear()
            return told("tests.mortal", "token", point, str(nth), *arguments, **more)
        return told(module, *arguments, **more)

    startup.start_child = start_child


def main() -> int:
    if sys.argv[1:2] == ["token"]:
        _, _, point, nth, *arguments = sys.argv
        die_at(point, int(nth))
        from hsm.token_process import main as run

        sys.argv = ["hsm.token_process", *arguments]
        return run()
    for one in EVERYTHING:
        import_module(one)
    prepared = _Prepared()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        start = Start(**json.loads(line))
        if not (pid := os.fork()):
            try:
                _serve(start, prepared)
            except SystemExit as ended:
                _end(start.ended, int(ended.code or 0))
            except BaseException:
                traceback.print_exc()
                _end(start.ended, 70)
        print(pid, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
