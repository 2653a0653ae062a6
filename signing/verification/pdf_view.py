"""A PDF as it stood at the end of one of its revisions: this file opens it there and compares objects between two ends.

- qpdf (by pikepdf) reads the file up to an end as if the rest had never been written, and mends nothing.
- Objects are compared by what they say, not by how they are written; a reference is compared as a reference, and what it
  leads to by itself. So each object is looked at once, however many ways lead to it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pikepdf

from signing.pdf.objects import Array, Dictionary, Reference, references_in, resolved
from signing.pdf.pages import is_array, is_dictionary, is_spoken, spoken
from signing.verification.pdf_bytes import at

Key = tuple[int, int]  # object number, generation
Place = tuple[int, ...]
MOST_OBJECTS = 500_000
DEEPEST_VALUE, MOST_COMPARED = 4, 10_000
HELD_WHOLE = 8 << 20  # bytes of a revision that is read from memory
LARGEST_DICTIONARY = 16 << 20  # bytes
PDF_ERRORS = (
    pikepdf.PikepdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError,
    NotImplementedError,
)  # fmt: skip
"""What reading a stranger's objects raises."""

_REFERENCE = re.compile(rb"(?<![\w.+-])(\d{1,10}) (\d{1,5}) R(?![\w])")


# What is asked of a dictionary, whichever reader gave it.
Entries = Dictionary | dict[str, object]

_HOLDERS = {pikepdf.ObjectType.dictionary, pikepdf.ObjectType.array}


class TooMuch(Exception):
    """More objects than we look at."""


