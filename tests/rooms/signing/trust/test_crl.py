"""Lists of revoked certificates: what they say, of whom, and whose word it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust.crl import EXPIRED_CERTS_ON_CRL, Crl, NotACrl
from signing.trust.status import Moment, Status, Why, judged
from tests.rooms.signing.trust.making import (
    CA,
    HOUR,
    NOW,
    Extension,
    Terms,
    authority,
    crl,
    issue,
    points_to,
    root,
    usage,
)

ROOT = root()
AN = issue("An", ROOT)
SINCE = datetime(2026, 5, 1, tzinfo=UTC)


def test_who_does_not_stand_in_it_is_good() -> None:
    read = Crl(crl(ROOT))
    assert read.issued_by(ROOT.read)
    answer = read.of(AN.read)
    assert (answer.status, answer.this_update, answer.next_update) == (Status.GOOD, NOW - HOUR, NOW + HOUR)


def test_who_stands_in_it_is_revoked_or_on_hold() -> None:
    read = Crl(crl(ROOT, {AN.serial: (SINCE, x509.ReasonFlags.key_compromise)}))
    answer = read.of(AN.read)
    assert (answer.status, answer.since, answer.reason) == (Status.REVOKED, SINCE, "key_compromise")
    assert Crl(crl(ROOT, {AN.serial: (SINCE, None)})).of(AN.read).reason is None
    held = Crl(crl(ROOT, {AN.serial: (SINCE, x509.ReasonFlags.certificate_hold)}))
    assert held.of(AN.read).status is Status.ON_HOLD


def test_whose_word_it_is() -> None:
    same_name = root()
    assert not Crl(crl(same_name)).issued_by(ROOT.read)
    assert not Crl(crl(root("Other"))).issued_by(ROOT.read)
    assert not Crl(crl(ROOT, key=AN.key)).issued_by(ROOT.read)
    no_lists = authority("No lists", ROOT, extensions=(CA[0], usage("key_cert_sign")))
    assert not Crl(crl(no_lists)).issued_by(no_lists.read)


def _point(**more: object) -> Extension:
    terms: dict[str, object] = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False,
        "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**(terms | more)), True  # type: ignore[arg-type]


ELSEWHERE = [x509.UniformResourceIdentifier("http://crl.example/other.crl")]


@pytest.mark.parametrize(
    "extension",
    [
        _point(only_contains_ca_certs=True),
        _point(full_name=ELSEWHERE),
        _point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
        _point(only_contains_attribute_certs=True),
    ],
    ids=["authorities", "another list", "some reasons", "attributes"],
)
def test_a_list_for_others_calls_nobody_good_but_revokes(extension: Extension) -> None:
    answer = Crl(crl(ROOT, extensions=[extension])).of(AN.read)
    assert (answer.status, answer.why) == (Status.UNKNOWN, Why.NOT_FOR_THIS)
    revoked = Crl(crl(ROOT, {AN.serial: (SINCE, None)}, extensions=[extension]))
    assert revoked.of(AN.read).status is Status.REVOKED


def test_the_list_of_its_own_part_counts() -> None:
    here = "http://crl.example/this.crl"
    person = issue("Binh", ROOT, Terms((usage("digital_signature"), *points_to(crl=here))))
    point = _point(full_name=[x509.UniformResourceIdentifier(here)], only_contains_user_certs=True)
    assert Crl(crl(ROOT, extensions=[point])).of(person.read).status is Status.GOOD


@pytest.mark.parametrize(
    "extension",
    [
        _point(indirect_crl=True),
        (x509.DeltaCRLIndicator(1), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True),
    ],
    ids=["indirect", "delta", "critical"],
)
def test_lists_that_are_not_used(extension: Extension) -> None:
    read = Crl(crl(ROOT, {AN.serial: (SINCE, None)}, extensions=[extension]))
    assert read.of(AN.read).why is Why.NOT_FOR_THIS


MOMENT = Moment(at=NOW, now=NOW, max_age=timedelta(days=7))


@pytest.mark.parametrize(
    ("issued", "until", "status", "why"),
    [
        (NOW + HOUR, NOW + 2 * HOUR, Status.UNKNOWN, Why.FROM_THE_FUTURE),
        (NOW, NOW + HOUR, Status.GOOD, None),
        (NOW - timedelta(days=6), NOW + HOUR, Status.GOOD, None),
        (NOW - timedelta(days=8), NOW + HOUR, Status.UNKNOWN, Why.STALE),
        (NOW - timedelta(days=1), NOW - HOUR, Status.UNKNOWN, Why.STALE),
    ],
)
def test_when_it_counts(issued: datetime, until: datetime, status: Status, why: Why | None) -> None:
    answer = judged(Crl(crl(ROOT, issued=issued, until=until)).of(AN.read), AN.read, MOMENT)
    assert (answer.status, answer.why) == (status, why)


def test_after_the_end_of_a_certificate_it_proves_nothing_unless_it_says_so() -> None:
    ended = issue("Cu", ROOT, Terms(years=(2015, 2021)))
    moment = Moment(datetime(2020, 6, 1, tzinfo=UTC), NOW, timedelta(days=7))
    assert judged(Crl(crl(ROOT)).of(ended.read), ended.read, moment).why is Why.AFTER_EXPIRY
    for since, status in ((b"20200101000000Z", Status.GOOD), (b"20220101000000Z", Status.UNKNOWN)):
        reaches = (
            x509.UnrecognizedExtension(
                x509.ObjectIdentifier(EXPIRED_CERTS_ON_CRL.dotted_string), b"\x18\x0f" + since
            ),
            False,
        )
        answer = Crl(crl(ROOT, extensions=[reaches])).of(ended.read)
        assert judged(answer, ended.read, moment).status is status
    old = Crl(crl(ROOT, {ended.serial: (SINCE, None)})).of(ended.read)
    assert judged(old, ended.read, moment).status is Status.REVOKED


def test_a_long_list_is_asked_quickly() -> None:
    long = crl(ROOT, {serial: (SINCE, None) for serial in range(1, 20_000)})
    read = Crl(long)
    assert read.issued_by(ROOT.read)
    read.of(AN.read)
    began = time.process_time()
    for _ in range(100):
        assert read.of(AN.read).status is Status.GOOD
    assert time.process_time() - began < 0.1


SOUND = crl(ROOT, {AN.serial: (SINCE, x509.ReasonFlags.superseded)})


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_whatever_the_bytes_are(at: int, value: int, cut: bool) -> None:
    at %= len(SOUND)
    changed = SOUND[:at] + bytes([value]) + (b"" if cut else SOUND[at + 1 :])
    try:
        read = Crl(changed)
    except NotACrl:
        return
    assert changed == SOUND or not read.issued_by(ROOT.read)
    read.of(AN.read)
