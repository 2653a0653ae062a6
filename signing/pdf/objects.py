"""Values of PDF as our own reader gives them: this file holds what they look like, and has references lead on.

- Each behaves as pikepdf's object of the same kind does, as far as anybody here asks: whoever walks a file need not know which
  reader opened it.
- `Plain` is a value as it was parsed: numbers, names, texts, lists and dictionaries of such, with references in between.
  Entries that are null are left out of a dictionary, and its keys are in order: what two of them say is the same where
  their `repr` is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, KeysView
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import pikepdf


class Reference(NamedTuple):
    number: int
    generation: int


class Name(str):
    """With its solidus."""

    __slots__ = ()


class Text(bytes):
    """A string's content."""

    __slots__ = ()

    def __str__(self) -> str:
        """As a text string (ISO 32000-2 7.9.2.2)."""
        return self.decode() if self.isascii() else str(pikepdf.String(bytes(self)))


Plain = bool | int | Decimal | Name | Text | Reference | list["Plain"] | dict[str, "Plain"] | None


class Resolver(Protocol):
    """One revision, which says what a reference leads to."""

    def get_object(self, number: int, generation: int) -> Any: ...


class Dictionary:
    """`objgen` where it is an object by itself."""

    __slots__ = ("_in", "objgen", "plain")

    def __init__(
        self, plain: dict[str, Plain], revision: Resolver, objgen: tuple[int, int] | None = None
    ) -> None:
        self.plain, self._in, self.objgen = plain, revision, objgen

    @property
    def is_indirect(self) -> bool:
        return self.objgen is not None

    def __contains__(self, name: str) -> bool:
        """Not what leads nowhere; `keys` have that too."""
        return self.get(name) is not None

    def __getitem__(self, name: str) -> Any:
        return resolved(self.plain[name], self._in)

    def __len__(self) -> int:
        return len(self.plain)

    def get(self, name: str, default: Any = None) -> Any:
        found = self.plain.get(name)
        return default if found is None else resolved(found, self._in)

    def keys(self) -> KeysView[str]:
        return self.plain.keys()

    def values(self) -> Iterator[Any]:
        return (resolved(value, self._in) for value in self.plain.values())

    def items(self) -> Iterator[tuple[str, Any]]:
        return ((name, resolved(value, self._in)) for name, value in self.plain.items())


class Array:
    __slots__ = ("_in", "objgen", "plain")

    def __init__(self, plain: list[Plain], revision: Resolver, objgen: tuple[int, int] | None = None) -> None:
        self.plain, self._in, self.objgen = plain, revision, objgen

    @property
    def is_indirect(self) -> bool:
        return self.objgen is not None

    def __len__(self) -> int:
        return len(self.plain)

    def __iter__(self) -> Iterator[Any]:
        return (resolved(one, self._in) for one in self.plain)


class Stream(Dictionary):
    """Its dictionary, and its bytes as they stand: `length` of `data` from `begin` on."""

    __slots__ = ("_begin", "_data", "_length")

    def __init__(
        self,
        plain: dict[str, Plain],
        revision: Resolver,
        objgen: tuple[int, int],
        extent: tuple[bytes, int, int],
    ) -> None:
        super().__init__(plain, revision, objgen)
        self._data, self._begin, self._length = extent

    def read_raw_bytes(self) -> bytes:
        return self._data[self._begin : self._begin + self._length]

    get_raw_stream_buffer = read_raw_bytes


OF_OURS = (Dictionary, Array, Name, Text)


def resolved(value: Plain, revision: Resolver) -> Any:
    kind = type(value)
    if kind is Reference:
        return revision.get_object(*value)  # type: ignore[misc]
    if kind is dict:
        return Dictionary(value, revision)  # type: ignore[arg-type]
    if kind is list:
        return Array(value, revision)  # type: ignore[arg-type]
    return value


def references_in(value: Plain) -> Iterator[Reference]:
    stack = [value]
    while stack:
        one = stack.pop()
        kind = type(one)
        if kind is Reference:
            yield one  # type: ignore[misc]
        elif kind is dict:
            stack += one.values()  # type: ignore[union-attr]
        elif kind is list:
            stack += one  # type: ignore[arg-type]


def unpacked(packed: bytes, filters: Plain, limit: int) -> bytes | None:
    """Of a stream without filter, or packed by Flate alone; None for another, for one that is damaged, and for more than
    `limit` bytes."""
    if filters is None or filters == []:
        return packed if len(packed) <= limit else None
    if filters not in (Name("/FlateDecode"), [Name("/FlateDecode")]):
        return None
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(packed, limit)
    except zlib.error:
        return None
    return found if unpacking.eof else None
