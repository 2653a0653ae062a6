"""This file builds the HTTP app from the rooms it is given; it chooses nothing itself.

- The rooms are opened when the app starts and closed when it ends, by whoever gave them (`service.py`).
- The API is described at `/api/v1/openapi.json` and, for people, at `/api/v1/docs`: a page of ours that loads nothing
  from elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from documents.rooms import Rooms
from web import problem_pages
from web.access_log import AccessLog, Write
from web.api import documents, health, keys, reference, resumable, signatures, timestamps, verifications
from web.api.answers import API, invalid_at
from web.api.health import Readiness
from web.api.schema import TAGS, finish
from web.arriving import JSON_LIMIT, PIECE_WITHIN, SMALL, media_type
from web.bad_request import BadRequest, Fault
from web.door import Door, Porter
from web.limits import VERIFICATIONS_AT_ONCE, VISITS_AT_ONCE, Places, RateLimits
from web.metrics import Metrics
from web.punctual import Punctual

Opener = Callable[[], AbstractAsyncContextManager[Rooms]]

BARE = {
    400: Fault.INVALID,  # a body of JSON that is none
    404: Fault.NOT_FOUND,
    405: Fault.METHOD_NOT_ALLOWED,
    413: Fault.BODY_TOO_LARGE,
    415: Fault.MEDIA_TYPE,
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CONNECTIONS = 1000  # at once
# For uvicorn: a header may be so long, a connection may idle so long, so many may be open at once. `Door` believes
# proxies and writes the log, so the server does neither.
SERVER: dict[str, Any] = {
    "http": Punctual,
    "ws": "none",
    "h11_max_incomplete_event_size": 48 * 1024,
    "timeout_keep_alive": 15,
    "timeout_graceful_shutdown": 20,
    "limit_concurrency": CONNECTIONS,
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,
}


def build(
    open_rooms: Opener, *, write_log: Write | None = None, piece_within: float = PIECE_WITHIN
) -> FastAPI:
    """`write_log` takes lines of JSON, standard output unless given; `piece_within` in seconds."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_rooms() as rooms:
            app.state.rooms = rooms
            app.state.readiness = Readiness()
            signatures = rooms.limits.signatures_at_once
            app.state.porter = Porter(
                rates=RateLimits(rooms.limits.requests_per_minute),
                # However many one caller has, the last quarter is left to others.
                signing=Places(signatures, each=signatures - signatures // 4),
                verifying=Places(CONNECTIONS, each=VERIFICATIONS_AT_ONCE),
                visiting=Places(CONNECTIONS, each=VISITS_AT_ONCE),
                metrics=Metrics(),
                log=AccessLog(write_log),
                piece_within=piece_within,
            )
            yield

    # Whatever it says of a stranger's form data is told to the stranger by `web/multipart.py`.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    app = FastAPI(
        title="Ấn Tín",
        summary="Ký, đóng dấu thời gian, lưu và chứng minh văn bản",
        version="1",
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.add_middleware(Door)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    for resource in (
        documents,
        resumable,
        signatures,
        verifications,
        keys,
        timestamps,
        health,
        reference,
        problem_pages,
    ):
        app.include_router(resource.router)
    from web.pages import routes

    app.include_router(routes.router)
    finish(app.openapi())
    return app


async def _http_problem(request: Request, fault: Exception) -> Response:
    """What the framework says by a bare status: no such route, another method, a body that is too large."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    kind = BARE.get(status, Fault.INVALID)
    headers = {"Allow": ", ".join(_allowed(request))} if kind is Fault.METHOD_NOT_ALLOWED else None
    limit = SMALL.get(media_type(request.scope["headers"]), JSON_LIMIT)
    raise BadRequest(kind, data={"where": "body", "limit": str(limit)}, headers=headers) from fault


def _allowed(request: Request) -> list[str]:
    """All that the address takes (RFC 9110 10.2.1): the framework names the methods of one route alone."""
    taken = [
        method
        for method in METHODS
        if any(
            one.matches({**request.scope, "method": method})[0] is Match.FULL for one in request.app.routes
        )
    ]
    return ["HEAD", *taken] if "GET" in taken else taken


async def _invalid(request: Request, fault: Exception) -> Response:
    raise invalid_at(list(fault.errors()) if isinstance(fault, RequestValidationError) else []) from fault
