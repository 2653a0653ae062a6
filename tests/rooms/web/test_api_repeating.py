"""A repeated POST gets the first answer; a key never serves two different requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from storage.store import StoreUnavailable
from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.test_api_documents import PDF

KEY = {"Idempotency-Key": "mot-lan-thoi"}


async def test_a_repeated_upload_is_the_same_document(api: Api) -> None:
    paper = letter()
    first = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    second = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["etag"] == first.headers["etag"]
    assert "idempotent-replayed" not in first.headers
    assert not [name for name in second.headers if name.startswith("antin")]
    assert len((await api.http.get("/api/v1/documents")).json()["documents"]) == 1
    assert len(api.left_behind()) == 1


async def test_a_form_repeated_in_other_clothes_is_the_same(api: Api) -> None:
    paper = letter()
    file = {"file": ("a.pdf", paper, "application/pdf")}
    first = await api.http.post("/api/v1/documents", data={"subject": "x"}, files=file, headers=KEY)
    second = await api.http.post("/api/v1/documents", data={"subject": "x"}, files=file, headers=KEY)
    assert second.headers["idempotent-replayed"] == "true"  # the boundary was another
    assert first.json() == second.json()
    other = await api.http.post("/api/v1/documents", data={"subject": "y"}, files=file, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "other-body")


async def test_other_bytes_under_a_used_key_are_refused(api: Api) -> None:
    await api.http.post("/api/v1/documents", content=letter(), headers=PDF | KEY)
    other = await api.http.post("/api/v1/documents", content=letter(), headers=PDF | KEY)
    assert (other.status_code, other.json()["code"]) == (422, "other-body")
    elsewhere = await api.http.post("/api/v1/verifications", content=letter(), headers=PDF | KEY)
    assert elsewhere.status_code == 422


async def test_keys_belong_to_one_caller(api: Api) -> None:
    paper = letter()
    ours = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    theirs = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY | api.as_other())
    assert ours.json()["id"] != theirs.json()["id"]
    assert "idempotent-replayed" not in theirs.headers


async def test_while_the_first_is_at_work_others_wait(api: Api) -> None:
    paper, reading, held = letter(), asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield paper[:100]
        reading.set()
        await held.wait()
        yield paper[100:]

    first = asyncio.create_task(api.http.post("/api/v1/documents", content=slowly(), headers=PDF | KEY))
    await reading.wait()
    waiting = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "in-progress")
    assert int(waiting.headers["retry-after"]) >= 1
    held.set()
    assert (await first).status_code == 201


async def test_a_refusal_is_repeated_too_and_marked(api: Api) -> None:
    first = await api.http.post("/api/v1/documents", content=b"not a pdf", headers=PDF | KEY)
    second = await api.http.post("/api/v1/documents", content=b"not a pdf", headers=PDF | KEY)
    assert (first.status_code, first.json()["code"]) == (422, "not-a-pdf")
    assert second.content == first.content
    assert second.headers["idempotent-replayed"] == "true"
    other = await api.http.post("/api/v1/documents", content=letter(), headers=PDF | KEY)
    assert other.json()["code"] == "other-body"


async def test_a_document_that_changed_meanwhile_burns_no_key(api: Api) -> None:
    shown = (await api.http.post("/api/v1/documents", content=letter(), headers=PDF)).json()
    address = f"/api/v1/documents/{shown['id']}/signatures"
    wish = {"key": "con-dau", "level": "B-B"}
    old = await api.http.post(address, json=wish, headers=KEY | {"If-Match": '"old"'})
    assert (old.status_code, old.json()["code"]) == (412, "changed")
    new = await api.http.post(address, json=wish, headers=KEY | {"If-Match": old.headers["etag"]})
    assert new.status_code == 201, new.text


async def test_a_key_that_refused_refuses_again(api: Api) -> None:
    shown = (await api.http.post("/api/v1/documents", content=letter(), headers=PDF)).json()
    address = f"/api/v1/documents/{shown['id']}/signatures"
    for name, status, code in (
        ("dau-thoi-gian", 403, "key-wrong-purpose"),
        ("khong-co", 404, "no-such-key"),
    ):
        ask = {"json": {"key": name, "level": "B-B"}, "headers": {"Idempotency-Key": name}}
        first, second = await api.http.post(address, **ask), await api.http.post(address, **ask)  # type: ignore[arg-type]
        assert (first.status_code, first.json()["code"]) == (status, code)
        assert second.content == first.content
        assert second.headers["idempotent-replayed"] == "true"
    # None of it keeps the document from who may sign.
    signed = await api.http.post(address, json={"key": "con-dau", "level": "B-B"})
    assert signed.status_code == 201, signed.text


async def test_a_passing_fault_lets_the_key_go(api: Api) -> None:
    paper = letter()
    putting = api.rooms.intake._store.working.put

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("disk full")

    api.rooms.intake._store.working.put = away  # type: ignore[method-assign]
    first = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    assert (first.status_code, first.json()["code"], first.json()["retryable"]) == (
        503,
        "store-unavailable",
        True,
    )
    assert int(first.headers["retry-after"]) > 0
    api.rooms.intake._store.working.put = putting  # type: ignore[method-assign]
    second = await api.http.post("/api/v1/documents", content=paper, headers=PDF | KEY)
    assert second.status_code == 201
    assert "idempotent-replayed" not in second.headers


async def test_a_key_must_be_one(api: Api) -> None:
    for key in (b"", b"x" * 256, b"hai khoa", "khóa".encode()):
        answer = await api.http.post(
            "/api/v1/documents", content=letter(), headers=[(b"Idempotency-Key", key)]
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-idempotency-key"), key
    two = await api.http.post(
        "/api/v1/documents", content=letter(), headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    assert two.status_code == 400
