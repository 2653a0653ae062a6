"""The far end of a token process' socket: this file lets callers in, reads their frames, queues their orders and sends the
answers back.

- Who calls is known by the kernel's word (SO_PEERCRED, K3): the process' own user and root may do everything, the users
  named in the book may have keys described, used and probed. Everybody else is hung up on before a byte is read.
- Frames may be hostile: a wrong one ends its connection, nothing else.
- What the queue cannot hold is refused at once, before it reaches the token.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import os
import socket as sockets
import struct
from collections.abc import Callable
from typing import Any, cast

from hsm import token_registrar
from hsm.descriptions import plain_description, read_chain, read_granted, read_holder
from hsm.enrolment import EnrolmentRefused, KeyWish
from hsm.frames import (
    BOOK_CHANGED,
    FRAME_LIMIT,
    BadFrame,
    FrameReader,
    base64_of,
    pack,
    plain_result,
    read_orders,
    take,
    take_bytes,
    take_uuid,
)
from hsm.key import KeyUnavailable, NoSuchKey, PinRefused, Purpose
from hsm.token_keeper import Answer, SignJob, TokenKeeper
from hsm.token_worker import TokenWorker

CONNECTIONS = 256
UNANSWERED = 1024  # frames of one connection
UNSENT = 16 * 1024 * 1024  # bytes of answers that a caller does not read
PAGE = FRAME_LIMIT // 4  # bytes of keys in one answer, and one key more
LONGEST = 600.0  # seconds that a caller may wait for an answer

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_USER_VERBS = frozenset({"keys", "sign", "probe"})

log = logging.getLogger(__name__)


class TokenServer:
    """Makes one `Caller` per connection. `uids` gives the users named in the book as it is now."""

    def __init__(self, worker: TokenWorker, uids: Callable[[], frozenset[int]], *, queue_limit: int) -> None:
        self.worker, self.uids, self.queue_limit = worker, uids, queue_limit
        self.waiting = 0  # orders
        self.callers: set[Caller] = set()
        self.loop = asyncio.get_running_loop()

    def caller(self) -> Caller:
        return Caller(self)

    def retry_after(self) -> float:
        """About as long as what waits will take."""
        return max(0.5, self.waiting * self.worker.seconds_each)

    def book_changed(self) -> None:
        """Tells all callers."""
        frame = pack({"id": BOOK_CHANGED})
        for one in tuple(self.callers):  # who does not read is hung up on meanwhile
            one.write(frame)


class Caller(asyncio.Protocol):
    def __init__(self, server: TokenServer) -> None:
        self._server, self._reader = server, FrameReader()
        self._transport: asyncio.Transport | None = None
        self._uid = -1
        self._unanswered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        opened = transport.get_extra_info("socket")
        credentials = opened.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
        _, self._uid, _ = _CREDENTIALS.unpack(credentials)
        if not may_call(self._uid, self._server.uids()) or len(self._server.callers) >= CONNECTIONS:
            log.warning("user %d was not let in", self._uid)
            self._transport.abort()
            return
        self._server.callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.callers.discard(self)

    def data_received(self, data: bytes) -> None:
        if self not in self._server.callers:
            return
        try:
            for message in self._reader.feed(data):
                self._unanswered += 1
                if self._unanswered > UNANSWERED:
                    raise BadFrame("too many questions at once")
                self._hear(message)
        except BadFrame as wrong:
            log.warning("user %d sent no frame of ours: %s", self._uid, wrong)
            self._hang_up()

    def write(self, frame: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > UNSENT:
            self._hang_up()

    def _hang_up(self) -> None:
        self._server.callers.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _hear(self, message: dict[str, Any]) -> None:
        number, verb = take(message, "id", int), take(message, "verb", str)
        if verb not in _USER_VERBS and not may_enrol(self._uid):
            self._answer(number, KeyUnavailable("token", why="not-allowed"))
        elif verb == "sign":
            self._sign(number, message)
        elif verb == "keys":
            page = functools.partial(_descriptions, after=take(message, "after", str))
            self._server.worker.call(page, self._later(number))
        elif verb == "probe":
            probe = functools.partial(_probe, waiting=self._server.waiting)
            self._server.worker.call(probe, self._later(number))
        else:
            self._server.worker.call(_enrolment(verb, message), self._later(number))

    def _sign(self, number: int, message: dict[str, Any]) -> None:
        server, loop = self._server, self._server.loop
        name, orders = take(message, "name", str), tuple(read_orders(message))
        within = take(message, "within", float)
        if server.waiting + len(orders) > server.queue_limit:
            self._answer(number, KeyUnavailable(name, why="queue-full", retry_after=server.retry_after()))
            return
        server.waiting += len(orders)
        last = loop.time() + min(within, LONGEST)

        def answered(answer: Answer) -> None:
            server.waiting -= len(orders)
            self._answer(
                number, answer if isinstance(answer, Exception) else [plain_result(one) for one in answer]
            )

        server.worker.sign(
            SignJob(
                name,
                orders,
                answer=lambda answer: _in_loop(loop, answered, answer),
                wanted=lambda: self in server.callers and loop.time() < last,
            )
        )

    def _later(self, number: int) -> Callable[[object], None]:
        """Takes an answer in the worker's thread, gives it in the loop's."""
        return lambda answer: _in_loop(self._server.loop, functools.partial(self._answer, number), answer)

    def _answer(self, number: int, answer: object) -> None:
        self._unanswered -= 1
        if isinstance(answer, Exception):
            self.write(pack({"id": number, "error": plain_error(answer)}))
        else:
            self.write(pack({"id": number, "result": answer}))


def may_call(uid: int, uids: frozenset[int]) -> bool:
    return may_enrol(uid) or uid in uids


def may_enrol(uid: int) -> bool:
    """Whoever could read token, PIN and use log anyway."""
    return uid in {0, os.geteuid()}


def plain_error(wrong: Exception) -> dict[str, object]:
    """An error as it travels. What we did not foresee is named by its class alone."""
    if isinstance(wrong, KeyUnavailable):
        kind = "pin-refused" if isinstance(wrong, PinRefused) else "unavailable"
        return {"kind": kind, "why": wrong.why, "retry_after": wrong.retry_after, "asked": wrong.asked}
    if isinstance(wrong, NoSuchKey):
        return {"kind": "no-such-key"}
    if isinstance(wrong, EnrolmentRefused):
        return {"kind": "rejected", "why": wrong.reason, "detail": wrong.detail}
    log.error("our own fault", exc_info=wrong)
    return {"kind": "unavailable", "why": f"fault: {type(wrong).__name__}", "retry_after": 30, "asked": True}


def _in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[Any], None], answer: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, answer)


def _descriptions(keeper: TokenKeeper, *, after: str) -> dict[str, object]:
    """Those whose names come after that one, in their order: as many as are sure to fit a frame, at least one."""
    page, size = list[dict[str, object]](), 0
    left = [one for one in keeper.descriptions() if one.name > after]
    for one in left:
        page.append(plain_description(one))
        size += len(pack(page[-1]))
        if size > PAGE:
            break
    return {"keys": page, "more": len(page) < len(left)}


def _probe(keeper: TokenKeeper, *, waiting: int) -> dict[str, object]:
    return dataclasses.asdict(keeper.health(waiting))


def _enrolment(verb: str, message: dict[str, Any]) -> Callable[[TokenKeeper], object]:
    """What is asked for, read whole before anything is done. Raises BadFrame."""
    name = take(message, "name", str)
    try:
        if verb == "make_key":
            wish = KeyWish(
                name=name, agency=take_uuid(message, "agency"), purpose=Purpose(take(message, "purpose", str)),
                holder=read_holder(message), subject=take(message, "subject", str),
                algorithm=take(message, "algorithm", str), granted=read_granted(message),
            )  # fmt: skip
            return lambda keeper: base64_of(token_registrar.make_key(keeper, wish))
        if verb == "request":
            subject = take(message, "subject", str)
            return lambda keeper: base64_of(token_registrar.request(keeper, name, subject))
        if verb == "install":
            certificate, chain = take_bytes(message, "certificate"), read_chain(message)
            return lambda keeper: token_registrar.install(keeper, name, certificate, chain)
        who = take_uuid(message, "who")
    except ValueError as wrong:
        raise BadFrame(verb[:40]) from wrong
    if verb == "grant":
        return lambda keeper: token_registrar.grant(keeper, name, who)
    if verb == "revoke":
        return lambda keeper: token_registrar.revoke(keeper, name, who)
    raise BadFrame("verb")
