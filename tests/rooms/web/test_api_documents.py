"""Documents over HTTP: what is uploaded comes back as it was, to those who may have it."""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile

from tests.papers import letter
from tests.rooms.web.conftest import Api

PDF = {"Content-Type": "application/pdf"}


async def upload(api: Api, paper: bytes | None = None, **more: str) -> dict[str, object]:
    answer = await api.http.post("/api/v1/documents", content=paper or letter(), headers=PDF | more)
    assert answer.status_code == 201, answer.text
    shown: dict[str, object] = answer.json()
    return shown


async def test_bytes_alone_are_a_document(api: Api) -> None:
    paper = letter(pages=2)
    answer = await api.http.post(
        "/api/v1/documents?subject=Về việc họp&number=15/QĐ-UBND&disclosure=public",
        content=paper,
        headers=PDF
        | {"Content-Disposition": "attachment; filename=\"a.pdf\"; filename*=UTF-8''Quy%E1%BA%BFt.pdf"},
    )
    shown = answer.json()
    assert answer.status_code == 201
    assert shown["sha256"] == hashlib.sha256(paper).hexdigest()
    assert (shown["name"], shown["pages"], shown["state"]) == ("Quyết.pdf", 2, "UPLOADED")
    assert (shown["subject"], shown["number"], shown["disclosure"]) == ("Về việc họp", "15/QĐ-UBND", "public")
    assert answer.headers["location"] == f"/api/v1/documents/{shown['id']}"
    assert shown["code"] in shown["verify_at"]


async def test_a_name_given_twice_is_refused(api: Api) -> None:
    answer = await api.http.post("/api/v1/documents?name=a.pdf&name=b.pdf", content=letter(), headers=PDF)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert api.left_behind() == []


async def test_a_form_is_a_document_too(api: Api) -> None:
    paper = letter()
    answer = await api.http.post(
        "/api/v1/documents",
        data={"subject": "Tờ trình", "disclosure": "none"},
        files={"file": ("tờ trình.pdf", paper, "application/pdf")},
    )
    shown = answer.json()
    assert answer.status_code == 201, answer.text
    assert (shown["name"], shown["subject"], shown["disclosure"]) == ("tờ trình.pdf", "Tờ trình", "none")
    assert shown["sha256"] == hashlib.sha256(paper).hexdigest()


async def test_the_bytes_come_back_whole_or_in_one_range(api: Api) -> None:
    paper = letter()
    shown = await upload(api, paper)
    address = f"/api/v1/documents/{shown['id']}/content"
    whole = await api.http.get(address)
    assert (whole.status_code, whole.content) == (200, paper)
    missing = await api.http.get(address, params={"rendition": 7}, headers={"If-None-Match": "*"})
    assert missing.status_code == 404
    assert (await api.http.get(address, headers={"If-Match": '"other"'})).status_code == 412
    assert whole.headers["etag"] == f'"{shown["sha256"]}"'
    assert whole.headers["content-disposition"].startswith("attachment; filename=")
    for asked, expected in {
        "bytes=0-99": paper[:100],
        "bytes=100-": paper[100:],
        "bytes=-50": paper[-50:],
    }.items():
        part = await api.http.get(address, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, expected)
    assert (await api.http.get(address, headers={"Range": "bytes=0-1,5-6"})).content == paper
    beyond = await api.http.get(address, headers={"Range": f"bytes={len(paper)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(paper)}")
    stale = await api.http.get(address, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, paper)
    known = await api.http.get(address, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


async def test_a_document_has_a_version(api: Api) -> None:
    shown = await upload(api)
    address = f"/api/v1/documents/{shown['id']}"
    first = await api.http.get(address)
    etag = first.headers["etag"]
    assert (await api.http.get(address, headers={"If-None-Match": etag})).status_code == 304
    assert (await api.http.get(address, headers={"If-Match": etag})).status_code == 200
    changed = await api.http.get(address, headers={"If-Match": '"another"'})
    assert (changed.status_code, changed.json()["code"]) == (412, "changed")


async def test_pages_of_the_list_follow_their_cursor(api: Api) -> None:
    made = [(await upload(api))["id"] for _ in range(5)]
    seen: list[object] = []
    cursor = None
    while True:
        answer = await api.http.get(
            "/api/v1/documents", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        page = answer.json()
        seen += [one["id"] for one in page["documents"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen, key=str) == sorted(made, key=str)
    assert len(set(map(str, seen))) == 5
    wrong = await api.http.get("/api/v1/documents", params={"cursor": "***"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad-cursor")


async def test_another_agency_sees_nothing(api: Api) -> None:
    shown = await upload(api)
    for place in ("", "/content", "/pages/1", "/evidence"):
        theirs = await api.http.get(f"/api/v1/documents/{shown['id']}{place}", headers=api.as_other())
        nobodys = await api.http.get(f"/api/v1/documents/{uuid.uuid4()}{place}", headers=api.as_other())
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["code"] == nobodys.json()["code"] == "no-such-document"
    assert (await api.http.get("/api/v1/documents", headers=api.as_other())).json()["documents"] == []


async def test_without_a_key_or_its_scope_nothing_is_done(api: Api) -> None:
    _, reader = await api.rooms.office.make_client(
        api.people.agency.id, "Chỉ đọc", ["documents:read"], by="test"
    )
    for key, status, code in (("", 401, "not-logged-in"), ("antin_" + "x" * 43, 401, "not-logged-in"),
                              (reader, 403, "not-allowed")):  # fmt: skip
        answer = await api.http.post(
            "/api/v1/documents", content=letter(), headers=PDF | {"Authorization": f"Bearer {key}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.left_behind() == []


async def test_a_session_does_not_open_the_api(api: Api) -> None:
    answer = await api.http.get(
        "/api/v1/documents", headers={"Authorization": "", "Cookie": "antin=abcdefghijklmnopqrstuvwxyz"}
    )
    assert answer.status_code == 401


async def test_duplicates_are_named(api: Api) -> None:
    paper = letter()
    first, second = await upload(api, paper), await upload(api, paper)
    assert second["duplicates"] == [first["id"]]


async def test_a_page_is_a_picture(api: Api) -> None:
    shown = await upload(api)
    answer = await api.http.get(f"/api/v1/documents/{shown['id']}/pages/1", params={"width": 240})
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")
    beyond = await api.http.get(f"/api/v1/documents/{shown['id']}/pages/9")
    assert (beyond.status_code, beyond.json()["code"]) == (422, "preview-unreadable")


async def test_evidence_is_one_bundle(api: Api) -> None:
    shown = await upload(api)
    answer = await api.http.get(f"/api/v1/documents/{shown['id']}/evidence")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert {"README.txt", "report.json", "SHA256SUMS"} <= set(bundle.namelist())
