"""This file reads an upload as it comes: the bytes alone, or form data with one file; streamed, never whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from web.admission import declared_length
from web.api.repeating import Streamed
from web.arriving import media_type
from web.bad_request import BadRequest, Fault
from web.disposition import file_name
from web.multipart import read_form

UNNAMED = "van-ban.pdf"
PDF = "application/pdf"


@dataclass(frozen=True)
class Upload:
    """`fields` come from the form, or from the query where the bytes come alone; `declared` in bytes."""

    name: str
    media_type: str
    declared: int | None
    fields: Mapping[str, str]
    chunks: Streamed

    def facts(self) -> bytes:
        """What is compared, besides the bytes, when the call is repeated."""
        pairs = [("name", self.name), ("media type", self.media_type), *sorted(self.fields.items())]
        return "\0".join(f"{name}={value}" for name, value in pairs).encode()


async def read_upload(request: Request, fields: set[str], *, many: bool = False) -> Upload:
    """Raises BadRequest: what is neither a field of these nor the file is refused. `many`: as `multipart.read_form`."""
    if media_type(request.scope["headers"]) == "multipart/form-data":
        return await _from_form(request, fields, many=many)
    given = dict(request.query_params)
    if len(given) != len(request.query_params.multi_items()):
        raise BadRequest(Fault.INVALID, data={"where": "query"})  # which of two is meant is never guessed
    name = given.pop("name", None) or _announced(request) or UNNAMED
    _check_fields(given, fields)
    kind = request.headers.get("content-type", PDF)
    return Upload(name, kind, declared_length(request.scope["headers"]), given, Streamed(request.stream()))


async def _from_form(request: Request, fields: set[str], *, many: bool) -> Upload:
    form = await read_form(request, many=many)
    if form.file is None:
        raise BadRequest(Fault.NO_FILE)
    name = form.fields.pop("name", None) or form.file_name or UNNAMED
    _check_fields(form.fields, fields)
    return Upload(name, form.media_type or PDF, None, form.fields, Streamed(form.file))


def _check_fields(given: Mapping[str, str], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadRequest(Fault.INVALID, data={"where": unknown[0][:60]})


def _announced(request: Request) -> str | None:
    header = request.headers.get("content-disposition")
    return file_name(header) if header else None
