"""Lists that somebody brought: which of them together say what, and whose word counts. What NIST's suite has no case for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust.bag import Bag
from signing.trust.crl import Crl, NotACrl
from signing.trust.path_verdict import PathQuestion, PathVerdict, judge_path
from tests.rooms.signing.trust.making import (
    CA,
    HOUR,
    NOW,
    PERSON,
    Made,
    Terms,
    authority,
    crl,
    issue,
    root,
    trusting,
    usage,
)

ROOT = root()
AN = issue("An", ROOT)
SINCE = datetime(2026, 5, 1, tzinfo=UTC)
REVOKED = (SINCE, x509.ReasonFlags.key_compromise)
HELD = (SINCE, x509.ReasonFlags.certificate_hold)


def judged(one: Made, *lists: bytes, others: tuple[Made, ...] = ()) -> PathVerdict:
    brought = [each.der for each in others]
    read = [Crl(each) for each in lists]
    return judge_path(PathQuestion(one.der, brought, trusting(ROOT), read, NOW, NOW))


def test_an_old_revocation_is_never_outvoted() -> None:
    old = crl(ROOT, {AN.serial: REVOKED}, issued=NOW - timedelta(days=90), until=NOW - timedelta(days=60))
    assert judged(AN, crl(ROOT)).valid
    assert judged(AN, crl(ROOT), old).reason == "revoked"
    assert judged(AN, crl(ROOT), crl(root(), {AN.serial: REVOKED})).valid  # of another with the name


def test_the_newest_list_says_whether_it_is_on_hold() -> None:
    held = crl(ROOT, {AN.serial: HELD}, issued=NOW - 3 * HOUR)
    assert judged(AN, held).reason == "on-hold"
    assert judged(AN, held, crl(ROOT, issued=NOW - HOUR)).valid
    assert judged(AN, crl(ROOT, {AN.serial: HELD}), crl(ROOT, issued=NOW - 3 * HOUR)).reason == "on-hold"


def test_a_list_after_the_end_of_a_certificate_proves_nothing() -> None:
    ended = issue("Cu", ROOT, Terms(years=(2015, 2021)))
    at = datetime(2020, 6, 1, tzinfo=UTC)
    question = PathQuestion(ended.der, [], trusting(ROOT), [Crl(crl(ROOT))], at, NOW)
    assert judge_path(question).detail == "after-expiry"


def test_who_may_sign_lists_does_not_speak_for_himself() -> None:
    signer = issue("Root", ROOT, Terms((usage("crl_sign"),)))  # the root's name, another key
    own = crl(ROOT, key=signer.key)
    assert judged(AN, own, others=(signer,)).reason == "revocation-unknown"
    assert judged(AN, own, crl(ROOT, issued=NOW - 2 * HOUR), others=(signer,)).valid
    revoked = crl(ROOT, {signer.serial: REVOKED})
    found = judged(AN, crl(ROOT, {AN.serial: REVOKED}, key=signer.key), revoked, others=(signer,))
    assert found.valid  # a revoked signer revokes nobody; the root's own list is there


def test_serial_numbers_may_look_like_anything() -> None:
    for odd in (0x0101FF, 0x0603551D1D, 0x300A0603551D1D0101FF):
        assert judged(AN, crl(ROOT, {odd: REVOKED, 7: REVOKED})).valid
        assert judged(AN, crl(ROOT, {odd: REVOKED, AN.serial: REVOKED})).reason == "revoked"


def test_the_right_one_among_many_with_its_name() -> None:
    middle = authority("Middle", ROOT)
    person = issue("An", middle)
    crowd = tuple(authority("Middle", ROOT) for _ in range(300))
    question = PathQuestion(
        person.der, [*(one.der for one in crowd), middle.der], trusting(ROOT), None, NOW, NOW
    )
    verdict = judge_path(question)
    assert verdict.valid and verdict.path[1].der == middle.der
    found, more = Bag(one.der for one in (*crowd, middle)).above(person.read, {ROOT.read.subject})
    assert (found, more) == ([middle.der], False)
    alike = tuple(issue("Middle", ROOT, Terms((*CA,), key=middle.key)) for _ in range(300))
    found, more = Bag(one.der for one in alike).above(person.read, {ROOT.read.subject})
    assert (len(found), more) == (200, True)


INDIRECT = (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True)
SOUND = crl(ROOT, {AN.serial: HELD, 7: REVOKED}, extensions=[INDIRECT])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_whatever_the_bytes_of_a_list_are(at: int, value: int, cut: bool) -> None:
    at %= len(SOUND)
    changed = SOUND[:at] + bytes([value]) + (b"" if cut else SOUND[at + 1 :])
    try:
        verdict = judged(AN, changed)
    except NotACrl:
        return
    assert changed == SOUND or verdict.reason == "revocation-unknown"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.binary(max_size=3))
def test_whatever_the_bytes_of_certificates_are(at: int, value: int, more: bytes) -> None:
    der = AN.der
    at %= len(der)
    changed = der[:at] + bytes([value]) + more + der[at + 1 :]
    question = PathQuestion(changed, [changed], trusting(ROOT), [Crl(crl(ROOT))], NOW, NOW)
    assert judge_path(question).valid is (changed == der)


@pytest.mark.parametrize("terms", [PERSON, CA])
def test_a_list_for_some_only(terms: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    one = issue("One", ROOT, Terms(terms))
    for_users = (x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True)
    for_authorities = (x509.IssuingDistributionPoint(None, None, False, True, None, False, False), True)
    fits, other = (for_users, for_authorities) if terms is PERSON else (for_authorities, for_users)
    assert judged(one, crl(ROOT, extensions=[fits])).valid
    assert judged(one, crl(ROOT, extensions=[other])).reason == "revocation-unknown"
