"""Signing over HTTP: in one call with a key of ours, in two with somebody else's, and never twice."""

from __future__ import annotations

import asyncio
import base64
import uuid

import pikepdf
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from signing.trust.anchors import Anchor
from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.rooms import certificate_for
from tests.rooms.web.test_api_documents import upload

WISH = {"key": "con-dau", "level": "B-B", "reason": "Phê duyệt"}


async def test_one_call_signs(api: Api) -> None:
    document = (await upload(api))["id"]
    answer = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert (made["state"], made["reached"], made["document"]) == ("DONE", "B-B", document)
    assert answer.headers["location"] == f"/api/v1/signatures/{made['id']}"
    assert (await api.http.get(answer.headers["location"])).json() == made
    shown = (await api.http.get(f"/api/v1/documents/{document}")).json()
    assert [one["kind"] for one in shown["renditions"]] == ["received", "signed"]
    content = (await api.http.get(f"/api/v1/documents/{document}/content")).content
    assert b"/ByteRange" in content


async def test_the_mark_may_carry_the_documents_own_code(api: Api) -> None:
    document = (await upload(api))["id"]
    mark = {"page": 1, "box": [300, 80, 500, 180], "text": "Người ký: Nguyễn Văn A", "code": True}
    answer = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH | {"mark": mark})
    assert answer.status_code == 201, answer.text


async def test_two_calls_sign_with_a_key_from_outside(api: Api) -> None:
    document = (await upload(api))["id"]
    private = ec.generate_private_key(ec.SECP256R1())
    der = certificate_for(private, "Nguyễn Văn A")
    await api.rooms.trusted.add(Anchor(der), confirmed_by="test")
    certificate = base64.b64encode(der).decode()
    wish = {"mode": "prepare", "certificate": certificate, "level": "B-B", "mechanism": "ecdsa-sha256"}
    prepared = await api.http.post(f"/api/v1/documents/{document}/signatures", json=wish)
    waiting = prepared.json()
    assert (prepared.status_code, waiting["state"]) == (201, "PREPARED"), prepared.text
    address = f"{prepared.headers['location']}/completion"

    wrong = base64.b64encode(private.sign(b"something else", ec.ECDSA(SHA256()))).decode()
    refused = await api.http.post(address, json={"signature": wrong})
    assert (refused.status_code, refused.json()["code"]) == (422, "answer-refused")
    for junk in ("", "%%%", "AAAA"):
        assert (await api.http.post(address, json={"signature": junk})).status_code == 422

    right = private.sign(base64.b64decode(waiting["to_sign"]), ec.ECDSA(SHA256()))
    bring = {"signature": base64.b64encode(right).decode()}
    done = await api.http.post(address, json=bring)
    assert (done.status_code, done.json()["state"]) == (200, "DONE"), done.text
    assert (await api.http.post(address, json=bring)).json() == done.json()


async def test_nobody_else_completes_or_cancels_it(api: Api) -> None:
    document = (await upload(api))["id"]
    der = certificate_for(ec.generate_private_key(ec.SECP256R1()), "A")
    await api.rooms.trusted.add(Anchor(der), confirmed_by="test")
    certificate = base64.b64encode(der).decode()
    wish = {"mode": "prepare", "certificate": certificate, "level": "B-B", "mechanism": "ecdsa-sha256"}
    made = (await api.http.post(f"/api/v1/documents/{document}/signatures", json=wish)).json()
    address = f"/api/v1/signatures/{made['id']}"
    theirs = await api.http.post(f"{address}/completion", json={"signature": "AAAA"}, headers=api.as_other())
    assert theirs.status_code == 404
    assert (await api.http.delete(address, headers=api.as_other())).status_code == 404
    cancelled = await api.http.delete(address)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "REFUSED")
    late = await api.http.post(f"{address}/completion", json={"signature": "AAAA"})
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "request-ended", "REFUSED")
    again = await api.http.delete(address)
    assert (again.status_code, again.json()["code"]) == (409, "request-ended")


async def test_what_cannot_be_signed_says_why(api: Api) -> None:
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
        pdf.save(api.folder / "js.pdf", encryption=pikepdf.Encryption(owner="a", user="b"))
    document = (await upload(api, (api.folder / "js.pdf").read_bytes()))["id"]
    refused = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    told = refused.json()
    assert (refused.status_code, told["code"]) == (422, "unsignable-password-not-given")
    assert told["saved"]["state"] == "document"
    assert not told["retryable"]
    assert (await api.http.get(f"/api/v1/documents/{document}")).json()["state"] == "UPLOADED"


