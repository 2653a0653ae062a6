"""What changes the book of keys: this file makes keys, asks for their certificates, takes certificates in and says who
may use a key. It runs inside the token process.

- A certificate is taken in only if it is over the key in the token, has not ended, fits its purpose, and its chain leads on
  from it, link by link.
- The request for a certificate is signed by the new key itself (RFC 2986), with a line in the use log.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pkcs11
from asn1crypto import algos, csr, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from hsm import token_keys
from hsm.enrolment import EnrolmentRefused, KeyWish
from hsm.key import HolderKind, KeyUnavailable, NoSuchKey, Purpose
from hsm.key_book import NAME, KeyEntry
from hsm.mechanisms import UnsupportedKey, mechanisms_of
from hsm.token_keeper import TokenKeeper
from hsm.use_log import LogUnavailable

MAKING_SECONDS = 120.0  # an RSA key takes its time in a small token

_ALGORITHMS = {
    "rsa-pkcs1-sha256": "sha256_rsa",
    "ecdsa-sha256": "sha256_ecdsa",
    "ecdsa-sha384": "sha384_ecdsa",
}


def make_key(keeper: TokenKeeper, wish: KeyWish) -> bytes:
    """PKCS#10 (DER). Raises EnrolmentRefused, KeyUnavailable."""
    if not NAME.fullmatch(wish.name):
        raise EnrolmentRefused("name-bad", wish.name[:64])
    if keeper.book.find(wish.name) is not None:
        raise EnrolmentRefused("name-taken", wish.name)
    if wish.holder.kind is HolderKind.PERSON and not keeper.book.persons:
        raise EnrolmentRefused("person", "a person's key lies in the server's token in development alone")
    subject = _name(wish.subject)
    keeper.progress(MAKING_SECONDS)
    try:
        uri, public_key = token_keys.make(keeper.token, wish.name, wish.algorithm)
    except (UnsupportedKey, pkcs11.MechanismInvalid) as wrong:
        raise EnrolmentRefused("unsupported", str(wrong)) from wrong
    except (pkcs11.PKCS11Error, token_keys.NotFound) as wrong:
        keeper.token.drop()
        raise KeyUnavailable(wish.name, why=f"not-made: {type(wrong).__name__}") from wrong
    entry = KeyEntry(
        name=wish.name, agency=wish.agency, purpose=wish.purpose, holder=wish.holder, uri=uri,
        public_key=public_key, granted=wish.granted,
    )  # fmt: skip
    keeper.books.change(keeper.book.with_key(entry))
    return request_for(keeper, entry, subject)


def request(keeper: TokenKeeper, name: str, subject: str) -> bytes:
    """PKCS#10 (DER) again, for a key that is there. Raises EnrolmentRefused, NoSuchKey, KeyUnavailable."""
    return request_for(keeper, _entry(keeper, name), _name(subject))


def request_for(keeper: TokenKeeper, entry: KeyEntry, subject: asn1_x509.Name) -> bytes:
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": subject,
            "subject_pk_info": keys.PublicKeyInfo.load(entry.public_key),
            "attributes": csr.CRIAttributes([]),
        }
    )
    algorithm = _ALGORITHMS[mechanisms_of(entry.public_key)[0].value]
    try:
        signature = keeper.sign_request(entry, info.dump())
    except LogUnavailable as wrong:
        raise KeyUnavailable(entry.name, why="log-unavailable") from wrong
    request = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": algorithm}),
            "signature": signature,
        }
    )
    return bytes(request.dump())


def install(keeper: TokenKeeper, name: str, certificate: bytes, chain: tuple[bytes, ...]) -> None:
    """A later certificate over the same key takes the earlier one's place. Raises EnrolmentRefused, NoSuchKey."""
    entry = _entry(keeper, name)
    try:
        found = x509.load_der_x509_certificate(certificate)
        issuers = [x509.load_der_x509_certificate(one) for one in chain]
        same = token_keys.certified_key(certificate) == entry.public_key
    except (ValueError, TypeError) as wrong:
        raise EnrolmentRefused("certificate-bad", str(wrong)[:200]) from wrong
    if not same:
        raise EnrolmentRefused("other-key", "the certificate is over another key")
    if found.not_valid_after_utc <= keeper.clock():
        raise EnrolmentRefused("expired", f"{found.not_valid_after_utc:%Y-%m-%d}")
    for below, above in pairwise([found, *issuers]):
        if not _issued(below, above):
            raise EnrolmentRefused("chain-broken", below.subject.rfc4514_string()[:200])
    if entry.purpose is Purpose.TIME_STAMPING and not _stamps_time(found):
        # RFC 3161 2.3: exactly this purpose, and critical.
        raise EnrolmentRefused("usage-wrong", "extendedKeyUsage must be timeStamping alone, and critical")
    keeper.books.change(keeper.book.with_key(replace(entry, certificate=certificate, chain=chain)))


def grant(keeper: TokenKeeper, name: str, who: UUID) -> None:
    """Raises EnrolmentRefused (a person's key is its holder's alone, K2), NoSuchKey."""
    entry = _entry(keeper, name)
    if entry.holder.kind is HolderKind.PERSON:
        raise EnrolmentRefused("person", "a person's key is used by its holder alone")
    keeper.books.change(keeper.book.with_key(replace(entry, granted=entry.granted | {who})))


def revoke(keeper: TokenKeeper, name: str, who: UUID) -> None:
    """Takes the grant back; none there is fine. Raises NoSuchKey."""
    entry = _entry(keeper, name)
    keeper.books.change(keeper.book.with_key(replace(entry, granted=entry.granted - {who})))


def _entry(keeper: TokenKeeper, name: str) -> KeyEntry:
    entry = keeper.book.find(name)
    if entry is None:
        raise NoSuchKey(name)
    return entry


def _name(subject: str) -> asn1_x509.Name:
    try:
        name = x509.Name.from_rfc4514_string(subject)
    except ValueError as wrong:
        raise EnrolmentRefused("subject-bad", subject[:200]) from wrong
    if not name.rdns:
        raise EnrolmentRefused("subject-bad", "empty")
    return asn1_x509.Name.load(name.public_bytes())


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _stamps_time(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
