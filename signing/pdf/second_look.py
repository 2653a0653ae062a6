"""A look at a mended file with other eyes: this file asks pdfium whether it draws the same pages before and after.

Readers mend damage each in their own way. A file with damaged cross-references is signed with a whole table of our own,
so from then on all read it as qpdf did; only where another reader saw the same all along is nothing changed by that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pypdfium2

from signing.pdf.opening import NotOpened

MOST_PAGES = 200
SIDE = 300.0  # pixels of the longer side, at most


def refuse_other_pages(before: Path, after: Path, password: str | None) -> None:
    """Raises NotOpened. Marks and forms are left out, so that one that was added is no difference."""
    first = _drawn(before, password)
    if first is None or first != _drawn(after, password):
        raise NotOpened("damaged-cross-references", "readers do not agree on what the file shows")


def _drawn(file: Path, password: str | None) -> list[str] | None:
    """Number of pages and a digest of each picture; None where pdfium cannot read the file."""
    try:
        with pypdfium2.PdfDocument(file, password=password) as pdf:
            shown = [_picture(pdf, number) for number in range(min(len(pdf), MOST_PAGES))]
            return [str(len(pdf)), *shown]
    except (pypdfium2.PdfiumError, ValueError):
        return None


def _picture(pdf: pypdfium2.PdfDocument, number: int) -> str:
    try:
        page = pdf[number]
        longest = max(*page.get_size(), 1.0)
        bitmap = page.render(scale=min(1.0, SIDE / longest), may_draw_forms=False, draw_annots=False)
        return hashlib.sha256(bytes(bitmap.buffer)).hexdigest()
    except (pypdfium2.PdfiumError, ValueError):
        return "cannot be drawn"
