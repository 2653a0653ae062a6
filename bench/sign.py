"""Prepare + sign + complete, against pyHanko's own signer over the same key of the same token: this file measures it.

- Both ask one SoftHSM token over one session and one time-stamp authority, in this process, and take turns.
- The judge of our own work, the store and HTTP are not part of it (the service's bench has them).
- The CMS alone is measured against pyHanko's, the memory of a file of 1 GB against the bound of 150 MB.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pkcs11
from asn1crypto import cms as cms_form
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11.util.ec import encode_ecdsa_signature
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.pkcs11 import PKCS11Signer
from pyhanko.sign.timestamps.api import TimeStamper

from bench.table import Row, interleaved, show
from hsm import key_book
from hsm.key import Mechanism
from hsm.key_book import KeyEntry
from hsm.pkcs11_uri import Pkcs11Uri
from signing import cms, pades
from signing.profile import Level
from signing.timestamping.authority import Authority
from signing.timestamping.source import obtain
from tests import strangers
from tests.papers import letter
from tests.rooms.hsm import tokens
from tests.rooms.signing import stamping

ROUNDS, BOUND_MB = 60, 150.0
PEER = "pyHanko PdfSigner"


@dataclass(frozen=True)
class Pen:
    """One key of the token, for us and for pyHanko."""

    entry: KeyEntry
    mechanism: Mechanism
    sign: Callable[[bytes], bytes]
    peer: PKCS11Signer


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        tokens.make_token(token)
        os.environ["SOFTHSM2_CONF"] = str(token / "softhsm2.conf")
        book = key_book.load(token)
        library = pkcs11.lib(str(book.token.module_path))
        pin = (token / "pin").read_text().strip()
        with closing(library.get_token(token_label=book.token.token).open(user_pin=pin)) as session:
            stamper = stamping.ours()
            rows = []
            for name, mechanism in (
                ("seal", Mechanism.ECDSA_SHA256),
                ("seal-rsa", Mechanism.RSA_PKCS1_SHA256),
            ):
                entry = next(one for one in book.keys if one.name == name)
                for weight, label in ((80_000, "80 KB"), (1_000_000, "1 MB")):
                    # A pen for each case: pyHanko's slows down with all that it has signed before.
                    rows += [
                        _signed(
                            _pen(session, entry, mechanism),
                            letter(weight=weight),
                            f"{label} {level} {name_of(mechanism)}",
                            stamped,
                        )
                        for level, stamped in (("B-B", None), ("B-T", stamper))
                    ]
                rows.append(_cms(_pen(session, entry, mechanism)))
            rows.append(_memory())
    show(rows)


def name_of(mechanism: Mechanism) -> str:
    return "P-256" if mechanism is Mechanism.ECDSA_SHA256 else "RSA-2048"


def _pen(session: pkcs11.Session, entry: KeyEntry, mechanism: Mechanism) -> Pen:
    label = Pkcs11Uri.parse(entry.uri).object
    key: Any = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)

    def sign(to_sign: bytes) -> bytes:
        if mechanism is Mechanism.ECDSA_SHA256:
            digest = hashlib.sha256(to_sign).digest()
            return bytes(encode_ecdsa_signature(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)))
        return bytes(key.sign(to_sign, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))

    peer = PKCS11Signer(
        session,
        signing_cert=asn1_x509.Certificate.load(entry.certificate),
        key_label=label,
        bulk_fetch=False,
        use_raw_mechanism=mechanism is Mechanism.ECDSA_SHA256,
    )
    return Pen(entry, mechanism, sign, peer)


class Stamps(TimeStamper):
    """Our authority as pyHanko asks for time-stamps."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._authority = authority
        self._dummy = b""

    async def async_dummy_response(self, md_algorithm: str) -> cms_form.ContentInfo:
        # asn1crypto takes longer and longer over one object that is written into others again and again (seconds in
        # the end): pyHanko is given what it would be at its best, a token that nobody touched.
        if not self._dummy:
            self._dummy = (await super().async_dummy_response(md_algorithm)).dump()
        return cms_form.ContentInfo.load(self._dummy)

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(await self._authority.stamp(req.dump()))


def _signer(pen: Pen) -> pades.Signer:
    nobody, later = tokens.AGENCY, datetime.now(UTC) + timedelta(hours=1)
    return pades.Signer(pen.entry.certificate, (), pen.mechanism, "seal", nobody, nobody, nobody, later)


