"""Files that are not as they should be: this file makes them, each for one test's question."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

import pikepdf

from tests.papers import letter


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
