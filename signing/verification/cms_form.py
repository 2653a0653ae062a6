"""What a CMS SignedData of one signer says, as plain data: this file holds its form, its oddities and its failures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from signing.trust.signature import Scheme

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
OCSP_RESPONSE = "1.3.6.1.5.5.7.16.2"  # RFC 5940

MAX_SIZE = 32 << 20  # bytes; whole CRLs may lie inside
MOST_CERTIFICATES = 256
MOST_REVOCATIONS = 256
MOST_SIGNERS = 64  # of a signature that is a file of its own

HASHES = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.7": "sha3_224",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
}

# The closed list of oddities.
NOT_DER = "NOT_DER"  # BER that DER would write differently, or signed attributes out of order
TRAILING_BYTES = "TRAILING_BYTES"  # behind the structure stands more than zeros
WRONG_VERSION = "WRONG_VERSION"  # a version number does not fit what stands there
DIGEST_NOT_LISTED = "DIGEST_NOT_LISTED"  # digestAlgorithms is not just the signer's
DIGEST_MISMATCH = (
    "DIGEST_MISMATCH"  # the signature algorithm hashes by another algorithm than the signer says
)
ODD_PARAMETERS = "ODD_PARAMETERS"  # an algorithm with parameters that it does not have
DUPLICATE_ATTRIBUTE = "DUPLICATE_ATTRIBUTE"
UNKNOWN_SIGNED_ATTRIBUTE = "UNKNOWN_SIGNED_ATTRIBUTE"
UNKNOWN_UNSIGNED_ATTRIBUTE = "UNKNOWN_UNSIGNED_ATTRIBUTE"
UNREADABLE_ATTRIBUTE = "UNREADABLE_ATTRIBUTE"
NO_SIGNED_ATTRIBUTES = "NO_SIGNED_ATTRIBUTES"
CERTIFICATE_NOT_NAMED = "CERTIFICATE_NOT_NAMED"  # neither signing-certificate nor signing-certificate-v2
ISSUER_SERIAL_MISMATCH = (
    "ISSUER_SERIAL_MISMATCH"  # a hint names another certificate, or its issuer is spelled otherwise
)
UNREADABLE_CERTIFICATE = "UNREADABLE_CERTIFICATE"
UNREADABLE_REVOCATION = "UNREADABLE_REVOCATION"
PLAIN_ECDSA = "PLAIN_ECDSA"  # r and s side by side instead of a SEQUENCE
FLAWS = frozenset({
    NOT_DER, TRAILING_BYTES, WRONG_VERSION, DIGEST_NOT_LISTED, DIGEST_MISMATCH, ODD_PARAMETERS, DUPLICATE_ATTRIBUTE,
    UNKNOWN_SIGNED_ATTRIBUTE, UNKNOWN_UNSIGNED_ATTRIBUTE, UNREADABLE_ATTRIBUTE, NO_SIGNED_ATTRIBUTES,
    CERTIFICATE_NOT_NAMED, ISSUER_SERIAL_MISMATCH, UNREADABLE_CERTIFICATE, UNREADABLE_REVOCATION, PLAIN_ECDSA,
})  # fmt: skip

Sub = Literal["HASH_FAILURE", "SIG_CRYPTO_FAILURE", "FORMAT_FAILURE", "NO_SIGNING_CERTIFICATE_FOUND"]


class NotSignedData(ValueError):
    """The bytes are no SignedData of exactly one signer."""


class UnknownAlgorithm(NotSignedData):
    """A SignedData by an algorithm that cannot be judged here."""


class Broken(Exception):
    """The signature does not hold. `sub` by its ETSI name (EN 319 102-1 table 5)."""

    def __init__(self, sub: Sub, why: str) -> None:
        super().__init__(sub, why)
        self.sub: Sub = sub
        self.why = why


class NotJudged(Broken):
    """Whether it holds cannot be said here: nobody here computes with keys of this kind."""


@dataclass(frozen=True)
class SignedData:
    """`signed_attributes` is the DER SET that was signed; types are dotted, as they stand. `fault` is what makes the
    signature FORMAT_FAILURE, however its bytes compute."""

    content_type: str  # dotted
    content: bytes | None
    certificates: tuple[bytes, ...]
    signer: bytes | None
    digest_name: str  # as hashlib names it
    scheme: Scheme
    signed_attributes: bytes | None
    message_digest: bytes | None
    signature: bytes
    timestamps: tuple[bytes, ...] = ()
    content_timestamps: tuple[bytes, ...] = ()
    claimed_time: datetime | None = None
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    flaws: tuple[str, ...] = ()
    signed_types: tuple[str, ...] = ()
    unsigned_types: tuple[str, ...] = ()
    fault: str | None = None
