"""Pages of a file that is opened for an update: this file walks the page tree as it stands, and mends nothing.

Trees may be hostile: nodes met twice are passed over, and the walk ends after so many nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

import pikepdf

from signing.pdf.objects import OF_OURS, Array, Dictionary, Stream
from signing.pdf.opening import NotOpened

MOST_NODES = 2_000_000
DEEPEST = 256
POINT_LIMIT = 14_400_000.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Page:
    """`node` is the page's dictionary; `box` what of it is shown (/CropBox within /MediaBox), in its own units, of
    which each is `unit` points wide; shown turned clockwise by `rotation` degrees."""

    node: pikepdf.Object
    box: Box
    rotation: int
    unit: float


def pages(pdf: pikepdf.Pdf) -> Iterator[tuple[pikepdf.Object, dict[str, pikepdf.Object]]]:
    """Each page with the attributes that it inherits, in order."""
    root = pdf.trailer.get("/Root")
    top = root.get("/Pages") if is_dictionary(root) else None
    if not is_dictionary(top):
        raise NotOpened("damaged", "no page tree")
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[pikepdf.Object, dict[str, pikepdf.Object], int]] = [(top, {}, 0)]
    for _ in range(MOST_NODES):
        if not stack:
            return
        node, inherited, depth = stack.pop()
        if not is_dictionary(node) or (node.is_indirect and node.objgen in seen) or depth > DEEPEST:
            continue
        seen.add(node.objgen)
        kids = node.get("/Kids")
        if not is_array(kids):
            if node.get("/Type") != "/Pages":
                yield node, inherited
            continue
        own = {key: node[key] for key in ("/MediaBox", "/CropBox", "/Rotate") if key in node}
        stack += [(kid, inherited | own, depth + 1) for kid in reversed(list(kids))]
    raise NotOpened("too-complex", "the page tree has no end")


def page(pdf: pikepdf.Pdf, number: int) -> Page:
    """The page of this number, counted from 1. Raises NotOpened."""
    for found, (node, inherited) in enumerate(pages(pdf), start=1):
        if found == number:
            return as_page(node, inherited)
    if number == 1:
        raise NotOpened("no-pages")
    raise NotOpened("no-such-page", str(number))


def as_page(node: pikepdf.Object, inherited: dict[str, pikepdf.Object]) -> Page:
    """What `pages` gave, with its place and turn."""

    def attribute(key: str) -> object:
        return node.get(key, inherited.get(key))

    media = box(attribute("/MediaBox")) or (0.0, 0.0, 612.0, 792.0)
    crop = box(attribute("/CropBox")) or media
    shown = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
    if shown[0] >= shown[2] or shown[1] >= shown[3]:
        shown = media
    turned, unit = attribute("/Rotate"), as_number(node.get("/UserUnit"))
    return Page(
        node=node,
        box=shown,
        rotation=turned % 360 if isinstance(turned, int) and turned % 90 == 0 else 0,
        unit=unit if unit and 0 < unit < POINT_LIMIT else 1.0,
    )


def box(value: object) -> Box | None:
    """A rectangle with an area, its corners in order."""
    if not is_array(value):
        return None
    numbers = [as_number(one) for one in list(value)[:4]]
    corners = [one for one in numbers if one is not None and abs(one) < POINT_LIMIT]
    if len(corners) < 4:
        return None
    left, right = sorted((corners[0], corners[2]))
    bottom, top = sorted((corners[1], corners[3]))
    return (left, bottom, right, top) if left < right and bottom < top else None


def as_number(value: object) -> float | None:
    """None where it is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, NotImplementedError):
        return None


def is_dictionary(value: object) -> TypeGuard[pikepdf.Object]:
    """A dictionary that is not a stream's. Of another reader's objects (`objects.py`) as well, as all that follows."""
    if isinstance(value, pikepdf.Object):
        return bool(value._type_code == pikepdf.ObjectType.dictionary)
    return type(value) is Dictionary


def is_array(value: object) -> TypeGuard[pikepdf.Object]:
    if isinstance(value, pikepdf.Object):
        return bool(value._type_code == pikepdf.ObjectType.array)
    return type(value) is Array


def is_stream(value: object) -> TypeGuard[pikepdf.Stream]:
    return isinstance(value, pikepdf.Stream | Stream)


def is_spoken(value: object) -> bool:
    """A name, a string, or something else that is no number."""
    return isinstance(value, (pikepdf.Object, *OF_OURS))


def spoken(value: object) -> str:
    """A name or string as text. Names are bytes (ISO 32000-2 7.3.5): one that is no UTF-8 is told as it is written."""
    try:
        return str(value)
    except UnicodeDecodeError:
        return value.unparse().decode("latin-1") if isinstance(value, pikepdf.Object) else ""
