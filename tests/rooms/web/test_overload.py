"""Too much at once: signing and verifying do not stop each other, no caller takes all, and who is sent away learns when
to come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from hsm.key import KeyUnavailable
from signing import workshop
from signing.workshop import Workshop
from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.test_api_documents import PDF, upload
from tests.rooms.web.test_doors_files import told
from web import arriving
from web.limits import VISITS_AT_ONCE

WISH = {"key": "con-dau", "level": "B-B"}
MEMORY = 64 << 20


def workshop_of(api: Api) -> Workshop:
    return api.rooms.intake._workshop


@asynccontextmanager
async def saturated(run: Callable[..., Any], calls: int) -> AsyncIterator[None]:
    """So many calls of one kind at work or waiting, none of which comes to its end."""
    hanging = [asyncio.create_task(run(time.sleep, 600, seconds=600, memory=MEMORY)) for _ in range(calls)]
    await asyncio.sleep(0)
    try:
        yield
        assert not any(one.done() for one in hanging)
    finally:
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def signed(api: Api) -> bytes:
    document = (await upload(api))["id"]
    answer = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    assert answer.status_code == 201, answer.text
    return (await api.http.get(f"/api/v1/documents/{document}/content")).content


async def verdict(api: Api, paper: bytes) -> str:
    answer = await api.http.post("/api/v1/verifications", content=paper, headers=PDF)
    assert answer.status_code == 200, answer.text
    said: str = answer.json()["verdict"]
    return said


async def test_verification_stays_up_while_signing_is_saturated(api: Api) -> None:
    paper = await signed(api)
    places = api.rooms.limits.signatures_at_once
    async with AsyncExitStack() as held, saturated(workshop_of(api).run, 20):
        for number in range(places):
            await held.enter_async_context(api.app.state.porter.signing.one(str(number)))
        document = (await api.http.get("/api/v1/documents")).json()["documents"][0]["id"]
        refused = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
        told(refused, 503, "too-many-at-once")
        assert int(refused.headers["retry-after"]) > 0
        assert await verdict(api, paper) == "VALID"
        page = await api.http.post(
            "/v/tep", files={"file": ("a.pdf", paper, "application/pdf")}, headers={"Accept": "text/html"}
        )
        assert page.status_code == 303


async def test_verification_stays_up_while_the_token_is_away(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = await signed(api)
    document = (await upload(api))["id"]

    async def away(*_: object) -> object:
        raise KeyUnavailable("con-dau", why="connection-lost")

    monkeypatch.setattr(api.rooms.keys, "open", away)
    refused = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    told(refused, 503, refused.json()["code"])
    assert refused.json()["retryable"] and int(refused.headers["retry-after"]) > 0
    assert await verdict(api, paper) == "VALID"
    await upload(api)


async def test_signing_stays_up_while_verification_is_saturated(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "MOST_WAITING", 4)
    async with saturated(workshop_of(api).run_beside, 5):
        refused = await api.http.post("/api/v1/verifications", content=letter(), headers=PDF)
        told(refused, 503, "too-many-verifications")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["retryable"]
        await signed(api)
    assert await verdict(api, letter()) == "NO_SIGNATURE"
    assert not [one for one in api.left_behind() if "brought" in one]


async def test_one_caller_leaves_places_for_the_others(api: Api) -> None:
    porter = api.app.state.porter
    caller = await api.rooms.office.by_api_key(api.people.key)
    assert caller is not None
    document = (await upload(api))["id"]
    async with AsyncExitStack() as held:
        for _ in range(3):
            await held.enter_async_context(porter.signing.one(str(caller.id)))
        refused = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
        told(refused, 429, "too-many-of-yours")
        assert int(refused.headers["retry-after"]) > 0
        await held.enter_async_context(porter.signing.one("another"))
    async with AsyncExitStack() as held:
        for _ in range(8):
            await held.enter_async_context(porter.verifying.one(str(caller.id)))
        refused = await api.http.post("/api/v1/verifications", content=letter(), headers=PDF)
        told(refused, 429, "too-many-of-yours")
        theirs = await api.http.post("/api/v1/verifications", content=letter(), headers=PDF | api.as_other())
        assert theirs.status_code == 200
    assert (await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)).status_code == 201


async def test_one_address_does_not_take_every_connection(api: Api) -> None:
    visiting = api.app.state.porter.visiting
    async with AsyncExitStack() as held:
        for _ in range(VISITS_AT_ONCE):
            await held.enter_async_context(visiting.one("127.0.0.1"))
        refused = await api.http.get("/v", headers={"Authorization": "", "Accept": "application/json"})
        told(refused, 429, "too-many-of-yours")
        assert int(refused.headers["retry-after"]) > 0
        assert (await api.http.get("/api/v1/documents")).status_code == 200
        assert (await api.http.get("/healthz", headers={"Authorization": ""})).status_code == 200
        await held.enter_async_context(visiting.one("203.0.113.9"))
    assert (await api.http.get("/v", headers={"Authorization": ""})).status_code == 200


async def test_a_body_that_is_too_slow_on_the_average_is_cut_off(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "GRACE", 0.0)
    monkeypatch.setattr(arriving, "SLOWEST", 1 << 60)
    answer = await api.http.post("/api/v1/documents", content=letter(), headers=PDF)
    told(answer, 408, "too-slow")
    assert answer.headers["connection"] == "close"
    assert api.left_behind() == []


async def test_a_million_fields_in_an_address_form_are_not_read(api: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    taken = 0

    async def fields() -> AsyncIterator[bytes]:
        nonlocal taken
        for number in range(0, 1_000_000, 1000):
            taken += 1000
            yield b"".join(b"f%d=x&" % each for each in range(number, number + 1000))

    answer = await api.http.post("/v", content=fields(), headers=form | {"Authorization": ""})
    told(answer, 413, "body-too-large")
    assert taken < 20_000
