"""This file makes answers of shapes, with their ETag, and looks at the conditions of a request (RFC 9110 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from catalogue import say
from documents.document import Document
from signing.verification.advice import told
from signing.verification.report import Telling
from web.bad_request import BadRequest, Fault

API = "/api/v1"
Some = TypeVar("Some", bound=BaseModel)


def shaped(shape: BaseModel, status: int = 200, **headers: str) -> Response:
    return Response(
        shape.model_dump_json(),
        status,
        media_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def saying(language: str) -> Telling:
    """What tells of a finding in the language: what it is, what it means, what to do."""

    def sentence(vietnamese: str, **data: object) -> str:
        return say(vietnamese, language, **data)

    return lambda finding: told(finding, sentence)


def etag_of(document: Document) -> str:
    return f'"{document.id.hex[-12:]}-{document.version}"'


def check_match(request: Request, etag: str) -> None:
    """Raises BadRequest (CHANGED) where `If-Match` names another state."""
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() != "*" and etag not in _tags(wanted):
        raise BadRequest(Fault.CHANGED, headers={"ETag": etag})


def not_modified(request: Request, etag: str) -> Response | None:
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [one.removeprefix("W/") for one in _tags(known)]:
        return Response(status_code=304, headers={"ETag": etag})
    return None


def read_shape(shape: type[Some], given: Mapping[str, Any] | bytes) -> Some:
    """From JSON or from fields. Raises BadRequest (INVALID)."""
    try:
        return shape.model_validate_json(given) if isinstance(given, bytes) else shape.model_validate(given)
    except ValidationError as wrong:
        raise invalid(wrong) from wrong


def document_address(document: UUID) -> str:
    return f"{API}/documents/{document}"


def signature_address(request: UUID) -> str:
    return f"{API}/signatures/{request}"


def invalid(wrong: ValidationError) -> BadRequest:
    """The places that are wrong, never what stood there: it may be a password."""
    return invalid_at(
        [dict(one) for one in wrong.errors(include_input=False, include_url=False, include_context=False)]
    )


def invalid_at(errors: list[dict[str, Any]]) -> BadRequest:
    shown = [
        {
            "at": ".".join(str(part) for part in one.get("loc", ()))[:200],
            "what": str(one.get("msg", ""))[:200],
        }
        for one in errors[:20]
    ]
    where = (shown[0]["at"] if shown else "") or "body"
    return BadRequest(Fault.INVALID, data={"where": where}, members={"errors": shown})


def _tags(header: str) -> list[str]:
    return [one.strip() for one in header[:1000].split(",")]
