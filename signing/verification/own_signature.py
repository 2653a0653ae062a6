"""The signature in our own work: this file holds the CMS, its time-stamp and the certificate's path against what was
prepared (steps 6 and 7 of `own_work.py`)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from signing.prepared import PreparedSignature
from signing.timestamping.token import NotAToken, Token, TokenRefused, check_token, read_token
from signing.trust.anchors import TrustSnapshot
from signing.trust.path import NoPath, find_path
from signing.trust.signature import Scheme
from signing.verification import attributes as known
from signing.verification.cms_form import TRAILING_BYTES
from signing.verification.judgement import Dated, NotAccepted
from signing.verification.own_bytes import Located
from signing.verification.signed_data import (
    DATA,
    Broken,
    NotSignedData,
    SignedData,
    check_signed_data,
    read_signed_data,
)

_OURS = (known.CONTENT_TYPE, known.MESSAGE_DIGEST, known.SIGNING_CERTIFICATE_V2)  # S1


def check_cms(found: Located, prepared: PreparedSignature, digest: bytes) -> SignedData:
    """The CMS is what was prepared, over the bytes with this digest. Raises NotAccepted."""
    try:
        data = read_signed_data(found.contents)
    except NotSignedData as wrong:
        raise NotAccepted("cms", str(wrong)) from wrong
    if data.flaws:
        raise NotAccepted("padding" if TRAILING_BYTES in data.flaws else "cms", ", ".join(data.flaws))
    expected: dict[str, tuple[object, object]] = {
        "content": ((data.content_type, data.content), (DATA, None)),
        "attributes": (sorted(data.signed_types), sorted(_OURS)),
        "unsigned attributes": (set(data.unsigned_types) - {known.SIGNATURE_TIME_STAMP}, set()),
        "signed bytes": (data.signed_attributes, prepared.to_sign),
        "digest algorithm": (data.digest_name, prepared.mechanism.hash_name),
        "signature algorithm": (_mechanism(data.scheme), prepared.mechanism.value),
        "certificate": (data.signer, prepared.certificate),
        "certificates": (sorted(data.certificates), sorted({prepared.certificate, *prepared.chain})),
        "revocation data": ((data.crls, data.ocsps), ((), ())),
    }
    for what, (stands, was_prepared) in expected.items():
        if stands != was_prepared:
            raise NotAccepted("cms", f"other {what} than prepared")
    try:
        check_signed_data(data, digest)
    except Broken as broken:
        raise NotAccepted("signature", f"{broken.sub}: {broken.why}") from broken
    return data


def _mechanism(scheme: Scheme) -> str:
    kinds = {"rsassa_pkcs1v15": "rsa-pkcs1", "rsassa_pss": "rsa-pss"}
    if scheme.salt is not None and scheme.salt != hashlib.new(scheme.hash_name or "").digest_size:
        return "rsa-pss with another salt"
    return f"{kinds.get(scheme.kind, scheme.kind)}-{scheme.hash_name}"


def check_signature_timestamp(data: SignedData, trust: TrustSnapshot) -> Dated:
    """Exactly one, over the signature's value. Raises NotAccepted."""
    if len(data.timestamps) != 1:
        raise NotAccepted("timestamp", f"{len(data.timestamps)} where one is expected")
    hash_name = token_of(data.timestamps[0]).hash_name
    try:
        over = hashlib.new(hash_name, data.signature).digest()
    except (ValueError, TypeError) as unknown:
        raise NotAccepted("timestamp", f"by {hash_name}") from unknown
    return check_timestamp("SIGNATURE", data.timestamps[0], (over, hash_name), trust)


def token_of(der: bytes) -> Token:
    """Raises NotAccepted."""
    try:
        return read_token(der)
    except NotAToken as wrong:
        raise NotAccepted("timestamp", str(wrong)) from wrong


def check_timestamp(kind: str, der: bytes, over: tuple[bytes, str], trust: TrustSnapshot) -> Dated:
    """`over`: the digest and its hash. Raises NotAccepted."""
    token = token_of(der)
    if any(der[len(token.der) :]):
        raise NotAccepted("padding", "behind the token stands more than zeros")
    try:
        check_token(token, digest=over[0], hash_name=over[1], trust=trust, at=token.time)
    except TokenRefused as wrong:
        raise NotAccepted("timestamp", wrong.why) from wrong
    return Dated(kind, token.time, token.authority, token.hash_name)


def standing_path(prepared: PreparedSignature, trust: TrustSnapshot, at: datetime) -> tuple[str, ...]:
    """SHA-256 of each certificate. Without any anchor nothing can be said, and whoever asked knows it (V6). Raises
    NotAccepted."""
    if not trust.anchors:
        return ()
    try:
        found = find_path(prepared.certificate, prepared.chain, trust, at)
    except NoPath as wrong:
        raise NotAccepted("path", str(wrong)) from wrong
    return tuple(hashlib.sha256(one).hexdigest() for one in found)
