"""What comes over the wire before anybody is asked: wrong lengths, floods, drips, names of others."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.papers import letter
from tests.rooms.web.conftest import Api, Served, left_behind, running
from tests.rooms.web.rooms import Wishes
from tests.rooms.web.test_api_documents import PDF, upload
from tests.rooms.web.test_doors_files import told

Serve = Callable[..., Served]


def request(served: Served, *lines: str, method: str = "POST", host: str | None = "127.0.0.1") -> bytes:
    head = [
        f"{method} /api/v1/documents HTTP/1.1",
        f"Authorization: Bearer {served.key}",
        "Connection: close",
        *lines,
    ]
    if host is not None:
        head.append(f"Host: {host}")
    return "\r\n".join([*head, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_lengths_that_lie_are_refused(serve: Serve) -> None:
    served = serve(piece_within=0.4)
    paper = letter()
    media = "Content-Type: application/pdf"
    for lines in (
        ["Content-Length: -1"],
        ["Content-Length: 1e3"],
        ["Content-Length: +5"],
        ["Content-Length: 5, 6"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 99999999999999999999999999"],
        ["Transfer-Encoding: gzip, chunked"],
    ):
        answer = served.exchange(request(served, media, *lines), paper, wait=2)
        assert status(answer) in {400, 413, 501}, lines
    # 10 GB declared: told at once, before a byte of it is sent; whoever waits for one says 408.
    answer = served.exchange(request(served, media, "Content-Length: 10737418240"), wait=2)
    assert status(answer) == 413
    assert b"connection: close" in answer.lower()
    assert b'"too-large"' in answer
    # It declares all, sends a little, and waits.
    answer = served.exchange(request(served, media, f"Content-Length: {len(paper)}"), paper[:200], wait=3)
    assert status(answer) == 408
    assert b'"too-slow"' in answer
    # It goes away in the middle.
    served.exchange(request(served, media, f"Content-Length: {len(paper)}"), paper[:200], wait=0.05)
    # Chunks that never end, each in time: nothing but the whole is kept.
    chunk = b"%x\r\n%s\r\n" % (200, paper[:200])
    answer = served.exchange(request(served, media, "Transfer-Encoding: chunked"), chunk, b"zz\r\n", wait=2)
    assert not answer or status(answer) in {400, 408}
    time.sleep(0.6)
    assert left_behind(served.folder) == []
    whole = served.exchange(request(served, media, f"Content-Length: {len(paper)}"), paper)
    assert status(whole) == 201


def test_floods_of_headers_are_refused(serve: Serve) -> None:
    served = serve()
    many = [f"X-{number}: y" for number in range(100)]
    ranges = "Range: bytes=" + ",".join(f"{one}-{one + 1}" for one in range(100_000))
    for lines in ([*many], ["X: " + "y" * 9000], ["X: " + "y" * 200_000], [ranges], ["X" * 70_000 + ": y"]):
        answer = served.exchange(request(served, *lines, method="GET"), wait=2)
        assert status(answer) in {400, 431}, lines[0][:40]
    long = request(served, method="GET").replace(b"/documents", b"/documents?cursor=" + b"x" * 5000)
    assert status(served.exchange(long, wait=2)) == 431


def test_without_one_plain_host_nothing_is_answered(serve: Serve) -> None:
    served = serve()
    for lines, host in (
        ([], None), ([], "evil.example/../x"), ([], "a b"), ([], "evil@example"), ([], "x" * 300), (["Host: other"], "127.0.0.1"),
    ):  # fmt: skip
        answer = served.exchange(request(served, *lines, method="GET", host=host), wait=2)
        assert status(answer) == 400, (lines, host)


@pytest.fixture
def production(tmp_path: Path) -> Wishes:
    return Wishes(tmp_path, address="https://kyso.example.gov.vn", production=True)


async def test_in_production_only_the_public_name_is_answered(production: Wishes) -> None:
    async with running(production) as api:
        assert (await api.http.get("/api/v1/documents")).status_code == 200
        for host in ("evil.example", "kyso.example.gov.vn.evil.example", "kyso.example.gov.vn:8080"):
            told(await api.http.get("/api/v1/documents", headers={"Host": host}), 400, "bad-host")
        assert (await api.http.get("/healthz", headers={"Host": "10.0.0.7:8000"})).status_code == 200
        answer = await api.http.get("/healthz")
        assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_forwarded_headers_are_believed_from_our_proxies_alone(wishes: Wishes) -> None:
    forwarded = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=1.2.3.4",
    }
    async with running(wishes, client=("93.184.216.34", 1)) as api:
        shown = await api.http.get("/api/v1/documents", headers=forwarded)
        assert shown.status_code == 200
        assert '"client": "93.184.216.34"' in api.log[-1]
        # Whoever comes from elsewhere does not become a neighbour by saying so.
        assert (await api.http.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})).status_code == 404
    async with running(replace(wishes), client=("198.51.100.7", 1)) as api:
        await api.http.get("/api/v1/documents", headers=forwarded)
        assert '"client": "203.0.113.9"' in api.log[-1]
        await api.http.get("/api/v1/documents", headers={"X-Forwarded-For": "203.0.113.1, 203.0.113.9"})
        assert '"client": "203.0.113.9"' in api.log[-1]
        await api.http.get("/api/v1/documents", headers={"X-Forwarded-For": "203.0.113.9, junk"})
        assert '"client": "198.51.100.7"' in api.log[-1]


def test_a_connection_without_a_request_is_closed(serve: Serve) -> None:
    served = serve(head_within=0.3)
    for begun in (b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /heal"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(begun)
            while connection.recv(65536):  # ends when the server closes, and not before
                continue
    # Who has asked has all the time that an answer takes.
    paper = letter()
    asked = request(served, "Content-Type: application/pdf", f"Content-Length: {len(paper)}")
    assert status(served.exchange(asked, paper)) == 201


async def test_many_ranges_are_as_none(api: Api) -> None:
    paper = letter()
    shown = await upload(api, paper)
    ranges = "bytes=" + ",".join(f"{one}-{one}" for one in range(1500))
    answer = await api.http.get(f"/api/v1/documents/{shown['id']}/content", headers={"Range": ranges[:8000]})
    assert (answer.status_code, answer.content) == (200, paper)


async def test_other_methods_and_places_are_told_apart(api: Api) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        told(await api.http.request(method, "/api/v1/documents"), 405, "method-not-allowed")
    for method in ("TRACE", "CONNECT", "BREW"):
        assert (await api.http.request(method, "/api/v1/documents")).status_code == 405
    document = (await upload(api))["id"]
    for place, allowed in (
        ("/api/v1/documents", "HEAD, GET, POST"),
        (f"/api/v1/documents/{document}", "HEAD, GET"),
        (f"/api/v1/signatures/{document}", "HEAD, GET, DELETE"),
        ("/tsa", "POST"),
        ("/v", "HEAD, GET, POST"),
    ):
        assert (await api.http.put(place)).headers["allow"] == allowed
    told(await api.http.get("/api/v1/nothing"), 404, "not-found")
    told(await api.http.get("/static/0/nothing.css"), 404, "not-found")
    told(await api.http.get("/api/v1/documents/not-a-uuid"), 422, "invalid")
    told(await api.http.get("/api/v1/documents/"), 404, "not-found")


async def test_what_can_be_got_can_be_asked_about(api: Api) -> None:
    document = f"/api/v1/documents/{(await upload(api))['id']}"
    for place in (document, f"{document}/content", "/api/v1/keys", "/healthz", "/v"):
        whole, head = await api.http.get(place), await api.http.head(place)
        assert (head.status_code, head.content) == (whole.status_code, b"") == (200, b"")
        for name in ("content-length", "content-type", "etag"):
            assert head.headers.get(name) == whole.headers.get(name), (place, name)
        assert '"HEAD"' in api.log[-1]
    told_head = await api.http.head("/api/v1/nothing")
    assert (told_head.status_code, told_head.content) == (404, b"")
    assert (await api.http.head("/tsa")).status_code == 405


async def test_every_answer_protects_who_reads_it(api: Api) -> None:
    for place in ("/api/v1/documents", "/api/v1/nothing", "/healthz"):
        headers = (await api.http.get(place)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


async def test_json_is_small_and_plain(api: Api) -> None:
    shown = await upload(api)
    address = f"/api/v1/documents/{shown['id']}/signatures"
    json = {"Content-Type": "application/json"}
    told(await api.http.post(address, content=b"{" * 100_000, headers=json), 422, "invalid")
    told(await api.http.post(address, content=b"[" * 2_000_000, headers=json), 422, "invalid")
    large = await api.http.post(address, content=b'"' + b"x" * (5 << 20), headers=json)
    told(large, 413, "body-too-large")
    assert "–" not in large.json()["detail"]
    wide = await api.http.post(address, content=b'{"%s": 1}' % (b"k" * 1_000_000), headers=json)
    told(wide, 422, "invalid")
    assert len(wide.content) < 4000
    for media in ("text/plain", "application/xml", "application/x-www-form-urlencoded", ""):
        for place in (address, f"/api/v1/signatures/{shown['id']}/completion"):
            answer = await api.http.post(place, content=b"{}", headers={"Content-Type": media})
            told(answer, 415, "media-type")
    told(await api.http.post(address, content=b'{"key": "\xff"}', headers=json), 422, "invalid")
    told(await api.http.post("/api/v1/verifications", content=b"{}", headers=json), 422, "invalid")
    told(await api.http.post("/api/v1/verifications", content=b"x", headers={"Content-Type": "text/plain"}), 415,
         "media-type")  # fmt: skip


async def test_a_password_that_no_file_can_have_is_told_as_such(api: Api) -> None:
    address = f"/api/v1/documents/{(await upload(api))['id']}/signatures"
    file = {"file": ("a.pdf", letter(), "application/pdf")}
    for password in ("a\0b", "x" * 257):
        told(await api.http.post(address, json={"key": "con-dau", "password": password}), 422, "invalid")
        answer = await api.http.post("/api/v1/verifications", data={"password": password}, files=file)
        told(answer, 422, "invalid")


async def test_an_upload_by_form_and_by_bytes_are_limited_alike(api: Api) -> None:
    declared = str(api.rooms.limits.upload + (1 << 20))
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    for media, code in ((PDF, "too-large"), (form, "body-too-large")):

        async def nothing() -> object:
            yield b""

        answer = await api.http.post(
            "/api/v1/documents", content=nothing(), headers=media | {"Content-Length": declared}  # type: ignore[arg-type]
        )  # fmt: skip
        told(answer, 413, code)
    assert api.left_behind() == []
