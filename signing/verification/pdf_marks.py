"""Does the mark of a later signature hide what an earlier one stands for (V9)? This file looks at the page before and after.

- Ink of the signed page under the mark must still be seen: a transparent mark, one over blank paper and one over another
  signature's mark hide nothing.
- Who draws is PDFium, not the readers that compared the objects.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from enum import Enum, auto

import pypdfium2
from PIL import Image, ImageChops, ImageStat

Rectangle = tuple[float, float, float, float]
LARGEST = 128 << 20  # bytes of a file that is drawn
SCALE = 1.5
MOST_PIXELS = 4_000_000
APART = 64  # of 255, by which two greys differ for the eye
SPECKS = 12  # pixels
SHARE = 0.02  # of the ink under a mark


class Seen(Enum):
    CLEAR = auto()  # nothing stood there
    ABOVE = auto()  # something stands there, and is still seen
    HIDDEN = auto()
    UNSEEN = auto()  # it could not be drawn


def look(
    read: Callable[[int], bytes], ends: tuple[int, int], page: int, mark: Rectangle, password: str | None
) -> Seen:
    """`read` gives the file up to an end; `ends`: of the signed revision, and of the one with the mark."""
    if ends[1] > LARGEST:
        return Seen.UNSEEN
    try:
        before = _drawn(read(ends[0]), page, mark, password, annotations=False)
        after = _drawn(read(ends[1]), page, mark, password, annotations=True)
    except (pypdfium2.PdfiumError, ValueError, IndexError, OSError):
        return Seen.UNSEEN
    if before.size != after.size:
        return Seen.HIDDEN
    paper = Image.new("L", before.size, int(ImageStat.Stat(before).median[0]))
    ink = _where_apart(before, paper)
    drawn = ink.histogram()[255]
    if drawn <= SPECKS:
        return Seen.CLEAR
    gone = ImageChops.multiply(ink, _where_apart(before, after)).histogram()[255]
    return Seen.HIDDEN if gone > max(SPECKS, SHARE * drawn) else Seen.ABOVE


def _where_apart(one: Image.Image, other: Image.Image) -> Image.Image:
    return ImageChops.difference(one, other).point([255 if grey > APART else 0 for grey in range(256)])


def _drawn(
    file: bytes, number: int, mark: Rectangle, password: str | None, *, annotations: bool
) -> Image.Image:
    with closing(pypdfium2.PdfDocument(file, password=password)) as document:
        if annotations:
            document.init_forms()  # else the looks of fields are left out
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(SCALE, (MOST_PIXELS / max(1.0, width * height)) ** 0.5)
        drawn = page.render(
            scale=scale,
            crop=_crop(page, mark),
            grayscale=True,
            draw_annots=annotations,
            may_draw_forms=annotations,
        )
        picture: Image.Image = drawn.to_pil()
        return picture.convert("L")


def _crop(page: pypdfium2.PdfPage, mark: Rectangle) -> Rectangle:
    """What to leave out at each side; nothing where the page is turned, or is shown otherwise than its box says: then all of
    it is looked at."""
    left, bottom, right, top = page.get_cropbox()
    width, height = page.get_size()
    if abs(right - left - width) > 1 or abs(top - bottom - height) > 1:
        return (0, 0, 0, 0)
    inside = max(left, mark[0]), max(bottom, mark[1]), min(right, mark[2]), min(top, mark[3])
    if page.get_rotation() or inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        return (0, 0, 0, 0)
    return inside[0] - left, inside[1] - bottom, right - inside[2], top - inside[3]
