"""One document is signed, in one call and in two; it waits, is refused, given up, taken up again: never twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
from datetime import timedelta
from io import BytesIO

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from documents.document import DocumentState, NoSuchDocument, RenditionKind, RequestState
from documents.office import NotAllowed
from documents.requests import DocumentBusy, Held, RequestEnded, RequestHeld, TakenOver
from documents.sign_document import AnswerRefused, WorkNotAccepted
from documents.signer_check import CertificateRefused, KeyRefused
from documents.wish import SignWish
from hsm.key import NoSuchKey, Purpose, Refusal
from signing.pades import CannotSign, Unsignable
from signing.profile import Level
from storage.store import NotKept, WorkingName, first_retention
from tests.papers import letter
from tests.rooms.documents.desk import SOON, Desk


async def test_one_call(desk: Desk) -> None:
    content = letter()
    document = (await desk.receive(content)).id
    done = await desk.ask(document, reason="Phê duyệt")
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_T)
    found = await desk.documents.get(desk.caller, document)
    assert found.state is DocumentState.SIGNED
    assert [one.kind for one in found.renditions] == [RenditionKind.RECEIVED, RenditionKind.SIGNED]
    async with desk.documents.open(desk.caller, found) as path:
        assert path.read_bytes().startswith(content)
    assert await desk.intents(done.id) == ["DELIVERED"]


async def test_what_is_kept_is_locked_and_the_lock_lengthened(desk: Desk) -> None:
    """P2: evidence that many signatures share stays for as long as the youngest of them."""
    first = (await desk.receive(letter())).id
    await desk.ask(first)
    until = first_retention(desk.clock())
    kept = {one.sha256: one async for one in desk.store.kept.names()}
    assert {(await desk.store.kept.stat(one)).retain_until for one in kept.values()} == {until}
    desk.clock.move(timedelta(days=3))
    await desk.ask((await desk.receive(letter())).id)
    shared = kept[hashlib.sha256(desk.pki.certificate(desk.labels["con-dau"])).hexdigest()]
    assert (await desk.store.kept.stat(shared)).retain_until == until + timedelta(days=3)
    for one in (await desk.documents.get(desk.caller, first)).renditions:
        assert (await desk.store.kept.stat(kept[one.sha256])).retain_until == until


async def test_the_same_call_again_has_the_same_end(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    done = await desk.ask(document, request=request)
    assert await desk.ask(document, request=request) == done
    assert await desk.intents(request) == ["DELIVERED"]
    assert await desk.sign.go_on(request) is None
    with pytest.raises(NoSuchDocument):
        await desk.ask(desk.id(), request=request)


@pytest.mark.parametrize("level", [Level.B_B, Level.B_LT, Level.B_LTA])
async def test_every_level(desk: Desk, level: Level) -> None:
    done = await desk.ask((await desk.receive()).id, level=level)
    assert (done.state, done.reached) == (RequestState.DONE, level)


async def test_two_signatures_one_after_the_other(desk: Desk) -> None:
    await desk.make_key("chu-tich")
    document = (await desk.receive()).id
    await desk.ask(document, "chu-tich")
    await desk.ask(document, "con-dau")
    found = await desk.documents.get(desk.caller, document)
    assert [one.ordinal for one in found.renditions] == [1, 2, 3]


async def test_many_at_once_sign_once(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    ends = await asyncio.gather(
        *(desk.ask(document, request=request) for _ in range(6)), return_exceptions=True
    )
    assert all(isinstance(one, RequestHeld) or not isinstance(one, BaseException) for one in ends)
    assert (await desk.request(request)).state is RequestState.DONE
    assert await desk.intents(request) == ["DELIVERED"]


# -- two calls


def from_outside(desk: Desk, key: ec.EllipticCurvePrivateKey, name: str) -> SignWish:
    label = desk.labels[name]
    return SignWish(level=Level.B_T, certificate=desk.pki.certificate(label), chain=desk.pki.chain)


def answer(key: ec.EllipticCurvePrivateKey, to_sign: bytes | None) -> bytes:
    return key.sign(to_sign or b"", ec.ECDSA(SHA256()))


async def test_two_calls(desk: Desk) -> None:
    key = await desk.make_key("the")
    document, request = (await desk.receive()).id, desk.id()
    waiting = await desk.sign.prepare(desk.caller, document, request, from_outside(desk, key, "the"))
    assert (waiting.state, waiting.key[:12]) == (RequestState.PREPARED, "certificate:")
    for wrong in (b"", b"rubbish", answer(key, b"other bytes")):
        with pytest.raises(AnswerRefused):
            await desk.sign.complete(desk.caller, request, wrong)
    with pytest.raises(NoSuchDocument):
        await desk.sign.complete(desk.other, request, b"")
    right = answer(key, waiting.to_sign)
    done = await desk.sign.complete(desk.caller, request, right)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_T)
    assert await desk.sign.complete(desk.caller, request, right) == done
    assert await desk.intents(request) == ["DELIVERED"]


async def test_an_answer_that_comes_too_late(desk: Desk) -> None:
    key = await desk.make_key("the")
    document, request = (await desk.receive()).id, desk.id()
    waiting = await desk.sign.prepare(desk.caller, document, request, from_outside(desk, key, "the"))
    desk.clock.move(timedelta(minutes=61))
    with pytest.raises(RequestEnded):
        await desk.sign.complete(desk.caller, request, answer(key, waiting.to_sign))
    assert (await desk.request(request)).state is RequestState.EXPIRED
    assert await desk.intents(request) == ["VOID"]
    assert (await desk.documents.get(desk.caller, document)).state is DocumentState.UPLOADED


async def test_a_certificate_that_was_revoked_meanwhile_signs_nothing(desk: Desk) -> None:
    key = await desk.make_key("the")
    document, request = (await desk.receive()).id, desk.id()
    waiting = await desk.sign.prepare(desk.caller, document, request, from_outside(desk, key, "the"))
    desk.clock.move(SOON)
    with (
        desk.pki.revoked(desk.labels["the"], desk.clock() - timedelta(minutes=1)),
        pytest.raises(CertificateRefused) as refused,
    ):
        await desk.sign.complete(desk.caller, request, answer(key, waiting.to_sign))
    assert refused.value.reason == "REVOKED"
    ended = await desk.request(request)
    assert (ended.state, (ended.problem or {})["reason"]) == (RequestState.REFUSED, "REVOKED")
    assert await desk.intents(request) == ["LOST"]
    assert not (await desk.documents.get(desk.caller, document)).signed


async def test_given_up(desk: Desk) -> None:
    key = await desk.make_key("the")
    document, request = (await desk.receive()).id, desk.id()
    wish = from_outside(desk, key, "the")
    await desk.sign.prepare(desk.caller, document, request, wish)
    with pytest.raises(NoSuchDocument):
        await desk.sign.cancel(desk.other, request)
    ended = await desk.sign.cancel(desk.caller, request)
    assert (ended.state, ended.problem) == (RequestState.REFUSED, {"code": "cancelled"})
    with pytest.raises(RequestEnded):
        await desk.sign.cancel(desk.caller, request)
    # Another request takes the place of one that still waits.
    second = desk.id()
    await desk.sign.prepare(desk.caller, document, second, wish)
    assert (await desk.ask(document)).state is RequestState.DONE
    assert (await desk.request(second)).state is RequestState.EXPIRED


# -- waiting for the world


async def test_the_time_stamp_comes_later(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        waiting = await desk.ask(document, request=request)
        assert (waiting.state, waiting.reached) == (RequestState.TIMESTAMP_PENDING, None)
        assert desk.later == []  # it waits in the sweep's row
        found = await desk.documents.get(desk.caller, document)
        assert (found.state, found.signed) == (DocumentState.SIGNING, False)
        with pytest.raises(DocumentBusy):
            await desk.ask(document)
        with pytest.raises(RequestEnded):
            await desk.sign.cancel(desk.caller, request)
    desk.clock.move(SOON)
    done = await desk.sign.go_on(request)
    assert done is not None and (done.state, done.reached) == (RequestState.DONE, Level.B_T)
    assert await desk.intents(request) == ["DELIVERED"]


async def test_what_was_prepared_is_damaged_while_it_waited(desk: Desk) -> None:
    """Asked again it would end the same way: it comes to a stated end, and nothing is released."""
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask(document, request=request)
    files = [one for one in (desk.folder / "store" / "working").rglob("*") if one.is_file()]
    (file,) = (one for one in files if b"/ByteRange" in one.read_bytes())
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    desk.clock.move(SOON)
    with pytest.raises(WorkNotAccepted):
        await desk.sign.go_on(request)
    ended = await desk.request(request)
    assert (ended.state, (ended.problem or {})["code"]) == (RequestState.FAILED, "NotThePreparedFile")
    assert await desk.intents(request) == ["LOST"]
    assert not (await desk.documents.get(desk.caller, document)).signed
    assert await desk.sign.go_on(request) is None


async def test_revoked_while_it_waited_for_its_time_stamp(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    with desk.pki.answering("tsa"):
        await desk.ask(document, request=request)
    desk.clock.move(SOON)
    with (
        desk.pki.revoked(desk.labels["con-dau"], desk.clock() - timedelta(minutes=1)),
        pytest.raises(CertificateRefused),
    ):
        await desk.sign.go_on(request)
    assert (await desk.request(request)).state is RequestState.REFUSED
    assert await desk.intents(request) == ["LOST"]


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT, Level.B_LTA])
async def test_revocation_data_come_later(desk: Desk, level: Level) -> None:
    await desk.make_key("moi")
    document, request = (await desk.receive()).id, desk.id()
    with desk.everything_away():
        waiting = await desk.ask(document, "moi", level=level, request=request)
        assert waiting.state is RequestState.REVOCATION_PENDING
        assert waiting.reached == (level if level in {Level.B_B, Level.B_T} else Level.B_T)
        assert (await desk.documents.get(desk.caller, document)).signed
        if level in {Level.B_B, Level.B_T}:
            assert (await desk.ask(document, "moi", level=level)).state is RequestState.REVOCATION_PENDING
        else:
            with pytest.raises(DocumentBusy):
                await desk.ask(document, "moi")
        for _ in range(2):
            again = await desk.sign.go_on(request)
            assert again is not None and again.state is RequestState.REVOCATION_PENDING
            assert await desk.sign.go_on(request) is None, "it rests"
            desk.clock.move(SOON)
    desk.clock.move(SOON)
    done = await desk.sign.go_on(request)
    assert done is not None and (done.state, done.reached) == (RequestState.DONE, level)
    kinds = [one.kind for one in (await desk.documents.get(desk.caller, document)).renditions]
    assert (RenditionKind.AUGMENTED in kinds) == (level not in {Level.B_B, Level.B_T})


async def test_revoked_before_it_was_known(desk: Desk) -> None:
    await desk.make_key("moi")
    document, request = (await desk.receive()).id, desk.id()
    desk.pki.revoke(desk.labels["moi"], desk.clock() - timedelta(hours=1))
    with desk.everything_away():
        await desk.ask(document, "moi", request=request)
    desk.clock.move(SOON)
    done = await desk.sign.go_on(request)
    assert done is not None and done.state is RequestState.DONE
    assert (done.problem or {})["code"] == "certificate-revoked"


# -- refused, with its reason


async def test_what_is_refused_has_its_reason_and_touches_no_key(desk: Desk) -> None:
    await desk.make_key("het-han", years=(2020, 2022))
    await desk.make_key("cua-may", purpose=Purpose.PROBE)
    await desk.make_key("cua-nguoi-khac", granted=frozenset())
    document = (await desk.receive()).id
    for key, kind, reason in (
        ("het-han", CertificateRefused, "EXPIRED"),
        ("cua-may", KeyRefused, Refusal.WRONG_PURPOSE),
        ("cua-nguoi-khac", KeyRefused, Refusal.NOT_THE_HOLDER),
    ):
        request = desk.id()
        with pytest.raises(kind) as refused:
            await desk.ask(document, key, request=request)
        assert refused.value.reason == reason  # type: ignore[attr-defined]
        ended = await desk.request(request)
        assert (ended.state, (ended.problem or {})["reason"]) == (RequestState.REFUSED, str(reason))
        assert await desk.intents(request) == []
    assert (await desk.documents.get(desk.caller, document)).state is DocumentState.UPLOADED
    request = desk.id()
    with pytest.raises(NoSuchKey):
        await desk.ask(document, "khong-co", request=request)
    assert (await desk.request(request)).state is RequestState.REFUSED  # or the document would wait for ever
    await desk.ask(document, "con-dau", request=desk.id())


async def test_what_takes_too_long_is_refused_and_not_tried_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, request = (await desk.receive()).id, desk.id()
    monkeypatch.setattr("documents.signing_steps.SECONDS", 0.0)
    with pytest.raises(CannotSign) as refused:
        await desk.ask(document, request=request)
    assert refused.value.reason is Unsignable.TOO_COMPLEX
    monkeypatch.undo()
    assert (await desk.request(request)).state is RequestState.REFUSED
    assert await desk.sign.go_on(request) is None
    assert (await desk.ask(document)).state is RequestState.DONE


async def test_who_may_not_sign(desk: Desk) -> None:
    document = (await desk.receive()).id
    with pytest.raises(NotAllowed):
        await desk.sign.sign(desk.caller, document, desk.id(), SignWish())
    with pytest.raises(NoSuchDocument):
        await desk.sign.sign(desk.other, document, desk.id(), SignWish(key="con-dau"))
    assert [one.name for one in await desk.sign.usable_keys(desk.caller)] == ["con-dau"]
    assert not await desk.sign.usable_keys(desk.other)


async def test_a_password_opens_the_document(desk: Desk) -> None:
    out = BytesIO()
    with pikepdf.open(BytesIO(letter())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="chủ", user="mật khẩu"))
    document = (await desk.receive(out.getvalue())).id
    for password, reason in ((None, Unsignable.PASSWORD_NOT_GIVEN), ("sai", Unsignable.PASSWORD_WRONG)):
        with pytest.raises(CannotSign) as refused:
            await desk.ask(document, password=password)
        assert refused.value.reason is reason
    done = await desk.ask(document, password="mật khẩu", level=Level.B_LT)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_LT)


async def test_an_upload_that_has_had_its_time(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    async for name in desk.store.working.expired(desk.clock() + timedelta(days=31)):
        await desk.store.working.delete(WorkingName(name.agency, name.id))
    with pytest.raises(NotKept):
        await desk.ask(document, request=request)
    assert (await desk.request(request)).state is RequestState.EXPIRED
    assert (await desk.documents.get(desk.caller, document)).state is DocumentState.UPLOADED


# -- leases


async def test_a_worker_that_was_passed_changes_nothing(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    wish = SignWish(key="con-dau")
    paused = await desk.requests.claim(desk.caller, document, request, wish)
    assert isinstance(paused, Held)
    with pytest.raises(RequestHeld):
        await desk.ask(document, request=request)
    assert await desk.sign.go_on(request) is None
    desk.clock.move(timedelta(minutes=3))
    done = await desk.sign.go_on(request)
    assert done is not None and done.state is RequestState.DONE
    with pytest.raises(TakenOver):
        await desk.progress.ended(paused, RequestState.REFUSED)
    await desk.requests.let_go(paused)
    assert (await desk.request(request)).state is RequestState.DONE


async def test_what_a_dead_worker_held_is_taken_up(desk: Desk) -> None:
    document, request = (await desk.receive()).id, desk.id()
    await desk.requests.claim(desk.caller, document, request, SignWish(key="con-dau"))
    assert request not in await desk.requests.waiting()
    assert list(await desk.requests.waiting(orphaned=True)) == [request]
    done = await desk.sign.go_on(request, orphaned=True)
    assert done is not None and done.state is RequestState.DONE


# -- the evidence


async def test_the_bundle_holds_everything(desk: Desk) -> None:
    audit = await desk.make_key("audit", purpose=Purpose.AUDIT)
    document = (await desk.receive()).id
    await desk.ask(document, level=Level.B_B)
    with pytest.raises(NoSuchDocument):
        async with desk.evidence.write(desk.other, document, say=lambda one: (str(one), "", "")):
            pass
    async with desk.evidence.write(desk.caller, document, say=lambda one: (str(one), "", "")) as path:
        with zipfile.ZipFile(path) as bundle:
            content = {name: bundle.read(name) for name in bundle.namelist()}
    assert not path.exists()
    for line in content["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(content[name]).hexdigest() == digest
    endings = sorted({name.rpartition(".")[2] for name in content if name.startswith("evidence/")})
    assert endings == ["cer", "crl", "ors"]
    assert sum(name.startswith("renditions/") for name in content) == 2
    asked = json.loads(content["requests.json"])[0]
    assert (asked["state"], asked["check"]["established"]) == ("DONE", True)
    assert json.loads(content["report.json"])["verdict"] in {"VALID", "INDETERMINATE"}
    assert b"signature.delivered" in content["audit.jsonl"]
    told = [json.loads(line) for line in content["audit.jsonl"].splitlines()]
    # Seconds after signing: a checkpoint is taken because somebody asks.
    assert all(one["proof"]["checkpoint"]["signature"] for one in told)
    # By which the checkpoints in the proofs are judged, elsewhere and later.
    assert load_pem_public_key(content["audit-key-1.pem"]) == audit.public_key()
