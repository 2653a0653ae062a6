"""Files that are not as they should be: this file makes them, each for one test's question."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

import pikepdf

from tests.papers import letter
from tests.rooms.signing.pens import CATALOG, FONT, page, simple, stream, written


def truncated() -> bytes:
    whole = letter(weight=5000)
    return whole[: len(whole) // 3]


def broken_cross_references() -> bytes:
    """`startxref` leads into nowhere, and the table's offsets are all wrong."""
    paper = re.sub(rb"startxref\s+\d+", b"startxref\n99999999", letter())
    return re.sub(rb"(\d{10}) 00000 n", b"0000000007 00000 n", paper)


def endless_cross_references() -> bytes:
    """Each table names itself as the one before."""
    paper = letter()
    at = re.search(rb"startxref\s+(\d+)", paper)
    assert at is not None
    return paper.replace(b"trailer <<", b"trailer << /Prev " + at[1], 1)


def two_tables_in_a_circle() -> bytes:
    """Each of two updates names the other as the one before."""
    paper = simple()
    first = paper.index(b"xref\n")
    update = b"xref\n0 0\ntrailer\n<</Size 6/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
    second = len(paper) + len(b"/Prev 00000000")
    return paper.replace(b"/Size 6", b"/Size 6/Prev %08d" % second) + update % (first, second)


def huge_lengths() -> bytes:
    """Of the page's content and of a picture, one beyond every number and one below nothing."""
    picture = (
        b"<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length -9>>"
    )
    drawn = stream(b"BT /F 24 Tf 72 700 Td (Cong van) Tj ET /I Do", b"<</Length 99999999999999>>")
    shown = page(b"/Contents 4 0 R").replace(b"<</Font", b"<</XObject<</I 6 0 R>>/Font")
    return written(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", shown, drawn, FONT, stream(b"x", picture))


def wide_rows() -> bytes:
    """A predictor over rows of two thousand million columns (the dimensions of Flate)."""
    packed = zlib.compress(b"BT /F 24 Tf 72 700 Td (Cong van) Tj ET")
    rows = b"/DecodeParms<</Predictor 12/Columns 2147483647/Colors 255/BitsPerComponent 16>>"
    head = b"<</Filter/FlateDecode%s/Length %d>>" % (rows, len(packed))
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return written(CATALOG, tree, page(), stream(packed, head), FONT)


def wide_entries() -> bytes:
    """A cross-reference stream whose entries are told to have two thousand million bytes, and of which there are as many."""
    paper = simple()
    body = paper[: paper.index(b"xref\n")]
    lines = bytes(60)
    head = b"<</Type/XRef/Size 2147483647/Index[0 2147483647]/W[1 2147483647 2]/Root 1 0 R/Length %d>>" % len(
        lines
    )
    return body + b"6 0 obj\n" + stream(lines, head) + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(body)


def words_without_end() -> bytes:
    """A font that maps every code that there could be to letters."""
    ranges = b"1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange " * 200
    mapped = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return written(CATALOG, tree, page(), stream(), mapped, stream(b"begincmap " + ranges + b"endcmap"))


def entities() -> bytes:
    """Metadata whose entities grow to a thousand million letters, and one that is a file of this machine."""
    grown = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    words = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "x">{grown}<!ENTITY file SYSTEM "file:///etc/passwd">]>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="1">'
        "&e9;&file;</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    metadata = stream(words, b"<</Type/Metadata/Subtype/XML/Length %d>>" % len(words))
    return simple(b"<</Type/Catalog/Pages 2 0 R/Metadata 6 0 R>>", None, metadata)


def large_picture() -> bytes:
    """12,000 times 12,000 points of colour, by one byte; and one that is larger than any memory."""
    first, second = (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 16/Length 1>>"
        % (n, n)
        for n in (12_000, 2_000_000_000)
    )
    drawn = stream(b"q 500 0 0 500 20 20 cm /I Do /J Do Q")
    shown = page(b"/Contents 4 0 R").replace(b"<</Font", b"<</XObject<</I 6 0 R/J 7 0 R>>/Font")
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return written(CATALOG, tree, shown, drawn, FONT, stream(b"x", first), stream(b"x", second))


def circle_of_pages() -> bytes:
    """The tree of pages has itself for a leaf."""
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.Root.Pages.Kids.append(pdf.Root.Pages)
        pdf.Root.Pages.Count = 2
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def deep() -> bytes:
    """A value of 100,000 arrays in one another."""
    depth = 100_000
    return letter() + b"\n9 0 obj\n" + b"[" * depth + b"]" * depth + b"\nendobj\n"


def bomb(size: int) -> bytes:
    """A cross-reference stream of about a thousandth of the `size` bytes that it unpacks to."""
    zeros = bytes(1 << 22)
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(zeros) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # may be repeated: it looks back at nothing
    count = size // len(zeros)
    checksum = (count * len(zeros) % 65521 << 16 | 1).to_bytes(4, "big")  # Adler-32 of zeros (RFC 1950 8.2)
    packed = b"\x78\xda" + block * count + zlib.compressobj(wbits=-15).flush() + checksum
    head = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    body = (
        b"3 0 obj\n<< /Type /XRef /W [1 4 2] /Root 1 0 R /Filter /FlateDecode /Size %d /Length %d >>\nstream\n"
        % (size // 7, len(packed))
    )
    return head + body + packed + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)


def encrypted(password: str) -> bytes:
    with pikepdf.open(BytesIO(letter())) as pdf:
        out = BytesIO()
        pdf.save(out, encryption=pikepdf.Encryption(owner=password, user=password))
    return out.getvalue()
