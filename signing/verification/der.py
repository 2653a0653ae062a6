"""Elements of DER and of the BER around it: this file walks over bytes of a stranger, and notes what is not DER.

- Nothing is copied until it is asked for; depth, count and size have an end.
- Raises nothing but Malformed, whatever the bytes are.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

INTEGER, OCTETS, NULL, OID, SEQUENCE, SET = 0x02, 0x04, 0x05, 0x06, 0x30, 0x31
DEEPEST = 32
MOST_MEMBERS = 4096


class Malformed(ValueError):
    """The bytes are not what was asked for."""


class Element(NamedTuple):
    """Offsets into the walked bytes: of the tag, of the content and its end, and of what follows."""

    tag: int
    at: int
    body: int
    end: int
    after: int


class Walk:
    """Over one value. `is_der` is False from the first element on that DER would write differently (X.690 10)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_der = True

    def element(self, at: int, limit: int, depth: int = 0) -> Element:
        """The element that begins at `at` and ends at `limit` or before."""
        data = self.data
        if at + 2 > limit:
            raise Malformed("ends early")
        tag, length, body = data[at], data[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise Malformed("a tag of several octets")
        if length == 0x80:
            return self._indefinite(at, limit, depth)
        if length & 0x80:
            count = length & 0x7F
            if count > 4 or body + count > limit:
                raise Malformed("ends early")
            length = int.from_bytes(data[body : body + count], "big")
            if length < 0x80 or data[body] == 0:
                self.is_der = False
            body += count
        end = body + length
        if end > limit:
            raise Malformed("ends early")
        return Element(tag, at, body, end, end)

    def _indefinite(self, at: int, limit: int, depth: int) -> Element:
        self.is_der = False
        if depth >= DEEPEST or not self.data[at] & 0x20:
            raise Malformed("too deep, or a primitive without a length")
        inside = at + 2
        for _ in range(MOST_MEMBERS):
            if self.data[inside : inside + 2] == b"\0\0" and inside + 2 <= limit:
                return Element(self.data[at], at, at + 2, inside, inside + 2)
            inside = self.element(inside, limit, depth + 1).after
        raise Malformed("too many members")

    def members(self, of: Element, most: int = MOST_MEMBERS) -> list[Element]:
        """What a constructed element holds."""
        if not of.tag & 0x20:
            raise Malformed("a primitive where members are expected")
        found: list[Element] = []
        data, at, limit = self.data, of.body, of.end
        while at < limit:
            if len(found) >= most:
                raise Malformed("too many members")
            # Nearly all are short: `element` would say the same of them, at three times the price.
            end = at + 2 + data[at + 1] if at + 2 <= limit else limit + 1
            if end <= limit and data[at + 1] < 0x80 and data[at] & 0x1F != 0x1F:
                one = Element(data[at], at, at + 2, end, end)
            else:
                one = self.element(at, limit, 1)
            found.append(one)
            at = one.after
        return found

    def whole(self, of: Element) -> bytes:
        return self.data[of.at : of.after]

    def content(self, of: Element, tag: int) -> bytes:
        """Of a primitive of this tag."""
        if of.tag != tag:
            raise Malformed(f"tag {of.tag:#x} where {tag:#x} is expected")
        return self.data[of.body : of.end]

    def octets(self, of: Element) -> bytes:
        """An OCTET STRING; BER may write it in pieces (X.690 8.7)."""
        if of.tag == OCTETS:
            return self.data[of.body : of.end]
        if of.tag != OCTETS | 0x20:
            raise Malformed("no octets")
        self.is_der = False
        return b"".join(self.content(piece, OCTETS) for piece in self.members(of))

    def oid(self, of: Element) -> str:
        """Dotted."""
        return _dotted(self.content(of, OID))

    def inside(self, of: Element, *tags: int) -> list[Element]:
        """Exactly these members, in this order."""
        found = self.members(of, len(tags))
        if [one.tag for one in found] != list(tags):
            raise Malformed("other members than expected")
        return found


@lru_cache(maxsize=1024)
def _dotted(content: bytes) -> str:
    if not content or content[-1] & 0x80 or len(content) > 64:
        raise Malformed("not an object identifier")
    arcs, arc = [], 0
    for octet in content:
        if arc == 0 and octet == 0x80:
            raise Malformed("not an object identifier")
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def is_sorted(encodings: list[bytes]) -> bool:
    """The order that DER asks of a SET OF (X.690 11.6)."""
    return all(one <= other for one, other in pairwise(encodings))
