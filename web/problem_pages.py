"""This file shows what each `type` of a problem means: `/problems/<code>`, for people and for programs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from catalogue import LANGUAGES
from web.bad_request import BadRequest, Fault
from web.identity import language
from web.problem import Found
from web.problems import every_problem
from web.telling import wants_page

router = APIRouter(include_in_schema=False)


@router.get("/problems/{code}")
async def problem(request: Request, code: str) -> Response:
    line = next((one for one in every_problem() if one.code == code), None)
    if line is None:
        raise BadRequest(Fault.NOT_FOUND)
    found = Found(line)
    if wants_page(request):
        return _page(request, found)
    return JSONResponse(
        {
            "type": f"/problems/{line.code}",
            "code": line.code,
            "status": line.status,
            "retryable": line.retryable,
            "title": {one: found.title(one) for one in LANGUAGES},
            "messages": {one: found.sentence(one) for one in LANGUAGES},
            "saved": {"state": line.saved.value} | {one: found.saved(one) for one in LANGUAGES},
            "next": {one: found.todo(one) for one in LANGUAGES},
        }
    )


def _page(request: Request, found: Found) -> Response:
    from web.pages.render import page

    spoken = language(request)
    return page(
        request,
        "pages/error.html",
        heading=found.title(spoken),
        sentence=found.sentence(spoken),
        safe=found.saved(spoken),
        todo=found.todo(spoken),
        reference=None,
        again=None,
    )