class Upto(io.RawIOBase):
    """The first `size` bytes of an open file, as a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._at = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._at)
        wanted = max(0, min(len(buffer), self._size - self._at))
        read = self._file.read(wanted)
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)


class KnownField(NamedTuple):
    """What a field without kids says. `value`: where its value is an object by itself; `filled`: it is a dictionary."""

    kind: object  # /FT
    name: str | None
    value: Key | None
    filled: bool
    looks: list[Key]

    @staticmethod
    def read(said: Entries) -> tuple[KnownField, bool]:
        """And whether all of it stands in the field itself or in its value, so that it is known when it changes."""
        value, name = said.get("/V"), said.get("/T")
        known = KnownField(
            said.get("/FT"), (spoken(name) if is_spoken(name) else "") if "/T" in said else None, key_of(value),
            is_dictionary(value), references(said.get("/AP")),
        )  # fmt: skip
        there = said.keys()
        led = all(said.get(one) is not None for one in ("/V", "/AP") if one in there)
        return known, led and "/Kids" not in there and not _elsewhere(said, "/T", "/FT")


def _elsewhere(said: Entries, *names: str) -> bool:
    """Whether one of these entries stands in another object."""
    if isinstance(said, Dictionary):
        return any(type(said.plain.get(name)) is Reference for name in names)
    return any(isinstance(one := said.get(name), pikepdf.Object) and one.is_indirect for name in names)


@dataclass
class View:
    """An open revision. `places` tells where each object stands; the same place is the same object in every view.
    `written`: bytes of the file from an offset on, up to a count."""

    pdf: pikepdf.Pdf | Any
    end: int
    places: Mapping[Key, Place]
    written: Callable[[int, int], bytes]
    known_fields: dict[Key, KnownField] = field(default_factory=dict)
    _edges: dict[Key, tuple[tuple[str, Key], ...]] = field(default_factory=dict)
    _nowhere: dict[Place, frozenset[Key]] = field(default_factory=dict)

    def said(self, key: Key) -> bytes:
        """All that an object says; a stream's bytes as their digest."""
        found = self.pdf.get_object(*key)
        if not isinstance(found, pikepdf.Object):
            return repr(found).encode()
        if found._type_code == pikepdf.ObjectType.stream:
            packed = hashlib.sha256(found.read_raw_bytes()).digest()
            return found.stream_dict.unparse(resolved=True) + b" stream " + packed
        return found.unparse(resolved=True)

    def led(self, value: object) -> object:
        """What a member that was left as a reference leads to."""
        return resolved(value, self.pdf) if type(value) in {Reference, dict, list} else value  # type: ignore[arg-type]

    def edges(self, key: Key) -> tuple[tuple[str, Key], ...]:
        """(entry, object referred to) of an object; strings that look like references count as such. Entry `?`: the
        reference leads nowhere yet."""
        known = self._edges.get(key)
        if known is None:
            known = ()
            if key in self.places:
                known = (*self._look(key), *(("?", to) for to in self.leading_nowhere(self.places[key])))
            self._edges[key] = known
        return known

    def leading_nowhere(self, place: Place) -> frozenset[Key]:
        """References to objects that are not there. qpdf reads them as null; whoever writes such an object later changes
        what was signed. Objects of one stream are looked at together."""
        place = place if len(place) == 1 else place[:1] + place[2:]
        known = self._nowhere.get(place)
        if known is None:
            if len(place) == 1:
                said = _dictionary_at(self.written, place[0])
            else:
                holder = self.pdf.get_object(place[0], 0)
                said = holder.read_bytes() if isinstance(holder, pikepdf.Stream) else b""
            stated = ((int(number), int(generation)) for number, generation in _REFERENCE.findall(said))
            known = self._nowhere[place] = frozenset(key for key in stated if key not in self.places)
        return known

    def _look(self, key: Key) -> Iterator[tuple[str, Key]]:
        found = self.pdf.get_object(*key)
        if not isinstance(found, pikepdf.Object):
            return
        if found._type_code == pikepdf.ObjectType.stream:
            found = found.stream_dict
        if is_dictionary(found):
            for name, value in found.items():
                # A number, truth or null that stands by itself comes without its reference.
                held = value if isinstance(value, pikepdf.Object) else found.get_raw(name)
                yield from ((name, one) for one in references(held))
        else:
            yield from (("[]", one) for one in references(found, inside=True))

    def reached(self, start: Iterable[Key], skipped: Collection[tuple[Key | None, str]] = ()) -> set[Key]:
        """All that these lead to, also where that is not there; by no (object, entry) of `skipped`."""
        reached: set[Key] = set()
        stack = list(start)
        while stack:
            key = stack.pop()
            if key in reached:
                continue
            reached.add(key)
            stack += [to for name, to in self.edges(key) if (key, name) not in skipped]
        return reached

    def moved_from(self, older: View) -> set[Key]:
        """Objects that stand elsewhere than in an older view, or only in one of the two."""
        places = older.places.keys() | self.places.keys()
        return {key for key in places if older.places.get(key) != self.places.get(key)}

    def differs_from(self, older: View, key: Key) -> bool:
        """Whether an object says something else than in an older view."""
        return older.said(key) != self.said(key)

    def extent(self, key: Key) -> int | None:
        """Bytes of a stream as it stands; None of another object."""
        found = self.pdf.get_object(*key)
        return len(found.get_raw_stream_buffer()) if isinstance(found, pikepdf.Stream) else None

    def only_by(self, keys: Collection[Key], skipped: Collection[tuple[Key | None, str]]) -> set[Key] | None:
        """All from which one of these can be reached, but by no (object, entry) of `skipped`. None where that is not known, or
        they are too many."""
        return None

    def oddly_led_to(self, keys: Collection[Key], ways: Collection[str]) -> bool:
        """Whether something may lead to one of these by another entry than `ways`."""
        return True

    def inherit(self, older: View) -> None:
        """What an older view knows of objects that are still the same."""
        for key, known in older._edges.items():
            if self.places.get(key) == older.places.get(key) is not None:
                self._edges[key] = known
        self._nowhere |= older._nowhere
        for key, field_ in older.known_fields.items():
            if all(
                one is None or self.places.get(one) == older.places.get(one) for one in (key, field_.value)
            ):
                self.known_fields[key] = field_


def open_view(
    file: Path, opened: BinaryIO, end: int, password: str | None, *, whole: bool, sound: set[Place]
) -> View:
    """`sound`: places of objects that other views of this file have read, and of those that this one reads. Raises pikepdf's
    errors where it cannot be read as it stands, and TooMuch."""
    source: Path | BinaryIO = file
    if not whole:
        small = end <= HELD_WHOLE
        source = io.BytesIO(at(opened, 0, end)) if small else io.BufferedReader(Upto(opened, end), 1 << 16)
    pdf = _opened(source, password, pikepdf.AccessMode.stream if whole else pikepdf.AccessMode.default)
    return View(pdf, end, _settled(pdf, sound), written_in(opened, end))


def open_bytes(content: bytes, password: str | None) -> View:
    """As `open_view`, of bytes in memory."""
    held = io.BytesIO(content)
    pdf = _opened(held, password, pikepdf.AccessMode.default)
    return View(pdf, len(content), _settled(pdf, set()), written_in(held, len(content)))


def _settled(pdf: pikepdf.Pdf, sound: set[Place]) -> dict[Key, Place]:
    """Where each object stands. Each was asked for once, since qpdf (12.4) crashes where it spells out an object that refers to
    one that it has not read yet and cannot read."""
    places = _places(pdf)
    for key, place in places.items():
        if place not in sound:
            with suppress(*PDF_ERRORS):
                if pdf.get_object(*key) is not None:
                    sound.add(place)
    return places


