"""SignedData of a PAdES signature from a template per certificate: this file writes DER itself, and parses none of it.

- Signed attributes are content-type, message-digest and signing-certificate-v2, nothing else (S1; EN 319 142-1 5.3,
  EN 319 122-1 5.2.2.3), in the order that DER asks of a SET OF (X.690 11.6).
- A template is made once per certificate, chain and mechanism; only digest, signature and time-stamp change.
- `size` is exact but for ECDSA, whose signatures differ by a few bytes: there it is the largest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm.key import Mechanism

SEQUENCE, SET, OCTETS = b"\x30", b"\x31", b"\x04"
NULL = b"\x05\x00"

_DATA = bytes.fromhex("06092a864886f70d010701")  # id-data
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")  # RFC 5035 3
_SIGNATURE_TIME_STAMP = bytes.fromhex("060b2a864886f70d010910020e")  # RFC 3161 appendix A
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_RSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_HASHES = {
    "sha256": bytes.fromhex("0609608648016503040201"),
    "sha384": bytes.fromhex("0609608648016503040202"),
    "sha512": bytes.fromhex("0609608648016503040203"),
}
_RSA_PKCS1 = {
    "sha256": bytes.fromhex("06092a864886f70d01010b"),
    "sha384": bytes.fromhex("06092a864886f70d01010c"),
    "sha512": bytes.fromhex("06092a864886f70d01010d"),
}
_ECDSA = {
    "sha256": bytes.fromhex("06082a8648ce3d040302"),
    "sha384": bytes.fromhex("06082a8648ce3d040303"),
}


class NotCms(ValueError):
    """The bytes are not a SignedData of ours, or do not belong together."""


def der(tag: bytes, *contents: bytes) -> bytes:
    """Definite length, as short as can be (X.690 10.1)."""
    content = b"".join(contents)
    return tag + _length(len(content)) + content


def _length(count: int) -> bytes:
    if count < 0x80:
        return bytes([count])
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def set_of(members: list[bytes], tag: bytes = SET) -> bytes:
    """In the order that DER asks for (X.690 11.6)."""
    return der(tag, *sorted(members))


@dataclass(frozen=True)
class Template:
    """What one certificate's SignedData always holds. Make it by `template`."""

    mechanism: Mechanism
    _attributes: tuple[bytes, ...]  # content-type and signing-certificate-v2
    _before: bytes  # version, digest algorithms, encapsulated content, certificates
    _signer: bytes  # version, issuer and serial number, digest algorithm
    _algorithm: bytes  # signature algorithm
    _largest: int  # bytes of the largest signature

    def to_sign(self, digest: bytes, *more: bytes) -> bytes:
        """The DER SET OF signed attributes over a document with this digest: the bytes that the key signs. `more`:
        further attributes, which a PAdES signature has none of (S1)."""
        message_digest = der(SEQUENCE, _MESSAGE_DIGEST, der(SET, der(OCTETS, digest)))
        return set_of([message_digest, *self._attributes, *more])

    def signed_data(self, to_sign: bytes, signature: bytes, timestamp: bytes | None = None) -> bytes:
        """DER ContentInfo. `timestamp`: DER time-stamp token over the signature's value, made an unsigned attribute."""
        unsigned = b""
        if timestamp is not None:
            attribute = der(SEQUENCE, _SIGNATURE_TIME_STAMP, der(SET, timestamp))
            unsigned = der(b"\xa1", attribute)
        # In SignerInfo the same attributes stand under [0] IMPLICIT; signed is the SET OF (RFC 5652 5.4).
        attributes = b"\xa0" + to_sign[1:]
        signer = der(SEQUENCE, self._signer, attributes, self._algorithm, der(OCTETS, signature), unsigned)
        signed_data = der(SEQUENCE, self._before, der(SET, signer))
        return der(SEQUENCE, _SIGNED_DATA, der(b"\xa0", signed_data))

    def size(self, timestamp_room: int = 0) -> int:
        """Bytes that `signed_data` needs at most, with a token of up to `timestamp_room` bytes."""
        digest = bytes(hashlib.new(self.mechanism.hash_name).digest_size)
        token = bytes(timestamp_room) if timestamp_room else None
        return len(self.signed_data(self.to_sign(digest), bytes(self._largest), token))


@lru_cache(maxsize=256)
def template(certificate: bytes, chain: tuple[bytes, ...], mechanism: Mechanism) -> Template:
    """For a certificate and its chain, DER. Made once for the same bytes. Raises NotCms where the key cannot sign by
    the mechanism."""
    hash_name = mechanism.hash_name
    hash_algorithm = digest_algorithm(hash_name)
    try:
        parsed = x509.load_der_x509_certificate(certificate)
    except ValueError as wrong:
        raise NotCms(f"the certificate cannot be read: {wrong}") from wrong
    certificates = set_of(list({certificate, *chain}), b"\xa0")
    return Template(
        mechanism=mechanism,
        _attributes=(
            der(SEQUENCE, _CONTENT_TYPE, der(SET, _DATA)),
            signing_certificate(certificate, hash_name, hash_algorithm),
        ),
        _before=b"\x02\x01\x01" + der(SET, hash_algorithm) + der(SEQUENCE, _DATA) + certificates,
        _signer=b"\x02\x01\x01" + issuer_and_serial(certificate) + hash_algorithm,
        _algorithm=signature_algorithm(mechanism, hash_algorithm),
        _largest=_largest_signature(parsed, mechanism),
    )


