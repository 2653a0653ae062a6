"""Uploads in parts, for slow lines that break: this file speaks tus 1.0.0 (creation, expiration, checksum, termination).

- `tus.io/protocols/resumable-upload`; why this one stands in `docs/decisions/resumable-uploads.md`.
- The document itself is asked for by a call of its own, so that its refusals are told like those of every upload, and
  an answer that was lost can be asked for again.
- A proxy that lets no PATCH or DELETE through is got around by `X-HTTP-Method-Override`, as the protocol says; nowhere
  else is that header believed.
"""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from documents.document import Disclosure
from documents.intake import Arrival
from documents.office import Caller
from documents.resumable import ALGORITHMS, Checksum, ResumableUpload
from documents.rooms import Rooms
from web.api import examples
from web.api.answers import API, document_address, read_shape, shaped
from web.api.asking import House, Writer
from web.api.documents import FACTS, shown
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, json_of
from web.api.shapes import DocumentFacts, DocumentShape, UploadShape
from web.api.uploads import PDF, UNNAMED
from web.arriving import media_type
from web.bad_request import BadRequest, Fault

VERSION = "1.0.0"
PART = "application/offset+octet-stream"
EXTENSIONS = "creation,expiration,checksum,termination"
NUMBER = re.compile(r"\d{1,15}")
KEYS = FACTS | {"filename", "filetype"}  # of Upload-Metadata


def _header(name: str, example: str, description: str, *, required: bool = True) -> dict[str, Any]:
    schema = {"type": "string", "enum": [VERSION]} if name == "Tus-Resumable" else {"type": "string"}
    return {
        "name": name, "in": "header", "required": required, "schema": schema, "example": example,
        "description": description,
    }  # fmt: skip


TUS = _header("Tus-Resumable", VERSION, "The version of the protocol; not needed with GET")
LENGTH = _header("Upload-Length", "83412", "Bytes of the whole document")
OFFSET = _header("Upload-Offset", "0", "Where these bytes begin: as many as the service has told as received")
CHECKSUM = _header(
    "Upload-Checksum", "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=", required=False,
    description="Algorithm (`sha1`, `sha256`, `sha512`) and digest, in base64, of this part: it is taken whole or not at all",
)  # fmt: skip
METADATA = _header(
    "Upload-Metadata", "filename cXV5ZXQtZGluaC5wZGY=,number MTUvUcSQLVVCTkQ=", required=False,
    description=(
        "Pairs of a key and its UTF-8 value in base64: `filename`, `filetype`, "
        + ", ".join(f"`{one}`" for one in sorted(FACTS)) + f"; `disclosure` is one of {', '.join(Disclosure)}"
    ),
)  # fmt: skip
TOLD = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in {
        "Tus-Resumable": VERSION,
        "Upload-Offset": "Bytes received, and durable",
        "Upload-Expires": "When it is given up, unless more comes",
    }.items()
}


def _says_tus(request: Request) -> None:
    """Every answer names the protocol's version, refusals too."""
    request.scope["state"]["answer_headers"] = {"Tus-Resumable": VERSION}


def _speaks_tus(request: Request) -> None:
    """Raises BadRequest (UPLOAD_VERSION). Who only looks, by GET, need not speak it."""
    if request.headers.get("tus-resumable") != VERSION and request.scope["state"]["method"] != "GET":
        raise BadRequest(Fault.UPLOAD_VERSION, headers={"Tus-Version": VERSION})


router = APIRouter(prefix=f"{API}/uploads", tags=["uploads"], dependencies=[Depends(_says_tus)])
UploadId = Annotated[UUID, Path(examples=[examples.DOCUMENT_ID])]
Tus = Annotated[None, Depends(_speaks_tus)]


@router.options(
    "",
    status_code=204,
    summary="What of the protocol is spoken here",
    responses={204: {"description": "In its headers", "headers": {name: {"description": text, "schema": {"type": "string"}}
               for name, text in {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": "Bytes",
                                  "Tus-Checksum-Algorithm": "sha1,sha256,sha512"}.items()}}} | PROBLEMS,
)  # fmt: skip
async def describe(_caller: Writer, rooms: House) -> Response:
    told = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(rooms.limits.upload),
        "Tus-Checksum-Algorithm": ",".join(sorted(ALGORITHMS)),
    }
    return Response(status_code=204, headers=told)


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    responses={201: json_of(UploadShape, examples.UPLOAD, "It is begun; no byte is there yet", Location="Where to send them")}
    | PROBLEMS,
    openapi_extra={"parameters": [TUS, LENGTH, METADATA, IDEMPOTENCY]},
)  # fmt: skip
async def begin(request: Request, caller: Writer, rooms: House, _tus: Tus) -> Response:
    """Bound to who began it. It is given up 24 hours after its last byte; one caller may have 32 unfinished."""
    length, metadata = _number(request, "upload-length"), request.headers.get("upload-metadata", "")
    _arrival(metadata)

    async def work(upload: UUID) -> Response:
        begun = await rooms.uploads.begin(caller, upload, length=length, metadata=metadata)
        return _answer(begun, status=201, Location=f"{API}/uploads/{begun.id}")

    return await once(request, caller, digest_of(request, str(length).encode(), metadata.encode()), work)


@router.get(
    "/{upload}",
    summary="How far an upload is",
    responses={200: json_of(UploadShape, examples.UPLOAD | {"received": 65536}, "As it stands") | {"headers": TOLD}}
    | PROBLEMS,
    openapi_extra={"parameters": [TUS | {"required": False}]},
)  # fmt: skip
async def look(upload: UploadId, caller: Writer, rooms: House, _tus: Tus) -> Response:
    """By HEAD, as the protocol has it, or by GET."""
    return _answer(await rooms.uploads.show(caller, upload))


