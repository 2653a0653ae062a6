"""Cross-reference sections, tables and streams (ISO 32000-2 7.5.4, 7.5.8): this file reads one of them strictly.

Hybrid sections, encrypted files and whatever a strict writer would not write are `Odd`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from signing.pdf.objects import Name, Plain, unpacked
from signing.pdf.parsing import WHITE, Odd, object_at, stream_end, value_at

MOST_OBJECTS = 100_000
LARGEST = 32 << 20  # bytes of a cross-reference stream

Place = tuple[int, ...]  # offset; or object stream and index in it
_WHITE = rb"[\x00\t\n\x0c\r ]"
_TABLE = re.compile(rb"xref *(?:\r\n|\n|\r)")
_SUBSECTION = re.compile(rb"(\d{1,10}) (\d{1,10}) *(?:\r\n|\n|\r)")
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([nf])(?: \r| \n|\r\n)")
_TRAILER = re.compile(_WHITE + rb"*trailer(?=" + _WHITE + rb"|<)")
_ENTRY_SIZE = 20
_NOT_HERE = ("/XRefStm", "/Encrypt", "/AuthCode")


@dataclass(frozen=True)
class Section:
    """`places` of what it tells of, None where that is deleted. `end`: behind its trailer or stream. `number`: of the object that
    it is, where it is a stream."""

    offset: int
    places: dict[int, Place | None]
    trailer: dict[str, Plain]
    end: int
    number: int | None = None

    @property
    def previous(self) -> int | None:
        found = self.trailer.get("/Prev")
        if found is not None and type(found) is not int:
            raise Odd("/Prev is no number")
        return found


def section_at(data: bytes, offset: int) -> Section:
    """Raises Odd."""
    if not 0 < offset < len(data) or data[offset - 1] not in WHITE:
        raise Odd("a section outside of the file, or within a word")
    table = _TABLE.match(data, offset)
    section = _table(data, offset, table.end()) if table else _stream(data, offset)
    if any(name in section.trailer for name in _NOT_HERE):
        raise Odd("encrypted, or a hybrid file")
    size = section.trailer.get("/Size")
    if type(size) is not int or any(number >= size for number in section.places):
        raise Odd("/Size is too small")
    return section


def _table(data: bytes, offset: int, at: int) -> Section:
    places: dict[int, Place | None] = {}
    while head := _SUBSECTION.match(data, at):
        first, count = int(head[1]), int(head[2])
        begin, at = head.end(), head.end() + count * _ENTRY_SIZE
        if count > MOST_OBJECTS or at > len(data):
            raise Odd("a table without end")
        entries = _ENTRY.findall(data, begin, at)
        if len(entries) != count:
            raise Odd("lines of a table that are none")
        for number, (place, generation, kind) in enumerate(entries, first):
            if number in places:
                raise Odd("an object twice in a section")
            if kind == b"f":
                places[number] = None
            elif generation != b"00000":
                raise Odd("an object of a later generation")
            else:
                places[number] = (int(place),)
        if len(places) > MOST_OBJECTS:
            raise Odd("too many objects")
    trailer = _TRAILER.match(data, at)
    if trailer is None:
        raise Odd("a table without a trailer")
    value, end = value_at(data, trailer.end())
    if type(value) is not dict:
        raise Odd("a trailer that is no dictionary")
    return Section(offset, places, value, end)


def _stream(data: bytes, offset: int) -> Section:
    head = re.compile(rb"(\d{1,10}) 0 obj").match(data, offset)
    if head is None:
        raise Odd("no section stands there")
    parsed = object_at(data, offset, int(head[1]), 0)
    value = parsed.value
    if parsed.stream is None or type(value) is not dict or value.get("/Type") != Name("/XRef"):
        raise Odd("a stream of another type")
    length = value.get("/Length")
    if type(length) is not int:
        raise Odd("a section whose length stands elsewhere")
    end = stream_end(data, parsed.stream, length)
    packed = data[parsed.stream : parsed.stream + length]
    found = unpacked(packed, value.get("/Filter"), LARGEST)
    if found is None:
        raise Odd("a section packed otherwise")
    return Section(offset, _entries(_rows(found, value), value), value, end, int(head[1]))


def _rows(found: bytes, value: dict[str, Plain]) -> list[bytes]:
    """The lines of a section, with their predictor taken back."""
    widths = value.get("/W")
    if (
        type(widths) is not list
        or len(widths) != 3
        or any(type(one) is not int or not 0 <= one <= 8 for one in widths)
    ):
        raise Odd("/W of a section")
    width = sum(cast("list[int]", widths))
    told = value.get("/DecodeParms")
    if type(told) is list and len(told) == 1:
        told = told[0]
    parameters = told if type(told) is dict else {}
    if told is not None and told is not parameters:
        raise Odd("parameters of a section")
    predictor = parameters.get("/Predictor", 1)
    if predictor == 1:
        step, tag = width, 0
    else:
        known = {"/Predictor", "/Columns", "/Colors", "/BitsPerComponent"}
        plain = parameters.get("/Colors", 1) == 1 and parameters.get("/BitsPerComponent", 8) == 8
        if type(predictor) is not int or not 10 <= predictor <= 15 or not plain or parameters.keys() - known:
            raise Odd("a predictor that is not read here")
        if parameters.get("/Columns", 1) != width:
            raise Odd("columns that are not those of /W")
        step, tag = width + 1, 1
    if width == 0 or len(found) % step or len(found) // step > MOST_OBJECTS:
        raise Odd("lines of a section")
    if not tag:
        return [found[at : at + width] for at in range(0, len(found), width)]
    tags = set(found[::step])
    if tags - {0, 2} or (len(tags) > 1):
        raise Odd("lines that are predicted otherwise")
    columns = [found[at::step] for at in range(1, step)]
    if tags == {2}:
        columns = [bytes(one & 0xFF for one in accumulate(column)) for column in columns]
    return [bytes(one) for one in zip(*columns, strict=True)]


def _entries(rows: list[bytes], value: dict[str, Plain]) -> dict[int, Place | None]:
    first, second, _ = cast("list[int]", value["/W"])
    index = value.get("/Index", [0, value.get("/Size")])
    if type(index) is not list or len(index) % 2 or any(type(one) is not int or one < 0 for one in index):
        raise Odd("/Index of a section")
    told = cast("list[int]", index)
    places: dict[int, Place | None] = {}
    at = 0
    for begin, count in zip(told[::2], told[1::2], strict=True):
        for number, row in enumerate(rows[at : at + count], begin):
            kind = int.from_bytes(row[:first]) if first else 1
            one, other = int.from_bytes(row[first : first + second]), int.from_bytes(row[first + second :])
            if number in places or kind > 2 or (kind == 1 and other):
                raise Odd("an entry that is not read here")
            places[number] = None if kind == 0 else (one,) if kind == 1 else (one, other)
        at += count
    if at != len(rows):
        raise Odd("a section of another length")
    return places