def digest_algorithm(hash_name: str) -> bytes:
    """AlgorithmIdentifier. RFC 5754 2: the parameters of SHA-2 are absent."""
    return der(SEQUENCE, _HASHES[hash_name])


def signing_certificate(certificate: bytes, hash_name: str, algorithm: bytes) -> bytes:
    """The attribute (RFC 5035 3): SHA-256 is the default, and DER leaves a default out. No issuerSerial: it is only a
    hint, and the signer's identifier beside it says the same."""
    stated = b"" if hash_name == "sha256" else algorithm
    essence = der(SEQUENCE, stated, der(OCTETS, hashlib.new(hash_name, certificate).digest()))
    return der(SEQUENCE, _SIGNING_CERTIFICATE_V2, der(SET, der(SEQUENCE, der(SEQUENCE, essence))))


def signature_algorithm(mechanism: Mechanism, hash_algorithm: bytes) -> bytes:
    hash_name = mechanism.hash_name
    if mechanism.value.startswith("rsa-pkcs1"):
        return der(SEQUENCE, _RSA_PKCS1[hash_name], NULL)
    if mechanism.value.startswith("ecdsa"):
        return der(SEQUENCE, _ECDSA[hash_name])
    # RFC 4055 3.1: MGF1 with the same hash, a salt as long as the hash, and the default trailer.
    salt = hashlib.new(hash_name).digest_size
    mask = der(SEQUENCE, _MGF1, hash_algorithm)
    parameters = der(
        SEQUENCE, der(b"\xa0", hash_algorithm), der(b"\xa1", mask), der(b"\xa2", b"\x02\x01" + bytes([salt]))
    )
    return der(SEQUENCE, _RSA_PSS, parameters)


def _largest_signature(certificate: x509.Certificate, mechanism: Mechanism) -> int:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and mechanism.value.startswith("rsa"):
        return (key.key_size + 7) // 8
    if isinstance(key, ec.EllipticCurvePublicKey) and mechanism.value.startswith("ecdsa"):
        number = (key.key_size + 7) // 8 + 1  # a leading zero keeps an INTEGER positive
        return len(der(SEQUENCE, *2 * [der(b"\x02", bytes(number))]))
    raise NotCms(f"this certificate's key does not sign by {mechanism}")


def issuer_and_serial(certificate: bytes) -> bytes:
    """Cut out of the certificate as they stand, so that no other encoding of a name can come in."""
    _, outer, _ = _element(certificate, 0)
    _, at, _ = _element(certificate, outer)  # into TBSCertificate
    tag, _, after = _element(certificate, at)
    if tag == 0xA0:  # version
        at = after
    _, _, after_serial = _element(certificate, at)
    serial = certificate[at:after_serial]
    _, _, after_algorithm = _element(certificate, after_serial)
    _, _, after_issuer = _element(certificate, after_algorithm)
    return der(SEQUENCE, certificate[after_algorithm:after_issuer], serial)


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start of the content, end of one DER element. Raises NotCms."""
    try:
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[start : start + count], "big")
            start += count
    except IndexError as short:
        raise NotCms("DER ends early") from short
    if start + length > len(data):
        raise NotCms("DER ends early")
    return tag, start, start + length


def timestamp_in(contents: bytes) -> bytes | None:
    """The signature time-stamp token in a DER ContentInfo that was made here (zeros may follow it). Raises NotCms."""
    at = 0
    for tag in (0x30, 0x06, 0xA0, 0x30):  # ContentInfo, its type, [0], SignedData
        found, start, end = _element(contents, at)
        if found != tag:
            raise NotCms("not a SignedData")
        at = end if tag == 0x06 else start
    signed_end = end
    while at < signed_end:  # the last of SignedData is signerInfos
        last, at = at, _element(contents, at)[2]
    _, signer, _ = _element(contents, last)
    _, at, signer_end = _element(contents, signer)
    while at < signer_end:
        tag, start, end = _element(contents, at)
        if tag == 0xA1:
            return _attribute_value(contents, start, end)
        at = end
    return None


def _attribute_value(contents: bytes, at: int, end: int) -> bytes | None:
    while at < end:
        _, inside, after = _element(contents, at)
        if contents.startswith(_SIGNATURE_TIME_STAMP, inside):
            _, value, _ = _element(contents, inside + len(_SIGNATURE_TIME_STAMP))
            return contents[value : _element(contents, value)[2]]
        at = after
    return None
