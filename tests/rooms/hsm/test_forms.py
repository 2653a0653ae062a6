"""What keys of each purpose may sign (K1)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.forms import PROBE_TEXT, fits
from hsm.key import Purpose
from tests.rooms.hsm.tokens import signed_attributes

ATTRIBUTES = signed_attributes(b"")
STAMP = signed_attributes(b"", content_type="2a864886f70d0109100104")
SIGNED_INFO = b'<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:CanonicalizationMethod>'
CERTIFICATE, CRL, OCSP = (
    bytes.fromhex("3005a003020102"),
    bytes.fromhex("3003020101"),
    bytes.fromhex("3002a200"),
)
TEXT = b'{"generation":1,"size":12}'

FITTING = {
    Purpose.SIGNING: {ATTRIBUTES, SIGNED_INFO},
    Purpose.SEAL: {ATTRIBUTES, SIGNED_INFO},
    Purpose.REPORTS: {ATTRIBUTES, SIGNED_INFO},
    Purpose.TIME_STAMPING: {STAMP},
    Purpose.CA: {CERTIFICATE, CRL},
    Purpose.REVOCATION: {CRL, OCSP},
    Purpose.JOBS: {TEXT},
    Purpose.AUDIT: {TEXT},
    Purpose.PROBE: set(),
}


@pytest.mark.parametrize("purpose", Purpose)
def test_each_purpose_signs_its_own_forms_only(purpose: Purpose) -> None:
    every = {ATTRIBUTES, STAMP, SIGNED_INFO, CERTIFICATE, CRL, OCSP, TEXT, PROBE_TEXT, b""}
    assert {one for one in every if fits(purpose, one)} == FITTING[purpose]


@given(st.binary(max_size=80), st.sampled_from(["sha256", "sha384", "sha512"]))
def test_a_bare_digest_fits_nothing(data: bytes, name: str) -> None:
    assert not any(fits(purpose, hashlib.new(name, data).digest()) for purpose in Purpose)


@given(st.binary(max_size=300), st.sampled_from(Purpose))
def test_any_bytes_get_an_answer(data: bytes, purpose: Purpose) -> None:
    fits(purpose, data)


@given(st.integers(0, len(ATTRIBUTES) - 1), st.integers(0, 255))
def test_changed_attributes_get_an_answer(at: int, byte: int) -> None:
    fits(Purpose.SIGNING, ATTRIBUTES[:at] + bytes([byte]) + ATTRIBUTES[at + 1 :])
    assert not fits(Purpose.SIGNING, ATTRIBUTES[:at])
    assert not fits(Purpose.SIGNING, ATTRIBUTES + ATTRIBUTES[:at] if at else b"")
