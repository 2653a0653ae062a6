"""Objects of a file as they stand in it: this file cuts out the one that an update writes anew.

- qpdf leaves out of a dictionary what it cannot read (a stream without /Length, say), other readers do not. What is
  written anew from the file's own bytes loses nothing, and strings of an encrypted file stay encrypted as they are.
- Only strings of objects in object streams are not encrypted one by one; they are when they leave it (ISO 32000-1 7.5.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import pikepdf

from signing.pdf.encryption import Encryption
from signing.pdf.tokens import Entry, NotPlain, array_at, dictionary_at, with_strings

BytesAt = Callable[[int, int], bytes]  # offset, count
Place = int | tuple[int, int]  # offset, or object stream and index in it

FIRST_LOOK, LARGEST = 4096, 64 << 20  # bytes of one object

OBJECT = re.compile(rb"[\x00\t\n\x0c\r ]*(\d+)[\x00\t\n\x0c\r ]+(\d+)[\x00\t\n\x0c\r ]+obj")
_Found = TypeVar("_Found")


class NotThere(Exception):
    """The object cannot be cut out of the file as every reader reads it."""


@dataclass(frozen=True)
class Source:
    """`places`: where each object stands."""

    pdf: pikepdf.Pdf
    bytes_at: BytesAt
    places: Mapping[tuple[int, int], Place]
    encryption: Encryption | None
    _known: dict[tuple[int, int], list[Entry]] = field(default_factory=dict)

    def dictionary(self, key: tuple[int, int]) -> list[Entry]:
        """The entries of an object by number and generation, ready to be written under the same number. Raises
        NotThere."""
        if key not in self._known:
            entries = self._read(key, dictionary_at)
            if self._bare_strings(key):
                entries = [Entry(one.key, one.name, self._encrypted(one.value, key)) for one in entries]
            self._known[key] = entries
        return self._known[key]

    def array(self, key: tuple[int, int]) -> list[bytes]:
        """The members likewise. Raises NotThere."""
        members = self._read(key, array_at)
        return [self._encrypted(one, key) for one in members] if self._bare_strings(key) else members

    def _bare_strings(self, key: tuple[int, int]) -> bool:
        return self.encryption is not None and isinstance(self.places.get(key), tuple)

    def _encrypted(self, value: bytes, key: tuple[int, int]) -> bytes:
        secret = self.encryption
        return with_strings(value, lambda octets: secret.string(octets, *key)) if secret else value

    def _read(self, key: tuple[int, int], reading: Callable[[bytes, int], _Found]) -> _Found:
        place = self.places.get(key)
        try:
            if isinstance(place, int):
                return self._read_at(place, key, reading)
            if place is not None:
                return reading(self._in_stream(key[0], *place), 0)
        except (NotPlain, pikepdf.PikepdfError, ValueError, KeyError, IndexError, TypeError) as wrong:
            raise NotThere(f"object {key[0]}: {wrong}") from wrong
        raise NotThere(f"object {key[0]} stands nowhere")

    def _read_at(self, offset: int, key: tuple[int, int], reading: Callable[[bytes, int], _Found]) -> _Found:
        count = FIRST_LOOK
        while True:
            data = self.bytes_at(offset, count)
            begin = OBJECT.match(data)
            if begin is None or (int(begin[1]), int(begin[2])) != key:
                raise NotPlain("another object stands there")
            try:
                return reading(data, begin.end())
            except NotPlain as ended:
                if not ended.short or len(data) < count or count >= LARGEST:
                    raise
                count *= 8

    def _in_stream(self, number: int, holder: int, index: int) -> bytes:
        stream = self.pdf.get_object(holder, 0)
        if not isinstance(stream, pikepdf.Stream):
            raise NotPlain("its object stream is none")
        first, data = int(stream["/First"]), stream.read_bytes()
        numbers = data[:first].split()
        if int(numbers[2 * index]) != number:
            raise NotPlain("its object stream has another one in its place")
        return data[first + int(numbers[2 * index + 1]) :]
