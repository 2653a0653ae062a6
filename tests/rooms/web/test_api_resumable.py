"""A document in parts (tus 1.0.0): what was told as received holds, one document comes of it, and nobody else's is touched."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from documents import resumable
from documents.resumable import Checksum, WrongOffset, forget_expired
from documents.sweeping import Sweeping
from storage.database import WHOLE_SERVICE
from storage.schema import DocumentRow, UploadPartRow, UploadRow
from storage.store import StoreUnavailable
from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.test_doors_files import told

TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}
UPLOADS = "/api/v1/uploads"


def metadata(**values: str) -> dict[str, str]:
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())
    return {"Upload-Metadata": ",".join(pairs)}


async def begin(api: Api, length: int, **headers: str) -> str:
    answer = await api.http.post(UPLOADS, headers=TUS | {"Upload-Length": str(length)} | headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["received"] == 0
    address: str = answer.headers["location"]
    return address


async def send(api: Api, address: str, at: int, piece: bytes, **headers: str) -> int:
    """The offset behind it."""
    answer = await api.http.patch(address, content=piece, headers=PART | {"Upload-Offset": str(at)} | headers)
    assert answer.status_code == 204, answer.text
    assert datetime.strptime(answer.headers["upload-expires"], "%a, %d %b %Y %H:%M:%S GMT")
    return int(answer.headers["upload-offset"])


async def test_parts_become_the_document_that_one_piece_would_have_been(api: Api) -> None:
    paper = letter(pages=2, weight=3000)
    said = metadata(
        filename="quyết định.pdf", subject="Về việc họp", number="15/QĐ-UBND", disclosure="public"
    )
    address = await begin(api, len(paper), **said)
    at = 0
    while at < len(paper):
        at = await send(api, address, at, paper[at : at + 700])
        looked = await api.http.head(address, headers=TUS)
        assert (looked.status_code, looked.headers["upload-offset"], looked.content) == (200, str(at), b"")
        assert looked.headers["upload-length"] == str(len(paper))
        assert looked.headers["upload-metadata"] == said["Upload-Metadata"]
        assert looked.headers["cache-control"] == "no-store"
    first = await api.http.post(f"{address}/document")
    shown = first.json()
    assert first.status_code == 201, first.text
    assert shown["sha256"] == hashlib.sha256(paper).hexdigest()
    assert (shown["name"], shown["pages"], shown["state"]) == ("quyết định.pdf", 2, "UPLOADED")
    assert (shown["subject"], shown["number"], shown["disclosure"]) == ("Về việc họp", "15/QĐ-UBND", "public")
    assert first.headers["location"] == (await api.http.get(address)).json()["document"]
    # The answer got lost: it is asked for again, by key or without.
    for key in ({}, {"Idempotency-Key": "a"}, {"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}):
        again = await api.http.post(f"{address}/document", headers=key)
        assert (again.status_code, again.json()) == (201, shown)
    assert again.headers["tus-resumable"] == "1.0.0"
    assert len((await api.http.get("/api/v1/documents")).json()["documents"]) == 1
    assert len(api.left_behind()) == 1  # the parts are gone
    content = await api.http.get(f"/api/v1/documents/{shown['id']}/content")
    assert content.content == paper


async def test_begun_again_by_its_key_it_is_the_same_upload(api: Api) -> None:
    key = {"Idempotency-Key": "mot"}
    first, second = await begin(api, 100, **key), await begin(api, 100, **key)
    assert first == second != await begin(api, 100)
    other = await api.http.post(UPLOADS, headers=TUS | key | {"Upload-Length": "101"})
    told(other, 422, "other-body")


async def test_what_came_before_the_line_broke_is_kept(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    caller = await api.rooms.office.by_api_key(api.people.key)
    upload = uuid.UUID(address.rsplit("/", 1)[1])
    assert caller is not None

    async def broken(at: int) -> AsyncIterator[bytes]:
        yield paper[at : at + 300]
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await api.rooms.uploads.append(caller, upload, broken(0), start=0)
    assert (await api.rooms.uploads.show(caller, upload)).received == 300
    # Under a checksum over all of it a part is taken whole or not at all.
    checksum = Checksum("sha256", hashlib.sha256(paper[300:]).digest())
    with pytest.raises(ClientDisconnect):
        await api.rooms.uploads.append(caller, upload, broken(300), start=300, checksum=checksum)
    assert (await api.rooms.uploads.show(caller, upload)).received == 300
    assert await send(api, address, 300, paper[300:]) == len(paper)
    assert (await api.http.post(f"{address}/document")).status_code == 201
    assert len(api.left_behind()) == 1


async def test_a_long_part_is_made_durable_on_its_way(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of a large part on a slow line, little is lost."""
    monkeypatch.setattr(resumable, "PART", 500)
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    seen = []

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(paper), 250):
            seen.append(int((await api.http.head(address, headers=TUS)).headers["upload-offset"]))
            yield paper[at : at + 250]

    answer = await api.http.patch(address, content=chunks(), headers=PART | {"Upload-Offset": "0"})
    assert answer.status_code == 204, answer.text
    assert seen[:5] == [0, 0, 500, 500, 1000]
    document = (await api.http.post(f"{address}/document")).json()
    assert document["sha256"] == hashlib.sha256(paper).hexdigest()


