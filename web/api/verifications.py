"""Verifications: this file judges an upload, or a kept document, and answers with the report that `antin` promises."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from documents.office import Caller, NotAllowed
from documents.rooms import Rooms
from signing.verification.report import Report, to_json
from web.api import examples
from web.api.answers import API, read_shape, saying
from web.api.asking import House, Verifier, porter_of
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, json_of, takes_upload
from web.api.shapes import BroughtQuestion, KeptQuestion, ReportShape
from web.api.uploads import PDF, read_upload
from web.arriving import media_type
from web.bad_request import BadRequest, Fault
from web.identity import language

FIELDS: dict[str, Any] = {
    "name": {"type": "string", "maxLength": 300},
    "password": {"type": "string", "maxLength": 256, "description": "In form data only, never in an address"},
}
TAKEN = {PDF, "application/x-pdf", "application/octet-stream", "multipart/form-data", "application/json", ""}

router = APIRouter(prefix=f"{API}/verifications", tags=["verifications"])


@router.post(
    "",
    summary="Verify an upload or a kept document",
    responses={200: json_of(ReportShape, examples.REPORT, "The report; decide by `verdict` alone")}
    | PROBLEMS,
    openapi_extra={"requestBody": takes_upload(FIELDS, kept=True), "parameters": [IDEMPOTENCY]},
)
async def verify(request: Request, caller: Verifier, rooms: House) -> Response:
    """An upload is judged and forgotten. Findings are worded in the language of `Accept-Language`."""
    kind = media_type(request.scope["headers"])
    if kind not in TAKEN:
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": PDF})
    async with porter_of(request).verifying.one(str(caller.id)):
        verified = _verify_kept if kind == "application/json" else _verify_brought
        return await verified(request, caller, rooms)


async def _verify_brought(request: Request, caller: Caller, rooms: Rooms) -> Response:
    form = media_type(request.scope["headers"]) == "multipart/form-data"
    upload = await read_upload(request, {"password"} if form else set())
    password = read_shape(BroughtQuestion, upload.fields).password

    async def work(_: UUID) -> Response:
        report = await rooms.verifying.judge(
            aiter(upload.chunks), name=upload.name, declared_size=upload.declared, password=password
        )
        return _answer(request, report)

    return await once(request, caller, digest_of(request, upload.facts()), work, streamed=upload.chunks)


async def _verify_kept(request: Request, caller: Caller, rooms: Rooms) -> Response:
    body = await request.body()
    question = read_shape(KeptQuestion, body)
    if not caller.may("documents:read"):
        raise NotAllowed("documents:read")

    async def work(_: UUID) -> Response:
        return _answer(
            request, await rooms.verifying.verify_kept(caller, question.document, question.rendition)
        )

    return await once(request, caller, digest_of(request, body), work)


def _answer(request: Request, report: Report) -> Response:
    spoken = language(request)
    plain = to_json(report, say=saying(spoken))
    return Response(
        json.dumps(plain, ensure_ascii=False).encode(),
        media_type="application/json",
        headers={"Content-Language": spoken, "Vary": "Accept-Language"},
    )
