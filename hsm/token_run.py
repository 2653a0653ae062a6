"""The life of a token process: this file takes the folder's lock, opens book, log and token, listens, and ends in order.

- The clock is chosen here: this is the process' own roof.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import logging
import os
import pwd
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hsm import key_book, soft_token, use_log
from hsm.key import KeyUnavailable
from hsm.key_book import BookDamaged, KeyBook
from hsm.open_book import OpenBook
from hsm.pin import PinGate, PinSource
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.token_client import reachable
from hsm.token_keeper import Progress, TokenKeeper
from hsm.token_process import ANOTHER_RUNS, BROKEN, FAULT, HUNG, LOG_GONE
from hsm.token_server import TokenServer
from hsm.token_session import TokenSession
from hsm.token_worker import TokenWorker
from hsm.use_log import LogUnavailable
from startup import leave_no_core

LOCK = "lock"
LOOK_SECONDS = 1.0
END_SECONDS = 8.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    folder: Path
    socket: Path
    pin: PinSource
    queue_limit: int
    hang_seconds: float
    child: bool


def begin(folder: Path, uri: str, users: Sequence[str]) -> None:
    """Makes what is missing of a token's folder: a book without keys, and an empty use log. What is there stays: a log that
    was lost for good is begun so as well, by who knows that it was. Raises ValueError, OSError."""
    token = Pkcs11Uri.parse(uri)
    if token.module_path is None:
        raise ValueError("the URI names no module: pkcs11:token=...?module-path=/...")
    try:
        uids = frozenset(pwd.getpwnam(one).pw_uid for one in users)
    except KeyError as wrong:
        raise ValueError(f"no such user: {wrong}") from wrong
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / key_book.FILE).exists():
        if key_book.load(folder).token != token:
            raise ValueError("the folder's book is another token's")
    else:
        key_book.save(folder, KeyBook(token, uids))
    use_log.begin(folder)


def run(how: Run) -> int:
    """The exit status."""
    os.umask(0o077)
    leave_no_core()
    with only_one(how.folder) as alone:
        if not alone:
            return ANOTHER_RUNS
        settings = how.folder / soft_token.SETTINGS
        try:
            if settings.exists():  # a token of development
                soft_token.mend(how.folder)
                # The driver reads it from there; nobody else is in here.
                os.environ["SOFTHSM2_CONF"] = str(settings)
            return asyncio.run(_serve(how))
        except LogUnavailable as wrong:
            log.error("the use log cannot be used, so nothing is signed: %s", wrong)
            return LOG_GONE
        except (BookDamaged, OSError) as wrong:
            log.error("%s: %s", type(wrong).__name__, wrong)
            return BROKEN


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """False when another process works on this folder."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


async def _serve(how: Run) -> int:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, over.set)
    if how.child:
        _end_with_parent(loop, over.set)
    changed = _Changed(loop)
    books = OpenBook(how.folder, changed)
    worker = TokenWorker(functools.partial(_keeper, how, books))
    started: asyncio.Future[None] = asyncio.wrap_future(worker.started)
    await _while_it_works(worker, how, started, over.wait())
    if started.cancelled():
        _leave(0)  # a thread in a driver's call cannot be stopped
    started.result()
    server = TokenServer(worker, lambda: books.now.uids, queue_limit=how.queue_limit)
    changed.tell = server.book_changed
    # Who may really speak is asked of the kernel at each connection; others must only be able to reach it.
    listening = await _listen(how.socket, server, open_to_others=bool(books.now.uids))
    log.info("listening")
    try:
        await _while_it_works(worker, how, over.wait())
    finally:
        listening.close()
    ended = await asyncio.to_thread(worker.stop, END_SECONDS)
    await asyncio.sleep(0)  # the last answers
    if not ended:
        _leave(HUNG)
    return 0


async def _while_it_works(worker: TokenWorker, how: Run, *ends: Awaitable[object]) -> None:
    """Until one of the ends. A driver that hangs, or a thread that died, ends the process: what was asked stays in the use
    log without a result."""
    waiting = {asyncio.ensure_future(one) for one in ends}
    while not (await asyncio.wait(waiting, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
        if worker.busy_for() > how.hang_seconds:
            log.error("the driver hangs")
            _leave(HUNG)
        if worker.failed:
            _leave(FAULT)
    for one in waiting:
        one.cancel()


def _keeper(how: Run, books: OpenBook, progress: Progress) -> TokenKeeper:
    """In the worker's thread: opens the log and, if it is there, the token, and looks at every key."""
    token = TokenSession(books.now.token, how.pin, PinGate(how.folder))
    keeper = TokenKeeper(how.folder, token, books, clock=lambda: datetime.now(UTC), progress=progress)
    try:
        log.info("%d keys can be used", len(keeper.descriptions()))
    except KeyUnavailable as away:
        log.error("the token cannot be used yet: %s", away.why)
    return keeper


async def _listen(socket: Path, server: TokenServer, *, open_to_others: bool) -> asyncio.Server:
    _clear(socket)
    before = os.umask(0o111 if open_to_others else 0o177)
    try:
        with reachable(socket) as address:
            return await asyncio.get_running_loop().create_unix_server(server.caller, address, backlog=256)
    finally:
        os.umask(before)


def _clear(socket: Path) -> None:
    """The folder's lock is ours, so a socket file that lies there is a dead one's."""
    socket.unlink(missing_ok=True)


def _end_with_parent(loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            over()

    loop.add_reader(sys.stdin.fileno(), read)


def _leave(status: int) -> None:
    logging.shutdown()
    os._exit(status)


class _Changed:
    """Called in the worker's thread when another book holds; tells the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.tell: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.tell is not None:
            self._loop.call_soon_threadsafe(self.tell)
