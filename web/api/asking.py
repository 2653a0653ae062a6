"""This file asks for the API key of every operation, and says in OpenAPI which scope it must have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from documents.office import Caller, NotAllowed
from documents.rooms import Rooms
from web.arriving import media_type
from web.bad_request import BadRequest, Fault
from web.door import Porter
from web.identity import NotLoggedIn, calling_program, rooms_of

BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="apiKey",
    bearerFormat="antin_…",
    description=(
        "An API key, made by `antin clients add`. Its scopes: `documents:write`, `documents:read`, "
        "`sign:<key name>` or `sign:*`, `sign:certificate` (two-call signing), `verify`, `timestamp`."
    ),
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


def porter_of(request: Request) -> Porter:
    porter: Porter = request.app.state.porter
    return porter


async def program(request: Request, _: Bearer) -> Caller:
    """Counted by the door already. Raises NotLoggedIn."""
    caller = await calling_program(request)
    if caller is None:
        raise NotLoggedIn
    request.state.caller = caller
    return caller


def asks(scope: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, whose key has the scope. Raises NotAllowed."""

    async def ask(caller: Annotated[Caller, Depends(program)]) -> Caller:
        if not caller.may(scope):
            raise NotAllowed(scope)
        return caller

    return ask


def takes_json(request: Request) -> None:
    """Raises BadRequest (MEDIA_TYPE): by what else it is, a body is not JSON that is merely wrong."""
    kind, _, subtype = media_type(request.scope["headers"]).partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": "application/json"})


Json = Annotated[None, Depends(takes_json)]
Anyone = Annotated[Caller, Depends(program)]
Reader = Annotated[Caller, Depends(asks("documents:read"))]
Writer = Annotated[Caller, Depends(asks("documents:write"))]
Verifier = Annotated[Caller, Depends(asks("verify"))]
House = Annotated[Rooms, Depends(rooms_of)]
