"""Signatures: this file asks for one in a single call (our key) or in two (somebody else's), shows and cancels it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Request
from starlette.responses import Response

from documents.document import Document, RequestState, SigningRequest
from documents.office import Caller, NotAllowed
from documents.requests import RequestEnded
from documents.rooms import Rooms
from web.api import examples
from web.api.answers import API, check_match, etag_of, shaped, signature_address
from web.api.asking import Anyone, House, Json, Reader, porter_of
from web.api.documents import DocumentId
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, json_of
from web.api.shapes import Completion, SignatureShape, SignatureWish
from web.arriving import JSON_LIMIT
from web.bad_request import BadRequest, Fault

router = APIRouter(prefix=API, tags=["signatures"], max_body_size=JSON_LIMIT)

RequestId = Annotated[UUID, Path(examples=[examples.REQUEST_ID])]
ENDED = json_of(SignatureShape, examples.SIGNATURE, "Signed", Location="The signature's address")
GOES_ON = json_of(
    SignatureShape, examples.WAITING, "Signed and kept; it waits for a time-stamp or for revocation data"
)
WISHES = {
    "one call": {"summary": "With a key that the service holds", "value": examples.SIGN_WISH},
    "two calls": {"summary": "With a key held elsewhere", "value": examples.PREPARE_WISH},
}


@router.post(
    "/documents/{document}/signatures",
    status_code=201,
    summary="Sign a document, or prepare it for a signature",
    responses={201: ENDED, 202: GOES_ON} | PROBLEMS,
    openapi_extra={"parameters": [IDEMPOTENCY]},
)
async def sign(
    request: Request,
    document: DocumentId,
    wish: Annotated[SignatureWish, Body(openapi_examples=WISHES)],
    caller: Anyone,
    _: Json,
    rooms: House,
) -> Response:
    """201 when it is signed, or prepared (`to_sign` holds the bytes to be signed); 202 when it waits for the world.
    `If-Match` refuses a document that changed since it was read."""
    if (wish.key if wish.mode == "sign" else wish.certificate) is None:
        raise _lacks("key" if wish.mode == "sign" else "certificate")
    needed = f"sign:{wish.key}" if wish.mode == "sign" else "sign:certificate"
    if not caller.may(needed):
        raise NotAllowed(needed)

    async def work(request_id: UUID) -> Response:
        found = await rooms.documents.get(caller, document)
        check_match(request, etag_of(found))
        wanted = wish.wish(await _code_url(rooms, caller, found) if wish.mark and wish.mark.code else None)
        story = rooms.sign.prepare if wish.mode == "prepare" else rooms.sign.sign
        async with porter_of(request).signing.one(str(caller.id)):
            return _answer(await story(caller, document, request_id, wanted), made=True)

    return await once(request, caller, digest_of(request, await request.body()), work)


@router.post(
    "/signatures/{signature}/completion",
    summary="Bring the signature of a prepared document",
    responses={200: ENDED, 202: GOES_ON} | PROBLEMS,
    openapi_extra={"parameters": [IDEMPOTENCY]},
)
async def complete(
    request: Request,
    signature: RequestId,
    answer: Annotated[Completion, Body(examples=[examples.COMPLETION])],
    caller: Anyone,
    _: Json,
    rooms: House,
) -> Response:
    """The same answer again gives the same end; a wrong one changes nothing. 409 where the request has ended unsigned."""
    if not caller.may("sign:certificate"):
        raise NotAllowed("sign:certificate")

    async def work(_: UUID) -> Response:
        async with porter_of(request).signing.one(str(caller.id)):
            return _answer(await rooms.sign.complete(caller, signature, answer.signature), made=False)

    return await once(request, caller, digest_of(request, await request.body()), work)


@router.get(
    "/signatures/{signature}",
    summary="Show how far a signature is",
    responses={200: json_of(SignatureShape, examples.SIGNATURE, "As it stands")} | PROBLEMS,
)
async def show(signature: RequestId, caller: Reader, rooms: House) -> Response:
    return shaped(SignatureShape.of(await rooms.documents.request(caller, signature)))


@router.delete(
    "/signatures/{signature}",
    summary="Cancel a signature that nobody has given yet",
    responses={200: json_of(SignatureShape, examples.CANCELLED, "Cancelled")} | PROBLEMS,
)
async def cancel(signature: RequestId, caller: Anyone, rooms: House) -> Response:
    return shaped(SignatureShape.of(await rooms.sign.cancel(caller, signature)))


def _answer(done: SigningRequest, *, made: bool) -> Response:
    """Raises RequestEnded: what ended without a signature is never told as if there were one."""
    if done.state.ended and done.state is not RequestState.DONE:
        raise RequestEnded(done)
    ready = done.state is RequestState.DONE or (made and done.state is RequestState.PREPARED)
    status = (201 if made else 200) if ready else 202
    return shaped(SignatureShape.of(done), status, Location=signature_address(done.id))


async def _code_url(rooms: Rooms, caller: Caller, found: Document) -> str | None:
    code = await rooms.results.code_for(caller, found)
    return code.url if code else None


def _lacks(field: str) -> BadRequest:
    where = {"at": f"body.{field}", "what": "missing"}
    return BadRequest(Fault.INVALID, data={"where": where["at"]}, members={"errors": [where]})
