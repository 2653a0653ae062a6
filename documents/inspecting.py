"""What is looked up in a file, in a child process: pages and their pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pikepdf

MAX_PIXELS = 6_000_000
LONGEST_SIDE = 4000
MOST_PHOTO_PIXELS, PHOTO_SIDE = 120_000_000, 2400  # the camera of a good phone; enough for a code on a page
MOST_CODES, LONGEST_CODE = 8, 500
# What the libraries raise for pages of no size, of infinite size and the like, their own errors among them.
ODD = (RuntimeError, ValueError, OverflowError, ZeroDivisionError, TypeError, OSError)


class Unreadable(Exception):
    """No page of it can be found."""


class NeedsPassword(Exception):
    """The file is encrypted and its password is not known here."""


def count_pages(path: Path) -> int | None:
    """None where a password is wanted first. Raises Unreadable."""
    import pikepdf

    try:
        # As signing opens it: qpdf would else write inherited attributes into the pages, and stop at a tree that loops.
        with pikepdf.open(path, suppress_warnings=True, inherit_page_attributes=False) as pdf:
            count = _count(pdf)
    except pikepdf.PasswordError:
        return None
    except (pikepdf.PdfError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as why:
        raise Unreadable(str(why)[:200]) from why
    if count == 0:
        raise Unreadable("no page")
    return count


def _count(pdf: pikepdf.Pdf) -> int:
    import pikepdf

    from signing.pdf.opening import NotOpened
    from signing.pdf.pages import pages

    try:
        return len(pdf.pages)
    except (pikepdf.PdfError, RuntimeError):
        try:
            return sum(1 for _ in pages(pdf))
        except NotOpened as why:
            raise Unreadable(why.detail) from why


def page_size(path: Path, page: int, password: str | None = None) -> tuple[float, float]:
    """Width and height in points of one page (counted from 1) as it is shown. Raises Unreadable, NeedsPassword."""
    with _opened(path, page, password) as document:
        return _size(document[page - 1])


def render_page(path: Path, page: int, width: int, password: str | None = None) -> bytes:
    """PNG of one page (counted from 1), `width` pixels wide or less where the page is very long. Raises Unreadable,
    NeedsPassword."""
    with _opened(path, page, password) as document:
        document.init_forms()  # before a page is loaded: else the marks of signatures, which are fields, are left out
        sheet = document[page - 1]
        wide, high = _size(sheet)
        scale = min(width / wide, LONGEST_SIDE / high, (MAX_PIXELS / (wide * high)) ** 0.5)
        picture = sheet.render(scale=scale, may_draw_forms=True).to_pil()
        out = io.BytesIO()
        picture.convert("RGB").quantize(128).save(out, "PNG", optimize=False, compress_level=6)
        return out.getvalue()


def read_codes(path: Path) -> list[str]:
    """What the QR codes in a photo say, those that are text. Raises Unreadable for what is no photo."""
    import zxingcpp
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > MOST_PHOTO_PIXELS:
                raise Unreadable("too many pixels")
            opened.draft("L", (PHOTO_SIDE, PHOTO_SIDE))  # a JPEG is made smaller while it is read
            photo = opened.convert("L")
        photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
        found = zxingcpp.read_barcodes(photo, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    except (Image.DecompressionBombError, SyntaxError, *ODD) as why:
        raise Unreadable(str(why)[:200]) from why
    return [one.text[:LONGEST_CODE] for one in found[:MOST_CODES]]


@contextmanager
def _opened(path: Path, page: int, password: str | None) -> Iterator[Any]:
    """A document that has this page. Raises Unreadable, NeedsPassword, whatever the library says meanwhile."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path, password=password)
    except pypdfium2.PdfiumError as why:
        if "password" in str(why).lower():
            raise NeedsPassword from why
        raise Unreadable(str(why)) from why
    try:
        if not 1 <= page <= len(document):
            raise Unreadable(f"no page {page}")
        yield document
    except ODD as why:
        raise Unreadable(str(why)[:200]) from why
    finally:
        document.close()


def _size(sheet: Any) -> tuple[float, float]:
    wide, high = sheet.get_size()
    if wide <= 0 or high <= 0:
        raise Unreadable("a page without size")
    return wide, high
