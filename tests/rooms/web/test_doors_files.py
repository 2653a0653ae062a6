"""Every upload may be hostile: each has its status and its sentence, and nothing of it is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.papers import letter
from tests.rooms.web import hostile
from tests.rooms.web.conftest import Api
from tests.rooms.web.test_api_documents import PDF, upload

PLACES = ("/api/v1/documents", "/api/v1/verifications")
UNPACKED = 1 << 31  # bytes, twice what a child process may have


def told(answer: httpx.Response, status: int, code: str) -> None:
    """The answer is a problem in both languages that says what is saved and what to do."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == body["instance"].removeprefix("urn:uuid:")
    for words in (body["messages"], body["next"], body["saved"]):
        assert words["vi"] and words["en"] and words["vi"] != words["en"]
        assert "%(" not in words["vi"] + words["en"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("paper", "media_type", "status", "code"),
    [
        (lambda: b"", "application/pdf", 422, "empty"),
        (lambda: b"not a pdf at all", "application/pdf", 422, "not-a-pdf"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(2000) + b"%PDF-1.7", "application/pdf", 422, "not-a-pdf"),
        (letter, "image/png", 415, "wrong-media-type"),
        (letter, "text/html; charset=utf-8", 415, "wrong-media-type"),
        (lambda: b"%PDF-1.7\n", "application/pdf", 422, "damaged"),
        (lambda: b"%PDF-1.7\n" + bytes(range(256)) * 64, "application/pdf", 422, "damaged"),
    ],
    ids=["empty", "text", "picture", "called a picture", "called a page", "header alone", "noise"],
)
async def test_what_is_no_document_is_refused(
    api: Api, paper: Callable[[], bytes], media_type: str, status: int, code: str
) -> None:
    answer = await api.http.post("/api/v1/documents", content=paper(), headers={"Content-Type": media_type})
    told(answer, status, code)
    assert answer.json()["saved"]["state"] == "nothing"
    assert api.left_behind() == []
    assert (await api.http.get("/api/v1/documents")).json()["documents"] == []


@pytest.mark.parametrize(
    "make",
    [hostile.truncated, hostile.broken_cross_references, hostile.endless_cross_references,
     hostile.two_tables_in_a_circle, hostile.circle_of_pages, hostile.deep, hostile.huge_lengths, hostile.wide_rows,
     hostile.wide_entries, hostile.words_without_end, hostile.entities, hostile.large_picture],
    ids=lambda make: make.__name__,
)  # fmt: skip
async def test_what_is_broken_is_taken_as_it_is_or_refused(api: Api, make: Callable[[], bytes]) -> None:
    """Readers mend such files, so intake may take them: signing refuses then, with the true reason."""
    began = time.monotonic()
    answer = await api.http.post("/api/v1/documents", content=make(), headers=PDF)
    if answer.status_code == 201:
        wish = {"key": "con-dau", "level": "B-B"}
        document = answer.json()["id"]
        picture = await api.http.get(f"/api/v1/documents/{document}/pages/1")
        assert picture.status_code in {200, 422}, picture.text
        refused = await api.http.post(f"/api/v1/documents/{document}/signatures", json=wish)
        if refused.status_code != 201:
            assert refused.json()["code"].startswith("unsignable-"), refused.text
            told(refused, 422, refused.json()["code"])
    else:
        told(answer, 422, answer.json()["code"])
        assert answer.json()["code"] in {"damaged", "too-complex"}
        assert api.left_behind() == []
    assert time.monotonic() - began < 40
    judged = await api.http.post("/api/v1/verifications", content=make(), headers=PDF)
    assert judged.status_code == 200, judged.text
    assert judged.json()["verdict"] in {"UNREADABLE", "NO_SIGNATURE", "INDETERMINATE"}


