"""Who may do what: other agencies' identifiers on every route, scopes, limits, and what the log must not hold."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace

import pytest

from signing.trust.anchors import Anchor
from tests.papers import letter
from tests.rooms.web import hostile
from tests.rooms.web.conftest import Api, running
from tests.rooms.web.rooms import Wishes, certificate_for
from tests.rooms.web.test_api_documents import PDF, upload
from tests.rooms.web.test_doors_files import told

BODIES = {
    "/api/v1/documents/{document}/signatures": {"key": "con-dau", "level": "B-B"},
    "/api/v1/signatures/{signature}/completion": {"signature": "AAAA"},
}


async def prepared(api: Api, document: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec

    der = certificate_for(ec.generate_private_key(ec.SECP256R1()), "Nguyễn Văn A")
    await api.rooms.trusted.add(Anchor(der), confirmed_by="test")
    wish = {"mode": "prepare", "certificate": base64.b64encode(der).decode(), "level": "B-B"}
    made = await api.http.post(f"/api/v1/documents/{document}/signatures", json=wish)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_other_agencies_identifiers_lead_nowhere_on_any_route(api: Api) -> None:
    document = str((await upload(api))["id"])
    signature = await prepared(api, document)
    tried = 0
    for path, verbs in api.app.openapi()["paths"].items():
        if "{document}" not in path and "{signature}" not in path:
            continue
        for method in verbs:
            answers = []
            for a, b in ((document, signature), (str(uuid.uuid4()), str(uuid.uuid4()))):
                address = path.replace("{document}", a).replace("{signature}", b).replace("{page}", "1")
                body = BODIES.get(path) if method == "post" else None
                answers.append(await api.http.request(method, address, json=body, headers=api.as_other()))
            theirs, nobodys = answers
            told(theirs, 404, "no-such-document")
            assert theirs.json()["detail"] == nobodys.json()["detail"], path
            tried += 1
    assert tried >= 7
    question = {"document": document}
    told(
        await api.http.post("/api/v1/verifications", json=question, headers=api.as_other()),
        404,
        "no-such-document",
    )
    assert (await api.http.get(f"/api/v1/signatures/{signature}")).json()["state"] == "PREPARED"
    told(await api.http.get("/api/v1/keys/con-dau/certificate", headers=api.as_other()), 404, "no-such-key")
    other = str((await upload(api, None, **api.as_other()))["id"])
    named = await api.http.post(
        f"/api/v1/documents/{other}/signatures",
        json={"key": "con-dau", "level": "B-B"},
        headers=api.as_other(),
    )
    assert named.status_code in {403, 404}, named.text


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["documents:read"], {"list", "show", "keys"}),
        (["documents:write"], {"upload", "keys"}),
        (["verify"], {"verify", "keys"}),
        (["verify", "documents:read"], {"list", "show", "verify", "verify kept", "keys"}),
        (["sign:con-dau"], {"keys"}),
        (["timestamp"], {"keys", "stamp"}),
        ([], {"keys"}),
    ],
)
async def test_a_scope_opens_what_it_names(api: Api, scopes: list[str], allowed: set[str]) -> None:
    document = (await upload(api))["id"]
    client, key = await api.rooms.office.make_client(api.people.agency.id, "Hẹp", scopes, by="test")
    mine = {"Authorization": f"Bearer {key}"}
    query = {"Content-Type": "application/timestamp-query"}
    asked = {
        "list": api.http.get("/api/v1/documents", headers=mine),
        "show": api.http.get(f"/api/v1/documents/{document}", headers=mine),
        "upload": api.http.post("/api/v1/documents", content=letter(), headers=PDF | mine),
        "verify": api.http.post("/api/v1/verifications", content=letter(), headers=PDF | mine),
        "verify kept": api.http.post("/api/v1/verifications", json={"document": document}, headers=mine),
        "keys": api.http.get("/api/v1/keys", headers=mine),
        "stamp": api.http.post("/tsa", content=b"x", headers=query | mine),
    }
    for name, asking in asked.items():
        answer = await asking
        if name in allowed:
            assert answer.status_code != 403, name
        else:
            told(answer, 403, "not-allowed")
    await api.rooms.office.revoke_client(client.id, by="test")
    told(await api.http.get("/api/v1/keys", headers=mine), 401, "not-logged-in")


async def test_too_many_requests_are_told_when_to_come_again(wishes: Wishes) -> None:
    few = replace(wishes, limits=replace(wishes.limits, requests_per_minute=5))
    async with running(few) as api:
        statuses = [(await api.http.get("/api/v1/documents")).status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        told(refused := await api.http.get("/api/v1/documents"), 429, "too-many-requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await api.http.get("/api/v1/documents", headers=api.as_other())).status_code == 200
        assert (await api.http.get("/healthz")).status_code == 200
        # Whoever guesses keys is counted by address.
        guesses = []
        for number in range(8):
            wrong = {"Authorization": f"Bearer antin_{number:040}"}
            guesses.append((await api.http.get("/api/v1/documents", headers=wrong)).status_code)
        assert guesses[0] == 401 and guesses[-1] == 429
        # No header buys another account: not on the pages, and not where nobody asks for a key.
        for place in ("/v", "/api/v1/docs", "/api/v1/nothing"):
            assert (await api.http.get(place, headers={"Authorization": "x"})).status_code == 429, place
        told(await api.http.get("/v"), 429, "too-many-requests")


async def test_probes_tell_strangers_little(wishes: Wishes) -> None:
    from documents.rooms import Trouble

    wishes.troubles.append(Trouble("token", "token-away", "slot 3"))
    async with running(wishes, client=("93.184.216.34", 1)) as api:
        away = await api.http.get("/readyz")
        assert (away.status_code, away.json()) == (503, {"ready": False, "troubles": []})
        assert away.headers["retry-after"]
        assert (await api.http.get("/healthz")).json() == {"alive": True}
        told(await api.http.get("/metrics"), 404, "not-found")
    async with running(replace(wishes)) as api:
        # Behind a proxy that nobody listed everybody looks like a neighbour, and nobody is one.
        through = {"X-Forwarded-For": "93.184.216.34"}
        told(await api.http.get("/metrics", headers=through), 404, "not-found")
        assert (await api.http.get("/readyz", headers=through)).json()["troubles"] == []
        assert (await api.http.get("/readyz")).json()["troubles"][0]["code"] == "token-away"
        await upload(api)
        page = (await api.http.get("/metrics")).text
        assert 'antin_ready{part="token"} 0.0' in page
        assert 'antin_requests_total{method="POST",route="/api/v1/documents",status="201"} 1.0' in page
        assert "slot 3" not in page


async def test_the_log_holds_no_secret_and_each_line_is_one(api: Api) -> None:
    password = "Bí mật của tôi 4711"
    paper = hostile.encrypted(password)
    answer = await api.http.post(
        "/api/v1/documents", params={"name": "to-trinh-mat\r\nX: y.pdf", "subject": "Nội dung kín"}, content=paper,
        headers=PDF | {"User-Agent": "evil\x1b[31m"},
    )  # fmt: skip
    shown = answer.json()
    await api.http.post(
        f"/api/v1/documents/{shown['id']}/signatures",
        json={"key": "con-dau", "password": password, "level": "B-B"},
    )
    await api.http.get(f"/v/{shown['code']}")
    await api.http.get("/api/v1/documents?cursor=bi-mat-cua-toi")
    await api.http.post(
        "/api/v1/verifications",
        data={"password": password},
        files={"file": ("a.pdf", paper, "application/pdf")},
    )
    assert len(api.log) >= 5
    log = "\n".join(api.log)
    secrets = (
        api.people.key, api.people.key[:20], password, "4711", shown["code"], shown["code"].replace("-", ""), shown["id"],
        "to-trinh", "Nội dung", "bi-mat", "evil",
    )  # fmt: skip
    for secret in secrets:
        assert secret not in log, secret
    for line in api.log:
        told_line = json.loads(line)
        assert line.isascii() and "\n" not in line
        assert told_line["timestamp"].endswith("Z")