async def test_of_two_who_send_the_same_bytes_one_is_believed(api: Api) -> None:
    """The first was thought dead: its line hung, and the client went on by another."""
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    caller = await api.rooms.office.by_api_key(api.people.key)
    upload = uuid.UUID(address.rsplit("/", 1)[1])
    assert caller is not None

    async def hanging() -> AsyncIterator[bytes]:
        yield paper[:400]
        assert await send(api, address, 0, paper[:600]) == 600
        yield paper[400:800]

    with pytest.raises(WrongOffset) as late:
        await api.rooms.uploads.append(caller, upload, hanging(), start=0)
    assert late.value.received == 600
    refused = await api.http.patch(address, content=paper[:10], headers=PART | {"Upload-Offset": "0"})
    told(refused, 409, "wrong-offset")
    assert refused.json()["received"] == 600
    told(
        await api.http.patch(address, content=b"x", headers=PART | {"Upload-Offset": "601"}),
        409,
        "wrong-offset",
    )
    assert len(api.left_behind()) == 1
    await send(api, address, 600, paper[600:])
    assert (await api.http.post(f"{address}/document")).json()["sha256"] == hashlib.sha256(paper).hexdigest()


async def test_a_part_that_changed_on_its_way_is_not_kept(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    for name in ("sha1", "sha256", "sha512"):
        digest = base64.b64encode(hashlib.new(name, paper[:100]).digest()).decode()
        wrong = await api.http.patch(
            address,
            content=b"?" * 100,
            headers=PART | {"Upload-Offset": "0", "Upload-Checksum": f"{name} {digest}"},
        )
        told(wrong, 460, "checksum-differs")
    assert api.left_behind() == []
    assert await send(api, address, 0, paper[:100], **{"Upload-Checksum": f"{name} {digest}"}) == 100
    for bad in ("md5 AAAA", "sha1 ???", ""):
        answer = await api.http.patch(
            address, content=b"x", headers=PART | {"Upload-Offset": "100", "Upload-Checksum": bad}
        )
        told(answer, 400, "bad-checksum")


async def test_what_is_asked_wrongly_is_told(api: Api) -> None:
    limit = api.rooms.limits.upload
    for headers, status, code in (
        ({"Upload-Length": str(limit + 1)}, 413, "too-large"),
        ({"Upload-Length": "0"}, 422, "empty"),
        ({"Upload-Length": "-1"}, 422, "invalid"),
        ({"Upload-Length": "1e3"}, 422, "invalid"),
        ({"Upload-Defer-Length": "1"}, 422, "invalid"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename ???"}, 422, "invalid"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename YQ==,filename YQ=="}, 422, "invalid"),
        ({"Upload-Length": "9", "Upload-Metadata": "evil YQ=="}, 422, "invalid"),
        ({"Upload-Length": "9"} | metadata(disclosure="secret"), 422, "invalid"),
        ({"Upload-Length": "9", "Tus-Resumable": "0.2.2"}, 412, "upload-version"),
    ):
        answer = await api.http.post(UPLOADS, headers=TUS | headers)
        told(answer, status, code)
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-version"] == "1.0.0"
    address = await begin(api, 10)
    told(
        await api.http.patch(address, content=b"x" * 11, headers=PART | {"Upload-Offset": "0"}),
        413,
        "past-the-end",
    )
    told(await api.http.patch(address, content=b"x", headers=TUS | {"Upload-Offset": "0"}), 415, "media-type")
    told(await api.http.patch(address, content=b"x", headers=PART), 422, "invalid")
    unfinished = await api.http.post(f"{address}/document", headers={"Idempotency-Key": "k"})
    told(unfinished, 409, "upload-unfinished")
    assert api.left_behind() == []
    asked = await api.http.options(UPLOADS)
    assert (asked.status_code, asked.headers["tus-max-size"]) == (204, str(limit))
    assert asked.headers["tus-extension"] == "creation,expiration,checksum,termination"
    # What is no document is refused by the same intake, and is gone.
    await send(api, address, 0, b"not a pdf!")
    refused = await api.http.post(f"{address}/document", headers={"Idempotency-Key": "k"})
    told(refused, 422, "not-a-pdf")
    again = await api.http.post(f"{address}/document", headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.content) == (422, refused.content)
    told(await api.http.get(address), 404, "no-such-upload")
    assert api.left_behind() == []


