"""What a public key says of a signature: this file verifies by each of our mechanisms."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm.key import Mechanism

_HASHES: dict[str, Any] = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


def hash_of(mechanism: Mechanism) -> Any:
    return _HASHES[mechanism.hash_name]()


def padding_of(mechanism: Mechanism) -> Any:
    """Of an RSA mechanism."""
    if mechanism.value.startswith("rsa-pss-"):
        name = hash_of(mechanism)
        return padding.PSS(padding.MGF1(name), name.digest_size)
    return padding.PKCS1v15()


def verify(public_key: bytes, mechanism: Mechanism, data: bytes, signature: bytes) -> None:
    """`public_key`: SubjectPublicKeyInfo (DER). Raises InvalidSignature, ValueError."""
    key = load_der_public_key(public_key)
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding_of(mechanism), hash_of(mechanism))
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(hash_of(mechanism)))
    else:
        raise ValueError(type(key).__name__)
