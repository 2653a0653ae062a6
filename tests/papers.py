"""Papers to sign: this file makes small PDF files as offices write them."""

from __future__ import annotations

import os
from io import BytesIO

import pikepdf


def letter(text: str = "Cong hoa xa hoi chu nghia Viet Nam", *, pages: int = 1, weight: int = 0) -> bytes:
    """A letter of so many pages; a scanned stamp of about `weight` bytes makes it heavy. No two letters are the same."""
    with pikepdf.new() as pdf:
        font = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
        )
        resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        if weight:
            resources.XObject = pikepdf.Dictionary(Scan=_scan(pdf, weight))
        for number in range(1, pages + 1):
            page = pdf.add_blank_page(page_size=(595, 842))
            page.Resources = resources
            drawn = (
                f"BT /F1 14 Tf 72 770 Td ({text}) Tj 0 -24 Td ({os.urandom(8).hex()} {number}/{pages}) Tj ET"
            )
            if weight:
                drawn += " q 200 0 0 200 72 300 cm /Scan Do Q"
            page.Contents = pdf.make_stream(drawn.encode())
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def locked(password: str = "mật khẩu", *, pages: int = 2) -> bytes:
    """A letter that opens with a password only (AES-256)."""
    with pikepdf.open(BytesIO(letter(pages=pages))) as pdf:
        out = BytesIO()
        pdf.save(out, encryption=pikepdf.Encryption(owner=password, user=password, R=6))
    return out.getvalue()


def _scan(pdf: pikepdf.Pdf, weight: int) -> pikepdf.Stream:
    """Grey noise, which no compression makes smaller."""
    height = 100
    width = -(-weight // height)
    return pikepdf.Stream(
        pdf,
        os.urandom(width * height),
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=width,
        Height=height,
        ColorSpace=pikepdf.Name.DeviceGray,
        BitsPerComponent=8,
    )
