"""A plain file's revisions as the comparison asks for them: this file answers out of our own reader what `View` answers out of
qpdf, and asks what leads to an object instead of all that an object leads to.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from signing.pdf.objects import references_in
from signing.pdf.revisions import PlainFile, Revision
from signing.verification.pdf_view import Key, Place, View

MOST_ABOVE = 500  # objects


@dataclass
class Ways:
    """Who refers to an object, by which entry, in one or another of the revisions covered so far; `?`: it was not there yet."""

    _to: defaultdict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    said: dict[tuple[int, Place], bytes] = field(default_factory=dict)  # of objects that were compared
    _covered: set[int] = field(default_factory=set)  # offsets of sections

    def to(self, number: int) -> list[tuple[int, str]]:
        return self._to.get(number, [])

    def cover(self, revision: Revision) -> None:
        if revision.section.offset in self._covered:
            return
        follows = revision.section.previous in self._covered
        for number in list(revision.section.places if follows else revision.places):
            for name, to in _leads(revision, number):
                self._to[to].append((number, name))
                if to not in revision.places:
                    self._to[to].append((number, "?"))
        self._covered.add(revision.section.offset)


def _leads(revision: Revision, number: int) -> Iterator[tuple[str, int]]:
    """(entry, object) of all that an object refers to."""
    value = revision.plain(number)
    if type(value) is dict:
        for name, one in value.items():
            for reference in references_in(one):
                yield name, reference.number
    else:
        yield from (("[]", reference.number) for reference in references_in(value))


class Places(Mapping[Key, Place]):
    """By number and generation, of which only 0 is read here."""

    def __init__(self, revision: Revision) -> None:
        self._of = revision.places

    def __getitem__(self, key: Key) -> Place:
        if key[1]:
            raise KeyError(key)
        return self._of[key[0]]

    def __iter__(self) -> Iterator[Key]:
        return ((number, 0) for number in self._of)

    def __len__(self) -> int:
        return len(self._of)


class PlainView(View):
    """`file` and `ways` are one for all revisions."""

    def __init__(self, revision: Revision, end: int, ways: Ways) -> None:
        data = revision.file.data
        super().__init__(
            revision, end, Places(revision), lambda begin, count: data[begin : min(begin + count, end)]
        )
        self.revision, self.ways = revision, ways

    @property
    def file(self) -> PlainFile:
        return self.revision.file

    def said(self, key: Key) -> bytes:
        place = self.places.get(key)
        if place is None:
            return b"None"
        known = self.ways.said.get((key[0], place))
        if known is None:
            known = repr(self.revision.plain(key[0])).encode()
            extent = self.revision.stream_of(key[0])
            if extent is not None:
                begin, length = extent
                packed = memoryview(self.file.data)[begin : begin + length]
                known += b" stream " + hashlib.sha256(packed).digest()
            self.ways.said[key[0], place] = known
        return known

    def differs_from(self, older: View, key: Key) -> bool:
        if key not in older.places:
            return self.revision.plain(key[0]) is not None
        return older.said(key) != self.said(key)

    def moved_from(self, older: View) -> set[Key]:
        if (
            not isinstance(older, PlainView)
            or self.revision.section.previous != older.revision.section.offset
        ):
            return super().moved_from(older)
        before, now = older.revision.places, self.revision.places
        return {(one, 0) for one in self.revision.section.places if before.get(one) != now.get(one)}

    def edges(self, key: Key) -> tuple[tuple[str, Key], ...]:
        known = self._edges.get(key)
        if known is None:
            found = (
                [(name, (to, 0)) for name, to in _leads(self.revision, key[0])] if key in self.places else []
            )
            known = self._edges[key] = (*found, *(("?", to) for _, to in found if to not in self.places))
        return known

    def extent(self, key: Key) -> int | None:
        found = self.revision.stream_of(key[0])
        return found[1] if found is not None else None

    def only_by(self, keys: Collection[Key], skipped: Collection[tuple[Key | None, str]]) -> set[Key] | None:
        found: set[Key] = set()
        stack = list(keys)
        while stack:
            key = stack.pop()
            if key in found:
                continue
            found.add(key)
            if len(found) > MOST_ABOVE:
                return None
            stack += [above for above, name in self._ways_to(key) if (above, name) not in skipped]
        return found

    def oddly_led_to(self, keys: Collection[Key], ways: Collection[str]) -> bool:
        return any(name not in ways for key in keys for _, name in self._ways_to(key))

    def _ways_to(self, key: Key) -> Iterator[tuple[Key, str]]:
        """In this revision: another one may have led there too."""
        self.ways.cover(self.revision)
        for number, name in self.ways.to(key[0]):
            above = (number, 0)
            if (name, key) in self.edges(above):
                yield above, name
