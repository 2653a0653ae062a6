"""One SignedData, read strictly and checked: ours, OpenSSL's by every algorithm, and whatever bytes somebody brings."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from hsm.key import Mechanism
from signing import cms
from signing.verification.signed_data import (
    DATA,
    FLAWS,
    Broken,
    NotSignedData,
    SignedData,
    UnknownAlgorithm,
    check_signed_data,
    read_signed_data,
)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
DIGEST = hashlib.sha256(b"the document").digest()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def certificate(key: Key, serial: int = 2**127 + 9, common: str = "Người ký") -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2040))
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, first, last)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = builder.add_extension(public, critical=False)
    signed = made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


RSA_CERTIFICATE, EC_CERTIFICATE = certificate(RSA), certificate(EC)


def by_rsa(to_sign: bytes) -> bytes:
    return RSA.sign(to_sign, padding.PKCS1v15(), hashes.SHA256())


def made(
    mechanism: Mechanism = Mechanism.RSA_PKCS1_SHA256,
    signing: Callable[[bytes], bytes] = by_rsa,
    der: bytes = RSA_CERTIFICATE,
) -> bytes:
    """Ours, over DIGEST."""
    template = cms.template(der, (), mechanism)
    to_sign = template.to_sign(DIGEST)
    return template.signed_data(to_sign, signing(to_sign))


OURS = made()


def sub_of(der: bytes, digest: bytes = DIGEST) -> str | None:
    """None where it holds."""
    try:
        check_signed_data(read_signed_data(der), digest)
    except Broken as broken:
        return broken.sub
    return None


def test_ours_holds_without_a_flaw() -> None:
    data = read_signed_data(OURS + bytes(100))
    check_signed_data(data, DIGEST)
    assert (data.flaws, data.fault, data.content_type, data.content) == ((), None, DATA, None)
    assert (data.signer, data.certificates) == (RSA_CERTIFICATE, (RSA_CERTIFICATE,))
    assert data.message_digest == DIGEST
    assert data.claimed_time is None
    assert sub_of(OURS, hashlib.sha256(b"another").digest()) == "HASH_FAILURE"


def test_what_stands_behind_it_is_noted() -> None:
    assert read_signed_data(OURS + b"\0\1").flaws == ("TRAILING_BYTES",)


def test_both_forms_of_an_elliptic_signature() -> None:
    def sequence(to_sign: bytes) -> bytes:
        return EC.sign(to_sign, ec.ECDSA(hashes.SHA256()))

    def plain(to_sign: bytes) -> bytes:
        return b"".join(one.to_bytes(32, "big") for one in decode_dss_signature(sequence(to_sign)))

    assert sub_of(made(Mechanism.ECDSA_SHA256, sequence, EC_CERTIFICATE)) is None
    side_by_side = made(Mechanism.ECDSA_SHA256, plain, EC_CERTIFICATE)
    assert read_signed_data(side_by_side).flaws == ("PLAIN_ECDSA",)
    assert sub_of(side_by_side) is None


def test_no_flipped_bit_passes() -> None:
    """Every bit of ours is signed, or fixed by what is signed, or what changed is noted, or the certificate is another."""
    for bit in range(len(OURS) * 8):
        changed = bytearray(OURS)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            data = read_signed_data(bytes(changed))
            check_signed_data(data, DIGEST)
        except (NotSignedData, Broken):
            continue
        assert data.flaws or data.certificates != (RSA_CERTIFICATE,), bit
        assert set(data.flaws) <= FLAWS


@given(st.integers(0, len(OURS) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_edits_raise_nothing_else(at: int, put: bytes, taken: int) -> None:
    changed = OURS[:at] + put + OURS[at + taken :]
    try:
        data = read_signed_data(changed)
        check_signed_data(data, DIGEST)
    except (NotSignedData, Broken):
        return
    assert changed == OURS or data.flaws or data.certificates != (RSA_CERTIFICATE,) or not any(put)


@given(st.integers(0, len(OURS) - 1))
def test_no_begin_is_enough(end: int) -> None:
    with pytest.raises(NotSignedData):
        read_signed_data(OURS[:end])


@given(st.binary(max_size=200))
def test_any_bytes(der: bytes) -> None:
    with pytest.raises(NotSignedData):
        read_signed_data(der)


def test_bombs_end() -> None:
    for bomb in (b"\x30\x80" * 100_000, b"\x30\x84\xff\xff\xff\xff", bytes(33 << 20)):
        with pytest.raises(NotSignedData):
            read_signed_data(bomb)


# -- put together by hand


SHA256, SHA384 = (bytes.fromhex("06096086480165030402" + last) for last in ("01", "02"))
ID_DATA, ID_SIGNED_DATA = (bytes.fromhex("06092a864886f70d0107" + last) for last in ("01", "02"))
ID_CONTENT_TYPE, ID_MESSAGE_DIGEST = (bytes.fromhex("06092a864886f70d0109" + last) for last in ("03", "04"))
ID_SIGNING_CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")
RSA_WITH_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
HASHED = cms.der(b"\x30", SHA256)


def named_by(der: bytes) -> bytes:
    """Issuer and serial number."""
    tbs = asn1_x509.Certificate.load(der)["tbs_certificate"]
    return cms.der(b"\x30", tbs["issuer"].dump(), tbs["serial_number"].dump())


def rebuilt(
    attributes: list[bytes] | None = None, *, name: bytes | None = None, more: bytes = b"", signers: int = 1
) -> bytes:
    """SignedData with these signed attributes, signed anew; `name` is another signer's identifier, `more` are further
    certificates."""
    listed = sorted(attributes if attributes is not None else ATTRIBUTES)
    to_sign = cms.der(b"\x31", *listed)
    signer = cms.der(
        b"\x30", b"\x02\x01\x01", name or named_by(RSA_CERTIFICATE), HASHED, b"\xa0" + to_sign[1:],
        RSA_WITH_SHA256, cms.der(b"\x04", by_rsa(to_sign)),
    )  # fmt: skip
    certificates = cms.der(b"\xa0", *sorted([RSA_CERTIFICATE, *([more] if more else [])]))
    data = cms.der(b"\x30", ID_DATA)
    body = b"\x02\x01\x01" + cms.der(b"\x31", HASHED) + data + certificates
    return cms.der(
        b"\x30",
        ID_SIGNED_DATA,
        cms.der(b"\xa0", cms.der(b"\x30", body, cms.der(b"\x31", *[signer] * signers))),
    )


def names(der: bytes) -> bytes:
    """signing-certificate-v2."""
    essence = cms.der(b"\x30", cms.der(b"\x04", hashlib.sha256(der).digest()))
    return attribute(ID_SIGNING_CERTIFICATE_V2, cms.der(b"\x30", cms.der(b"\x30", essence)))


def attribute(type_: bytes, *values: bytes) -> bytes:
    return cms.der(b"\x30", type_, cms.der(b"\x31", *values))


TYPE = attribute(ID_CONTENT_TYPE, ID_DATA)
MESSAGE = attribute(ID_MESSAGE_DIGEST, cms.der(b"\x04", DIGEST))
NAMED = names(RSA_CERTIFICATE)
ATTRIBUTES = [TYPE, MESSAGE, NAMED]
OTHER_TYPE = attribute(ID_CONTENT_TYPE, ID_SIGNED_DATA)
UNKNOWN = attribute(bytes.fromhex("06032a0304"), b"\x05\x00")


def test_by_hand_as_ours() -> None:
    assert rebuilt() == OURS


@pytest.mark.parametrize(
    ("attributes", "sub"),
    [
        ([TYPE, NAMED], "FORMAT_FAILURE"),
        ([MESSAGE, NAMED], "FORMAT_FAILURE"),
        ([OTHER_TYPE, MESSAGE, NAMED], "FORMAT_FAILURE"),
        ([TYPE, TYPE, MESSAGE, NAMED], "FORMAT_FAILURE"),
        ([TYPE, MESSAGE, MESSAGE, NAMED], "FORMAT_FAILURE"),
        ([TYPE, attribute(ID_MESSAGE_DIGEST, *[cms.der(b"\x04", DIGEST)] * 2), NAMED], "FORMAT_FAILURE"),
        ([TYPE, MESSAGE, names(EC_CERTIFICATE)], "NO_SIGNING_CERTIFICATE_FOUND"),
    ],
)  # fmt: skip
def test_attributes_that_break_it(attributes: list[bytes], sub: str) -> None:
    assert sub_of(rebuilt(attributes)) == sub


@pytest.mark.parametrize(
    ("attributes", "flaw"),
    [
        ([*ATTRIBUTES, UNKNOWN], "UNKNOWN_SIGNED_ATTRIBUTE"),
        ([TYPE, MESSAGE], "CERTIFICATE_NOT_NAMED"),
        ([*ATTRIBUTES, NAMED], "DUPLICATE_ATTRIBUTE"),
    ],
)
def test_attributes_that_are_odd(attributes: list[bytes], flaw: str) -> None:
    der = rebuilt(attributes)
    assert flaw in read_signed_data(der).flaws
    assert sub_of(der) is None


def test_the_certificate_is_the_one_that_is_named() -> None:
    """Same issuer and serial number, another key: the digest decides."""
    twin = certificate(EC)
    data = read_signed_data(rebuilt(more=twin))
    assert (data.signer, set(data.certificates)) == (RSA_CERTIFICATE, {RSA_CERTIFICATE, twin})
    check_signed_data(data, DIGEST)
    other = named_by(certificate(EC, 77, "Ai khác"))
    assert sub_of(rebuilt(name=other)) == "NO_SIGNING_CERTIFICATE_FOUND"


def test_exactly_one_signer() -> None:
    with pytest.raises(NotSignedData):
        read_signed_data(rebuilt(signers=2))


def test_an_algorithm_that_nobody_knows() -> None:
    with pytest.raises(UnknownAlgorithm):
        read_signed_data(OURS.replace(SHA256, SHA256[:-1] + b"\x63"))


def test_digest_algorithms_are_the_signers() -> None:
    hashed = SHA256
    data = read_signed_data(OURS.replace(hashed, SHA384, 1))
    assert data.flaws == ("DIGEST_NOT_LISTED",)


@pytest.mark.parametrize(
    ("key", "digest", "identifier", "algorithm"),
    [
        (RSA, "sha3_256", "0609608648016503040208", "060960864801650304030e"),
        (RSA, "sha3_512", "060960864801650304020a", "0609608648016503040310"),
        (EC, "sha3_256", "0609608648016503040208", "060960864801650304030a"),
        (EC, "sha256", "0609608648016503040201", "060a04007f00070101040103"),
        (ED, "sha512", "0609608648016503040203", "06032b6570"),
    ],
)
def test_what_openssl_does_not_write(key: Key, digest: str, identifier: str, algorithm: str) -> None:
    """SHA-3 (RFC 9688), plain ECDSA by its own name (BSI TR-03111), Ed25519 (RFC 8419)."""
    der, hashed = certificate(key), cms.der(b"\x30", bytes.fromhex(identifier))
    over = hashlib.new(digest, b"the document").digest()
    named = cms.der(b"\x30", hashed, cms.der(b"\x04", hashlib.new(digest, der).digest()))
    attributes = [
        TYPE,
        attribute(ID_MESSAGE_DIGEST, cms.der(b"\x04", over)),
        attribute(ID_SIGNING_CERTIFICATE_V2, cms.der(b"\x30", cms.der(b"\x30", named))),
    ]
    to_sign = cms.der(b"\x31", *sorted(attributes))
    chosen = {"sha256": hashes.SHA256(), "sha3_256": hashes.SHA3_256(), "sha3_512": hashes.SHA3_512()}
    match key:
        case rsa.RSAPrivateKey():
            signature = key.sign(to_sign, padding.PKCS1v15(), chosen[digest])
        case ec.EllipticCurvePrivateKey():
            signature = key.sign(to_sign, ec.ECDSA(chosen[digest]))
        case _:
            signature = key.sign(to_sign)
    signer = cms.der(
        b"\x30", b"\x02\x01\x01", named_by(der), hashed, b"\xa0" + to_sign[1:],
        cms.der(b"\x30", bytes.fromhex(algorithm)), cms.der(b"\x04", signature),
    )  # fmt: skip
    parts = [b"\x02\x01\x01", cms.der(b"\x31", hashed), cms.der(b"\x30", ID_DATA), cms.der(b"\xa0", der)]
    whole = cms.der(b"\x30", *parts, cms.der(b"\x31", signer))
    data = read_signed_data(cms.der(b"\x30", ID_SIGNED_DATA, cms.der(b"\xa0", whole)))
    assert (data.digest_name, data.flaws) == (digest, ())
    check_signed_data(data, over)
    with pytest.raises(Broken):
        check_signed_data(replace(data, signature=bytes(len(signature))), over)


# -- what others write


def openssl(folder: Path, key: Key, der: bytes, *how: str) -> SignedData:
    """OpenSSL's over b"the document"."""
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    (folder / "certificate.pem").write_bytes(pem)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "content").write_bytes(b"the document")
    out = folder / "signed.der"
    command = ["openssl", "cms", "-sign", "-binary", "-in", "content", "-signer", "certificate.pem", "-inkey", "key.pem"]  # fmt: skip
    subprocess.run([*command, "-outform", "DER", "-out", out.name, *how], cwd=folder, check=True)
    return read_signed_data(out.read_bytes())


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize(
    "how", [["-cades"], ["-noattr"], ["-nodetach"], ["-stream"], ["-keyid"]], ids=" ".join
)
@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "ec"])
def test_openssl(tmp_path: Path, key: Key, how: list[str], digest: str) -> None:
    data = openssl(tmp_path, key, certificate(key), "-md", digest, *how)
    over = hashlib.new(data.digest_name, b"the document").digest()
    check_signed_data(data, over)
    assert ("NO_SIGNED_ATTRIBUTES" in data.flaws) is ("-noattr" in how)
    assert set(data.flaws) <= {"NO_SIGNED_ATTRIBUTES", "CERTIFICATE_NOT_NAMED", "NOT_DER", "ODD_PARAMETERS"}
    assert (data.claimed_time is None) is ("-noattr" in how)
    with pytest.raises(Broken):
        check_signed_data(data, hashlib.new(data.digest_name, b"another").digest())


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("salt", ["digest", "20", "0"])
def test_pss(tmp_path: Path, digest: str, salt: str) -> None:
    how = ["-cades", "-md", digest, "-keyopt", "rsa_padding_mode:pss", "-keyopt", f"rsa_pss_saltlen:{salt}"]
    data = openssl(tmp_path, RSA, RSA_CERTIFICATE, *how)
    assert (data.scheme.kind, data.scheme.hash_name) == ("rsassa_pss", digest)
    check_signed_data(data, hashlib.new(digest, b"the document").digest())
    # The parameters are not signed, but what they say is computed with.
    with pytest.raises(Broken):
        check_signed_data(
            replace(data, scheme=replace(data.scheme, salt=17)), hashlib.new(digest, b"the document").digest()
        )


def test_the_form_with_sha1_inside(tmp_path: Path) -> None:
    """adbe.pkcs7.sha1: the content is the digest of the document (ISO 32000-1 12.8.3.3.1)."""
    data = openssl(tmp_path, RSA, RSA_CERTIFICATE, "-nodetach", "-md", "sha1", "-noattr")
    assert data.content == b"the document"
    check_signed_data(data, hashlib.sha1(b"the document").digest())
