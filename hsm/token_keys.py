"""The keys that lie in a token: this file finds, examines and makes them.

- A key is what its certificate says, by its numbers in the token, before it is used (T6, K1).
- A key of ours never left the token and can do nothing but sign.
"""

from __future__ import annotations

import secrets
from typing import Any

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from hsm.key_book import WITHOUT_CERTIFICATE, KeyEntry
from hsm.mechanisms import UnsupportedKey, mechanisms_of
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.token_session import TokenSession

RSA_ALGORITHMS = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
EC_ALGORITHMS = {"ec-p256": "secp256r1", "ec-p384": "secp384r1"}

_MUST = (Attribute.SENSITIVE, Attribute.NEVER_EXTRACTABLE)
_MUST_NOT = (Attribute.DECRYPT, Attribute.UNWRAP, Attribute.SIGN_RECOVER, Attribute.DERIVE)


class NotFound(LookupError):
    """No key of this name in the token, or more than one."""


def find(token: TokenSession, entry: KeyEntry) -> Any:
    """The private key, looked up once per session. Raises NotFound, KeyUnavailable, PKCS11Error."""
    session = token.get()
    known = token.handles.get(entry.uri)
    if known is None:
        uri = Pkcs11Uri.parse(entry.uri)
        if not uri.is_of(token.token) or uri.type not in {None, "private"}:
            raise NotFound("the key's URI names another token, or no private key")
        known = token.handles[entry.uri] = _one(session, ObjectClass.PRIVATE_KEY, uri)
    return known


def problem_of(token: TokenSession, entry: KeyEntry) -> str:
    """What keeps this key from being used, or "". Raises KeyUnavailable, PKCS11Error (the token is away)."""
    try:
        mechanisms_of(entry.public_key)
        private = find(token, entry)
        if public_key_of(token.get(), private, Pkcs11Uri.parse(entry.uri)) != entry.public_key:
            return "other-key"
    except NotFound:
        return "not-found"
    except (UnsupportedKey, pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, ValueError):
        return "unsupported"  # also one whose public part cannot be had: the other keys are none the worse
    return _wrong_attributes(private) or _wrong_certificate(entry)


def _wrong_certificate(entry: KeyEntry) -> str:
    if not entry.certificate:
        return "" if entry.purpose in WITHOUT_CERTIFICATE else "no-certificate"
    try:
        return "" if certified_key(entry.certificate) == entry.public_key else "other-key"
    except ValueError:
        return "other-key"


def _wrong_attributes(private: Any) -> str:
    if not all(_is_set(private, one) for one in _MUST):
        return "extractable"
    if not _is_set(private, Attribute.SIGN) or any(_is_set(private, one) for one in _MUST_NOT):
        return "not-sign-only"
    return ""


def certified_key(certificate: bytes) -> bytes:
    """SubjectPublicKeyInfo (DER) of a certificate (DER). Raises ValueError."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_key_of(session: Any, private: Any, uri: Pkcs11Uri) -> bytes:
    """SubjectPublicKeyInfo (DER), from the token alone. An RSA private key carries its modulus; an EC one's point
    stands in the public key object beside it. Raises NotFound, PKCS11Error."""
    if private.key_type is KeyType.RSA:
        try:
            modulus, exponent = private[Attribute.MODULUS], private[Attribute.PUBLIC_EXPONENT]
        except pkcs11.AttributeTypeInvalid:  # PKCS#11 lets a private key go without its exponent
            beside = _one(session, ObjectClass.PUBLIC_KEY, uri)
            modulus, exponent = beside[Attribute.MODULUS], beside[Attribute.PUBLIC_EXPONENT]
        numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
        key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = numbers.public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.key_type is KeyType.EC:
        return encode_ec_public_key(_one(session, ObjectClass.PUBLIC_KEY, uri))
    raise UnsupportedKey(str(private.key_type))


def make(token: TokenSession, name: str, algorithm: str) -> tuple[str, bytes]:
    """A new key pair that stays in the token: its URI and its SubjectPublicKeyInfo (DER). Raises UnsupportedKey,
    KeyUnavailable, PKCS11Error."""
    key_id = secrets.token_bytes(16)
    private = {
        Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
        Attribute.SIGN: True, Attribute.DECRYPT: False, Attribute.UNWRAP: False, Attribute.SIGN_RECOVER: False,
        Attribute.DERIVE: False, Attribute.MODIFIABLE: False,
    }  # fmt: skip
    public = {Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}
    wanted: dict[str, Any] = {
        "id": key_id, "label": name, "store": True, "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": private, "public_template": public,
    }  # fmt: skip
    with token.writable() as session:
        if algorithm in RSA_ALGORITHMS:
            session.generate_keypair(KeyType.RSA, RSA_ALGORITHMS[algorithm], **wanted)
        elif algorithm in EC_ALGORITHMS:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(EC_ALGORITHMS[algorithm])}
            session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**wanted)
        else:
            raise UnsupportedKey(algorithm)
    uri = Pkcs11Uri(object=name, id=key_id, type="private")
    found = _one(token.get(), ObjectClass.PRIVATE_KEY, uri)
    return str(uri), public_key_of(token.get(), found, uri)


def _one(session: Any, kind: ObjectClass, uri: Pkcs11Uri) -> Any:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if uri.id is not None:
        wanted[Attribute.ID] = uri.id
    if uri.object is not None:
        wanted[Attribute.LABEL] = uri.object
    found = list(session.get_objects(wanted))
    if len(found) != 1:
        raise NotFound(f"{len(found)} objects")
    return found[0]


def _is_set(key: Any, attribute: Attribute) -> bool:
    """A token that does not know the attribute does not promise it."""
    try:
        return bool(key[attribute])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, KeyError):
        return False
