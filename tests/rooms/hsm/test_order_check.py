"""The last line: which orders are served at all (K1, K2)."""

from dataclasses import replace

import pytest

from hsm.key import Holder, HolderKind, KeyDescription, Mechanism, Purpose, Refusal, SigningOrder
from hsm.order_check import refusal_of
from tests.rooms.hsm.tokens import (
    AGENCY,
    CHAIRMAN,
    CLERK,
    OTHER_AGENCY,
    STRANGER,
    order_for,
    signed_attributes,
)

KEY = KeyDescription(
    "seal", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), frozenset({CLERK}), b"", (), (Mechanism.ECDSA_SHA256,)
)  # fmt: skip
PERSONS_KEY = replace(
    KEY, purpose=Purpose.SIGNING, holder=Holder(HolderKind.PERSON, CHAIRMAN), granted=frozenset({CLERK})
)


def reason(key: KeyDescription, order: SigningOrder, *, persons: bool = True) -> Refusal | None:
    refused = refusal_of(key, order, persons=persons)
    return refused.reason if refused else None


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (order_for(KEY), None),
        (order_for(KEY, person=AGENCY), None),
        (order_for(KEY, agency=OTHER_AGENCY), Refusal.WRONG_AGENCY),
        (order_for(KEY, person=STRANGER), Refusal.NOT_THE_HOLDER),
        (order_for(KEY, to_sign=bytes(32)), Refusal.WRONG_PURPOSE),
        (
            order_for(KEY, to_sign=signed_attributes(content_type="2a864886f70d0109100104")),
            Refusal.WRONG_PURPOSE,
        ),
        (order_for(KEY, mechanism=Mechanism.ECDSA_SHA384), Refusal.WRONG_MECHANISM),
        (order_for(KEY, mechanism=Mechanism.RSA_PKCS1_SHA256), Refusal.WRONG_MECHANISM),
    ],
)
def test_an_agencys_key(order: SigningOrder, expected: Refusal | None) -> None:
    assert reason(KEY, order) is expected


def test_a_persons_key_is_its_holders_alone_whoever_was_granted_it() -> None:
    assert reason(PERSONS_KEY, order_for(PERSONS_KEY, person=CHAIRMAN)) is None
    assert reason(PERSONS_KEY, order_for(PERSONS_KEY, person=CLERK)) is Refusal.NOT_THE_HOLDER


def test_outside_of_development_a_persons_key_wants_a_release() -> None:
    order = order_for(PERSONS_KEY, person=CHAIRMAN)
    assert reason(PERSONS_KEY, order, persons=False) is Refusal.NOT_RELEASED
    assert reason(KEY, order_for(KEY), persons=False) is None
