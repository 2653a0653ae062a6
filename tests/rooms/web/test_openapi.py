"""The description of the API: valid, with an example for every question and answer, and true."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.rooms.web.conftest import Api, Served
from web.api.reference import groups
from web.app import build

METHODS = {"get", "post", "patch", "delete", "options"}


@schemathesis.serializer("application/timestamp-query", "application/offset+octet-stream")
def query(_: object, value: object) -> bytes:
    return str(value).encode()


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return build(lambda: pytest.fail("nobody opens these rooms"))


@pytest.fixture(scope="module")
def schema(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in schema["paths"].items():
        for method, operation in verbs.items():
            assert method in METHODS
            yield f"{method.upper()} {path}", operation


def shape_of(schema: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body, with what it refers to."""
    return {**copy.deepcopy(content["schema"]), "components": schema["components"]}


def examples_of(content: dict[str, Any]) -> list[Any]:
    found = [one["value"] for one in content.get("examples", {}).values()]
    found += [content["example"]] if "example" in content else []
    return [*found, *content.get("schema", {}).get("examples", [])]


def test_it_is_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(schema).validate()


def test_every_operation_says_what_it_is(schema: dict[str, Any]) -> None:
    seen = dict(operations(schema))
    assert {"POST /api/v1/documents", "POST /api/v1/documents/{document}/signatures", "POST /api/v1/verifications",
            "POST /api/v1/signatures/{signature}/completion", "GET /api/v1/documents/{document}/evidence",
            "GET /api/v1/keys", "GET /healthz", "GET /readyz", "GET /metrics", "POST /tsa"} <= set(seen)  # fmt: skip
    for name, operation in seen.items():
        assert operation["summary"], name
        assert len(operation["tags"]) == 1, name
        if "/api/v1/" in name:
            assert operation["security"] == [{"apiKey": []}], name


def test_every_post_takes_an_idempotency_key(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        headers = [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
        assert ("Idempotency-Key" in headers) == name.startswith("POST"), name


def test_every_question_and_answer_has_an_example_that_fits(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for one in operation.get("parameters", []):
            described = one.get("example") or one.get("schema", {}).get("examples") or one.get("description")
            assert described, (name, one["name"])
        bodies = list(operation.get("requestBody", {}).get("content", {}).items())
        for status, answer in operation["responses"].items():
            if status not in {"204", "304"}:
                assert answer.get("content"), (name, status)
            bodies += list(answer.get("content", {}).items())
        for media_type, content in bodies:
            examples = examples_of(content)
            assert examples, (name, media_type)
            for example in examples:
                if "json" in media_type and "schema" in content:
                    jsonschema_rs.Draft202012Validator(shape_of(schema, content)).validate(example)


async def test_the_page_for_people_lists_every_operation(api: Api, schema: dict[str, Any]) -> None:
    listed = {f"{one.method} {one.path}" for group in groups(schema) for one in group.operations}
    assert listed == {name for name, _ in operations(schema)}
    page = await api.http.get("/api/v1/docs", headers={"Authorization": ""})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for name in listed:
        assert name.replace("{", "&#123;").split("&")[0] in page.text
    assert "http://" not in page.text.replace(api.rooms.address, "")
    assert "https://" not in page.text.replace("https://kyso.example.gov.vn/", "")
    assert (await api.http.get("/api/v1/openapi.json")).json()["openapi"].startswith("3.1")


def test_whatever_is_asked_is_answered_as_described(
    serve: Callable[..., Served], schema: dict[str, Any]
) -> None:
    """Schemathesis asks every operation over the wire, well and badly, as a program with every scope."""
    served = serve()
    described = schemathesis.openapi.from_dict(schema)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {served.key}"
        found: Any = described.get_all_operations()
        for result in found:
            _ask(result.ok(), session, f"http://127.0.0.1:{served.port}")


def _ask(operation: Any, session: requests.Session, address: str) -> None:
    @hypothesis.settings(
        max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(session=session, base_url=address, timeout=30)
        checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
        case.validate_response(response, checks=checks)

    ask()
