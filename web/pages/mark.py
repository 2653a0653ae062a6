"""The mark that a person wishes on the paper: this file says where it stands and what is in it.

- QR code and, beside it in letters, the official address and the code (C1), so that paper can be checked too.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from catalogue import N_, say
from documents.results import Code
from signing.pades import Mark

WIDE, HIGH = 236.0, 54.0  # points; a code at size 10 stands in one line
EDGE = 28.0  # from the edges of the page

LAST, FIRST, NO_MARK = "last", "first", "none"
PLACES = (
    (LAST, N_("Trang cuối")),
    (FIRST, N_("Trang đầu")),
    (NO_MARK, N_("Không hiện trên trang nào")),
)
CORNERS = (
    ("top-left", N_("Trên, bên trái")),
    ("top-right", N_("Trên, bên phải")),
    ("bottom-left", N_("Dưới, bên trái")),
    ("bottom-right", N_("Dưới, bên phải")),
)
SIGNED_BY = N_("Ký bởi: %(who)s")
LOOK_UP = N_("Tra cứu: %(address)s")
CODE = N_("Mã: %(code)s")


def mark_for(page: int, corner: str, size: tuple[float, float], *, who: str, code: Code | None) -> Mark:
    """`size` of the page as it is shown, in points. A page smaller than the mark gets a smaller mark."""
    lines = [say(SIGNED_BY, "vi", who=who)]
    if code is not None:
        address = urlsplit(code.url)
        lines += [
            say(LOOK_UP, "vi", address=f"{address.netloc}/v"),
            say(CODE, "vi", code=code.text),
        ]
    return Mark(page, box_in(corner, size), "\n".join(lines), qr=code.url if code else None)


@dataclass(frozen=True)
class Box:
    """Where a mark stands in a corner, in points from the upper left of the page as it is shown."""

    corner: str
    left: float
    top: float
    wide: float
    high: float


def boxes_on(size: tuple[float, float]) -> list[Box]:
    found = []
    for corner, _ in CORNERS:
        left, bottom, right, top = box_in(corner, size)
        found.append(Box(corner, left, size[1] - top, right - left, top - bottom))
    return found


def box_in(corner: str, size: tuple[float, float]) -> tuple[float, float, float, float]:
    wide, high = size
    edge = min(EDGE, wide / 20, high / 20)
    across, up = min(WIDE, wide - 2 * edge), min(HIGH, high - 2 * edge)
    left = edge if corner.endswith("left") else wide - edge - across
    bottom = edge if corner.startswith("bottom") else high - edge - up
    return left, bottom, left + across, bottom + up
