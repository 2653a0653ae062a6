"""What a key is for (V5)."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from signing.trust.purpose import Unfit, unfit_to_sign
from tests.rooms.signing.trust.making import Extension, Terms, issue, usage

SIGN = usage("digital_signature")
DOCUMENTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
MICROSOFT = x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12")


def eku(*purposes: x509.ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage(purposes), False


@pytest.mark.parametrize(
    ("extensions", "unfit"),
    [
        ((), None),
        ((SIGN,), None),
        ((usage("content_commitment"),), None),
        ((usage("key_encipherment"),), Unfit.USAGE),
        ((SIGN, eku(DOCUMENTS)), None),
        ((SIGN, eku(Eku.ANY_EXTENDED_KEY_USAGE)), None),
        ((SIGN, eku(MICROSOFT)), None),
        # The Government's, of 2014 and 2019.
        ((SIGN, eku(Eku.CLIENT_AUTH, Eku.EMAIL_PROTECTION, Eku.SMARTCARD_LOGON)), None),
        ((SIGN, eku(Eku.SERVER_AUTH, Eku.CLIENT_AUTH)), Unfit.PURPOSE),
        ((SIGN, eku(Eku.TIME_STAMPING)), Unfit.PURPOSE),
        ((eku(Eku.SERVER_AUTH),), Unfit.PURPOSE),
    ],
)
def test_fit_to_sign(extensions: tuple[Extension, ...], unfit: Unfit | None) -> None:
    assert unfit_to_sign(issue("An", None, Terms(extensions)).read) is unfit


def test_what_a_policy_lists_besides() -> None:
    tls = issue("An", None, Terms((SIGN, eku(Eku.SERVER_AUTH)))).read
    assert unfit_to_sign(tls, frozenset({Eku.SERVER_AUTH.dotted_string})) is None
    assert unfit_to_sign(issue("An", None, Terms((SIGN, eku(MICROSOFT)))).read, frozenset()) is Unfit.PURPOSE