async def test_an_upload_is_its_callers_alone(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    _, colleague = await api.rooms.office.make_client(
        api.people.agency.id, "Khác", ("documents:write", "documents:read"), by="test"
    )
    for headers in (api.as_other(), {"Authorization": f"Bearer {colleague}"}):
        for answer in (
            await api.http.get(address, headers=headers),
            await api.http.patch(address, content=paper, headers=PART | headers | {"Upload-Offset": "0"}),
            await api.http.post(f"{address}/document", headers=headers),
            await api.http.delete(address, headers=TUS | headers),
        ):
            told(answer, 404, "no-such-upload")
    told(await api.http.get(address, headers={"Authorization": ""}), 401, "not-logged-in")
    await send(api, address, 0, paper)


async def test_given_up_nothing_is_left(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    await send(api, address, 0, paper[:100])
    gone = await api.http.delete(address, headers=TUS)
    assert (gone.status_code, gone.headers["tus-resumable"]) == (204, "1.0.0")
    assert api.left_behind() == []
    told(await api.http.delete(address, headers=TUS), 404, "no-such-upload")
    # A document that was made stays.
    address = await begin(api, len(paper))
    await send(api, address, 0, paper)
    document = (await api.http.post(f"{address}/document")).headers["location"]
    assert (await api.http.delete(address, headers=TUS)).status_code == 204
    assert (await api.http.get(document)).status_code == 200


async def test_behind_a_proxy_that_knows_but_get_and_post(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    override = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert (await api.http.post(address, content=paper, headers=PART | override)).status_code == 204
    told(await api.http.post(address, headers=TUS), 405, "method-not-allowed")
    gone = await api.http.post(address, headers=TUS | {"X-HTTP-Method-Override": "DELETE"})
    assert gone.status_code == 204
    # Nowhere else.
    document = await api.http.post(
        "/api/v1/documents", content=paper, headers={"X-HTTP-Method-Override": "GET"}
    )
    assert document.status_code == 201


async def test_a_caller_has_so_many_unfinished_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "MOST_AT_ONCE", 2)
    addresses = [await begin(api, 9) for _ in range(2)]
    refused = await api.http.post(UPLOADS, headers=TUS | {"Upload-Length": "9", "Idempotency-Key": "k"})
    told(refused, 429, "too-many-uploads")
    assert int(refused.headers["retry-after"]) > 0
    other = await api.http.post(UPLOADS, headers=TUS | {"Upload-Length": "9"} | api.as_other())
    assert other.status_code == 201
    await api.http.delete(addresses[0], headers=TUS)
    await begin(api, 9, **{"Idempotency-Key": "k"})


async def test_a_full_disk_takes_nothing_and_tells_nothing(api: Api) -> None:
    paper, store = letter(weight=3000), api.rooms.uploads._store
    address = await begin(api, len(paper))
    putting = store.working.put

    async def full(*_: object, **__: object) -> None:
        raise StoreUnavailable("disk full")

    store.working.put = full  # type: ignore[method-assign]
    refused = await api.http.patch(address, content=paper, headers=PART | {"Upload-Offset": "0"})
    told(refused, 503, "store-unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert (await api.http.get(address)).json()["received"] == 0
    store.working.put = putting  # type: ignore[method-assign]
    assert await send(api, address, 0, paper) == len(paper)
    assert len(api.left_behind()) == 1


async def test_killed_between_document_and_its_note_there_is_one_document(api: Api) -> None:
    paper = letter(weight=3000)
    address = await begin(api, len(paper))
    await send(api, address, 0, paper)
    clearing = api.rooms.uploads._clear

    async def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    api.rooms.uploads._clear = killed  # type: ignore[method-assign]
    caller = await api.rooms.office.by_api_key(api.people.key)
    assert caller is not None
    from web.api.resumable import _finished

    with pytest.raises(KeyboardInterrupt):
        await _finished(api.rooms, caller, uuid.UUID(address.rsplit("/", 1)[1]))
    api.rooms.uploads._clear = clearing  # type: ignore[method-assign]
    assert (await api.http.post(f"{address}/document")).status_code == 201
    count = await api.rooms.uploads._db.read(
        WHOLE_SERVICE, lambda s: s.scalar(select(func.count(DocumentRow.id)))
    )
    assert count == 1
    assert len(api.left_behind()) == 1


def _scalar(session: Session, *, asked: Select[int]) -> int | None:
    return session.scalar(asked)


async def test_the_sweep_takes_what_is_over_and_nothing_that_goes_on(api: Api) -> None:
    paper, uploads = letter(), api.rooms.uploads
    address = await begin(api, len(paper))
    await send(api, address, 0, paper[:100])
    now = datetime.now(UTC)
    # The first part is as old as can be, but more comes.
    [name] = [one async for one in uploads._store.working.expired(now + timedelta(days=2))]
    await uploads._store.working.extend(name, expires=now)
    sweeping = Sweeping(uploads._db, uploads._store, None, None, lambda: datetime.now(UTC))  # type: ignore[arg-type]
    assert await sweeping.clear() == 0
    assert await send(api, address, 100, paper[100:]) == len(paper)
    tomorrow = now + timedelta(hours=25)
    await uploads._db.transact(WHOLE_SERVICE, partial(forget_expired, now=tomorrow))
    told(await api.http.get(address), 404, "no-such-upload")
    for table in (UploadRow, UploadPartRow):
        counted = select(func.count()).select_from(table)
        assert await uploads._db.read(WHOLE_SERVICE, partial(_scalar, asked=counted)) == 0
    sweeping = Sweeping(uploads._db, uploads._store, None, None, lambda: tomorrow)  # type: ignore[arg-type]
    assert await sweeping.clear() == 2
    assert api.left_behind() == []
