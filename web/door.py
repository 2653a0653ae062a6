"""This file is the outer door: every request comes in and every answer goes out through it (plain ASGI).

- What goes wrong anywhere behind it becomes an answer here, and nowhere else; what nobody foresaw is a reference and a
  line in the log.
- Each request is counted and written down when it ends, whatever its end.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from documents.rooms import Rooms
from web.access_log import AccessLog, Visit
from web.admission import admit, client_address
from web.arriving import PIECE_WITHIN, Arriving
from web.identity import calling_program
from web.leaving import Leaving
from web.limits import Places, RateLimits, neighbourhood
from web.metrics import Metrics
from web.problem import Found
from web.problems import INTERNAL, problem_for
from web.telling import json_answer, tell

CLIENT_CLOSED = 499  # in log and metrics alone: nobody is there to be told
UNCOUNTED = {"/healthz", "/readyz", "/metrics"}


@dataclass
class Porter:
    """What the door needs, and handlers behind it: `app.state.porter`."""

    rates: RateLimits
    signing: Places
    verifying: Places
    visiting: Places
    metrics: Metrics
    log: AccessLog
    piece_within: float = PIECE_WITHIN


class Door:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rooms: Rooms = scope["app"].state.rooms
        porter: Porter = scope["app"].state.porter
        state: dict[str, Any] = scope.setdefault("state", {})
        state |= {"request_id": str(uuid4()), "method": scope["method"]}
        if scope["method"] == "HEAD":
            # What can be got can be asked about: as GET, and `Leaving` keeps the body back (RFC 9110 9.3.2).
            scope = {**scope, "method": "GET"}
        largest = max(rooms.limits.upload, rooms.limits.verify)
        arriving = Arriving(scope, receive, largest_file=largest, piece_within=porter.piece_within)
        leaving = Leaving(scope, send, arriving, https=rooms.address.startswith("https://"))
        began = time.monotonic()
        try:
            await self._answer(scope, arriving, leaving)
        finally:
            _note(scope, porter, arriving, leaving, seconds=time.monotonic() - began)

    async def _answer(self, scope: Scope, arriving: Arriving, leaving: Leaving) -> None:
        rooms: Rooms = scope["app"].state.rooms
        porter: Porter = scope["app"].state.porter
        try:
            limits = rooms.limits
            admit(scope, address=rooms.address, production=rooms.production, proxies=limits.trusted_proxies)
            async with AsyncExitStack() as held:
                if scope["path"] not in UNCOUNTED:
                    await held.enter_async_context(await _counted(scope, porter))
                await self._app(scope, arriving, leaving)
        except (ClientDisconnect, ConnectionResetError):
            leaving.status = leaving.status or CLIENT_CLOSED
        except Exception as fault:
            found = problem_for(fault)
            if found is None:
                found = Found(INTERNAL)
                porter.log.fault(scope["state"]["request_id"], fault)
            if leaving.status:
                # Half an answer is out: the connection must break, so that it is never taken for a whole one.
                raise
            await _tell(scope, arriving, leaving, found)


async def _tell(scope: Scope, arriving: Arriving, leaving: Leaving, found: Found) -> None:
    request = Request(scope, arriving)
    try:
        response = tell(request, found)
    except Exception as fault:
        scope["app"].state.porter.log.fault(scope["state"]["request_id"], fault)
        response = json_answer(request, Found(INTERNAL))
    await response(scope, arriving, leaving)


async def _counted(scope: Scope, porter: Porter) -> AbstractAsyncContextManager[None]:
    """As the program whose key is shown, or by address: a key that does not count buys nobody another account. By
    address there is a bound besides to what goes on at once, or one machine that drips would take every connection.
    Raises BadRequest (TOO_MANY_REQUESTS), and the context TOO_MANY_OF_YOURS."""
    program = await calling_program(Request(scope))
    if program is not None:
        porter.rates.request_by_client(str(program.id))
        return nullcontext()
    porter.rates.request_by_address(client_address(scope))
    return porter.visiting.one(neighbourhood(client_address(scope)))


def _note(scope: Scope, porter: Porter, arriving: Arriving, leaving: Leaving, *, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    caller = scope["state"].get("caller")
    visit = Visit(
        request=scope["state"]["request_id"],
        method=scope["state"]["method"][:16],
        route=route,
        status=leaving.status,
        seconds=seconds,
        received=arriving.size,
        sent=leaving.size,
        client=client_address(scope),
        caller=str(caller.id) if caller else None,
    )
    porter.log.visit(visit)
    porter.metrics.visit(visit.method, route, visit.status, seconds)
