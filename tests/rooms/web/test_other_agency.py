"""P3 at the doors: every address that takes an identifier, asked with another agency's: as if nobody had it.

Every route of the app is walked: one that takes an identifier this file does not know fails here until somebody says
whose it is.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.routing import Route

from documents.office import Agency, Caller
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from signing.trust.anchors import Anchor
from storage.database import WHOLE_SERVICE, Database
from storage.schema import Row
from tests import servers
from tests.papers import letter
from tests.rooms.storage.conftest import migrate
from tests.rooms.web.conftest import Api, running
from tests.rooms.web.rooms import Wishes, certificate_for
from web.api.resumable import PART, VERSION

# What belongs to nobody's agency: the pages of the public, of the program and of its words.
PUBLIC = {
    "/problems/{code}", "/static/{of}/{name:path}",
    # By a code, or by the 256 bits that the bringer of a file was given (C1-C3): whose agency asks does not matter.
    "/v/{code}", "/v/{code}/trang-dau.png", "/v/{code}/tep",
    "/v/tep/{token}", "/v/tep/{token}/trang/{name}", "/v/tep/{token}/ban-da-ky/{name}", "/v/tep/{token}/{name}",
    "/v/tep/{token}/ban-phat-hanh.png", "/v/tep/{token}/ban-phat-hanh.pdf", "/v/tep/{token}/bao-cao-kiem-tra.json",
}  # fmt: skip
PAGE, KIND = "1", "svg"  # of a document: no identifiers


@dataclass
class Agencies:
    """Theirs has everything; ours asks. `theirs` holds identifiers by the name of what they are of."""

    api: Api
    ours: Caller
    ours_key: str
    browser: httpx.AsyncClient  # somebody of ours, logged in
    form: dict[str, str] = field(default_factory=dict)  # what our own forms hold
    own: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.api.rooms.documents._db

    async def rows(self) -> dict[str, list[Any]]:
        """Every row that is not ours."""

        def work(session: Session) -> dict[str, list[Any]]:
            return {
                table.name: [
                    tuple(one)
                    for one in session.execute(select(table).where(table.c.agency != self.ours.agency))
                ]
                for table in Row.metadata.sorted_tables
            }

        return await self.db.read(WHOLE_SERVICE, work)

    def files(self) -> dict[str, bytes]:
        """Every file that is not ours, in either space."""
        store = self.api.folder / "store"
        files = [one for one in store.rglob("*") if one.is_file() and one.suffix != ".lock"]
        return {str(one): one.read_bytes() for one in files if str(self.ours.agency) not in str(one)}


@pytest.fixture(params=["sqlite", "postgresql"])
async def wishes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wishes]:
    if request.param == "sqlite":
        yield Wishes(tmp_path)
        return
    with ExitStack() as stack:
        server = stack.enter_context(servers.postgresql())
        url = stack.enter_context(servers.new_kept_database(server))
        await migrate(url.replace("//service@", "//keeper@"), server)
        yield Wishes(tmp_path, database=url, password_file=server.password_file)


@pytest.fixture
async def agencies(wishes: Wishes) -> AsyncIterator[Agencies]:
    async with running(wishes) as api:
        transport = httpx.ASGITransport(api.app, client=("127.0.0.1", 40001))
        async with httpx.AsyncClient(transport=transport, base_url=wishes.address) as browser:
            yield await furnish(api, browser)


async def furnish(api: Api, browser: httpx.AsyncClient) -> Agencies:
    rooms = api.rooms
    caller = await rooms.office.by_api_key(api.people.other_key)
    assert caller is not None
    made = Agencies(api, caller, api.people.other_key, browser)
    agency = next(one for one in await rooms.office.agencies() if one.id == caller.agency)
    login = await _log_in(made, agency)
    await _make_key(made, {caller.id, login})
    made.theirs = await _work_of(api, {"Authorization": f"Bearer {api.people.key}"}, "con-dau")
    ours = await _work_of(api, api.as_other(), "dau-cua-ta")
    made.own = {name: values[0] for name, values in ours.items()}
    page = (await browser.get(f"/van-ban/{made.own['document']}/ky")).text
    for name in ("csrf", "lan", "version"):
        found = re.search(rf'name="{name}" value="([^"]+)"', page)
        assert found, page
        made.form[name] = found[1]
    return made


async def _log_in(made: Agencies, agency: Agency) -> uuid.UUID:
    office = made.api.rooms.office
    person, password = await office.make_person(
        agency.id, "cuc", name="Lê Thị Cúc", title="Văn thư", by="test"
    )
    made.browser.cookies.set("antin", await office.log_in("cuc", password))
    return person.id


async def _make_key(made: Agencies, who: set[uuid.UUID]) -> None:
    private, vault = ec.generate_private_key(ec.SECP256R1()), made.api.rooms.keys
    assert isinstance(vault, UnsafeMemoryVault)
    certificate = certificate_for(private, "UBND xã Hòa Bình")
    await made.api.rooms.trusted.add(Anchor(certificate), confirmed_by="test")
    holder = Holder(HolderKind.AGENCY, made.ours.agency)
    vault.add(
        KeyDescription(
            "dau-cua-ta", made.ours.agency, Purpose.SEAL, holder, frozenset(who), certificate, (), ()
        ),
        private,
    )


async def _work_of(api: Api, headers: dict[str, str], key: str) -> dict[str, list[str]]:
    """A document that waits, one that is signed, one being signed from outside, and an upload in the middle."""
    documents, signatures = [], []
    for _ in range(3):
        answer = await api.http.post(
            "/api/v1/documents", content=letter(), headers=headers | {"Content-Type": "application/pdf"}
        )
        documents.append(answer.json()["id"])
    certificate = certificate_for(ec.generate_private_key(ec.SECP256R1()), "Nguyễn Văn A")
    await api.rooms.trusted.add(Anchor(certificate), confirmed_by="test")
    outside = {
        "mode": "prepare", "certificate": base64.b64encode(certificate).decode(), "level": "B-B",
        "mechanism": "ecdsa-sha256",
    }  # fmt: skip
    for document, wish in ((documents[1], {"key": key, "level": "B-B"}), (documents[2], outside)):
        answer = await api.http.post(f"/api/v1/documents/{document}/signatures", json=wish, headers=headers)
        assert answer.status_code == 201, answer.text
        signatures.append(answer.json()["id"])
    begun = await api.http.post(
        "/api/v1/uploads", headers=headers | {"Tus-Resumable": VERSION, "Upload-Length": "9"}
    )
    assert begun.status_code == 201, begun.text
    return {"document": documents, "signature": signatures, "upload": [begun.json()["id"]], "name": [key]}


# -- the walk


def routes(api: Api) -> Iterator[tuple[str, str]]:
    """Method and path of every route, however deep it was put in."""

    def walk(them: list[Any]) -> Iterator[Any]:
        for one in them:
            inner = getattr(one, "original_router", None)
            if inner is not None:
                yield from walk(inner.routes)
            else:
                assert isinstance(one, Route), one
                yield one

    for route in walk(api.app.routes):
        for method in sorted(route.methods or ()):
            yield method, route.path


def filled(path: str, of: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """The path with each identifier in its place, and that identifier."""
    named = set(re.findall(r"{(\w+)}", path))
    if path.startswith("/van-ban/") and "name" in named:
        path = path.replace("{name}", f"{PAGE}.png")
        named.remove("name")
    path = path.replace("{page}", PAGE).replace("{kind}", KIND)
    (identifier,) = named - {"page", "kind"}
    for value in of[identifier]:
        yield path.replace(f"{{{identifier}}}", value), value


def bodies(method: str, path: str, agencies: Agencies) -> Iterator[dict[str, Any]]:
    """What is sent along: right in itself, so that only the identifier can be the reason."""
    form = agencies.form | {"key": "dau-cua-ta", "level": "B-B", "page": "none"}
    if "/uploads" in path:
        tus = {"Tus-Resumable": VERSION}
        part = tus | {"Content-Type": PART, "Upload-Offset": "0"}
        if method == "PATCH":
            yield {"headers": part, "content": b"%PDF-1.7\n"}
        elif method == "POST" and not path.endswith("/document"):
            yield {"headers": part | {"X-HTTP-Method-Override": "PATCH"}, "content": b"%PDF-1.7\n"}
            yield {"headers": tus | {"X-HTTP-Method-Override": "DELETE"}}
        else:
            yield {"headers": tus}
    elif path.endswith("/signatures"):
        yield {"json": {"key": "dau-cua-ta", "level": "B-B"}}
        certificate = certificate_for(ec.generate_private_key(ec.SECP256R1()), "A")
        yield {"json": {"mode": "prepare", "certificate": base64.b64encode(certificate).decode()}}
    elif path.endswith("/completion"):
        yield {"json": {"signature": base64.b64encode(bytes(64)).decode()}}
    elif method == "POST" and path.startswith("/van-ban/"):
        for signature in agencies.theirs["signature"]:
            yield {"data": form | {"request": signature}}
    else:
        yield {}


async def ask(agencies: Agencies, method: str, address: str, more: dict[str, Any]) -> httpx.Response:
    if address.startswith("/api/"):
        headers = agencies.api.as_other() | more.get("headers", {})
        return await agencies.api.http.request(method, address, **more | {"headers": headers})
    return await agencies.browser.request(method, address, **more)


def told(answer: httpx.Response, *gone: str) -> tuple[int, dict[str, str], str]:
    """All of an answer but what names the request itself and repeats what was asked for."""
    text = answer.text
    for one in gone:
        text = text.replace(one, "THIS")
    text = re.sub(r"(urn:uuid:)?[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64,96}", "SOMETHING", text)
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "content-length"}
    }
    return answer.status_code, headers, text


async def test_every_route_answers_for_theirs_as_for_nobodys(agencies: Agencies) -> None:
    before, asked = (await agencies.rows(), agencies.files()), 0
    nobodys = {
        name: ["khong-co" if name == "name" else str(uuid.uuid4()) for _ in values]
        for name, values in agencies.theirs.items()
    }
    for method, path in routes(agencies.api):
        if path in PUBLIC or "{" not in path:
            continue
        pairs = zip(filled(path, agencies.theirs), filled(path, nobodys), strict=True)
        for (theirs, their_id), (nothing, no_id) in pairs:
            for more in bodies(method, path, agencies):
                answers = [
                    told(await ask(agencies, method, address, more), id)
                    for address, id in ((theirs, their_id), (nothing, no_id))
                ]
                assert answers[0] == answers[1], (method, path)
                assert answers[0][0] == 404, (method, path, answers)
                asked += 1
    assert asked > 40
    assert (await agencies.rows(), agencies.files()) == before


async def test_the_same_questions_about_our_own_are_answered(agencies: Agencies) -> None:
    """So that a 404 above is for whose it is, and not for how it was asked."""
    own = {name: [value] for name, value in agencies.own.items()}
    refused = set()
    for method, path in routes(agencies.api):
        if path in PUBLIC or "{" not in path or method != "GET":
            continue
        for address, _ in filled(path, own):
            if (await ask(agencies, method, address, {})).status_code == 404:
                refused.add(path)
    # Of a document that is not signed there is no code to show.
    assert refused == {"/van-ban/{document}/ma.{kind}"}


# -- identifiers elsewhere than in the address


async def test_identifiers_in_a_body(agencies: Agencies) -> None:
    api, before = agencies.api, await agencies.rows()
    pairs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for document in agencies.theirs["document"]:
        pairs.append(("/api/v1/verifications", {"document": document}, {"document": str(uuid.uuid4())}))
    sign = f"/api/v1/documents/{agencies.own['document']}/signatures"
    pairs.append((sign, {"key": "con-dau", "level": "B-B"}, {"key": "khong-co", "level": "B-B"}))
    for address, theirs, nobodys in pairs:
        answers = [
            told(
                await api.http.post(address, json=body, headers=api.as_other()),
                str(next(iter(body.values()))),
            )
            for body in (theirs, nobodys)
        ]
        assert answers[0] == answers[1]
        assert answers[0][0] == 404, answers
    assert await agencies.rows() == before


async def test_lists_hold_ours_alone_wherever_they_are_told_to_begin(agencies: Agencies) -> None:
    api = agencies.api
    wanted = set(agencies.theirs["document"] + agencies.theirs["signature"] + ["con-dau"])
    cursors = [None] + [
        base64.urlsafe_b64encode(uuid.UUID(one).bytes).decode().rstrip("=")
        for one in [*agencies.theirs["document"], str(uuid.UUID(int=2**128 - 1))]
    ]
    for cursor in cursors:
        asked = {"cursor": cursor} if cursor else {}
        listed = (await api.http.get("/api/v1/documents", params=asked, headers=api.as_other())).text
        shown = (await agencies.browser.get("/van-ban", params={"tiep": cursor} if cursor else {})).text
        assert not any(one in listed or one in shown for one in wanted)
    keys = (await api.http.get("/api/v1/keys", headers=api.as_other())).json()["keys"]
    assert [one["name"] for one in keys] == ["dau-cua-ta"]


async def test_their_request_is_not_taken_up_from_our_document(agencies: Agencies) -> None:
    before = await agencies.rows()
    for place in ("ky-tiep", "ky-huy"):
        for request in (agencies.theirs["signature"][1], str(uuid.uuid4())):
            answer = await agencies.browser.post(
                f"/van-ban/{agencies.own['document']}/{place}", data=agencies.form | {"request": request}
            )
            assert (answer.status_code, answer.headers["location"].rpartition("/")[2]) == (303, "ket-qua")
    assert await agencies.rows() == before


async def test_their_idempotency_key_is_not_ours(agencies: Agencies) -> None:
    """The same key and the same bytes: neither an answer of theirs, nor a word that the key is taken."""
    api, headers = agencies.api, {"Content-Type": "application/pdf", "Idempotency-Key": "van-ban-so-1"}
    first = await api.http.post("/api/v1/documents", content=letter(), headers=headers)
    before = await agencies.rows()
    second = await api.http.post("/api/v1/documents", content=letter(), headers=headers | api.as_other())
    assert second.status_code == 201 and "idempotent-replayed" not in second.headers
    assert second.json()["id"] != first.json()["id"]
    assert first.json()["id"] not in second.json()["duplicates"]
    assert await agencies.rows() == before


async def test_a_form_of_theirs_makes_nothing_of_ours(agencies: Agencies) -> None:
    """The number in a form counts for who was shown it: with it nobody lands on what another made."""
    office = agencies.api.rooms.office
    _, password = await office.make_person(
        agencies.api.people.agency.id, "an", name="Nguyễn Văn An", title="Văn thư", by="test"
    )
    transport = httpx.ASGITransport(agencies.api.app, client=("127.0.0.1", 40002))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as theirs:
        theirs.cookies.set("antin", await office.log_in("an", password))
        page = (await theirs.get("/van-ban")).text
        form = {name: re.findall(rf'name="{name}" value="([^"]+)"', page)[0] for name in ("csrf", "lan")}
        files = {"file": ("a.pdf", letter(), "application/pdf")}
        assert (await theirs.post("/van-ban", data=form, files=files)).status_code == 303
    before = await agencies.rows()
    for fields in (form, agencies.form | {"lan": form["lan"]}):
        answer = await agencies.browser.post("/van-ban", data=fields, files=files)
        assert answer.status_code == 403
    assert await agencies.rows() == before


async def test_the_same_bytes_are_kept_apart(agencies: Agencies) -> None:
    """Either agency has its own object, by its identifier before the digest: nobody's deletion or lock is another's."""
    store = agencies.api.folder / "store"
    names = [
        str(one.relative_to(store)) for one in store.rglob("*") if one.is_file() and one.suffix != ".lock"
    ]
    for agency in (agencies.ours.agency, agencies.api.people.agency.id):
        assert any(str(agency) in one for one in names)
    ids = {str(agencies.ours.agency), str(agencies.api.people.agency.id)}
    assert all(any(one in name for one in ids) for name in names if "scratch" not in name), names
