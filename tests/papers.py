"""Papers to sign: this file makes small PDF files as offices write them."""

from __future__ import annotations

import os
from io import BytesIO

import pikepdf

A4 = (0, 0, 595, 842)


def letter(text: str = "Cong hoa xa hoi chu nghia Viet Nam", *, pages: int = 1, weight: int = 0) -> bytes:
    """A letter of so many pages; `weight` bytes of noise make it heavy. No two letters are the same."""
    with pikepdf.new() as pdf:
        font = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
        )
        for number in range(1, pages + 1):
            page = pdf.add_blank_page(page_size=(A4[2], A4[3]))
            page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            lines = (
                f"BT /F1 14 Tf 72 770 Td ({text}) Tj 0 -24 Td ({os.urandom(8).hex()} {number}/{pages}) Tj ET"
            )
            page.Contents = pdf.make_stream(lines.encode())
        if weight:
            pdf.Root.PieceInfo = pdf.make_stream(os.urandom(weight))
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()
