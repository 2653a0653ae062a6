"""Documents: this file uploads, lists, shows and hands out documents, their pages and their evidence."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from documents.document import Disclosure, Document, NoSuchDocument
from documents.intake import Arrival
from documents.office import Caller
from documents.rooms import Rooms
from web.api import examples
from web.api.answers import (
    API,
    check_match,
    document_address,
    etag_of,
    not_modified,
    read_shape,
    saying,
    shaped,
)
from web.api.asking import House, Reader, Writer
from web.api.files import FileAnswer
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, bytes_of, json_of, takes_upload
from web.api.shapes import DocumentFacts, DocumentList, DocumentShape
from web.api.uploads import PDF, Upload, read_upload
from web.identity import language

FACTS = set(DocumentFacts.model_fields)
FIELDS: dict[str, Any] = {
    "name": {"type": "string", "maxLength": 300, "description": "File name as it is to be shown"},
    "disclosure": {"type": "string", "enum": [one.value for one in Disclosure]},
    "subject": {"type": "string", "maxLength": 1000},
    "number": {"type": "string", "maxLength": 300},
    "issuer": {"type": "string", "maxLength": 300},
}
QUERY = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": "For a body of bytes alone"}
    for name, schema in FIELDS.items()
]  # fmt: skip

router = APIRouter(prefix=f"{API}/documents", tags=["documents"])


@router.post(
    "",
    status_code=201,
    summary="Upload a document",
    responses={201: json_of(DocumentShape, examples.UPLOADED, "Received and kept in `working`", ETag="Its version",
                            Location="Its address")} | PROBLEMS,
    openapi_extra={"requestBody": takes_upload(FIELDS), "parameters": [IDEMPOTENCY, *QUERY]},
)  # fmt: skip
async def upload(request: Request, caller: Writer, rooms: House) -> Response:
    """The PDF as the body (`application/pdf`; name in `Content-Disposition` or `?name=`), or in form data with one
    file behind its fields. The bytes are streamed; what is refused leaves nothing behind."""
    upload = await read_upload(request, FACTS)
    facts = read_shape(DocumentFacts, upload.fields)

    async def work(document: UUID) -> Response:
        received = await rooms.intake.receive(caller, document, aiter(upload.chunks), _arrival(upload, facts))
        return await shown(rooms, caller, received, status=201)

    return await once(request, caller, digest_of(request, upload.facts()), work, streamed=upload.chunks)


@router.get(
    "",
    summary="List documents, newest first",
    responses={200: json_of(DocumentList, examples.DOCUMENTS, "A page")} | PROBLEMS,
)
async def list_documents(
    caller: Reader,
    rooms: House,
    cursor: Annotated[str | None, Query(max_length=100, examples=["AZjCpHseBzqfUj8fDJp9EQ"])] = None,
    limit: Annotated[int, Query(ge=1, le=200, examples=[50])] = 50,
) -> Response:
    """Without renditions and signatures. `next` is the cursor of the page after this."""
    page = await rooms.documents.list(caller, cursor=cursor, limit=limit)
    return shaped(DocumentList(documents=[DocumentShape.of(one) for one in page.documents], next=page.next))


DocumentId = Annotated[UUID, Path(examples=[examples.DOCUMENT_ID])]


@router.get(
    "/{document}",
    summary="Show a document",
    responses={
        200: json_of(DocumentShape, examples.DOCUMENT, "With renditions and signatures", ETag="Its version"),
        304: {"description": "As `If-None-Match` knows it"},
    }
    | PROBLEMS,
)
async def show(request: Request, document: DocumentId, caller: Reader, rooms: House) -> Response:
    found = await rooms.documents.get(caller, document)
    check_match(request, etag_of(found))
    return not_modified(request, etag_of(found)) or await shown(rooms, caller, found, status=200)


@router.get(
    "/{document}/content",
    summary="Download a rendition",
    response_class=Response,
    responses={
        200: bytes_of(PDF, "The newest rendition, or the one asked for", "%PDF-1.7 …"),
        206: bytes_of(PDF, "One range of it", "%PDF"),
        304: {"description": "As `If-None-Match` knows it"},
    }
    | PROBLEMS,
)
async def content(
    request: Request,
    document: DocumentId,
    caller: Reader,
    rooms: House,
    rendition: Annotated[int | None, Query(ge=1, le=1_000_000, examples=[2])] = None,
) -> Response:
    """Its ETag is the SHA-256 of the bytes. `Range` with one range is served, more are not."""
    found = await rooms.documents.get(caller, document)
    chosen = next((one for one in found.renditions if one.ordinal == rendition), None)
    if rendition is not None and chosen is None:
        raise NoSuchDocument(f"{document} rendition {rendition}")
    etag = f'"{chosen.sha256 if chosen else found.sha256}"'
    check_match(request, etag)
    opened = rooms.documents.open(caller, found, rendition)
    unchanged = not_modified(request, etag)
    return unchanged or FileAnswer(opened, name=found.name, media_type=PDF, etag=etag)


@router.get(
    "/{document}/pages/{page}",
    summary="A page as an image",
    response_class=Response,
    responses={200: bytes_of("image/png", "PNG of the newest rendition's page", "\x89PNG")} | PROBLEMS,
)
async def picture(
    document: DocumentId,
    page: Annotated[int, Path(ge=1, le=100_000, examples=[1])],
    caller: Reader,
    rooms: House,
    width: Annotated[int, Query(ge=1, le=1200, description="Pixels", examples=[800])] = 800,
) -> Response:
    found = await rooms.documents.get(caller, document)
    png = await rooms.previews.page(caller, found, page, width=width)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, no-cache"})


@router.get(
    "/{document}/evidence",
    summary="A self-contained evidence bundle",
    response_class=Response,
    responses={200: bytes_of("application/zip", "ZIP that verifies offline on another machine", "PK")}
    | PROBLEMS,
)
async def evidence(request: Request, document: DocumentId, caller: Reader, rooms: House) -> Response:
    """Renditions, certificates, revocation data, reports, audit records with their proofs."""
    opened = rooms.evidence.write(caller, document, say=saying(language(request)))
    return FileAnswer(opened, name=f"bang-chung-{document}.zip", media_type="application/zip")


async def shown(rooms: Rooms, caller: Caller, found: Document, *, status: int) -> Response:
    code = await rooms.results.code_for(caller, found)
    shape = DocumentShape.of(
        found,
        code=code.text if code else None,
        verify_at=code.url if code else None,
        duplicates=list(await rooms.intake.duplicates(caller, found)),
    )
    return shaped(shape, status, ETag=etag_of(found), Location=document_address(found.id))


def _arrival(upload: Upload, facts: DocumentFacts) -> Arrival:
    return Arrival(
        upload.name,
        upload.media_type,
        upload.declared,
        disclosure=facts.disclosure,
        subject=facts.subject,
        number=facts.number,
        issuer=facts.issuer,
    )
