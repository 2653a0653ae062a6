"""One incremental update (ISO 32000-1 7.5.6): this file writes changed and new objects behind a file's bytes, with their
cross-references in the form that the file has.

The objects of an update are few and small, so they are held as bytes; the file before them is never read here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pikepdf

from signing.pdf.opening import LARGEST_TABLE_OFFSET, NotOpened, Opened
from signing.pdf.source import NotThere
from signing.pdf.tokens import Entry, with_strings
from signing.pdf.values import array, changed, dictionary, literal, raw, reference, written

TOKEN_END = b"\nendobj\n"


@dataclass
class Update:
    """Objects to be written. `trailer_id` becomes the second half of the file's `/ID`."""

    opened: Opened
    trailer_id: bytes
    _bodies: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _next: int = 0

    def __post_init__(self) -> None:
        self._next = self.opened.next_number

    def reserve(self) -> int:
        """A number that nothing in the file has or refers to."""
        self._next += 1
        return self._next - 1

    def put(self, number: int, body: bytes, generation: int = 0) -> None:
        """Raises NotOpened where a hostile file gives one object two parts to play."""
        if self._bodies.setdefault((number, generation), body) != body:
            raise NotOpened("damaged", f"object {number} plays two parts")

    def change(self, node: pikepdf.Object, changes: Mapping[str, bytes]) -> None:
        """Writes a dictionary that is an object of its own anew, with these entries instead of its own. Raises
        NotOpened."""
        if not node.is_indirect:
            raise NotOpened("damaged", "a dictionary is no object of its own")
        number, generation = node.objgen
        self.put(number, changed(self.entries(node), changes), generation)

    def entries(self, node: pikepdf.Object) -> list[Entry]:
        """Of a dictionary that is an object of its own, as they stand in the file. Raises NotOpened."""
        try:
            entries = self.opened.source.dictionary(node.objgen)
        except NotThere as wrong:
            raise NotOpened("damaged", str(wrong)) from wrong
        self._refuse_unread(one.value for one in entries)
        return entries

    def members(self, node: pikepdf.Object) -> list[bytes]:
        """Of an array likewise."""
        try:
            members = self.opened.source.array(node.objgen)
        except NotThere as wrong:
            raise NotOpened("damaged", str(wrong)) from wrong
        self._refuse_unread(members)
        return members

    def _refuse_unread(self, values: Iterable[bytes]) -> None:
        """Who mends cross-references reads catalog and pages before the file's key is known, so their strings are not
        the same to every reader."""
        if self.opened.previous is None and self.opened.encryption is not None:
            for value in values:
                if with_strings(value, lambda _: b"") != value:
                    raise NotOpened(
                        "damaged-cross-references", "and strings of the catalog or the page are encrypted"
                    )

    def add(self, body: bytes) -> bytes:
        """A new object without strings; its reference."""
        number = self.reserve()
        self.put(number, body)
        return reference(number)

    def stream(self, entries: dict[str, bytes], data: bytes, *, compress: bool = True) -> bytes:
        """A new stream; its reference. `entries` hold no strings."""
        number = self.reserve()
        if compress and len(data) > 60:
            data, entries = zlib.compress(data, 6), entries | {"/Filter": b"/FlateDecode"}
        if self.opened.encryption is not None:
            data = self.opened.encryption.stream(data, number, 0)
        head = dictionary(entries | {"/Length": b"%d" % len(data)})
        self.put(number, head + b"\nstream\n" + data + b"\nendstream")
        return reference(number)

    def to_bytes(self) -> bytes:
        """What stands behind the file's own bytes. Raises NotOpened where a table has no room for so large offsets."""
        begin = self.opened.size
        parts, places, at = [b"\n"], {}, begin + 1
        for (number, generation), body in self._bodies.items():
            part = b"%d %d obj\n" % (number, generation) + body + TOKEN_END
            places[number, generation] = at
            parts.append(part)
            at += len(part)
        section = self._stream_section(places, at) if self.opened.streams else self._table_section(places, at)
        parts.append(section)
        return b"".join(parts)

    def _trailer(self, size: int) -> dict[str, bytes]:
        trailer = self.opened.pdf.trailer
        entries = {"/Size": b"%d" % size, "/ID": self._id()}
        for key in ("/Root", "/Info", "/Encrypt"):
            if key in trailer:
                # Nothing in a trailer is encrypted but by its own object; a direct /Info stays as it is.
                entries[key] = written(raw(trailer, key))
        if self.opened.previous is not None:
            entries["/Prev"] = b"%d" % self.opened.previous.start
        return entries

    def _id(self) -> bytes:
        """The first half never changes (ISO 32000-1 14.4), and an encrypted file's key hangs on it."""
        try:
            first = bytes(self.opened.pdf.trailer["/ID"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            first = b"" if self.opened.encryption else self.trailer_id
        return array(literal(first), literal(self.trailer_id))

    def _entries(self, places: dict[tuple[int, int], int]) -> dict[int, tuple[int, int, int]]:
        """number -> kind, place, generation or index; for a file that is mended the whole of it."""
        entries: dict[int, tuple[int, int, int]] = {}
        for (number, generation), place in (
            self.opened.source.places.items() if self.opened.previous is None else ()
        ):
            entries[number] = (1, place, generation) if isinstance(place, int) else (2, *place)
        for (number, generation), place in places.items():
            entries[number] = (1, place, generation)
        return entries

    def _table_section(self, places: dict[tuple[int, int], int], at: int) -> bytes:
        if at > LARGEST_TABLE_OFFSET:
            raise NotOpened("too-large", "a cross-reference table counts to ten digits")
        entries = self._entries(places)
        lines = {
            number: b"%010d %05d n\r\n" % (place, generation)
            for number, (_, place, generation) in entries.items()
        }
        if self.opened.previous is None:
            lines = _with_free(lines)
        section = [b"xref\n"]
        for first, count in _runs(lines):
            section.append(b"%d %d\n" % (first, count))
            section += [lines[number] for number in range(first, first + count)]
        trailer = dictionary(self._trailer(self._next))
        return b"".join(section) + b"trailer\n" + trailer + b"\nstartxref\n%d\n%%%%EOF\n" % at

    def _stream_section(self, places: dict[tuple[int, int], int], at: int) -> bytes:
        number = self._next
        entries = self._entries({**places, (number, 0): at})
        if self.opened.previous is None:
            entries[0] = (0, 0, 65535)
        width = max(4, (at.bit_length() + 7) // 8)
        content, index = [], []
        for first, count in _runs(entries):
            index += [b"%d" % first, b"%d" % count]
            for one in range(first, first + count):
                kind, place, third = entries[one]
                content.append(bytes([kind]) + place.to_bytes(width, "big") + third.to_bytes(4, "big"))
        data = b"".join(content)
        head = self._trailer(number + 1) | {
            "/Type": b"/XRef",
            "/W": b"[1 %d 4]" % width,
            "/Index": array(*index),
            "/Length": b"%d" % len(data),
        }
        # The cross-reference stream is never encrypted (ISO 32000-1 7.5.8.2).
        body = b"%d 0 obj\n" % number + dictionary(head) + b"\nstream\n" + data + b"\nendstream" + TOKEN_END
        return body + b"startxref\n%d\n%%%%EOF\n" % at


def _runs(numbers: dict[int, bytes] | dict[int, tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, count), rising."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


def _with_free(lines: dict[int, bytes]) -> dict[int, bytes]:
    """A whole table has no gaps; what is free is never used again (ISO 32000-1 7.5.4)."""
    never = b"0000000000 65535 f\r\n"
    return {number: never for number in range(max(lines) + 1)} | lines
