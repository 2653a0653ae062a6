"""Which signature algorithms a public key has: this file asks the key itself, not its certificate's wording."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm.key import Mechanism

RSA_BITS = (2048, 8192)  # what is accepted; below is weak, above is a way to keep the token busy

_RSA = tuple(one for one in Mechanism if one.value.startswith("rsa-"))
_CURVES: dict[str, tuple[Mechanism, ...]] = {
    "secp256r1": (Mechanism.ECDSA_SHA256,),
    "secp384r1": (Mechanism.ECDSA_SHA384,),
}


class UnsupportedKey(ValueError):
    """No algorithm of ours fits the key."""


def mechanisms_of(public_key: bytes) -> tuple[Mechanism, ...]:
    """For a SubjectPublicKeyInfo (DER); the first is the default. Raises UnsupportedKey."""
    try:
        key = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise UnsupportedKey("unreadable") from wrong
    if isinstance(key, rsa.RSAPublicKey) and RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        return _RSA
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise UnsupportedKey(type(key).__name__)
