"""What a person reads who asked for what cannot be had: in words for people, with the next step."""

from __future__ import annotations

import re
from dataclasses import replace

from fastapi import Request

from documents.intake import IntakeRefusal, NotAccepted
from hsm.key import KeyUnavailable
from storage.store import StoreUnavailable
from tests.rooms.web.conftest import Api, running
from tests.rooms.web.rooms import Wishes
from web.faults import BY_THE_BOOK
from web.problem import Found
from web.problems import INTERNAL, every_problem, problem_for
from web.telling import tell

PAGE = {"Accept": "text/html"}
MACHINERY = re.compile(r"Retry-After|Idempotency|API|ETag|\bbyte\b|Authorization|to_sign|multipart")
# Only programs are told these: no page leads there.
FOR_PROGRAMS = {
    "not-logged-in", "not-allowed", "no-such-person", "other-body", "answer-refused", "bad-length", "bad-form", "changed",
    "bad-idempotency-key", "bad-range", "incomplete", "upload-version", "bad-checksum", "no-such-upload", "wrong-offset",
    "past-the-end", "checksum-differs", "upload-unfinished", "too-many-uploads",
}  # fmt: skip


def main(text: str) -> str:
    return text.split("<main")[1].split("</main>")[0]


async def test_an_address_that_is_wrong(api: Api) -> None:
    answer = await api.http.get("/khong-co", headers=PAGE)
    assert answer.status_code == 404
    shown = main(answer.text)
    assert "Không tìm thấy trang" in shown and 'href="/v"' in shown
    # Nothing was sent that could be lost, and there is nothing to report.
    assert "lưu" not in shown and "Mã tham chiếu" not in shown


async def test_a_form_that_is_refused_says_what_is_safe(api: Api) -> None:
    answer = await api.http.post("/dang-xuat", data={"csrf": "x"}, headers=PAGE)
    assert answer.status_code == 403
    assert "vẫn giữ nguyên" in main(answer.text) and "Mã tham chiếu" in main(answer.text)


async def test_a_form_that_no_page_of_ours_sends_leads_back(api: Api) -> None:
    answer = await api.http.post("/dang-xuat", content=b"{}", headers=PAGE | {"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert "Hãy quay lại trang trước" in main(answer.text) and "API" not in main(answer.text)


async def test_too_many_requests_lead_back_to_the_same_page(wishes: Wishes) -> None:
    few = replace(wishes, limits=replace(wishes.limits, requests_per_minute=1))
    async with running(few) as api:
        del api.http.headers["Authorization"]
        answers = [await api.http.get("/v?lang=vi", headers=PAGE) for _ in range(3)]
    refused = answers[-1]
    assert refused.status_code == 429 and "retry-after" in refused.headers
    assert "Hãy đợi một phút" in main(refused.text)
    assert '<a class="button main" href="/v?lang=vi">Thử lại</a>' in refused.text


async def test_what_is_away_is_told_with_a_reference_and_can_be_tried_again(api: Api) -> None:
    for method, path in (("GET", "/van-ban"), ("POST", "/van-ban")):
        for fault in (StoreUnavailable("x"), KeyUnavailable("k", why="queue-full")):
            found = problem_for(fault)
            assert found is not None
            shown = page(api, found, method=method, path=path)
            assert "Mã tham chiếu" in shown and ("Thử lại" in shown) is (method == "GET")
    assert "Lỗi không do bạn" in page(api, Found(INTERNAL))


async def test_sizes_are_said_as_people_say_them(api: Api) -> None:
    found = problem_for(NotAccepted(IntakeRefusal.TOO_LARGE, limit=str(256 << 20)))
    assert found is not None
    assert "268 MB" in found.sentence("vi") and "268 MB" in found.sentence("en")
    assert found.members["limit"] == 256 << 20


def test_pages_know_no_word_of_machinery() -> None:
    for line in every_problem():
        if line.code not in FOR_PROGRAMS:
            todo = "" if line.todo == BY_THE_BOOK else line.todo
            assert not MACHINERY.search(f"{line.title} {line.said} {todo}"), line


def page(api: Api, found: Found, *, method: str = "GET", path: str = "/v") -> str:
    scope = {
        "type": "http", "app": api.app, "method": method, "path": path, "query_string": b"", "scheme": "http",
        "headers": [(b"accept", b"text/html"), (b"host", b"x")], "state": {"request_id": "1"},
    }  # fmt: skip
    body = tell(Request(scope), found).body
    return main(bytes(body).decode())
