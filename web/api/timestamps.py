"""Time-stamps: this file is the HTTP side of our time-stamp authority (RFC 3161 3.4).

- By scope `timestamp`, or from a listed network, where clients such as `openssl ts` bring no key.
- RFC 3161 asks nothing of a repeated request: without an `Idempotency-Key` each gets a token of its own.
- What is wrong inside a request is told in a TimeStampResp, as the RFC says; what is wrong around it, as a problem.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from fastapi import APIRouter, Request
from starlette.responses import Response

from documents.office import Caller, CallerKind, NotAllowed
from signing.timestamping.source import TimestampSource
from storage.schema import SERVICE
from web.admission import client_address, in_networks
from web.api.asking import Bearer, House, program
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, bytes_of
from web.arriving import FORM_LIMIT, media_type
from web.bad_request import BadRequest, Fault

BY_ADDRESS = UUID("5a0c2ad4-3c9f-5d1b-9d0e-6f1f0a3c8b77")  # a namespace (RFC 9562 6.5)
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
BODY = {
    "required": True,
    "content": {QUERY: {"schema": {"type": "string", "contentMediaType": QUERY}, "example": "0…"}},
}

router = APIRouter(tags=["time-stamps"], max_body_size=FORM_LIMIT)


@router.post(
    "/tsa",
    summary="A time-stamp",
    response_class=Response,
    responses={200: bytes_of(REPLY, "DER TimeStampResp, granted or rejected", "0…")} | PROBLEMS,
    openapi_extra={"requestBody": BODY, "parameters": [IDEMPOTENCY]},
)
async def stamp(request: Request, rooms: House, bearer: Bearer) -> Response:
    caller = await _caller(request, bearer, rooms.limits.tsa_networks)
    authority = rooms.authority
    if authority is None:
        raise BadRequest(Fault.NO_AUTHORITY)
    if media_type(request.scope["headers"]) != QUERY:
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": QUERY})
    query = await request.body()

    async def work(_: UUID) -> Response:
        return await _stamped(authority, query)

    return await once(request, caller, digest_of(request, query), work)


async def _caller(request: Request, bearer: Bearer, networks: tuple[str, ...]) -> Caller:
    """Who shows no key is known by address: nobody's `Idempotency-Key` gets the answer that was given to another."""
    address = client_address(request.scope)
    listed = in_networks(address, networks) and not request.scope["state"].get("unlisted_proxy")
    if listed and "authorization" not in request.headers:
        return Caller(uuid5(BY_ADDRESS, address), SERVICE, CallerKind.CLIENT, address, "", "")
    caller = await program(request, bearer)
    if not caller.may("timestamp"):
        raise NotAllowed("timestamp")
    return caller


async def _stamped(authority: TimestampSource, query: bytes) -> Response:
    return Response(await authority.stamp(query), media_type=REPLY)
