"""Title, author and the like of a PDF: this file says whether an update changed them, or only told of its own saving.

The time of saving and the name of the program are written anew by every program that saves (ISO 32000-2 14.3): alone
they are no change.
"""

from __future__ import annotations

import zlib
from xml.etree import ElementTree

import pikepdf

from signing.pdf.pages import is_stream
from signing.verification.pdf_view import entries, token

OF_THE_SAVE = {"/ModDate", "/Producer"}
_XMP_OF_THE_SAVE = ("ModifyDate", "MetadataDate", "Producer", "InstanceID")
LARGEST = 4 << 20  # bytes


def same_but_for_the_save(older: pikepdf.Pdf, newer: pikepdf.Pdf) -> bool:
    infos = [entries(pdf.trailer.get("/Info")) for pdf in (older, newer)]
    told = [{name: token(value) for name, value in info.items() if name not in OF_THE_SAVE} for info in infos]
    if told[0] != told[1]:
        return False
    streams = [pdf.Root.get("/Metadata") for pdf in (older, newer)]
    if streams[0] is None and streams[1] is None:
        return True
    texts = [_xmp(one) for one in streams]
    return texts[0] is not None and texts[0] == texts[1]


def _xmp(stream: object) -> set[tuple[str, str]] | None:
    """Every property with its value, without those of the save; None where it cannot be read."""
    if not is_stream(stream):
        return None
    packed = stream.read_raw_bytes()
    filters = stream.get("/Filter")
    if filters is not None:
        if filters not in ("/FlateDecode",) or "/DecodeParms" in stream:
            return None
        try:
            packed = zlib.decompressobj().decompress(packed, LARGEST)
        except zlib.error:
            return None
    if len(packed) >= LARGEST or b"<!ENTITY" in packed or b"<!DOCTYPE" in packed:
        return None
    try:
        top = ElementTree.fromstring(packed.strip(b"\0 \r\n\t"))  # noqa: S314  (no entities, see above)
    except ElementTree.ParseError:
        return None
    found: set[tuple[str, str]] = set()
    for one in top.iter():
        name = one.tag.rpartition("}")[2] if isinstance(one.tag, str) else ""
        if name not in _XMP_OF_THE_SAVE and (text := (one.text or "").strip()):
            found.add((name, text))
        for attribute, value in one.attrib.items():
            short = attribute.rpartition("}")[2]
            if short not in (*_XMP_OF_THE_SAVE, "about", "xmptk", "parseType"):
                found.add((short, value.strip()))
    return found