def _signed(pen: Pen, paper: bytes, case: str, tsa: stamping.Ours | None) -> Row:
    """Both read a file and write a file, as the service does; time-stamps are checked as each of them does."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        run = runner.get_loop().run_until_complete  # as in a service: no handler for signals each time
        source, ours, theirs = (Path(folder) / name for name in ("in.pdf", "ours.pdf", "theirs.pdf"))
        source.write_bytes(paper)
        room = len(run(_stamp(tsa, b""))) if tsa else 0
        wish = pades.Wish(Level.B_T if tsa else Level.B_B, claimed_time=datetime.now(UTC))
        signer, stamps = _signer(pen), [Stamps(tsa.authority) if tsa else None]

        def by_us() -> None:
            prepared = pades.prepare(source, ours, wish=wish, signer=signer, timestamp_room=room)
            signature = pen.sign(prepared.to_sign)
            token = run(_stamp(tsa, signature)) if tsa else None
            pades.complete(prepared, ours, signature=signature, timestamp=token)

        def by_pyhanko() -> None:
            about = PdfSignatureMetadata(
                "Signature1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
            )
            with source.open("rb") as read, theirs.open("w+b") as written:
                signing = PdfSigner(about, pen.peer, timestamper=stamps[-1])
                run(signing.async_sign_pdf(IncrementalPdfFileWriter(read), output=written))

        def cost(one: Stamps) -> float:
            stamps.append(one)
            return min(timeit.repeat(by_pyhanko, number=1, repeat=4))

        if tsa:
            # Over every other token that pyHanko makes for its dry run asn1crypto takes 450 ms, each time: the best of eight.
            stamps.append(min((Stamps(tsa.authority) for _ in range(8)), key=cost))
        ours_ms, theirs_ms = interleaved(ROUNDS, by_us, by_pyhanko)
        _look(ours, pen)
    return Row("sign", case, ours_ms, theirs_ms, PEER, "ms")


def _look(signed: Path, pen: Pen) -> None:
    """A fast signature that nobody accepts would be no signature."""
    said = strangers.pyhanko(signed, pen.entry.certificate)
    if not (said.intact and said.valid):
        raise SystemExit("what was measured is no signature")


async def _stamp(tsa: stamping.Ours, over: bytes) -> bytes:
    digest = hashlib.sha256(over).digest()
    token = await obtain(tsa.authority, digest, hash_name="sha256", trust=tsa.trust, now=stamping.NOW)
    return token.der


def _cms(pen: Pen) -> Row:
    digest, entry = hashlib.sha256(b"document").digest(), pen.entry
    runner = asyncio.Runner()

    def by_us() -> bytes:
        template = cms.template(entry.certificate, (), pen.mechanism)
        to_sign = template.to_sign(digest)
        return template.signed_data(to_sign, pen.sign(to_sign))

    def by_pyhanko() -> bytes:
        return bytes(runner.run(pen.peer.async_sign(digest, "sha256", use_pades=True)).dump())

    with runner:
        ours_ms, theirs_ms = interleaved(ROUNDS, by_us, by_pyhanko)
    return Row("sign", f"CMS alone {name_of(pen.mechanism)}", ours_ms, theirs_ms, "pyHanko Signer", "ms")


def _memory() -> Row:
    """A process of its own signs a file of 1 GB; its largest resident memory, everything imported included."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.sign", "--alone"], capture_output=True, text=True, check=True
    )
    return Row("sign", "memory, 1 GB", float(done.stdout), BOUND_MB, "the bound", "MB")


def _large() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "DEMO")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    nobody = tokens.AGENCY
    signer = pades.Signer(certificate, (), Mechanism.ECDSA_SHA256, "k", nobody, nobody, nobody, now)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.pdf", Path(folder) / "out.pdf"
        write_large(source, 1 << 30)
        prepared = pades.prepare(source, out, wish=pades.Wish(Level.B_B), signer=signer)
        pades.complete(prepared, out, signature=key.sign(prepared.to_sign, ec.ECDSA(hashes.SHA256())))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def write_large(file: Path, size: int) -> None:
    """A page with so many bytes in its streams, 16 MB each, written in pieces."""
    piece, places = 16 << 20, []
    count = max(1, size // piece)
    with file.open("wb") as out:
        out.write(b"%PDF-1.7\n")
        bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
        kept = b" ".join(b"%d 0 R" % number for number in range(4, 4 + count))
        bodies.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Parts[" + kept + b"]>>")
        for number, body in enumerate(bodies, start=1):
            places.append(out.tell())
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        for number in range(4, 4 + count):
            places.append(out.tell())
            out.write(b"%d 0 obj\n<</Length %d>>\nstream\n" % (number, piece))
            out.write(bytes(piece))
            out.write(b"\nendstream\nendobj\n")
        table = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f\r\n" % (len(places) + 1))
        out.writelines(b"%010d 00000 n\r\n" % place for place in places)
        out.write(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, table))


if __name__ == "__main__":
    _large() if sys.argv[1:] == ["--alone"] else main()
