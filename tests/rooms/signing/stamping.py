"""A time-stamp authority of ours for tests: this file makes its root, its certificate and the key in memory."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsm.key import Holder, HolderKind, KeyDescription, Purpose, SigningKey
from hsm.unsafe_memory_vault import UnsafeKeysWarning, UnsafeMemoryVault
from signing.timestamping.authority import Authority
from signing.trust.anchors import Anchor, TrustSnapshot
from storage.schema import SERVICE

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
POLICY = "1.3.6.1.4.1.99999.1.1"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Root:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @staticmethod
    def make(common: str = "Root of a test") -> Root:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name(common), name(common), key.public_key(), (2015, 2055))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return Root(builder.sign(key, SHA256()), key)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def trust(self) -> TrustSnapshot:
        return TrustSnapshot((Anchor(self.der),))

    def issue(
        self,
        key: PrivateKey,
        *,
        common: str = "TSA of a test",
        purposes: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
        years: tuple[int, int] = (2020, 2040),
    ) -> bytes:
        builder = _builder(name(common), self.certificate.subject, key.public_key(), years)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=critical)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.DER)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    years: tuple[int, int],
) -> x509.CertificateBuilder:
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    return x509.CertificateBuilder(
        issuer,
        subject,
        key,
        x509.random_serial_number(),
        first,
        last,
    )


def opener(
    private: PrivateKey,
    certificate: bytes,
    chain: tuple[bytes, ...] = (),
    purpose: Purpose = Purpose.TIME_STAMPING,
) -> Callable[[], Awaitable[SigningKey]]:
    """Opens a key of the service that lies in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsafeKeysWarning)
        vault = UnsafeMemoryVault()
    holder = Holder(HolderKind.SERVICE, SERVICE)
    vault.add(KeyDescription("tsa", SERVICE, purpose, holder, frozenset(), certificate, chain, ()), private)
    return lambda: vault.open("tsa")


@dataclass(frozen=True)
class Ours:
    """An authority of ours with what it stands on."""

    root: Root
    certificate: bytes
    private: PrivateKey
    authority: Authority

    @property
    def trust(self) -> TrustSnapshot:
        return self.root.trust


def ours(
    clock: Callable[[], datetime] = lambda: NOW,
    *,
    private: PrivateKey | None = None,
    accuracy: timedelta = timedelta(seconds=1),
    key: Callable[[], Awaitable[SigningKey]] | None = None,
    **terms: Any,
) -> Ours:
    """`terms`: of its certificate. `key` opens another key than its own."""
    root, private = Root.make(), private or ec.generate_private_key(ec.SECP256R1())
    certificate = root.issue(private, **terms)
    opened = key or opener(private, certificate, (root.der,))
    authority = Authority(opened, clock=clock, accuracy=lambda: accuracy, policy=POLICY)
    return Ours(root, certificate, private, authority)


def fields_of(response: bytes) -> Any:
    """What asn1crypto, which is not our reader, reads in a granted TimeStampResp."""
    parsed = tsp.TimeStampResp.load(response, strict=True)
    assert parsed["status"]["status"].native == "granted"
    return parsed["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed


def failure_of(response: bytes) -> set[str]:
    """Of a rejection; asn1crypto wants a token in every response, so it is given the status alone."""
    (inner,) = core.SequenceOf.load(response, spec=tsp.PKIStatusInfo, strict=True)
    assert inner["status"].native == "rejection"
    return set(inner["fail_info"].native)
