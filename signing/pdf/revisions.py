"""Every revision of a PDF, with its objects (ISO 32000-2 7.5.6): this file reads a file from its newest section back to the
first, and gives each revision as it stood.

- Only plain files are read here; what is `Odd` goes to another reader. Nothing is mended.
- An object is parsed once, wherever it stands, however many revisions show it: what a revision costs is what it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from signing.pdf.objects import Array, Dictionary, Plain, Reference, Stream, unpacked
from signing.pdf.parsing import WHITE, Odd, Parsed, object_at, stream_end, value_at
from signing.pdf.sections import MOST_OBJECTS, Place, Section, section_at

Key = tuple[int, int]  # object number, generation
MOST_SECTIONS = 4000
TIMES_READ = 4
LARGEST_HOLDER, MOST_HELD = 32 << 20, 20_000  # bytes of an object stream, objects in it


class PlainFile:
    """`data`: all of it. Raises Odd, as does whatever is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._parsed: dict[int, Parsed] = {}  # by offset
        self._held: dict[tuple[int, int], list[tuple[int, Plain]]] = {}  # by object stream and its offset
        self._sections: dict[int, Section] = {}
        self._left = TIMES_READ * len(data) + LARGEST_HOLDER  # bytes that may still be parsed

    def section(self, offset: int) -> Section:
        known = self._sections.get(offset)
        if known is None:
            known = self._sections[offset] = section_at(self.data, offset)
        return known

    def first(self, offset: int) -> Revision:
        """The revision whose newest section stands there, with all before it."""
        chain = [self.section(offset)]
        while (previous := chain[-1].previous) is not None:
            if len(chain) == MOST_SECTIONS or any(one.offset == previous for one in chain):
                raise Odd("sections without end")
            chain.append(self.section(previous))
        told = Told({}, set(), {})
        for one in reversed(chain):
            told.overlay(one)
        return Revision(self, told, chain[0])

    def next(self, older: Revision, offset: int) -> Revision:
        """The revision that follows, by one section more."""
        section = self.section(offset)
        if section.previous != older.section.offset or section.offset <= older.section.offset:
            raise Odd("a section that follows another one")
        told = older.told.copy()
        told.overlay(section)
        return Revision(self, told, section)

    def parsed(self, number: int, offset: int) -> Parsed:
        known = self._parsed.get(offset)
        if known is None:
            if not 0 < offset < len(self.data):
                raise Odd("an object outside of the file")
            known = self._parsed[offset] = object_at(self.data, offset, number, 0)
            self._spend(known.end - offset)
        return known

    def _spend(self, count: int) -> None:
        """Objects that lie in each other's strings would be read again and again."""
        self._left -= count
        if self._left < 0:
            raise Odd("too much of it stands in itself")

    def held(self, number: int, offset: int) -> list[tuple[int, Plain]]:
        """Numbers and values of what stands in an object stream."""
        known = self._held.get((number, offset))
        if known is None:
            known = self._held[number, offset] = self._read_held(number, offset)
        return known

    def _read_held(self, number: int, offset: int) -> list[tuple[int, Plain]]:
        parsed = self.parsed(number, offset)
        told, begin = parsed.value, parsed.stream
        if type(told) is not dict or begin is None:
            raise Odd("an object stream that is none")
        length, count, first = told.get("/Length"), told.get("/N"), told.get("/First")
        if (
            type(length) is not int
            or type(count) is not int
            or type(first) is not int
            or "/DecodeParms" in told
        ):
            raise Odd("an object stream that is not read here")
        stream_end(self.data, begin, length)
        said = unpacked(self.data[begin : begin + length], told.get("/Filter"), LARGEST_HOLDER)
        if said is None or not 0 <= count <= MOST_HELD or not 0 <= first <= len(said):
            raise Odd("an object stream that is not read here")
        self._spend(len(said))
        numbers = said[:first].split()
        if len(numbers) != 2 * count or not all(one.isdigit() and len(one) < 11 for one in numbers):
            raise Odd("the head of an object stream")
        begins = [first + int(one) for one in numbers[1::2]]
        found = list[tuple[int, Plain]]()
        for inside, at, stop in zip(numbers[::2], begins, [*begins[1:], len(said)], strict=True):
            value, end = value_at(said, at) if at < stop else (None, -1)
            if end > stop or end < 0 or said[end:stop].strip(WHITE):
                raise Odd("an object stream whose parts run into each other")
            found.append((int(inside), value))
        return found


