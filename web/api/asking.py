"""This file asks for the API key of every operation, and says in OpenAPI which scope it must have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from documents.office import Caller, NotAllowed
from documents.rooms import Rooms
from web.admission import client_address
from web.door import Porter
from web.identity import NotLoggedIn, api_caller, rooms_of

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
    """Raises NotLoggedIn, BadRequest (TOO_MANY_REQUESTS)."""
    rates = porter_of(request).rates
    try:
        caller = await api_caller(request)
    except NotLoggedIn:
        rates.request_by_address(client_address(request.scope))
        raise
    request.state.caller = caller
    rates.request_by_client(str(caller.id))
    return caller


def asks(scope: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, whose key has the scope. Raises NotAllowed."""

    async def ask(caller: Annotated[Caller, Depends(program)]) -> Caller:
        if not caller.may(scope):
            raise NotAllowed(scope)
        return caller

    return ask


Anyone = Annotated[Caller, Depends(program)]
Reader = Annotated[Caller, Depends(asks("documents:read"))]
Writer = Annotated[Caller, Depends(asks("documents:write"))]
Verifier = Annotated[Caller, Depends(asks("verify"))]
House = Annotated[Rooms, Depends(rooms_of)]
