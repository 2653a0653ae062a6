"""A signed PDF of any kind: this file writes its dictionary, its CMS and its value octet by octet, for signatures that our maker
does not make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pikepdf
from asn1crypto.tsp import ESSCertIDv2, SigningCertificateV2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from signing.cms import der
from tests.wycheproof import DATA, DIGESTS, ECDSA, EDDSA, NULL, RSA, SEQUENCE, SET, SIGNED_DATA, oid, pss

ROOM = 16384  # bytes of /Contents
OCTETS, CONTENT = b"\x04", b"\xa0"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE_V2, TIMESTAMP = "1.2.840.113549.1.9.16.2.47", "1.2.840.113549.1.9.16.2.14"
PLAIN_ECDSA = {"SHA-256": "0.4.0.127.0.7.1.1.4.1.3"}  # BSI TR-03111 5.2.1
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


# -- the values


@dataclass(frozen=True)
class Way:
    """How a value is computed: `kind` of "RSA", "PSS", "ECDSA", "r||s" (under the name of ECDSA), "plain" (under a name of its
    own), "Ed25519"; `digest` as DIGESTS names it, `over` that of the content where it is another."""

    kind: str
    digest: str
    over: str = ""
    curve: type[ec.EllipticCurve] = ec.SECP256R1

    def __str__(self) -> str:
        curve = f" {self.curve.name}" if self.kind == "ECDSA" else ""
        return f"{self.kind} {self.digest}{curve}" + (f" over {self.over}" if self.over else "")

    @property
    def digests(self) -> set[str]:
        return {self.digest, self.over or self.digest}

    @property
    def key_name(self) -> str:
        """Of keys of one sort there is one."""
        if self.kind in {"RSA", "PSS"}:
            return "by rsa"
        return "by ed25519" if self.kind == "Ed25519" else f"by {self.curve.name}"

    def new_key(self) -> Key:
        if self.kind in {"RSA", "PSS"}:
            return rsa.generate_private_key(public_exponent=65537, key_size=3072)
        return (
            ed25519.Ed25519PrivateKey.generate()
            if self.kind == "Ed25519"
            else ec.generate_private_key(self.curve())
        )

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier that a signer states."""
        if self.kind == "PSS":
            salt = hashlib.new(hash_name(self.digest)).digest_size
            return pss({"mgf": "MGF1", "sha": self.digest, "mgfSha": self.digest, "sLen": salt})
        if self.kind == "RSA":
            return der(SEQUENCE, oid(RSA[self.digest]), NULL)
        if self.kind == "Ed25519":
            return der(SEQUENCE, oid(EDDSA["ed25519"][1]))
        return der(SEQUENCE, oid((PLAIN_ECDSA if self.kind == "plain" else ECDSA)[self.digest]))

    def sign(self, key: Key, to_sign: bytes) -> bytes:
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(to_sign)
        chosen: hashes.HashAlgorithm = getattr(hashes, hash_name(self.digest).upper())()
        if isinstance(key, rsa.RSAPrivateKey):
            mask = padding.PSS(padding.MGF1(chosen), chosen.digest_size)
            return key.sign(to_sign, mask if self.kind == "PSS" else padding.PKCS1v15(), chosen)
        value = key.sign(to_sign, ec.ECDSA(chosen))
        if self.kind == "ECDSA":
            return value
        size = (key.key_size + 7) // 8
        return b"".join(one.to_bytes(size, "big") for one in decode_dss_signature(value))


def hash_name(digest: str) -> str:
    """As hashlib has it."""
    return digest.lower().replace("sha3-", "sha3_").replace("sha-", "sha")


# -- the CMS