def _opened(source: Path | BinaryIO, password: str | None, mode: pikepdf.AccessMode) -> pikepdf.Pdf:
    """As it stands: nothing is mended."""
    return pikepdf.open(
        source, password=password or "", attempt_recovery=False, suppress_warnings=True, inherit_page_attributes=False,
        access_mode=mode,
    )  # fmt: skip


def written_in(opened: BinaryIO, end: int) -> Callable[[int, int], bytes]:
    def written(begin: int, count: int) -> bytes:
        opened.seek(begin)
        return opened.read(max(0, min(count, end - begin)))

    return written


def _dictionary_at(written: Callable[[int, int], bytes], begin: int) -> bytes:
    """An object as it is written, a stream's bytes apart."""
    count = 4096
    while True:
        said = written(begin, count)
        stops = [at for word in (b"endobj", b"stream") if (at := said.find(word)) >= 0]
        if stops or len(said) < count or count > LARGEST_DICTIONARY:
            return said[: min(stops, default=len(said))]
        count *= 8


def _places(pdf: pikepdf.Pdf) -> dict[Key, Place]:
    table = pdf.get_xref_table()
    if len(table) > MOST_OBJECTS:
        raise TooMuch(f"{len(table)} objects")
    plain: dict[Key, Place] = {key: (one.offset or 0,) for key, one in table.items() if one.type == 1}
    for key, one in table.items():
        if one.type == 2:
            holder = one.obj_stream_number or 0
            # Where the stream of objects was written anew, everything in it was.
            plain[key] = (holder, one.obj_stream_index or 0, *plain.get((holder, 0), (0,))[:1])
    return plain


def token(value: object) -> bytes:
    """What a value says by itself: a reference stays one."""
    if isinstance(value, pikepdf.Object):
        if value.is_indirect:
            return b"%d %d R" % value.objgen
        return value.unparse()
    if isinstance(value, Dictionary | Array):
        return b"%d %d R" % value.objgen if value.objgen else repr(value.plain).encode()
    if type(value) is Reference:
        return b"%d %d R" % value
    return repr(value).encode()


def same(a: object, b: object) -> bool:
    """Whether two values say the same, written otherwise or elsewhere: 612.0 is 612, and a dictionary that stands apart says
    what it says. A reference that both have is the same: what it leads to is compared by itself. Of values that lead to too
    many others, no."""
    left = MOST_COMPARED

    def equal(a: object, b: object, depth: int) -> bool:
        nonlocal left
        left -= 1
        if token(a) == token(b):
            return True
        if left < 0 or depth > DEEPEST_VALUE or isinstance(a, bool) or isinstance(b, bool):
            return False
        if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
            return a == b
        if is_array(a) and is_array(b):
            pairs = zip(members(a), members(b), strict=True) if len(a) == len(b) else [(None, b)]
            return all(equal(one, other, depth + 1) for one, other in pairs)
        if is_dictionary(a) and is_dictionary(b):
            said, other = entries(a), entries(b)
            return said.keys() == other.keys() and all(
                equal(value, other[name], depth + 1) for name, value in said.items()
            )
        return False

    return equal(a, b, 0)


def references(value: object, *, inside: bool = False) -> list[Key]:
    if isinstance(value, Dictionary | Array):
        return (
            [value.objgen] if value.objgen and not inside else [(*one,) for one in references_in(value.plain)]
        )
    if type(value) is Reference:
        return [(*value,)]
    if not isinstance(value, pikepdf.Object):
        return []
    if value.is_indirect and not inside:
        return [value.objgen]
    if value._type_code not in _HOLDERS:
        return []
    said = value.unparse(resolved=inside)
    return [(int(number), int(generation)) for number, generation in _REFERENCE.findall(said)]


def key_of(value: object) -> Key | None:
    """The object's number, where it is one by itself."""
    if isinstance(value, Dictionary | Array):
        return value.objgen
    if type(value) is Reference:
        return (*value,)
    return value.objgen if isinstance(value, pikepdf.Object) and value.is_indirect else None


def entries(value: object) -> Entries:
    """Of a dictionary; nothing of anything else."""
    if type(value) is Dictionary:
        return value
    return dict(value.items()) if is_dictionary(value) else {}


def members(value: object, *, led: bool = True) -> list[object]:
    """Of an array; nothing of anything else. Not `led`: those that are references may be left as such."""
    found: list[object] = []
    if not led and type(value) is Array:
        return [*value.plain]
    if is_array(value):
        found += list(value)
    return found
