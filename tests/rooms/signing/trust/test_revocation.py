"""Whether it is revoked: by live authorities, by answers that are none, and by what is remembered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.trust.fetcher import Fetcher, Reach
from signing.trust.path import StandingPath, find_path
from signing.trust.revocation import Revocation, Supplied
from signing.trust.status import Gathered, Status, Why
from tests.pki import Pki
from tests.rooms.signing.trust.making import (
    HOUR,
    NOW,
    PERSON,
    Made,
    Says,
    Terms,
    crl,
    issue,
    nonce_of,
    ocsp_answer,
    points_to,
    root,
    trusting,
    usage,
)
from tests.rooms.signing.trust.serving import Server, gives, serving, status
from tests.steering import SteerableClock

LOOPBACK = Reach.allowing(["127.0.0.0/8"])
REVOKED = Says(ocsp.OCSPCertStatus.REVOKED, NOW - HOUR, x509.ReasonFlags.key_compromise)


class Standing:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Case:
    """One certificate below one root, and who answers for it."""

    def __init__(self, server: Server, fetcher: Fetcher | None) -> None:
        self.server, self.clock = server, Standing()
        self.root = root()
        where = points_to(f"{server.address}/crl", f"{server.address}/ocsp")
        self.person = issue("An", self.root, Terms((*PERSON, *where)))
        self.revocation = Revocation(fetcher, clock=self.clock)
        self.path: StandingPath = find_path(self.person.der, [], trusting(self.root), NOW)

    def answers(self, says: Says | bytes | None, *, by: Made | None = None) -> None:
        """OCSP: this, with the nonce that was sent; None: away."""
        if says is None:
            self.server.handlers["/ocsp"] = status("503 Service Unavailable")
        elif isinstance(says, bytes):
            self.server.handlers["/ocsp"] = gives(says)
        else:
            told = says

            def answer(request: bytes) -> bytes:
                nonce = told.nonce if told.nonce is not None else nonce_of(request)
                return ocsp_answer(self.person, self.root, replace(told, nonce=nonce), by=by)

            self.server.handlers["/ocsp"] = gives(answer)

    def lists(self, der: bytes | None) -> None:
        self.server.handlers["/crl"] = gives(der) if der is not None else status("404 Not Found")

    async def check(self, supplied: Supplied = Supplied(), at: datetime | None = None) -> Gathered:  # noqa: B008
        return await self.revocation.check(self.path, at=at or self.clock.now, supplied=supplied)


@asynccontextmanager
async def open_case(*, offline: bool = False) -> AsyncIterator[Case]:
    async with serving() as server, Fetcher(LOOPBACK, seconds=2) as fetcher:
        yield Case(server, None if offline else fetcher)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    async with open_case() as made:
        yield made


# -- what answers


async def test_good_by_ocsp(case: Case) -> None:
    case.answers(Says())
    found = await case.check()
    assert (found.status, found.statuses[0].source, len(found.ocsps), found.crls) == (
        Status.GOOD,
        "ocsp",
        1,
        (),
    )
    assert not case.server.asked["/crl"]


async def test_revoked_by_ocsp(case: Case) -> None:
    case.answers(REVOKED)
    found = await case.check()
    told = found.statuses[0]
    assert (found.status, told.since, told.reason) == (Status.REVOKED, NOW - HOUR, "key_compromise")


async def test_a_delegated_responder_goes_into_the_evidence(case: Case) -> None:
    ends = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    responder = issue("Responder", case.root, Terms((usage("digital_signature"), ends)))
    case.answers(Says(), by=responder)
    found = await case.check()
    assert found.status is Status.GOOD
    assert found.certificates == (*case.path, responder.der)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (None, Why.NOT_REACHED),
        (b"<html>Xin loi</html>", Why.MALFORMED),
        (b"", Why.MALFORMED),
        (Says(nonce=b"someone else's"), Why.NOT_FOR_THIS),
        (Says(issued=NOW - timedelta(days=30), until=NOW - timedelta(days=20)), Why.STALE),
        (Says(issued=NOW + HOUR, until=NOW + 2 * HOUR), Why.FROM_THE_FUTURE),
        (Says(ocsp.OCSPCertStatus.UNKNOWN), Why.NOT_KNOWN_THERE),
    ],
    ids=["away", "garbage", "empty", "wrong nonce", "stale", "future", "not known there"],
)
async def test_what_does_not_count_leads_to_the_list(says: Says | bytes | None, why: Why) -> None:
    async with open_case() as case:
        case.answers(says)
        case.lists(None)
        unknown = await case.check()
        assert (unknown.status, unknown.statuses[0].why) == (Status.UNKNOWN, why)
        assert unknown.ocsps == unknown.crls == ()
    async with open_case() as case:
        case.answers(says)
        case.lists(crl(case.root))
        good = await case.check()
        assert (good.status, good.statuses[0].source, len(good.crls)) == (Status.GOOD, "crl", 1)


async def test_an_impostors_answers_count_for_nothing(case: Case) -> None:
    impostor = root()
    case.answers(ocsp_answer(case.person, impostor))
    case.lists(crl(impostor, {case.person.serial: (NOW - HOUR, None)}))
    found = await case.check()
    assert found.status is Status.UNKNOWN
    case.answers(Says(), by=issue("No right", case.root))
    assert (await case.check()).status is Status.UNKNOWN


async def test_a_certificate_that_names_nobody(case: Case) -> None:
    bare = issue("Binh", case.root)
    path = find_path(bare.der, [], trusting(case.root), NOW)
    found = await case.revocation.check(path, at=NOW)
    assert (found.status, found.statuses[0].why) == (Status.UNKNOWN, Why.NO_ADDRESS)
    # A list that came along counts all the same (T4).
    listed = Supplied(crls=(crl(case.root, {bare.serial: (NOW - HOUR, None)}),))
    assert (await case.revocation.check(path, at=NOW, supplied=listed)).status is Status.REVOKED
    assert not case.server.asked


async def test_an_anchor_is_not_asked_about(case: Case) -> None:
    alone = find_path(case.person.der, [], trusting(case.person), NOW)
    found = await case.revocation.check(alone, at=NOW)
    assert (found.status, found.statuses) == (Status.GOOD, ())
    assert not case.server.asked


# -- what is remembered


async def test_an_answer_is_remembered_for_a_while(case: Case) -> None:
    case.answers(Says())
    await asyncio.gather(*(case.check() for _ in range(20)))
    assert case.server.asked["/ocsp"] == 1
    case.answers(REVOKED)
    assert (await case.check()).status is Status.GOOD
    case.clock.now += timedelta(seconds=20)
    assert (await case.check()).status is Status.REVOKED


async def test_what_was_said_holds_while_nobody_answers(case: Case) -> None:
    case.answers(Says())
    await case.check()
    case.answers(None)
    case.lists(None)
    case.clock.now += timedelta(minutes=30)
    assert (await case.check()).status is Status.GOOD
    case.clock.now += timedelta(minutes=45)  # its own next update is over
    assert (await case.check()).statuses[0].why is Why.STALE


async def test_who_is_away_is_left_in_peace(case: Case) -> None:
    case.answers(None)
    case.lists(None)
    for _ in range(5):
        await case.check()
    assert (case.server.asked["/ocsp"], case.server.asked["/crl"]) == (1, 1)
    case.answers(Says())
    assert (await case.check()).status is Status.UNKNOWN
    case.clock.now += timedelta(seconds=31)
    assert (await case.check()).status is Status.GOOD


async def test_a_bad_answer_is_not_asked_for_again_and_again(case: Case) -> None:
    case.answers(b"garbage")
    case.lists(b"garbage")
    for _ in range(5):
        await case.check()
    assert (case.server.asked["/ocsp"], case.server.asked["/crl"]) == (1, 1)


async def test_a_list_serves_everybody(case: Case) -> None:
    case.answers(None)
    case.lists(crl(case.root, {case.person.serial: (NOW - HOUR, None)}))
    where = points_to(f"{case.server.address}/crl")
    other = issue("Binh", case.root, Terms((*PERSON, *where)))
    assert (await case.check()).status is Status.REVOKED
    path = find_path(other.der, [], trusting(case.root), NOW)
    assert (await case.revocation.check(path, at=NOW)).status is Status.GOOD
    assert case.server.asked["/crl"] == 1


async def test_a_remembered_answer_costs_little(case: Case) -> None:
    case.answers(Says())
    await case.check()
    took = []
    for _ in range(100):
        began = time.process_time()
        await case.check()
        took.append(time.process_time() - began)
    assert sorted(took)[20] < 0.0005


# -- what came along


async def test_what_came_along_needs_no_network() -> None:
    async with open_case(offline=True) as case:
        assert (await case.check()).statuses[0].why is Why.NOT_REACHED
        with_it = Supplied(ocsps=(b"rubbish", ocsp_answer(case.person, case.root)), crls=(b"rubbish",))
        assert (await case.check(with_it)).status is Status.GOOD
        listed = Supplied(crls=(crl(case.root, {case.person.serial: (NOW - HOUR, None)}),))
        assert (await case.check(listed)).status is Status.REVOKED
        assert not case.server.asked


async def test_an_older_answer_that_came_along_hides_no_revocation(case: Case) -> None:
    case.answers(REVOKED)
    old = Supplied(ocsps=(ocsp_answer(case.person, case.root, Says(issued=NOW - timedelta(days=2))),))
    assert (await case.check(old)).status is Status.REVOKED


async def test_one_issued_after_the_time_asked_for_is_enough(case: Case) -> None:
    case.answers(REVOKED)
    came = Supplied(ocsps=(ocsp_answer(case.person, case.root),))
    assert (await case.check(came, at=NOW - 2 * HOUR)).status is Status.GOOD
    assert not case.server.asked


# -- live


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pki, SteerableClock]]:
    clock = SteerableClock()
    with Pki(Path(tmp_path_factory.mktemp("pki")), clock) as pki:
        yield pki, clock


async def test_live_authorities(world: tuple[Pki, SteerableClock]) -> None:
    pki, clock = world
    pki.person("an")
    path = find_path(pki.certificate("an"), pki.chain, pki.trust, clock())
    async with Fetcher(LOOPBACK) as fetcher:
        found = await Revocation(fetcher, clock=clock).check(path, at=clock())
        assert found.status is Status.GOOD
        assert [one.source for one in found.statuses] == ["ocsp", "crl"]
        with pki.answering("ocsp"):
            assert (await Revocation(fetcher, clock=clock).check(path, at=clock())).status is Status.GOOD
            with pki.answering("crls"):
                away = await Revocation(fetcher, clock=clock).check(path, at=clock())
        assert [one.why for one in away.statuses] == [Why.NOT_REACHED, Why.NOT_REACHED]
        with pki.revoked("an", clock() - HOUR):
            revoked = await Revocation(fetcher, clock=clock).check(path, at=clock())
        assert revoked.status is Status.REVOKED
