"""This file says in OpenAPI 3.1 what an operation takes and gives beyond what its function shows."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from web.api import examples
from web.api.shapes import KeptQuestion, ProblemShape

TAGS = [
    {"name": "documents", "description": "Văn bản: tải lên, xem, tải về, gói bằng chứng. / Documents."},
    {
        "name": "uploads",
        "description": (
            "Tải lên từng phần qua đường truyền chậm, theo giao thức tus 1.0.0. / Resumable uploads over slow lines, by "
            "the protocol tus 1.0.0: begin, send the bytes by any client of that protocol, then ask for the document."
        ),
    },
    {
        "name": "signatures",
        "description": "Ký một lần gọi hoặc hai lần gọi. / Signing in one call or in two.",
    },
    {"name": "verifications", "description": "Kiểm tra chữ ký. / Verifying."},
    {
        "name": "keys",
        "description": "Khóa được dùng và chứng thư. / Keys that may be used, and their certificates.",
    },
    {"name": "time-stamps", "description": "Dấu thời gian RFC 3161. / Time-stamps."},
    {"name": "service", "description": "Tình trạng của dịch vụ. / How the service is doing."},
]
PROBLEM = {
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/ProblemShape"},
            "example": examples.PROBLEM,
        }
    },
}
PROBLEMS: dict[str, dict[str, Any]] = {
    "4XX": PROBLEM | {"description": "Refused: `code` says why, `next` what to do now"},
    "5XX": PROBLEM | {"description": "Not now, or our own fault: `retryable` says whether to try again"},
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "The same key again gives the first answer, marked `Idempotent-Replayed: true`, for 72 hours; with another "
        "body 422, while the first call is at work 409."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21\\x23-\\x7e]+$"},
    "example": "7d0f2f3e-upload-15",
}


def finish(schema: dict[str, Any]) -> None:
    """What the framework cannot say: the shape that no operation names as its model (a model's media type would be
    JSON's own), and nulls in examples, which it drops."""
    schema["components"]["schemas"]["ProblemShape"] = ProblemShape.model_json_schema()
    ours = [one for name, one in vars(examples).items() if name.isupper() and isinstance(one, dict)]
    whole = {_plain(_without_nulls(one)): one for one in ours}
    for operation in (one for verbs in schema["paths"].values() for one in verbs.values()):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (one for body in bodies for one in body.get("content", {}).values()):
            for holder, key in (
                (content, "example"),
                *((one, "value") for one in content.get("examples", {}).values()),
            ):
                if key in holder:
                    holder[key] = whole.get(_plain(holder[key]), holder[key])


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def json_of(model: type[BaseModel], example: Any, description: str, **headers: str) -> dict[str, Any]:
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return {
        "model": model,
        "description": description,
        "content": {"application/json": {"example": example}},
        "headers": described,
    }


def bytes_of(media_type: str, description: str, example: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "string", "contentMediaType": media_type}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {media_type: content}}


def takes_upload(fields: dict[str, Any], *, kept: bool = False) -> dict[str, Any]:
    """The request body of an operation that takes a file, alone or in a form; `kept`: or names a kept document."""
    file = {"type": "string", "contentMediaType": "application/pdf"}
    form = {
        "type": "object",
        "properties": {**fields, "file": file},
        "required": ["file"],
        "additionalProperties": False,
    }
    content: dict[str, Any] = {
        "application/pdf": {"schema": file, "example": "%PDF-1.7 …"},
        "multipart/form-data": {
            "schema": form,
            "example": {"file": "%PDF-1.7 …"},
            "encoding": {"file": {"contentType": "application/pdf"}},
        },
    }
    if kept:
        schema = KeptQuestion.model_json_schema()
        asked = {"kept": {"value": examples.KEPT_QUESTION}, "code": {"value": examples.CODE_QUESTION}}
        content["application/json"] = {"schema": schema, "examples": asked}
    return {"required": True, "content": content}
