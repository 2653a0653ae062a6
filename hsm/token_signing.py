"""One signature by one key of a token: this file names the mechanism and its parameters, and gives the signature the
form that CMS and X.509 want.

- RSA: the token hashes where it can, else the digest goes in as DigestInfo (RFC 8017 9.2). ECDSA: the digest is made
  here, and r and s come out as DER (RFC 3279 2.2.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import MGF
from pkcs11 import Mechanism as Ckm

from hsm.key import Mechanism

# The module answers so before it does anything (PKCS#11 2.40 5.1.2-5.1.6: "at the time the function was invoked").
# Whatever else it says, it may have signed.
CERTAINLY_NOT_DONE = (
    pkcs11.SessionHandleInvalid,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.UserNotLoggedIn,
    pkcs11.TokenNotPresent,
)

_PKCS1 = {"sha256": Ckm.SHA256_RSA_PKCS, "sha384": Ckm.SHA384_RSA_PKCS, "sha512": Ckm.SHA512_RSA_PKCS}
_PSS = {
    "sha256": Ckm.SHA256_RSA_PKCS_PSS,
    "sha384": Ckm.SHA384_RSA_PKCS_PSS,
    "sha512": Ckm.SHA512_RSA_PKCS_PSS,
}
_PSS_PARAMETERS = {
    "sha256": (Ckm.SHA256, MGF.SHA256, 32),
    "sha384": (Ckm.SHA384, MGF.SHA384, 48),
    "sha512": (Ckm.SHA512, MGF.SHA512, 64),
}
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def sign(private: Any, mechanism: Mechanism, data: bytes, supported: Collection[Any]) -> bytes:
    """PKCS#1 octets, or DER Ecdsa-Sig-Value. `supported`: the token's mechanisms. Raises PKCS11Error."""
    name = mechanism.hash_name
    if mechanism.value.startswith("ecdsa-"):
        raw = private.sign(hashlib.new(name, data).digest(), mechanism=Ckm.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    if mechanism.value.startswith("rsa-pss-"):
        parameters = _PSS_PARAMETERS[name]
        if _PSS[name] in supported:
            return bytes(private.sign(data, mechanism=_PSS[name], mechanism_param=parameters))
        digest = hashlib.new(name, data).digest()
        return bytes(private.sign(digest, mechanism=Ckm.RSA_PKCS_PSS, mechanism_param=parameters))
    if _PKCS1[name] in supported:
        return bytes(private.sign(data, mechanism=_PKCS1[name]))
    digest_info = _DIGEST_INFO[name] + hashlib.new(name, data).digest()
    return bytes(private.sign(digest_info, mechanism=Ckm.RSA_PKCS))
