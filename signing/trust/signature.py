"""One signature value under one public key: this file checks it, whatever carries it (certificate, CRL, OCSP, token).

- The algorithm is the one that is stated, with its parameters; nothing is guessed from the key.
- Whether the algorithm was strong is another question (`algorithms.py`).
- A key that nobody here can compute with (`Unusable`) says nothing of its signatures: they are not false, but not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from asn1crypto.algos import SignedDigestAlgorithm
from asn1crypto.keys import PublicKeyInfo
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


class Unusable(BadSignature):
    """Nobody here can compute with keys of this kind."""


@dataclass(frozen=True)
class Scheme:
    """What an AlgorithmIdentifier says. `hash_name` is None where the key's kind alone decides (EdDSA)."""

    kind: str  # rsassa_pkcs1v15, rsassa_pss, ecdsa, ed25519, ed448
    hash_name: str | None
    salt: int | None = None  # bytes, PSS only
    mask: str | None = None  # PSS only: the hash of its mask


# What asn1crypto does not know: ECDSA and RSA with SHA-3 (RFC 9688 2), plain ECDSA (BSI TR-03111 5.2.1).
_MORE = {
    f"2.16.840.1.101.3.4.3.{first + number}": Scheme(kind, f"sha3_{bits}")
    for first, kind in ((9, "ecdsa"), (13, "rsassa_pkcs1v15"))
    for number, bits in enumerate((224, 256, 384, 512))
} | {
    f"0.4.0.127.0.7.1.1.4.1.{number}": Scheme("ecdsa", name)
    for number, name in {1: "sha1", 2: "sha224", 3: "sha256", 4: "sha384", 5: "sha512"}.items()
}


@lru_cache(maxsize=256)
def scheme_of(algorithm: bytes, digest: str | None = None) -> Scheme:
    """`digest` fills in for `rsaEncryption`, which names no hash (RFC 5652 10.1.2). Raises BadSignature."""
    try:
        stated = SignedDigestAlgorithm.load(algorithm, strict=True)
        more = _MORE.get(stated["algorithm"].dotted)
        if more is not None:
            return more
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
    # RFC 4055 3.1 allows another hash for the mask: some write PSS with SHA-256 over a mask of SHA-1, the default.
    mask_name = mask["parameters"]["algorithm"].native
    if mask["algorithm"].native != "mgf1" or mask_name not in _HASHES:
        raise BadSignature("PSS with an unusual mask")
    if hash_name not in _HASHES or parameters["trailer_field"].native != "trailer_field_bc":
        raise BadSignature("PSS with unusual parameters")
    return Scheme("rsassa_pss", hash_name, int(parameters["salt_length"].native), mask_name)


@lru_cache(maxsize=1024)
def load_key(key: bytes) -> PublicKeyTypes:
    """From a DER SubjectPublicKeyInfo. Raises BadSignature."""
    try:
        loaded = load_der_public_key(key)
    except UnsupportedAlgorithm as wrong:
        raise Unusable("a kind of public key that is not judged here") from wrong
    except ValueError:
        loaded = _unsigned_modulus(key)
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size > MAX_RSA_BITS:
        raise BadSignature("the public key is too large")
    return loaded


def _unsigned_modulus(key: bytes) -> PublicKeyTypes:
    """Older identity cards write the modulus without the zero that keeps an INTEGER from being negative."""
    try:
        stated = PublicKeyInfo.load(key, strict=True)["public_key"].parsed
        modulus, exponent = (
            int.from_bytes(stated[name].contents, "big") for name in ("modulus", "public_exponent")
        )
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except MALFORMED as wrong:
        raise BadSignature("the public key cannot be used") from wrong


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
                mask = padding.PSS(
                    padding.MGF1(_HASHES[scheme.mask or scheme.hash_name or ""]), scheme.salt or 0
                )
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
