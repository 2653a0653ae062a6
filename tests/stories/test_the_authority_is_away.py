"""Time-stamps, CRL and OCSP cannot be had: nothing is lost, nothing is signed twice, no level is claimed that is not there."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from documents import log_keeper
from documents.document import DocumentState, RequestState
from documents.log_keeper import LogBehind
from documents.signer_check import CertificateRefused
from hsm.use_log import read_uses
from signing.profile import Level
from signing.timestamping.clock import ClockUnsure
from signing.verification.report import Report, Verdict
from storage.database import WHOLE_SERVICE, DatabaseUnavailable
from tests.faults import Fault, failing_disk
from tests.house import CHAIRMAN_KEY, House


def uses_of(house: House, request: object) -> int:
    return sum(one.request == request for one in read_uses(house.settings.token))


async def test_a_time_stamp_comes_later(house: House) -> None:
    caller, request = house.world.chairman.caller, house.id()
    document = (await house.upload(caller)).id
    with house.world.pki.answering("tsa"):
        waiting = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert waiting.state is RequestState.TIMESTAMP_PENDING
        assert waiting.reached is None
        # Nothing is released: the newest rendition is what was received.
        found = await house.rooms.documents.get(caller, document)
        assert found.state is DocumentState.SIGNING
        assert not found.signed
        again = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert again.state is RequestState.TIMESTAMP_PENDING
    house.clock.move(timedelta(minutes=5))
    await house.opened.sweeping.take_up()
    done = await house.rooms.documents.request(caller, request)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_T)
    assert uses_of(house, request) == 1
    await house.check()


def crowd(count: int) -> list[bytes]:
    """Certificates of about a kilobyte each that have nothing to do with anything."""
    key, made = ec.generate_private_key(ec.SECP256R1()), []
    for number in range(count):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Nobody {number}")])
        filler = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x04\x82\x03\x20" + bytes(800)
        )
        builder = x509.CertificateBuilder(name, name, key.public_key(), number + 1)
        builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(2040, 1, 1, tzinfo=UTC)).add_extension(
            filler, critical=False
        )
        made.append(builder.sign(key, SHA256()).public_bytes(Encoding.DER))
    return made


async def verified(house: House, document: UUID) -> Report:
    return await house.rooms.verifying.verify_kept(house.world.chairman.caller, document)


def kinds(file: bytes) -> list[str]:
    """What stands in the signature fields, in order."""
    with pikepdf.open(io.BytesIO(file)) as pdf:
        return [str(one.V.SubFilter) for one in pdf.Root.AcroForm.Fields]


SIGNATURE, TIMESTAMP = "/ETSI.CAdES.detached", "/ETSI.RFC3161"


@pytest.mark.parametrize(
    ("level", "stand"),
    [(Level.B_T, [SIGNATURE, TIMESTAMP]), (Level.B_LT, [SIGNATURE, TIMESTAMP]), (Level.B_LTA, [SIGNATURE, TIMESTAMP, TIMESTAMP])],
)  # fmt: skip
async def test_a_time_stamp_that_does_not_fit_becomes_one_of_the_document(
    house: House, level: Level, stand: list[str]
) -> None:
    """S3: room was kept for the largest token that was seen; the authority has got a huge chain since."""
    caller, request = house.world.chairman.caller, house.id()
    document = (await house.upload(caller)).id
    with house.world.pki.crowded(partial(crowd, 30)):
        done = await house.sign(caller, document, CHAIRMAN_KEY, level=level, request=request)
        assert (done.state, done.reached) == (RequestState.DONE, level)
        assert kinds(await house.bytes_of(caller, document)) == stand
        signature = (await verified(house, document)).signatures[0]
        assert (signature.level, signature.level_present) == (level.value, level.value)
        assert uses_of(house, request) == 1
        # The next document keeps room for it, inside the signature.
        next_one = (await house.upload(caller)).id
        await house.sign(caller, next_one, CHAIRMAN_KEY)
        assert kinds(await house.bytes_of(caller, next_one)) == [SIGNATURE]
    await house.check()


async def test_a_time_stamp_that_does_not_fit_while_more_is_owed(house: House) -> None:
    """Released as B-T by a document time-stamp; what was owed comes into the document later."""
    caller, request, pki = house.world.chairman.caller, house.id(), house.world.pki
    document = (await house.upload(caller)).id
    with pki.crowded(partial(crowd, 30)):
        with pki.answering("ocsp"), pki.answering("crls"):
            waiting = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LTA, request=request)
            assert (waiting.state, waiting.reached) == (RequestState.REVOCATION_PENDING, Level.B_T)
        house.clock.move(timedelta(minutes=5))
        await house.opened.sweeping.take_up()
    done = await house.rooms.documents.request(caller, request)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_LTA)
    assert kinds(await house.bytes_of(caller, document)) == [SIGNATURE, TIMESTAMP, TIMESTAMP]
    assert (await verified(house, document)).verdict is Verdict.VALID
    assert uses_of(house, request) == 1
    await house.check()


async def test_a_token_larger_than_the_last_for_each_document_time_stamp(house: House) -> None:
    """An authority that adds a certificate to each answer is followed until its token has room."""
    caller, sizes = house.world.chairman.caller, iter((12, 24, 36))
    document = (await house.upload(caller)).id
    with house.world.pki.crowded(lambda: crowd(next(sizes))):
        done = await house.sign(caller, document, CHAIRMAN_KEY)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_T)
    assert kinds(await house.bytes_of(caller, document)) == [SIGNATURE, TIMESTAMP]
    assert list(sizes) == []
    await house.check()


async def test_revocation_data_comes_later(house: House) -> None:
    caller, request, pki = house.world.clerk.caller, house.id(), house.world.pki
    document = (await house.upload(caller)).id
    with pki.answering("ocsp"), pki.answering("crls"):
        waiting = await house.sign(caller, document, "van-thu", level=Level.B_LT, request=request)
        assert waiting.state is RequestState.REVOCATION_PENDING
        assert waiting.reached == Level.B_T
    house.clock.move(timedelta(minutes=5))
    await house.opened.sweeping.take_up()
    done = await house.rooms.documents.request(caller, request)
    assert (done.state, done.reached) == (RequestState.DONE, Level.B_LT)
    assert uses_of(house, request) == 1
    await house.check()


async def test_a_revoked_certificate_touches_no_key(house: House) -> None:
    caller, request, pki = house.world.clerk.caller, house.id(), house.world.pki
    document = (await house.upload(caller)).id
    with pki.revoked("con-dau", house.clock() - timedelta(hours=1)):
        with pytest.raises(CertificateRefused) as refused:
            await house.sign(caller, document, "con-dau", request=request)
        assert refused.value.reason == "REVOKED"
    assert uses_of(house, request) == 0
    ended = await house.rooms.documents.request(caller, request)
    assert ended.state is RequestState.REFUSED
    await house.check()


@pytest.mark.parametrize("kind", ["signature.intended", "signature.delivered"])
async def test_what_cannot_be_recorded_is_not_signed_or_not_released(house: House, kind: str) -> None:
    """P4: somebody keeps the audit trail from being written; when it can be again, it goes on by itself."""
    caller, request, db = house.world.chairman.caller, house.id(), house.opened.db
    document = (await house.upload(caller)).id
    in_the_way = (
        "CREATE TRIGGER in_the_way BEFORE INSERT ON audit_records "
        f"WHEN instr(NEW.body, CAST('{kind}' AS BLOB)) BEGIN SELECT RAISE(ABORT, 'in the way'); END"
    )
    await db.transact(WHOLE_SERVICE, lambda s: s.execute(text(in_the_way)))
    with pytest.raises(DatabaseUnavailable, match="in the way"):
        await house.sign(caller, document, CHAIRMAN_KEY, request=request)
    assert uses_of(house, request) == (kind == "signature.delivered")
    assert not (await house.rooms.documents.get(caller, document)).signed
    await house.check(recovered=False)
    await db.transact(WHOLE_SERVICE, lambda s: s.execute(text("DROP TRIGGER in_the_way")))
    await house.opened.sweeping.take_up()
    assert (await house.rooms.documents.request(caller, request)).state is RequestState.DONE
    assert uses_of(house, request) == 1
    await house.check()


async def test_a_clock_that_jumped_stops_signing(house: House) -> None:
    caller, request = house.world.chairman.caller, house.id()
    document = (await house.upload(caller)).id
    house.clock.jump(timedelta(minutes=10))
    try:
        with pytest.raises(ClockUnsure):
            await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert any(one.code == "clock-off" for one in await house.opened.watch.troubles())
    finally:
        house.clock.jump(-timedelta(minutes=10))
    assert uses_of(house, request) == 0


class Hanging(Fault):
    """Whoever writes waits until it is let go."""

    def __init__(self) -> None:
        super().__init__(0)
        self.over = threading.Event()

    def run(self, call: str, really: Callable[[], Any], error: Callable[[], Exception]) -> Any:
        self.met = call
        self.over.wait(60)
        return really()


async def test_a_second_place_that_hangs_holds_up_nothing_but_signing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: for a moment nobody notices; then nothing is signed, and everybody is told at once instead of waiting."""
    caller, request, hanging = house.world.chairman.caller, house.id(), Hanging()
    before, first, second = [(await house.upload(caller)).id for _ in range(3)]
    await house.sign(caller, before, CHAIRMAN_KEY)  # the record is up to date, however old the home is
    for name in ("CATCHES_UP_WITHIN", "ANSWERS_WITHIN"):
        monkeypatch.setattr(log_keeper, name, 0.1)
    with failing_disk(house.settings.checkpoints, lambda: hanging):
        assert (await house.sign(caller, first, CHAIRMAN_KEY)).state is RequestState.DONE
        house.clock.move(timedelta(minutes=6))
        with pytest.raises(LogBehind):
            await house.sign(caller, second, CHAIRMAN_KEY, request=request)
        assert hanging.met
        assert (await verified(house, first)).verdict is Verdict.VALID
        assert uses_of(house, request) == 0
        async with asyncio.timeout(50):
            for _ in range((os.cpu_count() or 1) + 5):  # one more than the loop has threads
                told = {(one.code, one.stops) for one in await house.opened.watch.troubles()}
        hanging.over.set()
    assert told >= {("checkpoint-place-away", False), ("log-behind", True)}
    await house.opened.sweeping.take_up()
    assert (await house.rooms.documents.request(caller, request)).state is RequestState.DONE
    assert uses_of(house, request) == 1
    await house.check()
