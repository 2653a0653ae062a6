"""This file tells a problem to whoever asked: JSON to a program (RFC 9457), a page to a person."""

from __future__ import annotations

import json
import math

from fastapi import Request
from starlette.responses import Response

from catalogue import N_, say
from web.faults import BY_THE_BOOK
from web.identity import language
from web.problem import Found

MEDIA_TYPE = "application/problem+json"
GO_BACK = N_("Hãy quay lại trang trước rồi làm lại từ đó.")
FOR_PROGRAMS = ("/api/", "/tsa", "/healthz", "/readyz", "/metrics")


def tell(request: Request, found: Found) -> Response:
    response = _page(request, found) if wants_page(request) else json_answer(request, found)
    if found.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(found.retry_after)))
    for name, value in found.headers.items():
        response.headers[name] = value
    return response


def json_answer(request: Request, found: Found) -> Response:
    spoken = language(request)
    body = found.body(spoken, request.state.request_id)
    headers = {"Content-Language": spoken, "Vary": "Accept-Language"}
    return Response(
        json.dumps(body, ensure_ascii=False).encode(), found.status, media_type=MEDIA_TYPE, headers=headers
    )


def wants_page(request: Request) -> bool:
    if request.scope["path"].startswith(FOR_PROGRAMS):
        return False
    return "text/html" in request.headers.get("accept", "")


def _page(request: Request, found: Found) -> Response:
    from web.pages.render import page

    spoken = language(request)
    looked, theirs = request.method in {"GET", "HEAD"}, found.status < 500
    return page(
        request,
        "pages/error.html",
        status=found.status,
        heading=found.title(spoken),
        sentence=found.sentence(spoken),
        # Who only looked has nothing to lose, and of an address that is wrong there is nothing to report.
        safe=None if looked and theirs else found.saved(spoken),
        todo=say(GO_BACK, spoken) if found.problem.todo == BY_THE_BOOK else found.todo(spoken),
        reference=None if looked and theirs else request.state.request_id,
        again=_address(request) if looked and found.retryable else None,
    )


def _address(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
