"""One signature value under one public key: this file checks it, whatever carries it (certificate, CRL, OCSP, token).

- The algorithm is the one that is stated, with its parameters; nothing is guessed from the key.
- Whether the algorithm was strong is another question (`algorithms.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from asn1crypto.algos import SignedDigestAlgorithm
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from signing.trust.certificate import MALFORMED

MAX_RSA_BITS = 16384  # a larger modulus only costs time
_HASHES: dict[str, hashes.HashAlgorithm] = {
    # Old documents are read by their old algorithms; what those still prove is judged elsewhere.
    "md5": hashes.MD5(),  # noqa: S303
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}


class BadSignature(Exception):
    """The value is not this key's signature of these bytes by this algorithm, or cannot be checked."""


@dataclass(frozen=True)
class Scheme:
    """What an AlgorithmIdentifier says. `hash_name` is None where the key's kind alone decides (EdDSA)."""

    kind: str  # rsassa_pkcs1v15, rsassa_pss, ecdsa, ed25519, ed448
    hash_name: str | None
    salt: int | None = None  # bytes, PSS only


@lru_cache(maxsize=256)
def scheme_of(algorithm: bytes, digest: str | None = None) -> Scheme:
    """`digest` fills in for `rsaEncryption`, which names no hash (RFC 5652 10.1.2). Raises BadSignature."""
    try:
        stated = SignedDigestAlgorithm.load(algorithm, strict=True)
        kind: str = stated.signature_algo
        if kind in {"ed25519", "ed448"}:
            return Scheme(kind, None)
        if kind == "rsassa_pss":
            return _pss(stated)
        named = stated["algorithm"].native
        hash_name = stated.hash_algo if named not in {"rsassa_pkcs1v15", "ecdsa"} else digest
    except MALFORMED as wrong:
        raise BadSignature("unknown signature algorithm") from wrong
    if hash_name not in _HASHES:
        raise BadSignature(f"unknown hash {hash_name}")
    return Scheme(kind, hash_name)


def _pss(stated: SignedDigestAlgorithm) -> Scheme:
    parameters = stated["parameters"]
    hash_name = parameters["hash_algorithm"]["algorithm"].native
    mask = parameters["mask_gen_algorithm"]
    # RFC 4055 3.1 allows another hash for the mask; nobody does it, and what nobody does is not tested.
    if mask["algorithm"].native != "mgf1" or mask["parameters"]["algorithm"].native != hash_name:
        raise BadSignature("PSS with an unusual mask")
    if hash_name not in _HASHES or parameters["trailer_field"].native != "trailer_field_bc":
        raise BadSignature("PSS with unusual parameters")
    return Scheme("rsassa_pss", hash_name, int(parameters["salt_length"].native))


@lru_cache(maxsize=1024)
def load_key(key: bytes) -> PublicKeyTypes:
    """From a DER SubjectPublicKeyInfo. Raises BadSignature."""
    try:
        loaded = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise BadSignature("the public key cannot be used") from wrong
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size > MAX_RSA_BITS:
        raise BadSignature("the public key is too large")
    return loaded


def check_signature(
    key: bytes, scheme: Scheme, signature: bytes, over: bytes, *, prehashed: bool = False
) -> None:
    """`key` is a DER SubjectPublicKeyInfo; `prehashed`: `over` is the digest of the bytes. Raises BadSignature."""
    public = load_key(key)
    try:
        match public, scheme.kind:
            case rsa.RSAPublicKey(), "rsassa_pkcs1v15":
                public.verify(signature, over, padding.PKCS1v15(), hash_of(scheme, prehashed=prehashed))
            case rsa.RSAPublicKey(), "rsassa_pss":
                mask = padding.PSS(padding.MGF1(_HASHES[scheme.hash_name or ""]), scheme.salt or 0)
                public.verify(signature, over, mask, hash_of(scheme, prehashed=prehashed))
            case ec.EllipticCurvePublicKey(), "ecdsa":
                public.verify(signature, over, ec.ECDSA(hash_of(scheme, prehashed=prehashed)))
            case ed25519.Ed25519PublicKey(), "ed25519" if not prehashed:
                public.verify(signature, over)
            case ed448.Ed448PublicKey(), "ed448" if not prehashed:
                public.verify(signature, over)
            case _:
                raise BadSignature(f"the key is not for {scheme.kind}")
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as wrong:
        raise BadSignature("the signature does not fit") from wrong


def hash_of(scheme: Scheme, *, prehashed: bool = False) -> hashes.HashAlgorithm | utils.Prehashed:
    known = _HASHES[scheme.hash_name or ""]
    return utils.Prehashed(known) if prehashed else known
