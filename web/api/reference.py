"""The API on one page, for people: this file lists the operations as the schema describes them, with their examples.

- Made of `openapi.json` alone, so that the two never differ; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.api.answers import API
from web.pages.render import page

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    required: bool
    description: str
    example: str


@dataclass(frozen=True)
class Example:
    """Of a body, as it is sent or answered."""

    media_type: str
    text: str


@dataclass(frozen=True)
class Answer:
    status: str
    description: str
    examples: Sequence[Example]


@dataclass(frozen=True)
class Operation:
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Parameter]
    bodies: Sequence[Example]
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Group:
    name: str
    description: str
    operations: Sequence[Operation]


@router.get(f"{API}/docs")
async def reference(request: Request) -> Response:
    schema = request.app.openapi()
    return page(request, "pages/api.html", groups=groups(schema), schema_address=f"{API}/openapi.json")


def groups(schema: Mapping[str, Any]) -> list[Group]:
    """The operations by their tag, in the order of the tags."""
    found = [
        (_operation(method, path, plain), plain["tags"][0])
        for path, verbs in schema["paths"].items()
        for method, plain in verbs.items()
    ]
    return [
        Group(tag["name"], tag["description"], [one for one, name in found if name == tag["name"]])
        for tag in schema["tags"]
    ]


def _operation(method: str, path: str, plain: Mapping[str, Any]) -> Operation:
    return Operation(
        anchor=plain["operationId"],
        method=method.upper(),
        path=path,
        summary=plain["summary"],
        description=" ".join(plain.get("description", "").split()),
        parameters=[_parameter(one) for one in plain.get("parameters", [])],
        bodies=list(_examples(plain.get("requestBody", {}).get("content", {}))),
        answers=[
            Answer(status, one["description"], list(_examples(one.get("content", {}))))
            for status, one in plain["responses"].items()
        ],
    )


def _parameter(plain: Mapping[str, Any]) -> Parameter:
    schema = plain.get("schema", {})
    examples = schema.get("examples") or [plain.get("example", "")]
    description = plain.get("description") or schema.get("description") or ""
    return Parameter(plain["name"], plain["in"], plain.get("required") is True, description, str(examples[0]))


def _examples(content: Mapping[str, Any]) -> Iterator[Example]:
    for media_type, one in content.items():
        values = [each.get("value") for each in one.get("examples", {}).values()]
        values += [one["example"]] if "example" in one else []
        values += one.get("schema", {}).get("examples", [])
        for value in values:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
            yield Example(media_type, text)