async def test_a_bomb_ends_its_child_alone(api: Api) -> None:
    paper = hostile.bomb(UNPACKED)
    assert len(paper) < 4_000_000
    began = time.monotonic()
    answer = await api.http.post("/api/v1/documents", content=paper, headers=PDF)
    assert answer.status_code == 422, answer.text
    told(answer, 422, answer.json()["code"])
    assert answer.json()["code"] in {"damaged", "too-complex"}
    assert time.monotonic() - began < 30
    assert api.left_behind() == []
    await upload(api)


async def test_a_password_is_asked_for_and_never_told(api: Api) -> None:
    shown = await upload(api, hostile.encrypted("mật khẩu mở"))
    assert shown["pages"] is None
    address = f"/api/v1/documents/{shown['id']}/signatures"
    wish = {"key": "con-dau", "level": "B-B"}
    told(await api.http.post(address, json=wish), 422, "unsignable-password-not-given")
    wrong = await api.http.post(address, json=wish | {"password": "không phải"})
    told(wrong, 422, "unsignable-password-wrong")
    assert "không phải" not in wrong.text
    right = await api.http.post(address, json=wish | {"password": "mật khẩu mở"})
    assert right.status_code == 201, right.text
    assert "mật khẩu mở" not in right.text
    assert not any("mật khẩu" in line or "không phải" in line for line in api.log)


async def test_a_file_larger_than_the_limit_is_cut_off(api: Api) -> None:
    limit = api.rooms.limits.verify
    chunk = b"%PDF-1.7\n" + bytes(1 << 20)
    answer = await api.http.post(
        "/api/v1/verifications", content=chunk * (limit // len(chunk) + 2), headers=PDF
    )
    told(answer, 413, "too-large")
    assert answer.json()["limit"] == limit
    assert api.left_behind() == []


@pytest.mark.parametrize("place", PLACES)
async def test_less_than_was_declared_is_refused(api: Api, place: str) -> None:
    """A transport that says "that was all" too early, as a proxy does whose client went away."""
    paper = letter()

    async def half() -> object:
        yield paper[: len(paper) // 2]

    headers = PDF | {"Content-Length": str(len(paper))}
    answer = await api.http.post(place, content=half(), headers=headers)  # type: ignore[arg-type]
    told(answer, 400, "incomplete")
    assert answer.json()["retryable"]
    assert api.left_behind() == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("..\\..\\windows\\win.ini.pdf", "win.ini.pdf"),
        ("a\r\nSet-Cookie: x=1.pdf", "aSet-Cookie x=1.pdf"),
        ("quyết định\u202efdp.exe", "quyết địnhfdp.exe"),
        ("\u2066hợp\u2069 đồng\u200b.pdf", "hợp đồng.pdf"),
        ("Quye\u0302\u0301t đi\u0323nh.pdf", "Quyết định.pdf"),
        ("\x00\x07", "van-ban.pdf"),
        ("....", "van-ban.pdf"),
    ],
)  # fmt: skip
async def test_a_name_is_for_showing_only(api: Api, given: str, shown: str) -> None:
    answer = await api.http.post("/api/v1/documents", params={"name": given}, content=letter(), headers=PDF)
    assert answer.status_code == 201, answer.text
    name = answer.json()["name"]
    assert name.replace(":", "") == shown.replace(":", "")
    content = await api.http.get(f"/api/v1/documents/{answer.json()['id']}/content")
    disposition = content.headers["content-disposition"]
    assert "\r" not in disposition and "\n" not in disposition and "set-cookie" not in content.headers
    for path in api.folder.rglob("*"):
        assert "passwd" not in path.name and "win.ini" not in path.name


async def test_a_name_of_300_bytes_is_shortened(api: Api) -> None:
    name = "ă" * 150 + ".pdf"
    shown = await api.http.post("/api/v1/documents", params={"name": name}, content=letter(), headers=PDF)
    assert shown.status_code == 201
    assert len(shown.json()["name"].encode()) <= 150
    assert shown.json()["name"].endswith(".pdf")