@router.patch(
    "/{upload}",
    status_code=204,
    summary="Send bytes",
    responses={204: {"description": "They are durable", "headers": TOLD}} | PROBLEMS,
    openapi_extra={
        "parameters": [TUS, OFFSET, CHECKSUM],
        "requestBody": {"required": True, "content": {
            PART: {"schema": {"type": "string", "contentMediaType": PART}, "example": "%PDF-1.7 …"}}},
    },
)  # fmt: skip
async def send(request: Request, upload: UploadId, caller: Writer, rooms: House, _tus: Tus) -> Response:
    """What came before the line broke is kept: ask by HEAD how much that is, and go on from there."""
    if media_type(request.scope["headers"]) != PART:
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": PART})
    start, checksum = _number(request, "upload-offset"), _checksum(request)
    found = await rooms.uploads.append(caller, upload, request.stream(), start=start, checksum=checksum)
    return Response(status_code=204, headers=_told(found))


@router.delete(
    "/{upload}",
    status_code=204,
    summary="Give an upload up",
    responses={204: {"description": "It is gone; a document that was made of it stays"}} | PROBLEMS,
    openapi_extra={"parameters": [TUS]},
)
async def give_up(upload: UploadId, caller: Writer, rooms: House, _tus: Tus) -> Response:
    await rooms.uploads.cancel(caller, upload)
    return Response(status_code=204)


@router.post("/{upload}", include_in_schema=False)
async def overridden(request: Request, upload: UploadId, caller: Writer, rooms: House, tus: Tus) -> Response:
    """PATCH or DELETE behind a proxy that lets neither through."""
    wanted = request.headers.get("x-http-method-override", "").upper()
    if wanted == "PATCH":
        return await send(request, upload, caller, rooms, tus)
    if wanted == "DELETE":
        return await give_up(upload, caller, rooms, tus)
    raise BadRequest(Fault.METHOD_NOT_ALLOWED, headers={"Allow": "HEAD, GET, PATCH, DELETE"})


@router.post(
    "/{upload}/document",
    status_code=201,
    summary="Make a document of an upload that is complete",
    responses={201: json_of(DocumentShape, examples.UPLOADED, "Received and kept in `working`", ETag="Its version",
                            Location="Its address")} | PROBLEMS,
    openapi_extra={"parameters": [IDEMPOTENCY]},
)  # fmt: skip
async def finish(request: Request, upload: UploadId, caller: Writer, rooms: House) -> Response:
    """As `POST /api/v1/documents` answers. The document has the upload's identifier: asked for again, also without an
    `Idempotency-Key`, it is the same one, for 72 hours. What is refused is gone."""

    async def work(_: UUID) -> Response:
        return await _finished(rooms, caller, upload)

    return await once(request, caller, digest_of(request), work)


async def _finished(rooms: Rooms, caller: Caller, upload: UUID) -> Response:
    found = await rooms.uploads.show(caller, upload)
    document = await rooms.uploads.finish(caller, upload, _arrival(found.metadata))
    return await shown(rooms, caller, document, status=201)


def _answer(upload: ResumableUpload, *, status: int = 200, **headers: str) -> Response:
    shape = UploadShape(
        id=upload.id, length=upload.length, received=upload.received, finished=upload.finished,
        expires_at=upload.expires_at, document=document_address(upload.id),
    )  # fmt: skip
    answer = shaped(shape, status, **headers)
    answer.headers.update(_told(upload) | {"Upload-Length": str(upload.length)})
    if upload.metadata:
        answer.headers["Upload-Metadata"] = upload.metadata
    return answer


def _told(upload: ResumableUpload) -> dict[str, str]:
    expires = format_datetime(upload.expires_at, usegmt=True)
    return {"Upload-Offset": str(upload.received), "Upload-Expires": expires}


def _number(request: Request, header: str) -> int:
    given = request.headers.getlist(header)
    if len(given) != 1 or not NUMBER.fullmatch(given[0]):
        raise BadRequest(Fault.INVALID, data={"where": header})
    return int(given[0])


def _checksum(request: Request) -> Checksum | None:
    given = request.headers.get("upload-checksum")
    if given is None:
        return None
    algorithm, _, digest = given.partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(Fault.BAD_CHECKSUM)
    try:
        return Checksum(algorithm, base64.b64decode(digest, validate=True))
    except (binascii.Error, ValueError) as wrong:
        raise BadRequest(Fault.BAD_CHECKSUM) from wrong


def _arrival(metadata: str) -> Arrival:
    """Raises BadRequest: a key that is unknown, or given twice, is not guessed at."""
    given: dict[str, str] = {}
    for pair in filter(None, (one.strip() for one in metadata.split(","))):
        key, _, value = pair.partition(" ")
        if key not in KEYS or key in given:
            raise BadRequest(Fault.INVALID, data={"where": f"Upload-Metadata {key[:40]}"})
        try:
            given[key] = base64.b64decode(value, validate=True).decode()
        except ValueError as wrong:
            raise BadRequest(Fault.INVALID, data={"where": f"Upload-Metadata {key}"}) from wrong
    name, kind = given.pop("filename", "") or UNNAMED, given.pop("filetype", "") or PDF
    facts = read_shape(DocumentFacts, given)
    return Arrival(
        name,
        kind,
        disclosure=facts.disclosure,
        subject=facts.subject,
        number=facts.number,
        issuer=facts.issuer,
    )
