"""Time-stamps, CRL and OCSP cannot be had: nothing is lost, nothing is signed twice, no level is claimed that is not there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from documents.document import DocumentState, RequestState
from documents.signer_check import CertificateRefused
from hsm.use_log import read_uses
from signing.profile import Level
from signing.timestamping.clock import ClockUnsure
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
