"""OCSP answers: who may give them, of whom they speak, and that bytes alone convince nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust.ocsp import NotAnOcspAnswer, ocsp_request, read_ocsp
from signing.trust.status import Answer, Status, Why
from tests.rooms.signing.trust.making import (
    GOOD,
    HOUR,
    NOW,
    Made,
    Says,
    Terms,
    issue,
    nonce_of,
    ocsp_answer,
    root,
    usage,
)

ROOT = root()
AN = issue("An", ROOT)
ENTITLED = (usage("digital_signature"), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False))
RESPONDER = issue("Responder", ROOT, Terms(ENTITLED))


def told(says: Says = GOOD, *, by: Made | None = None, nonce: bytes | None = None) -> Answer:
    return read_ocsp(ocsp_answer(AN, ROOT, says, by=by)).of(AN.read, ROOT.read, nonce=nonce)


def test_by_the_issuer_itself() -> None:
    answer = told()
    assert (answer.status, answer.this_update, answer.next_update) == (Status.GOOD, NOW - HOUR, NOW + HOUR)
    assert answer.responder is None


def test_by_a_responder_that_the_issuer_entitled() -> None:
    assert told(by=RESPONDER).responder == RESPONDER.der


@pytest.mark.parametrize(
    "by",
    [
        issue("No right", ROOT),
        issue("Responder", root("Another"), Terms(ENTITLED)),
        issue("Too late", ROOT, Terms(ENTITLED, (2020, 2021))),
        AN,
    ],
    ids=["no right", "another authority", "expired", "the certificate itself"],
)
def test_by_nobody_else(by: Made) -> None:
    answer = told(by=by)
    assert (answer.status, answer.why) == (Status.UNKNOWN, Why.RESPONDER)


def test_what_it_says() -> None:
    since = datetime(2026, 5, 1, tzinfo=UTC)
    says = Says(ocsp.OCSPCertStatus.REVOKED, since, x509.ReasonFlags.key_compromise)
    answer = told(says)
    assert (answer.status, answer.since, answer.reason) == (Status.REVOKED, since, "key_compromise")
    held = told(Says(ocsp.OCSPCertStatus.REVOKED, since, x509.ReasonFlags.certificate_hold))
    assert held.status is Status.ON_HOLD
    unknown = told(Says(ocsp.OCSPCertStatus.UNKNOWN))
    assert (unknown.status, unknown.why) == (Status.UNKNOWN, Why.NOT_KNOWN_THERE)


def test_of_whom_it_speaks() -> None:
    answer = read_ocsp(ocsp_answer(AN, ROOT))
    assert answer.of(issue("Binh", ROOT).read, ROOT.read).why is Why.NOT_FOR_THIS
    assert answer.of(AN.read, root().read).why is Why.NOT_FOR_THIS


def test_a_nonce_that_comes_back_must_be_ours() -> None:
    request = ocsp_request(AN.read, ROOT.read, b"n" * 32)
    assert nonce_of(request) == b"n" * 32
    assert ocsp.load_der_ocsp_request(request).serial_number == AN.serial
    assert told(Says(nonce=b"n" * 32), nonce=b"n" * 32).status is Status.GOOD
    assert told(Says(nonce=b"m" * 32), nonce=b"n" * 32).why is Why.NOT_FOR_THIS
    assert told(nonce=b"n" * 32).status is Status.GOOD


def test_no_answer_is_none() -> None:
    busy = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    from cryptography.hazmat.primitives.serialization import Encoding

    for bytes_ in (busy.public_bytes(Encoding.DER), b"", b"<html>", ROOT.der):
        with pytest.raises(NotAnOcspAnswer):
            read_ocsp(bytes_)


SOUND = ocsp_answer(AN, ROOT, by=RESPONDER)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4000), st.integers(0, 255), st.booleans())
def test_whatever_the_bytes_are(at: int, value: int, cut: bool) -> None:
    at %= len(SOUND)
    changed = SOUND[:at] + bytes([value]) + (b"" if cut else SOUND[at + 1 :])
    try:
        answer = read_ocsp(changed).of(AN.read, ROOT.read)
    except NotAnOcspAnswer:
        return
    # What is not signed may differ; what is said is what was signed.
    assert answer.status in {Status.GOOD, Status.UNKNOWN}
