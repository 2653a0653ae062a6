"""A key outside of any token, and the files it signs: this file is what tests of `pades.py` write with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pikepdf
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.validation.status import SignatureCoverageLevel

from hsm.key import Mechanism
from signing import pades
from signing.pades import Signer, Wish
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.verification.own_work import judge
from tests import strangers

NOW = datetime.now(UTC).replace(microsecond=0)
PLAIN = Wish(Level.B_B, claimed_time=NOW)
AGENCY, PERSON, REQUEST = UUID(int=1), UUID(int=2), UUID(int=3)


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def signature(key: Key, prepared: PreparedSignature) -> bytes:
    """Of what was prepared, by its mechanism."""
    hashed = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    chosen: Any = hashed[prepared.mechanism.hash_name]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(prepared.to_sign, ec.ECDSA(chosen))
    if prepared.mechanism.value.startswith("rsa-pss"):
        mask = padding.PSS(padding.MGF1(chosen), chosen.digest_size)
        return key.sign(prepared.to_sign, mask, chosen)
    return key.sign(prepared.to_sign, padding.PKCS1v15(), chosen)


def key_for(mechanism: Mechanism) -> Key:
    if mechanism.value.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP384R1() if mechanism is Mechanism.ECDSA_SHA384 else ec.SECP256R1())


@dataclass(frozen=True)
class Pen:
    key: Key
    signer: Signer

    def sign(self, prepared: PreparedSignature) -> bytes:
        return signature(self.key, prepared)

    def signed(
        self, paper: bytes | Path, folder: Path, wish: Wish = PLAIN, *, password: str | None = None
    ) -> Path:
        """Prepared, completed, and accepted by our own judge and by every stranger."""
        source = paper if isinstance(paper, Path) else folder / "in.pdf"
        if isinstance(paper, bytes):
            source.write_bytes(paper)
        out = folder / f"signed-{len(list(folder.iterdir()))}.pdf"
        prepared = pades.prepare(source, out, wish=wish, signer=self.signer, password=password)
        again = PreparedSignature.from_stored(prepared.to_stored())
        pades.complete(again, out, signature=self.sign(prepared))
        self.accepted(source, out, prepared, password)
        return out

    def accepted(self, source: Path, out: Path, prepared: PreparedSignature, password: str | None) -> None:
        assert out.read_bytes().startswith(source.read_bytes())
        trust = TrustSnapshot((Anchor(self.signer.certificate),))
        judge(source, out, prepared, trust=trust, password=password, timestamped=False)
        assert strangers.qpdf_check(out, password)[0] <= strangers.qpdf_check(source, password)[0]
        said = strangers.pdfsig(out, password)
        assert said and said[-1] == strangers.Said("Signature is Valid.", whole=True), said
        status = strangers.pyhanko(out, self.signer.certificate, password=password, strict=False)
        assert status.intact and status.valid and status.coverage is SignatureCoverageLevel.ENTIRE_FILE
        data = out.read_bytes()
        assert strangers.openssl_verify(out.parent, cms_in(data), covered_in(data))


def make(mechanism: Mechanism = Mechanism.ECDSA_SHA256) -> Pen:
    key = key_for(mechanism)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Trần Thị Bình")])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        x509.random_serial_number(),
        NOW - timedelta(days=1),
        NOW + timedelta(days=30),
    )
    usage = x509.KeyUsage(True, True, *7 * [False])
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    signer = Signer(
        certificate=certificate.public_bytes(Encoding.DER), chain=(), mechanism=mechanism, key="bình",
        agency=AGENCY, person=PERSON, request=REQUEST, expires=NOW + timedelta(minutes=15),
    )  # fmt: skip
    return Pen(key, signer)


@cache
def pen(mechanism: Mechanism = Mechanism.ECDSA_SHA256) -> Pen:
    """One for all tests of a run."""
    return make(mechanism)


def wish(**changes: Any) -> Wish:
    return replace(PLAIN, **changes)


def reason(paper: bytes, folder: Path, asked: Wish = PLAIN, *, password: str | None = None) -> str:
    """Why it cannot be signed."""
    source = folder / "refused.pdf"
    source.write_bytes(paper)
    try:
        pades.prepare(source, folder / "out.pdf", wish=asked, signer=pen().signer, password=password)
    except pades.CannotSign as refused:
        return refused.reason.value
    return "signed"


def saved(pdf: pikepdf.Pdf, **how: Any) -> bytes:
    out = BytesIO()
    pdf.save(out, **how)
    return out.getvalue()


def written(*bodies: bytes, trailer: bytes = b"/Root 1 0 R", size: int | None = None) -> bytes:
    """A file of these objects, numbered from 1, with a table."""
    data, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f\r\n" % (len(places) + 1)
    data += b"".join(b"%010d 00000 n\r\n" % place for place in places)
    size = len(places) + 1 if size is None else size
    return data + b"trailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)


CATALOG, TREE = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
SHOWN = b"BT /F 24 Tf 72 700 Td (Cong van) Tj ET"


def page(more: bytes = b"/Contents 4 0 R") -> bytes:
    return b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 5 0 R>>>>" + more + b">>"


def stream(content: bytes = SHOWN, entries: bytes | None = None) -> bytes:
    head = b"<</Length %d>>" % len(content) if entries is None else entries
    return head + b"\nstream\n" + content + b"\nendstream"


def simple(catalog: bytes = CATALOG, first: bytes | None = None, *more: bytes) -> bytes:
    """One page; objects from 6 on are `more`."""
    return written(catalog, TREE, first or page(), stream(), FONT, *more)


def byte_range(data: bytes) -> tuple[int, int, int, int]:
    found = re.findall(rb"/ByteRange ?\[\s*(\d+) +(\d+) +(\d+) +(\d+)", data)[-1]
    a, b, c, d = (int(one) for one in found)
    return a, b, c, d


def covered_in(data: bytes) -> bytes:
    a, b, c, d = byte_range(data)
    return data[a : a + b] + data[c : c + d]


def cms_in(data: bytes) -> bytes:
    """With the zeros behind it cut off."""
    _, b, c, _ = byte_range(data)
    padded = bytes.fromhex(data[b + 1 : c - 1].decode())
    count = padded[1] & 0x7F
    return padded[: 2 + count + int.from_bytes(padded[2 : 2 + count], "big")]
