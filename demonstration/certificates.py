"""What stands in the certificates of the demonstration authority (RFC 5280 4.2): this file builds them.

- DEMO stands in every subject, and a policy of our own in every certificate (K6).
- Their addresses lead to `demonstration/server.py` on this host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Kind = Literal["signing", "seal", "time-stamping"]

POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.2.1")
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
DEMO = "DEMO"
CRL_PATHS = {"root": "/root.crl", "issuing": "/issuing.crl"}
CERTIFICATE_PATHS = {"root": "/root.cer", "issuing": "/issuing.cer"}
OCSP_PATH = "/ocsp"

_BEFORE = timedelta(hours=1)  # clocks that run behind ours
_ROOT, _ISSUING, _STAMPS, _HOLDER = (timedelta(days=365 * years) for years in (25, 20, 15, 5))


@dataclass(frozen=True)
class Named:
    """An authority: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def hashes(self, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
        """Of its name and its key, as an OCSP request names an issuer (RFC 6960 4.1.1)."""
        bits = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _hash(algorithm, self.certificate.subject.public_bytes()), _hash(algorithm, bits)


def of_root(key: ec.EllipticCurvePrivateKey, *, now: datetime) -> x509.Certificate:
    builder = _begun(_authority("DEMO Root CA"), key.public_key(), _authority("DEMO Root CA"), now, _ROOT)
    return _as_authority(builder, path_length=1).sign(key, hashes.SHA256())


def of_issuing(
    key: ec.EllipticCurvePrivateKey, root: Named, address: str, *, now: datetime
) -> x509.Certificate:
    subject = _authority("DEMO Issuing CA")
    builder = _begun(subject, key.public_key(), root.certificate.subject, now, _ISSUING)
    builder = _with_addresses(_as_authority(builder, path_length=0), "root", address, ocsp=False)
    return builder.add_extension(authority_key(root), critical=False).sign(root.key, hashes.SHA256())


def of_holder(
    request: x509.CertificateSigningRequest, kind: Kind, issuer: Named, address: str, *, now: datetime
) -> x509.Certificate:
    lasts = _STAMPS if kind == "time-stamping" else _HOLDER
    public_key = request.public_key()
    builder = _begun(_demo(request.subject), public_key, issuer.certificate.subject, now, lasts)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    builder = builder.add_extension(authority_key(issuer), critical=False)
    builder = _with_addresses(builder, "issuing", address, ocsp=True)
    # RFC 3161 2.3: exactly this purpose, and critical.
    stamps = [ExtendedKeyUsageOID.TIME_STAMPING]
    purposes = stamps if kind == "time-stamping" else [DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=purposes is stamps)
    return builder.sign(issuer.key, hashes.SHA256())


def authority_key(issuer: Named) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _begun(
    subject: x509.Name, public_key: CertificatePublicKeyTypes, issuer: x509.Name, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:  # fmt: skip
    now = now.astimezone(UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
    builder = builder.not_valid_before(now - _BEFORE).not_valid_after(now + lasts)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    policies = x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)])
    return builder.add_extension(policies, critical=False)


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(_usage(signs=False), critical=True)


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Of a holder, or of an authority, which signs its OCSP answers itself (hence digitalSignature there too)."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=signs, key_cert_sign=not signs, crl_sign=not signs,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _with_addresses(
    builder: x509.CertificateBuilder, issuer: str, address: str, *, ocsp: bool
) -> x509.CertificateBuilder:
    point = x509.DistributionPoint([_uri(address + CRL_PATHS[issuer])], None, None, None)
    builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    access = [(AuthorityInformationAccessOID.CA_ISSUERS, CERTIFICATE_PATHS[issuer])]
    if ocsp:
        access.insert(0, (AuthorityInformationAccessOID.OCSP, OCSP_PATH))
    listed = [x509.AccessDescription(method, _uri(address + path)) for method, path in access]
    return builder.add_extension(x509.AuthorityInformationAccess(listed), critical=False)


def _uri(address: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(address)


def _authority(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ấn Tín DEMO"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _demo(subject: x509.Name) -> x509.Name:
    """The name that was asked for; where it does not say DEMO itself, a part more says it."""
    if any(DEMO in str(one.value) for one in subject):
        return subject
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, DEMO)
    parts: Sequence[x509.RelativeDistinguishedName] = subject.rdns
    return x509.Name([*parts[:-1], x509.RelativeDistinguishedName([unit]), *parts[-1:]])


def _hash(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
