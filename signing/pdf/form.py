"""The interactive form of a file (ISO 32000-1 12.7): this file finds its fields and the signatures in them.

Forms may be hostile: nodes met twice are passed over, and the walk ends after so many nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pikepdf

from signing.pdf.opening import NotOpened
from signing.pdf.pages import is_array, is_dictionary, is_spoken, spoken

MOST_FIELDS = 200_000
DEEPEST = 64


class Field(NamedTuple):
    """A terminal field. `widget` is its place on a page: often the field itself."""

    name: str  # fully qualified (ISO 32000-1 12.7.3.2)
    node: pikepdf.Object
    widget: pikepdf.Object
    is_signature: bool

    @property
    def signature(self) -> pikepdf.Object | None:
        """The signature dictionary that fills it."""
        value = self.node.get("/V")
        return value if self.is_signature and is_dictionary(value) else None


def root(pdf: pikepdf.Pdf) -> pikepdf.Object:
    found = pdf.trailer.get("/Root")
    if not is_dictionary(found) or not found.is_indirect:
        raise NotOpened("damaged", "no document catalog")
    return found


def form(pdf: pikepdf.Pdf) -> pikepdf.Object | None:
    found = root(pdf).get("/AcroForm")
    return found if is_dictionary(found) else None


def fields(pdf: pikepdf.Pdf) -> Iterator[Field]:
    """Every terminal field. Raises NotOpened where there is no end to them."""
    top = form(pdf)
    members = top.get("/Fields") if top is not None else None
    if not is_array(members):
        return
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[pikepdf.Object, str, object, int]] = [(one, "", None, 0) for one in list(members)[::-1]]
    for _ in range(MOST_FIELDS):
        if not stack:
            return
        node, parent, kind, depth = stack.pop()
        if not is_dictionary(node) or depth > DEEPEST or (node.is_indirect and node.objgen in seen):
            continue
        if node.is_indirect:
            seen.add(node.objgen)
        kind = node.get("/FT", kind)
        partial = _text(node.get("/T"))
        name = ".".join(part for part in (parent, partial) if part)
        kids = _dictionaries(node.get("/Kids")) if "/Kids" in node else []
        if kids and any("/T" in kid for kid in kids):
            stack += [(kid, name, kind, depth + 1) for kid in reversed(kids)]
        else:
            yield Field(name, node, kids[0] if kids else node, kind == "/Sig")
    raise NotOpened("too-complex", "the form has no end")


def references(signature: pikepdf.Object) -> Iterator[tuple[str, pikepdf.Object | None]]:
    """Transform method and parameters of each signature reference (ISO 32000-1 12.8.1)."""
    for one in _dictionaries(signature.get("/Reference")):
        parameters = one.get("/TransformParams")
        yield spoken(one.get("/TransformMethod")), parameters if is_dictionary(parameters) else None


def _dictionaries(value: object) -> list[pikepdf.Object]:
    return [one for one in list(value)[:10_000] if is_dictionary(one)] if is_array(value) else []


def _text(value: object) -> str:
    return spoken(value) if is_spoken(value) else ""


def names_in(value: object) -> list[str]:
    """An array of text strings or names."""
    return [spoken(one) for one in list(value)[:10_000]] if is_array(value) else []
