"""One CMS SignedData of one signer (RFC 5652 5): this file reads it strictly and checks it, for every judge of the house.

- Nothing is taken from who made it: our own walker reads, `signing/trust/signature.py` computes.
- The signer's certificate is the one that the signer's identifier *and* signing-certificate(-v2) name.
- What is odd but does not break the signature is a flaw of a closed list; the caller judges it.
- For whatever bytes: nothing is raised but NotSignedData when reading, and Broken when checking.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric import ec, utils

from signing.trust.certificate import MALFORMED, NotACertificate
from signing.trust.certificate import read as read_certificate
from signing.trust.signature import BadSignature, Unusable, check_signature, load_key
from signing.verification.attributes import MOST_ATTRIBUTES
from signing.verification.cms_form import (
    DATA,
    FLAWS,
    MAX_SIZE,
    MOST_SIGNERS,
    NOT_DER,
    PLAIN_ECDSA,
    SIGNED_DATA,
    TST_INFO,
    Broken,
    NotJudged,
    NotSignedData,
    SignedData,
    Sub,
    UnknownAlgorithm,
)
from signing.verification.cms_reader import Reading
from signing.verification.der import OID, SEQUENCE, Malformed, Walk

__all__ = [
    "DATA",
    "FLAWS",
    "TST_INFO",
    "Broken",
    "NotJudged",
    "NotSignedData",
    "SignedData",
    "Sub",
    "UnknownAlgorithm",
    "check_signed_data",
    "outline",
    "read_signed_data",
]


def read_signed_data(der: bytes, number: int | None = None) -> SignedData:
    """Of a ContentInfo with one signer, or of its signer `number`; zeros may follow it. Raises NotSignedData."""
    if len(der) > MAX_SIZE:
        raise NotSignedData("larger than any signature")
    try:
        return Reading(Walk(der), number).result()
    except NotSignedData:
        raise
    except (Malformed, *MALFORMED) as wrong:
        raise NotSignedData(str(wrong).partition("\n")[0][:200]) from wrong


def outline(der: bytes) -> tuple[str, int]:
    """Content type (dotted) of a SignedData and how many signed it, before more of it is read. Raises Malformed where it is
    none; what is odd further inside is for the reader to say."""
    walk = Walk(der)
    type_, wrapped = walk.inside(walk.element(0, len(der)), OID, 0xA0)
    if walk.oid(type_) != SIGNED_DATA:
        raise Malformed("another content than SignedData")
    try:
        members = walk.members(walk.inside(wrapped, SEQUENCE)[0], 6)
        return walk.oid(walk.members(members[2], 2)[0]), len(walk.members(members[-1], MOST_SIGNERS))
    except (Malformed, IndexError):
        return DATA, 1


def check_signed_data(data: SignedData, digest: bytes) -> None:
    """`digest` of the signed bytes by `data.digest_name`; of `data.content` where the content lies inside. Raises
    Broken."""
    # 1. The form.
    if data.fault is not None:
        raise Broken("FORMAT_FAILURE", data.fault)
    # 2. Whose signature it is.
    if data.signer is None:
        raise Broken("NO_SIGNING_CERTIFICATE_FOUND", "the certificate that is named is not there")
    # 3. What was signed.
    if data.content is not None and hashlib.new(data.digest_name, data.content).digest() != digest:
        raise Broken("HASH_FAILURE", "the content inside is not what is said to be signed")
    if data.message_digest is not None and not hmac.compare_digest(data.message_digest, digest):
        raise Broken("HASH_FAILURE", "the bytes are not those that were signed")
    # 4. The signature's value.
    try:
        key = read_certificate(data.signer).key
        signature = _der_signature(key, data)
        signed = data.content if data.signed_attributes is None else data.signed_attributes
        if signed is not None:
            _check_as_sent_or_sorted(key, data, signature, signed)
        elif data.scheme.hash_name == data.digest_name:
            # Without signed attributes the digest itself is signed (RFC 5652 5.4).
            check_signature(key, data.scheme, signature, digest, prehashed=True)
        elif data.scheme.hash_name is None:
            # EdDSA without attributes is over the content itself (RFC 8419 3.2), of which only the digest is here.
            raise NotJudged("SIG_CRYPTO_FAILURE", "over the content itself, which is not here")
        else:
            raise BadSignature("no algorithm over this digest")
    except Unusable as wrong:
        raise NotJudged("SIG_CRYPTO_FAILURE", str(wrong)) from wrong
    except (BadSignature, NotACertificate) as wrong:
        raise Broken("SIG_CRYPTO_FAILURE", str(wrong)) from wrong


def _check_as_sent_or_sorted(key: bytes, data: SignedData, signature: bytes, signed: bytes) -> None:
    """What is signed is the DER of the attributes (RFC 5652 5.4): who sends them in another order signed the sorted ones, or
    those that were sent."""
    try:
        check_signature(key, data.scheme, signature, signed)
    except BadSignature:
        ordered = _sorted(signed) if NOT_DER in data.flaws and data.signed_attributes is not None else signed
        if ordered == signed:
            raise
        check_signature(key, data.scheme, signature, ordered)


def _sorted(attributes: bytes) -> bytes:
    """The same SET OF with its members in the order of DER (X.690 11.6)."""
    walk = Walk(attributes)
    outer = walk.element(0, len(attributes))
    members = [walk.whole(one) for one in walk.members(outer, MOST_ATTRIBUTES)]
    held = b"".join(members)
    head = len(attributes) - len(held)
    return attributes[:head] + b"".join(sorted(members)) if attributes[head:] == held else attributes


def _der_signature(key: bytes, data: SignedData) -> bytes:
    if PLAIN_ECDSA not in data.flaws:
        return data.signature
    public, half = load_key(key), len(data.signature) // 2
    if not isinstance(public, ec.EllipticCurvePublicKey) or half != (public.key_size + 7) // 8:
        raise BadSignature("the signature does not fit")
    first, second = data.signature[:half], data.signature[half:]
    return utils.encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))
