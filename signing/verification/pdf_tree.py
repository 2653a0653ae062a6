"""The pages of a view in order, and what they inherit: this file walks the tree as it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from signing.pdf.pages import is_array, is_dictionary
from signing.verification.pdf_view import Key, TooMuch, View, entries, key_of, members, token

MOST_NODES = 500_000
DEEPEST = 256
HANDED_DOWN = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")


@dataclass
class Pages:
    """`nodes`: every object of the tree, its lists included, that is no page. `handed_down`: per page what it inherits."""

    pages: list[tuple[Key | None, object]] = field(default_factory=list)
    nodes: set[Key] = field(default_factory=set)
    handed_down: list[tuple[bytes, ...]] = field(default_factory=list)


def pages_of(view: View) -> Pages:
    """Raises TooMuch."""
    found = Pages()
    seen: set[Key] = set()
    stack: list[tuple[object, tuple[bytes, ...], int]] = [(view.pdf.Root.get("/Pages"), (b"",) * 4, 0)]
    for _ in range(MOST_NODES):
        if not stack:
            return found
        node, inherited, depth = stack.pop()
        key = key_of(node)
        if not is_dictionary(node) or depth > DEEPEST or key in seen:
            continue
        if key is not None:
            seen.add(key)
        kids = node.get("/Kids")
        if not is_array(kids):
            found.pages.append((key, node))
            found.handed_down.append(inherited)
            continue
        found.nodes.update(one for one in (key, key_of(kids)) if one is not None)
        own = entries(node)
        handed = tuple(
            token(own[name]) if name in own else before
            for name, before in zip(HANDED_DOWN, inherited, strict=True)
        )
        stack += [(kid, handed, depth + 1) for kid in reversed(members(kids))]
    raise TooMuch("the page tree has no end")