@pytest.mark.parametrize(
    "header",
    [
        'attachment; filename="a.pdf"; filename="b.pdf"',
        "attachment; filename*=UTF-8''a%FF.pdf",
        "attachment; filename*=latin1''a.pdf",
        'attachment; filename="a.pdf',
        'attachment; filename="a.pdf" ; x',
        "; filename=a.pdf",
    ],
)
async def test_two_names_are_never_guessed_between(api: Api, header: str) -> None:
    answer = await api.http.post(
        "/api/v1/documents", content=letter(), headers=PDF | {"Content-Disposition": header}
    )
    told(answer, 400, "bad-disposition")
    assert api.left_behind() == []


def form(*parts: bytes, boundary: bytes = b"b", end: bool = True) -> bytes:
    """Parts as they are, each with its headers."""
    body = b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in parts)
    return body + (b"--" + boundary + b"--\r\n" if end else b"")


FIELD = b'Content-Disposition: form-data; name="subject"\r\n\r\nx'
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
)
FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (lambda: form(FIELD), FORM, 422, "no-file"),
        (lambda: form(FILE + letter(), end=False), FORM, 400, "bad-form"),
        (lambda: form(FILE + letter(), FIELD), FORM, 400, "bad-form"),
        (lambda: form(FILE + letter()), "multipart/form-data", 400, "bad-form"),
        (lambda: form(FILE + letter()), "multipart/form-data; boundary=" + "x" * 71, 400, "bad-form"),
        (lambda: form(FIELD, FIELD, FILE + letter()), FORM, 413, "too-many-fields"),
        (lambda: form(FIELD + b"y" * 9000, FILE + letter()), FORM, 413, "too-many-fields"),
        (lambda: form(FILE.replace(b"file", b"file\xff") + letter()).replace(b"form-data", b"form data"),
         FORM, 400, "bad-disposition"),
        (lambda: form(FILE.replace(b'"a.pdf"', b'"a.pdf"; filename*=UTF-8\'\'b.exe') + letter()),
         FORM, 400, "bad-disposition"),
        (lambda: form(b"X: y\r\n" * 20 + FILE + letter()), FORM, 400, "bad-form"),
        (lambda: form(b"X: " + b"y" * 5000 + b"\r\n" + FILE + letter()), FORM, 400, "bad-form"),
        (lambda: b"p" * 100_000 + form(FILE + letter()), FORM, 400, "bad-form"),
        (lambda: b"", FORM, 400, "bad-form"),
        (lambda: form(b'Content-Disposition: form-data; name="evil"\r\n\r\nx', FILE + letter()), FORM, 422, "invalid"),
    ],
)  # fmt: skip
async def test_a_form_is_read_strictly(
    api: Api, place: str, body: Callable[[], bytes], media_type: str, status: int, code: str
) -> None:
    answer = await api.http.post(place, content=body(), headers={"Content-Type": media_type})
    told(answer, status, code)
    assert api.left_behind() == []


async def test_two_files_are_not_one_document(api: Api) -> None:
    """Verifications take many, each for itself."""
    two = form(FILE + letter(), FILE + letter())
    answer = await api.http.post("/api/v1/documents", content=two, headers={"Content-Type": FORM})
    told(answer, 400, "bad-form")
    assert api.left_behind() == []


async def test_what_follows_a_form_is_not_read_for_ever(api: Api) -> None:
    async def endless() -> object:
        yield form(FILE + letter())
        for _ in range(1000):
            yield bytes(1000)

    answer = await api.http.post("/api/v1/documents", content=endless(), headers={"Content-Type": FORM})  # type: ignore[arg-type]
    told(answer, 400, "bad-form")
    assert api.left_behind() == []


async def test_a_million_fields_cost_nothing(api: Api) -> None:
    one = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    began = time.process_time()

    async def fields() -> object:
        for number in range(0, 1_000_000, 1000):
            yield b"".join(one % each for each in range(number, number + 1000))

    answer = await api.http.post(
        "/api/v1/documents", content=fields(), headers={"Content-Type": FORM}  # type: ignore[arg-type]
    )  # fmt: skip
    told(answer, 413, "too-many-fields")
    assert time.process_time() - began < 5
    await upload(api)
