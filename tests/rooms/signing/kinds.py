"""Files of each kind that is in the world, and what stands in them: this file makes and reads them for the tests."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
from asn1crypto.x509 import Certificate
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import (
    DocumentSecurityStore,
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints

from signing.profile import Level
from tests.papers import letter
from tests.rooms.signing.levels import Hand
from tests.rooms.signing.pens import CATALOG, FONT, TREE, page, stream, written
from tests.steering import SteerableClock

clock = SteerableClock()
VALID, STAMP = (
    "Signature is Valid.",
    "Signature has not yet been verified.",
)  # pdfsig judges no document time-stamp


def plain(folder: Path) -> tuple[Path, str | None]:
    file = folder / "plain.pdf"
    file.write_bytes(letter(pages=2))
    return file, None


def saved(folder: Path, **how: Any) -> Path:
    file, _ = plain(folder)
    out = folder / "saved.pdf"
    with pikepdf.open(file) as pdf:
        pdf.save(out, **how)
    return out


def streams(folder: Path) -> tuple[Path, str | None]:
    return saved(folder, object_stream_mode=pikepdf.ObjectStreamMode.generate), None


def linearised(folder: Path) -> tuple[Path, str | None]:
    return saved(folder, linearize=True), None


def encrypted(folder: Path, revision: int, **how: Any) -> tuple[Path, str | None]:
    secret = pikepdf.Encryption(owner="chu", user="mat khau", R=revision, **how)  # type: ignore[arg-type]
    return saved(folder, encryption=secret), "mat khau"


def pdfa(folder: Path, part: int) -> Path:
    file, out = plain(folder)[0], folder / "pdfa.pdf"
    with pikepdf.open(file) as pdf:
        with pdf.open_metadata() as metadata:
            metadata["pdfaid:part"], metadata["pdfaid:conformance"] = str(part), "B"
        pdf.save(out, min_version="1.4" if part == 1 else "1.7")
    return out


def hybrid(told: int | None = None, packed: bytes | None = None) -> bytes:
    """A table, and a stream beside it with what older readers shall not see: the font, in an object stream (ISO 32000-1
    7.5.8.4). `told`: the offset that the stream tells of itself, instead of the true one. `packed`: an
    object stream of your own."""
    data = written(CATALOG, TREE, page(), stream())
    data, table = data[: data.index(b"xref\n")], data[data.index(b"xref\n") : data.index(b"trailer")]
    holder = len(data)
    held, how = (b"5 0 " + FONT, b"") if packed is None else (packed, b"/Filter/FlateDecode")
    entries = b"<</Type/ObjStm/N 1/First 4/Length %d%s>>" % (len(held), how)
    data += b"6 0 obj\n" + stream(held, entries) + b"\nendobj\n"
    hidden = len(data)
    places = ((2, 6, 0), (1, holder, 0), (1, hidden if told is None else told, 0))
    lines = b"".join(
        bytes([kind]) + place.to_bytes(3, "big") + bytes([third]) for kind, place, third in places
    )
    head = b"<</Type/XRef/Size 8/Index[5 3]/W[1 3 1]/Root 1 0 R/Length %d>>" % len(lines)
    data += b"7 0 obj\n" + stream(lines, head) + b"\nendobj\n"
    trailer = b"trailer\n<</Size 8/Root 1 0 R/XRefStm %d>>\nstartxref\n%d\n%%%%EOF\n"
    return data + table + trailer % (hidden, len(data))


FILES: dict[str, Callable[[Path], tuple[Path, str | None]]] = {
    "table": plain,
    "streams": streams,
    "linearised": linearised,
    "AES-256": lambda folder: encrypted(folder, 6),
    "AES-128": lambda folder: encrypted(folder, 4, aes=True),
    "RC4": lambda folder: encrypted(folder, 3, aes=False, metadata=False),
    "PDF/A-1": lambda folder: (pdfa(folder, 1), None),
    "PDF/A-2": lambda folder: (pdfa(folder, 2), None),
}


async def ltv(file: Path, hand: Hand, password: str | None = None) -> Any:
    """pyHanko's word of the file's first signature and of every document time-stamp, revocation required, with nothing
    but what stands in the file."""
    known = {
        "trust_roots": [Certificate.load(hand.pki.certificate("root"))],
        "allow_fetching": False,
        "revocation_mode": "require",
        "moment": clock(),
    }
    with file.open("rb") as opened:
        reader = PdfFileReader(opened)
        if password:
            reader.decrypt(password)
        store = DocumentSecurityStore.read_dss(reader)
        for stamp in reader.embedded_timestamp_signatures:
            said = await async_validate_pdf_timestamp(stamp, store.as_validation_context(known))
            assert said.valid and said.trusted and said.intact
        return await async_validate_pdf_signature(
            reader.embedded_regular_signatures[0],
            store.as_validation_context(known),
            ts_validation_context=store.as_validation_context(known),
            key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature"}),
        )


def stored_in(file: Path, password: str | None = None) -> dict[str, list[bytes]]:
    """Every stream of the store, unpacked; the entries of /VRI by their names besides."""
    with pikepdf.open(file, password=password or "") as pdf:
        store = pdf.Root.DSS
        found = {
            key: [one.read_bytes() for one in store.get(key, [])] for key in ("/Certs", "/CRLs", "/OCSPs")
        }
        for name, entry in store.get("/VRI", {}).items():
            found[name] = [
                one.read_bytes() for key in ("/Cert", "/CRL", "/OCSP") for one in entry.get(key, [])
            ]
        return found


EVERY = [("table", level) for level in Level] + [(kind, Level.B_LTA) for kind in FILES if kind != "table"]


def with_fields() -> bytes:
    with pikepdf.open(BytesIO(letter())) as pdf:
        fields = [
            pdf.make_indirect(
                pikepdf.Dictionary(
                    Type=pikepdf.Name.Annot,
                    Subtype=pikepdf.Name.Widget,
                    FT=pikepdf.Name.Sig,
                    T=name,
                    Rect=[50, 50 + 100 * at, 250, 130 + 100 * at],
                    P=pdf.pages[0].obj,
                )
            )
            for at, name in enumerate(("Chữ ký", "Khác"))
        ]
        pdf.pages[0].Annots = pdf.make_indirect(pikepdf.Array(fields))
        pdf.Root.AcroForm = pikepdf.Dictionary(Fields=fields)
        out = BytesIO()
        pdf.save(out)
        return out.getvalue()