async def test_a_wish_that_is_not_understood_is_refused(api: Api) -> None:
    document = (await upload(api))["id"]
    address = f"/api/v1/documents/{document}/signatures"
    wishes: tuple[object, ...] = (
        {"key": "con-dau", "levle": "B-T"},
        {"key": "con-dau", "level": "B-X"},
        {"mode": "prepare"},
        {"mode": "prepare", "certificate": "AAAA"},
        {"key": "con-dau", "certify": 4},
        {"key": "con-dau", "reason": "\u202edoc.exe"},
        {"key": "con-dau", "mark": {"box": [0, 0, "NaN", 1]}},
        {},
        [],
    )
    for wish in wishes:
        answer = await api.http.post(address, json=wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), wish
        assert '"input"' not in answer.text
    endless = b'{"key": "con-dau", "mark": {"box": [0, 0, 1e400, 1]}}'
    json = {"Content-Type": "application/json"}
    assert (await api.http.post(address, content=endless, headers=json)).status_code == 422
    secret = await api.http.post(address, json={"key": "con-dau", "password": ["hunter2"]})
    assert secret.status_code == 422
    assert "hunter2" not in secret.text
    assert not any("hunter2" in line for line in api.log)


async def test_only_keys_for_documents_and_only_to_their_users(api: Api) -> None:
    keys = (await api.http.get("/api/v1/keys")).json()["keys"]
    assert [one["name"] for one in keys] == ["con-dau"]
    assert (await api.http.get("/api/v1/keys", headers=api.as_other())).json() == {"keys": []}
    pem = await api.http.get("/api/v1/keys/con-dau/certificates")
    assert pem.text.count("BEGIN CERTIFICATE") == 1
    assert pem.text == (await api.http.get("/api/v1/keys/con-dau/certificate")).text
    hidden = await api.http.get("/api/v1/keys/dau-thoi-gian/certificate")
    assert (hidden.status_code, hidden.json()["code"]) == (404, "no-such-key")
    _, narrow = await api.rooms.office.make_client(api.people.agency.id, "Hẹp", ["sign:khac"], by="test")
    document = (await upload(api))["id"]
    answer = await api.http.post(
        f"/api/v1/documents/{document}/signatures", json=WISH, headers={"Authorization": f"Bearer {narrow}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


async def test_a_document_that_changed_is_not_signed(api: Api) -> None:
    document = (await upload(api))["id"]
    address = f"/api/v1/documents/{document}"
    etag = (await api.http.get(address)).headers["etag"]
    assert (
        await api.http.post(f"{address}/signatures", json=WISH, headers={"If-Match": etag})
    ).status_code == 201
    late = await api.http.post(f"{address}/signatures", json=WISH, headers={"If-Match": etag})
    assert (late.status_code, late.json()["code"]) == (412, "changed")


async def test_many_at_once_sign_once_with_one_idempotency_key(api: Api) -> None:
    document = (await upload(api))["id"]
    address = f"/api/v1/documents/{document}/signatures"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = await asyncio.gather(*(api.http.post(address, json=WISH, headers=key) for _ in range(8)))
    assert {one.status_code for one in answers} <= {201, 409, 503}
    again = await api.http.post(address, json=WISH, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    shown = (await api.http.get(f"/api/v1/documents/{document}")).json()
    assert len(shown["signatures"]) == 1


async def test_more_at_once_than_there_are_places_are_sent_away(api: Api) -> None:
    document = (await upload(api))["id"]
    async with (
        api.app.state.porter.signing.one("a"),
        api.app.state.porter.signing.one("b"),
        api.app.state.porter.signing.one("b"),
        api.app.state.porter.signing.one("c"),
    ):
        full = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    assert (full.status_code, full.json()["code"]) == (503, "too-many-at-once")
    assert full.headers["retry-after"] == "2"
    assert full.json()["retryable"]
    assert (await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)).status_code == 201


async def test_without_an_authority_the_signature_waits(api: Api) -> None:
    document = (await upload(api, letter()))["id"]
    answer = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH | {"level": "B-T"})
    assert (answer.status_code, answer.json()["state"]) == (202, "TIMESTAMP_PENDING")
    busy = await api.http.post(f"/api/v1/documents/{document}/signatures", json=WISH)
    assert (busy.status_code, busy.json()["code"]) == (409, "document-busy")
    assert busy.json()["request"] == answer.json()["id"]
