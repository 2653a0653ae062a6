"""What an update did to the structure tree of a tagged PDF (ISO 32000-2 14.7): this file lets in what signing adds, an element
for the new widget at the end of a list, and nothing else. Whatever differs otherwise stays a change of structure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from signing.pdf.pages import is_array, is_dictionary
from signing.verification.pdf_view import Key, View, entries, key_of, members, same, token

MOST_NODES = 100_000
_GROWS = {"/K", "/ParentTree", "/ParentTreeNextKey"}  # of the root


class Comparison(Protocol):
    a: View
    b: View
    changed: set[Key]

    def explain(self, *things: object) -> None: ...


class _NotSo(Exception):
    """It differs by more than signing adds."""


def explain_growth(comparison: Comparison, older: object, newer: object, widgets: Collection[Key]) -> None:
    """Explains the nodes that grew by nothing but elements for `widgets`, which are new or newly signed."""
    if not is_dictionary(older) or not is_dictionary(newer) or token(older) != token(newer):
        return
    try:
        grown = _Growth(comparison, widgets).nodes(older, newer)
    except _NotSo:
        return
    comparison.explain(*grown)


class _Growth:
    def __init__(self, comparison: Comparison, widgets: Collection[Key]) -> None:
        self.c, self.widgets = comparison, widgets

    def nodes(self, older: object, newer: object) -> list[object]:
        a, b = entries(older), entries(newer)
        found: list[object] = []
        if any(token(a.get(name)) != token(b.get(name)) for name in (a.keys() | b.keys()) - _GROWS):
            raise _NotSo
        # 1. The list that leads from numbers in the content to elements: what stood in it stands there as it was.
        held, tree = self._numbers(a.get("/ParentTree"))
        now, _ = self._numbers(b.get("/ParentTree"))
        if any(not same(value, now.get(number)) for number, value in held.items()):
            raise _NotSo
        found += tree
        # 2. The elements: those that changed grew at their end.
        self._kids(a.get("/K"), b.get("/K"), newer)
        found.append(older)
        for key in self.c.changed:
            element = self.c.a.pdf.get_object(*key)
            if is_dictionary(element) and "/S" in element and "/P" in element and "/Subtype" not in element:
                self._element(element, self.c.b.pdf.get_object(*key))
                found.append(element)
        return found

    def _element(self, older: object, newer: object) -> None:
        a, b = entries(older), entries(newer)
        if any(token(a.get(name)) != token(b.get(name)) for name in (a.keys() | b.keys()) - {"/K"}):
            raise _NotSo
        self._kids(a.get("/K"), b.get("/K"), newer)

    def _kids(self, older: object, newer: object, parent: object) -> None:
        before, after = _listed(older), _listed(newer)
        if [token(one) for one in before] != [token(one) for one in after[: len(before)]]:
            raise _NotSo
        for one in after[len(before) :]:
            self._is_for_a_widget(one, parent)

    def _is_for_a_widget(self, element: object, parent: object) -> None:
        """`/S /Form` around one reference to a widget that this update signs (ISO 32000-2 14.8.4.8.3)."""
        said = entries(element)
        kids = _listed(said.get("/K"))
        rightly = said.get("/S") == "/Form" and token(said.get("/P")) == token(parent) and len(kids) == 1
        if not rightly or key_of(element) in self.c.a.places:
            raise _NotSo
        inside = entries(kids[0])
        if inside.get("/Type") != "/OBJR" or key_of(inside.get("/Obj")) not in self.widgets:
            raise _NotSo

    def _numbers(self, tree: object) -> tuple[dict[int, object], list[object]]:
        """What each number leads to, and the nodes of the tree (ISO 32000-2 7.9.7)."""
        found: dict[int, object] = {}
        nodes: list[object] = []
        stack = [tree] if tree is not None else []
        while stack:
            node = stack.pop()
            nodes.append(node)
            said = entries(node)
            flat = members(said.get("/Nums"))
            if len(nodes) > MOST_NODES or len(found) > MOST_NODES or len(flat) % 2:
                raise _NotSo
            nodes.append(said.get("/Nums"))
            for number, value in zip(flat[::2], flat[1::2], strict=True):
                if type(number) is not int or number in found:
                    raise _NotSo
                found[number] = value
            stack += members(said.get("/Kids"))
        return found, nodes


def _listed(kids: object) -> list[object]:
    """One kid may stand without a list."""
    if kids is None:
        return []
    return members(kids) if is_array(kids) else [kids]