@dataclass(frozen=True)
class Pen:
    way: Way
    key: Key
    certificate: bytes
    chain: tuple[bytes, ...]

    def cms(
        self, content: bytes, *, inside: bytes | None = None, named: bool = True, attributes: bool = True,
        stamp: Callable[[bytes], bytes] | None = None,
    ) -> bytes:  # fmt: skip
        """A SignedData over the content; `inside`: what it encapsulates, though it be something else; `named`: with signing-certificate-v2, as CAdES wants it;
        `stamp` turns the value into a token over it."""
        stated = self.way.over or self.way.digest
        digest = der(SEQUENCE, oid(DIGESTS[stated]))
        said = [
            _attribute(CONTENT_TYPE, oid(DATA)),
            _attribute(MESSAGE_DIGEST, der(OCTETS, hashlib.new(hash_name(stated), content).digest())),
            *([_attribute(SIGNING_CERTIFICATE_V2, self._named())] if named else []),
        ]
        signed = der(SET, *sorted(said))
        value = self.way.sign(self.key, signed if attributes else content)
        certificate = x509.load_der_x509_certificate(self.certificate)
        serial = certificate.serial_number
        number = der(b"\x02", serial.to_bytes(serial.bit_length() // 8 + 1, "big"))
        signer = der(
            SEQUENCE, b"\x02\x01\x01", der(SEQUENCE, certificate.issuer.public_bytes(), number), digest,
            b"\xa0" + signed[1:] if attributes else b"", self.way.algorithm, der(OCTETS, value),
            der(b"\xa1", _attribute(TIMESTAMP, stamp(value))) if stamp else b"",
        )  # fmt: skip
        held = der(SEQUENCE, oid(DATA), der(CONTENT, der(OCTETS, inside)) if inside is not None else b"")
        known = der(b"\xa0", *sorted((self.certificate, *self.chain)))
        whole = der(SEQUENCE, b"\x02\x01\x01", der(SET, digest), held, known, der(SET, signer))
        return der(SEQUENCE, oid(SIGNED_DATA), der(CONTENT, whole))

    def _named(self) -> bytes:
        named = ESSCertIDv2({"cert_hash": hashlib.sha256(self.certificate).digest()})
        return bytes(SigningCertificateV2({"certs": [named]}).dump())


def _attribute(kind: str, value: bytes) -> bytes:
    return der(SEQUENCE, oid(kind), der(SET, value))


def pen(pki: Any, way: Way, keys: dict[str, Key]) -> Pen:
    """`keys` keeps those that were made, each with a certificate of its own."""
    label = way.key_name
    if label not in keys:
        keys[label] = key = way.new_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, label)])
        hashed = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashed)
        pki.issue(label, request.public_bytes(Encoding.DER), years=(2015, 2040))
    return Pen(way, keys[label], pki.certificate(label), pki.chain)


# -- the PDF


def signed_pdf(
    paper: bytes, sub_filter: str, contents: Callable[[bytes], bytes], *, kind: str = "/Sig"
) -> bytes:
    """In one revision; `contents` turns the bytes that are covered into what signs them."""
    numbers = [0, 1111111111, 2222222222, 3333333333]
    with pikepdf.open(BytesIO(paper)) as pdf:
        signature = pikepdf.Dictionary(
            Type=pikepdf.Name(kind), Filter=pikepdf.Name("/Adobe.PPKLite"), SubFilter=pikepdf.Name(sub_filter),
            ByteRange=numbers, Contents=pikepdf.String(bytes(ROOM)),
        )  # fmt: skip
        page = pdf.pages[0].obj
        field = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Sig, T="S1", F=132,
                Rect=[0, 0, 0, 0], P=page, V=pdf.make_indirect(signature),
            )
        )  # fmt: skip
        page.Annots = pikepdf.Array([field])
        pdf.Root.AcroForm = pikepdf.Dictionary(Fields=[field], SigFlags=3)
        out = BytesIO()
        pdf.save(out)
    whole = out.getvalue()
    hole = b"<" + b"00" * ROOM + b">"
    begin = whole.index(hole)
    after = begin + len(hole)
    found = re.search(rb"\[ 0 1111111111 2222222222 3333333333 \]", whole)
    assert found is not None
    stated = b"[ 0 %d %d %d" % (begin, after, len(whole) - after)
    whole = whole.replace(found[0], stated.ljust(len(found[0]) - 1) + b"]")
    der_of = contents(whole[:begin] + whole[after:])
    return whole[:begin] + b"<" + der_of.hex().encode().ljust(2 * ROOM, b"0") + b">" + whole[after:]