@dataclass
class Told:
    """What sections add up to: where each object stands, which are streams of objects, and which are sections themselves, with
    their offsets. Of what stands in a stream of objects the place tells the offset of that stream too."""

    places: dict[int, Place]
    holders: set[int]
    sections: dict[int, int]

    def copy(self) -> Told:
        return Told(dict(self.places), set(self.holders), dict(self.sections))

    def overlay(self, section: Section) -> None:
        """What a section tells of, over what was told before. Raises Odd."""
        places, holders = self.places, self.holders
        anew, inside = set[int](), list[int]()
        for number, place in section.places.items():
            if number in holders and places.get(number) != place:
                anew.add(number)
            if place is None:
                places.pop(number, None)
                continue
            places[number] = place
            if len(place) == 2:
                inside.append(number)
        for number in inside:
            holder, index = places[number]
            where = places.get(holder)
            if where is None or len(where) != 1:
                raise Odd("an object stream that is not there")
            places[number] = (holder, index, where[0])
            holders.add(holder)
        if anew and any(
            len(place) == 3 and place[0] in anew and number not in section.places
            for number, place in places.items()
        ):
            raise Odd("a stream of objects is written anew, and something in it keeps its place unsaid")
        if len(places) > MOST_OBJECTS:
            raise Odd("too many objects")
        self._sections_are_themselves(section)

    def _sections_are_themselves(self, section: Section) -> None:
        """Some readers take a section's stream for the object of its number, whatever stands under that number."""
        if section.number is not None:
            self.sections[section.number] = section.offset
        for number in self.sections.keys() & {*section.places, section.number}:
            if self.places.get(number, (self.sections[number],)) != (self.sections[number],):
                raise Odd("a section with the number of another object")


class Revision:
    """As pikepdf's Pdf: what is asked of it here. `section` is its newest."""

    is_encrypted = False

    def __init__(self, file: PlainFile, told: Told, section: Section) -> None:
        self.file, self.told, self.section = file, told, section
        self.places: Mapping[int, Place] = told.places
        self.trailer = Dictionary(section.trailer, self)
        self._objects: dict[int, Any] = {}

    @cached_property
    def Root(self) -> Any:  # as pikepdf has it
        return self.trailer["/Root"]

    def get_object(self, number: int, generation: int) -> Any:
        if generation or number not in self.places:
            return None
        found = self._objects.get(number)
        if found is None:
            found = self._objects[number] = self._wrapped(number)
        return found

    def _wrapped(self, number: int) -> Any:
        place, key = self.places[number], (number, 0)
        parsed = self.file.parsed(number, place[0]) if len(place) == 1 else None
        value = parsed.value if parsed is not None else self.plain(number)
        kind = type(value)
        if kind is dict:
            if parsed is not None and parsed.stream is not None and (extent := self.stream_of(number)):
                return Stream(value, self, key, (self.file.data, *extent))  # type: ignore[arg-type]
            return Dictionary(value, self, key)  # type: ignore[arg-type]
        if kind is Reference:
            raise Odd("a reference to a reference")
        return Array(value, self, key) if kind is list else value  # type: ignore[arg-type]

    def plain(self, number: int) -> Plain:
        """What an object says by itself; of a stream its dictionary. None where there is none."""
        place = self.places.get(number)
        if place is None:
            return None
        if len(place) == 1:
            return self.file.parsed(number, place[0]).value
        held = self.file.held(place[0], place[2])
        if place[1] >= len(held) or held[place[1]][0] != number:
            raise Odd("an object stream with another object in its place")
        return held[place[1]][1]

    def stream_of(self, number: int) -> tuple[int, int] | None:
        """Where a stream's bytes begin, and how many they are."""
        place = self.places.get(number)
        if place is None or len(place) > 1:
            return None
        parsed = self.file.parsed(number, place[0])
        if parsed.stream is None or type(parsed.value) is not dict:
            return None
        length = parsed.value.get("/Length")
        if type(length) is Reference:
            length = self.plain(length.number) if length.generation == 0 else None
        if type(length) is not int:
            raise Odd("a stream without a length")
        stream_end(self.file.data, parsed.stream, length)
        return parsed.stream, length

    def end_of(self, number: int) -> int:
        """Behind the `endobj` of an object that stands in the file by itself."""
        extent = self.stream_of(number)
        if extent is not None:
            return stream_end(self.file.data, *extent)
        return self.file.parsed(number, self.places[number][0]).end
