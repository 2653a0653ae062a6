"""Verifications: this file judges uploads, a kept document, or what a code stands for, and answers with the report that
`antin` promises, or with one of its other forms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from documents.document import Disclosure, NoSuchDocument
from documents.intake import IntakeRefusal, NotAccepted
from documents.office import Caller, NotAllowed
from documents.report_signing import NotSigned
from documents.results import PublicResult
from documents.rooms import Rooms
from signing.verification.report import Report, to_json
from web import reporting
from web.api import examples
from web.api.answers import API, read_shape, saying
from web.api.asking import House, Verifier, porter_of
from web.api.repeating import digest_of, once
from web.api.schema import IDEMPOTENCY, PROBLEMS, json_of, takes_upload
from web.api.shapes import BroughtQuestion, KeptQuestion, ReportList, ReportShape
from web.api.siva import MEDIA_TYPE as SIVA
from web.api.siva import to_siva
from web.api.uploads import PDF, read_upload
from web.arriving import media_type
from web.bad_request import BadRequest, Fault
from web.identity import language
from web.multipart import NextFile

JSON = "application/json"
FIELDS: dict[str, Any] = {
    "name": {"type": "string", "maxLength": 300},
    "password": {"type": "string", "maxLength": 256, "description": "In form data only, never in an address"},
}
TAKEN = {PDF, "application/x-pdf", "application/octet-stream", "multipart/form-data", JSON, ""}
# Of one file each; many files, and a file that is brought no more, have the first two.
FORMS = (JSON, SIVA, reporting.XML, reporting.PAGE, reporting.SIGNED_XML)
BYTES = {"type": "string", "contentEncoding": "binary"}

router = APIRouter(prefix=f"{API}/verifications", tags=["verifications"])


def _answers() -> dict[str, Any]:
    told = json_of(ReportShape, examples.REPORT, "The report; decide by `verdict` alone")
    told["model"] = ReportShape | ReportList
    told["content"] = {
        JSON: {"examples": {"one": {"value": examples.REPORT}, "many": {"value": examples.REPORTS}}},
        SIVA: {"schema": {"type": "object"}, "example": examples.SIVA},
        reporting.XML: {"schema": {"type": "string"}, "example": "<vr:ValidationReport …"},
        reporting.PAGE: {"schema": BYTES, "example": "%PDF-1.7 …"},
        reporting.SIGNED_XML: {
            "schema": BYTES,
            "example": "PK… mimetype, bao-cao-kiem-tra.xml, META-INF/signature.p7s",
        },
    }
    return told


@router.post(
    "",
    summary="Verify uploads, a kept document, or what a code stands for",
    responses={200: _answers()} | PROBLEMS,
    openapi_extra={"requestBody": takes_upload(FIELDS, kept=True), "parameters": [IDEMPOTENCY]},
)
async def verify(request: Request, caller: Verifier, rooms: House) -> Response:
    """An upload is judged and forgotten. Form data may hold up to 100 parts with a file: each is judged by itself, and
    the answer lists a report for each, in their order.

    Findings are worded in the language of `Accept-Language`. `Accept` chooses the form: JSON; the same judgement in the
    shape of SiVa 3 (`application/vnd.siva.v3+json`); for one file also ETSI TS 119 102-2 (`application/xml`), the page for
    a clerk's file (`application/pdf`, Vietnamese, signed where the service has a key for reports), or the XML with a
    detached signature of that key (`application/vnd.etsi.asic-s+zip`).

    A code's answer has `issued` besides. What the document's disclosure keeps from strangers is left out of it: there
    are no signatures in it then.
    """
    kind = media_type(request.scope["headers"])
    if kind not in TAKEN:
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": PDF})
    async with porter_of(request).verifying.one(str(caller.id)):
        verified = _verify_kept if kind == JSON else _verify_brought
        return await verified(request, caller, rooms)


async def _verify_brought(request: Request, caller: Caller, rooms: Rooms) -> Response:
    form = media_type(request.scope["headers"]) == "multipart/form-data"
    upload = await read_upload(request, {"password"} if form else set(), many=True)
    password = read_shape(BroughtQuestion, upload.fields).password
    wanted = _wanted(request)

    async def work(_: UUID) -> Response:
        reports: list[Report] = []
        files = _Files(upload.name, aiter(upload.chunks))
        while (name := files.name) is not None:
            chunks = files.one()
            declared = None if form else upload.declared
            try:
                report = await rooms.verifying.judge(
                    chunks, name=name, declared_size=declared, password=password
                )
            except NotAccepted as refused:
                # An empty file among others has its own line; what is too large ends the call.
                if refused.reason is not IntakeRefusal.EMPTY or (files.name is None and not reports):
                    raise
                report = await rooms.verifying.judge_empty(name)
            reports.append(report)
        return await _answer(request, rooms, reports, wanted)

    digest = digest_of(request, upload.facts(), wanted.encode())
    return await once(request, caller, digest, work, streamed=upload.chunks)


class _Files:
    """The files of a form, one after another. `name` is the next one's; None behind the last."""

    def __init__(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        self.name: str | None = name
        self._chunks = chunks

    async def one(self) -> AsyncIterator[bytes]:
        self.name = None
        async for chunk in self._chunks:
            if isinstance(chunk, NextFile):
                self.name = chunk.name
                return
            yield chunk


async def _verify_kept(request: Request, caller: Caller, rooms: Rooms) -> Response:
    body = await request.body()
    question = read_shape(KeptQuestion, body)
    wanted = _wanted(request)
    if question.document is not None and not caller.may("documents:read"):
        raise NotAllowed("documents:read")

    async def work(_: UUID) -> Response:
        if question.document is not None:
            report = await rooms.verifying.verify_kept(caller, question.document, question.rendition)
            return await _answer(request, rooms, [report], wanted)
        found = await rooms.results.look_up(question.code or "")
        if found is None:
            raise NoSuchDocument("a code")
        return await _answer_of_code(request, rooms, caller, found, wanted)

    return await once(request, caller, digest_of(request, body, wanted.encode()), work)


async def _answer_of_code(
    request: Request, rooms: Rooms, caller: Caller, found: PublicResult, wanted: str
) -> Response:
    """C2: who knows a code alone is told what its document's disclosure allows; its own agency all."""
    document = found.document
    all_of_it = found.disclosure is Disclosure.PUBLIC or (
        document.agency == caller.agency and caller.may("documents:read")
    )
    if all_of_it and wanted != JSON:
        return await _answer(request, rooms, [found.report], wanted)
    told = _plain(request, found.report)
    told["issued"] = {
        "number": document.number,
        "issuer": document.issuer or found.agency_name,
        "subject": document.subject if all_of_it else None,
        "disclosure": found.disclosure.value,
    }
    if not all_of_it:
        told |= {"file": "", "sha256": "", "signatures": [], "findings": []}
    return _as_json(request, told)


async def _answer(request: Request, rooms: Rooms, reports: list[Report], wanted: str) -> Response:
    say = saying(language(request))
    many = len(reports) > 1
    if wanted == SIVA:
        shaped = [to_siva(one, say=say) for one in reports]
        return _as_json(request, {"verifications": shaped} if many else shaped[0], SIVA)
    if wanted == JSON or many:
        plain = [_plain(request, one) for one in reports]
        return _as_json(request, {"verifications": plain} if many else plain[0])
    try:
        written = await reporting.write_report(rooms, reports[0], wanted, language(request))
    except NotSigned as away:
        raise BadRequest(Fault.NO_REPORT_KEY) from away
    return Response(written.content, media_type=written.media_type, headers=_headers(request))


def _plain(request: Request, report: Report) -> dict[str, Any]:
    return to_json(report, say=saying(language(request)))


def _as_json(request: Request, plain: dict[str, Any], kind: str = JSON) -> Response:
    return Response(
        json.dumps(plain, ensure_ascii=False).encode(), media_type=kind, headers=_headers(request)
    )


def _headers(request: Request) -> dict[str, str]:
    return {"Content-Language": language(request), "Vary": "Accept, Accept-Language"}


def _wanted(request: Request) -> str:
    """The first form that `Accept` names; JSON where it names none of ours (RFC 9110 12.4.1 allows it)."""
    for one in request.headers.get("accept", "")[:1000].split(","):
        kind = one.partition(";")[0].strip().lower()
        if kind in FORMS:
            return kind
    return JSON
