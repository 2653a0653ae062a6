"""DSA, for the paths of old authorities only: this file checks what such a key signed, and fills in the parameters that a
key inherits from the authority above it (RFC 3279 2.3.2; RFC 5280 6.1.4 (d) to (f)).

- No document is signed with DSA here: `signature.check_signature` does not know it.
"""

from __future__ import annotations

from collections.abc import Sequence

from asn1crypto import keys
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa

from signing.trust.certificate import MALFORMED, Certificate
from signing.trust.signature import BadSignature, Scheme, check_signature, hash_of, load_key

_DSA = bytes.fromhex("06072a8648ce380401")


def is_dsa(key: bytes) -> bool:
    """`key`: DER SubjectPublicKeyInfo, with or without parameters."""
    return _DSA in key[:24]


def working_keys(path: Sequence[Certificate]) -> list[bytes]:
    """From the signer to the anchor: each one's DER SubjectPublicKeyInfo, with the parameters that it inherits. Raises
    BadSignature where it says that it inherits and there is nothing above it to inherit."""
    found: list[bytes] = []
    for one in reversed(path):
        found.append(_filled_in(one.key, found) if one.inherits else one.key)
    return found[::-1]


def _filled_in(key: bytes, above: Sequence[bytes]) -> bytes:
    try:
        bare, full = (keys.PublicKeyInfo.load(one) for one in (key, above[-1]))
        if full["algorithm"]["algorithm"].native != "dsa":
            raise BadSignature("a key that inherits its parameters from one of another kind")
        bare["algorithm"]["parameters"] = full["algorithm"]["parameters"]
        filled: bytes = bare.dump(force=True)
    except MALFORMED as wrong:
        raise BadSignature("a key that inherits its parameters from nobody") from wrong
    return filled


def check_issued(key: bytes, scheme: Scheme, signature: bytes, over: bytes) -> None:
    """What an authority signed: a certificate or a list. Raises BadSignature."""
    if scheme.kind != "dsa":
        return check_signature(key, scheme, signature, over)
    public = load_key(key)
    if not isinstance(public, dsa.DSAPublicKey):
        raise BadSignature("the key is not for dsa")
    try:
        public.verify(signature, over, hash_of(scheme))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as wrong:
        raise BadSignature("the signature does not fit") from wrong
