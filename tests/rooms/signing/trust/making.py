"""Authorities in memory: this file makes certificates, lists and OCSP answers, right ones and wrong ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from signing.trust.anchors import Anchor, TrustSnapshot
from signing.trust.certificate import Certificate, read

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True)
class Made:
    x509: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.x509.public_bytes(Encoding.DER)

    @property
    def read(self) -> Certificate:
        return read(self.der)

    @property
    def serial(self) -> int:
        return self.x509.serial_number


def usage(*which: str) -> Extension:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in which for name in names}), True


CA = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    usage("key_cert_sign", "crl_sign"),
)
PERSON = (usage("digital_signature", "content_commitment"),)


@dataclass(frozen=True)
class Terms:
    """How a certificate is to be."""

    extensions: Sequence[Extension] = PERSON
    years: tuple[int, int] = (2020, 2040)
    key: Key | None = None


USUAL = Terms()


def issue(name: str, by: Made | None = None, terms: Terms = USUAL) -> Made:
    """Self-signed without `by`."""
    key = terms.key or ec.generate_private_key(ec.SECP256R1())
    subject = named(name)
    builder = x509.CertificateBuilder(
        by.x509.subject if by else subject, subject, key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(datetime(terms.years[0], 1, 1)).not_valid_after(
        datetime(terms.years[1], 1, 1)
    )
    for extension, critical in terms.extensions:
        builder = builder.add_extension(extension, critical)
    return Made(builder.sign(by.key if by else key, SHA256()), key)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def root(name: str = "Root", **more: object) -> Made:
    return issue(name, None, Terms(CA, (2015, 2055), **more))  # type: ignore[arg-type]


def authority(name: str, by: Made, *, extensions: Sequence[Extension] = CA) -> Made:
    return issue(name, by, Terms(extensions, (2015, 2050)))


def trusting(*anchors: Made) -> TrustSnapshot:
    return TrustSnapshot(tuple(Anchor(one.der) for one in anchors))


def points_to(crl: str | None = None, ocsp: str | None = None) -> tuple[Extension, ...]:
    """Where a certificate says that its status is told."""
    found: list[Extension] = []
    if crl is not None:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        found.append((x509.CRLDistributionPoints([point]), False))
    if ocsp is not None:
        where = x509.UniformResourceIdentifier(ocsp)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)
        found.append((x509.AuthorityInformationAccess([access]), False))
    return tuple(found)


def crl(
    by: Made,
    revoked: Mapping[int, tuple[datetime, x509.ReasonFlags | None]] | None = None,
    *,
    issued: datetime = NOW - HOUR,
    until: datetime = NOW + HOUR,
    extensions: Iterable[Extension] = (),
    key: Key | None = None,
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(by.x509.subject, issued, until)
    for serial, (since, reason) in (revoked or {}).items():
        entry = x509.RevokedCertificateBuilder(serial, since)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key or by.key, SHA256()).public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Says:
    """What an OCSP answer is to say."""

    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    since: datetime | None = None
    reason: x509.ReasonFlags | None = None
    issued: datetime = NOW - HOUR
    until: datetime | None = NOW + HOUR
    nonce: bytes | None = None


GOOD = Says()


def ocsp_answer(of: Made, issuer: Made, says: Says = GOOD, *, by: Made | None = None) -> bytes:
    """Signed by the issuer, or by a delegate whose certificate goes along."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        of.x509, issuer.x509, SHA256(), says.status, says.issued, says.until, says.since, says.reason
    )
    signer = by or issuer
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.x509)
    if by is not None:
        builder = builder.certificates([by.x509])
    if says.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(says.nonce), False)
    return builder.sign(signer.key, SHA256()).public_bytes(Encoding.DER)


def nonce_of(request: bytes) -> bytes:
    asked = ocsp.load_der_ocsp_request(request)
    return asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
