"""The bytes of our own work: this file reads what was added behind a document, object by object, without any other reader.

- An update is only what our writer writes: plain objects, one cross-reference section, and nothing between them.
- Files are read in pieces; none is ever whole in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
DEEPEST = 64
LARGEST_UPDATE = 512 << 20  # bytes; validation material holds whole CRLs

Key = tuple[int, int]  # number and generation

_SPACE = re.compile(rb"[\0\t\n\f\r ]*")
_REFERENCE_OR_WORD = re.compile(rb"\d+ \d+ R\b|[^\0\t\n\f\r ()<>\[\]{}/%]+")
_NAME = re.compile(rb"/[^\0\t\n\f\r ()<>\[\]{}/%]*")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_HEXADECIMAL = re.compile(rb"<[0-9A-Fa-f]*>")
_OUR_HEXADECIMAL = re.compile(rb"<[0-9a-f]*>")
_LITERAL = re.compile(rb"\((?:[^()\\]|\\[\s\S])*\)")
_BRACKET = re.compile(rb"\\[\s\S]|[()]")
_OBJECT = re.compile(rb"(\d+) (\d+) obj\n")
_RANGE = re.compile(rb"\[(\d+) +(\d+) +(\d+) +(\d+) *\]")
_LINE = re.compile(rb"(\d{10}) (\d{5}) ([nf])\r\n")
_SUBSECTION = re.compile(rb"(\d+) (\d+)\n")
_END = re.compile(rb"startxref\n(\d+)\n%%EOF\n")


class NotReadable(ValueError):
    """The bytes are not as our writer writes them."""


@dataclass(frozen=True)
class Revision:
    """One update: `begin` and `end` are offsets in the file, `objects` tells where each of its objects begins. `lines`
    is what its table says (None where it is a cross-reference stream, which qpdf reads); `signatures` are the objects that
    have a byte range."""

    begin: int
    end: int
    objects: dict[Key, int]
    section: int
    lines: dict[Key, int] | None
    signatures: tuple[Key, ...]


@dataclass(frozen=True)
class Located:
    """A signature dictionary: its entries as they stand, and where the hexadecimal string of /Contents lies, both
    brackets included."""

    entries: dict[bytes, bytes]
    hole: tuple[int, int]

    @property
    def byte_range(self) -> tuple[int, ...]:
        stated = _RANGE.fullmatch(self.entries.get(b"/ByteRange", b""))
        return tuple(map(int, stated.groups())) if stated else ()

    @property
    def contents(self) -> bytes:
        return bytes.fromhex(self.entries[b"/Contents"][1:-1].decode("ascii"))


def revisions(file: BinaryIO, begin: int, end: int) -> list[Revision]:
    """What stands from `begin` to `end`, the file's last byte. Raises NotReadable."""
    if not 0 < end - begin <= LARGEST_UPDATE:
        raise NotReadable("no update, or a monstrous one")
    file.seek(begin)
    reader = _Updates(file.read(end - begin), begin)
    found: list[Revision] = []
    while reader.at < len(reader.data):
        found.append(reader.revision())
    return found


def located(file: BinaryIO, offset: int, limit: int) -> Located:
    """The signature dictionary in the object that begins at `offset`. Raises NotReadable."""
    file.seek(offset)
    data = file.read(limit - offset)
    head = _OBJECT.match(data)
    if head is None:
        raise NotReadable("no object")
    entries, _ = dictionary(data, head.end(), once=True)
    if b"/Contents" not in entries:
        raise NotReadable("no /Contents")
    start, end = entries[b"/Contents"]
    # In small letters, as we write it: no bit of the file can be another with the same meaning.
    if not _OUR_HEXADECIMAL.fullmatch(data, start, end) or (end - start) % 2:
        raise NotReadable("/Contents is no hexadecimal string")
    plain = {key: data[a:b] for key, (a, b) in entries.items()}
    return Located(plain, (offset + start, offset + end))


def digests(
    original: BinaryIO, signed: BinaryIO, size: int, wanted: Sequence[tuple[str, tuple[int, int], int]]
) -> list[bytes]:
    """For each (hash, hole, end) the digest over the first `end` bytes of `signed` but the hole, in one pass, in which
    the first `size` bytes are held against `original`. Raises NotReadable where they differ."""
    shared = min(hole[0] for _, hole, _ in wanted)
    if shared < size:
        raise NotReadable("the signature stands in the document as it came")
    common = {name: hashlib.new(name) for name, _, _ in wanted}
    signed.seek(0)
    original.seek(0)
    at = 0
    while at < shared:
        count = min(CHUNK, (size if at < size else shared) - at)
        piece = signed.read(count)
        if len(piece) != count or (at < size and original.read(count) != piece):
            raise NotReadable("the document as it came is not the signed file's begin")
        for one in common.values():
            one.update(piece)
        at += count
    if original.read(1):
        raise NotReadable("the document as it came is not the signed file's begin")
    rest = signed.read(max(end for _, _, end in wanted) - shared)
    found = []
    for name, (start, after), end in wanted:
        digest = common[name].copy()
        digest.update(rest[: start - shared])
        digest.update(rest[after - shared : end - shared])
        found.append(digest.digest())
    return found


class _Updates:
    def __init__(self, data: bytes, begin: int) -> None:
        self.data, self.begin, self.at = data, begin, 0

    def _expect(self, token: bytes) -> None:
        if not self.data.startswith(token, self.at):
            raise NotReadable(f"{token!r} is missing at {self.begin + self.at}")
        self.at += len(token)

    def revision(self) -> Revision:
        start = self.at
        self._expect(b"\n")
        objects: dict[Key, int] = {}
        signatures: list[Key] = []
        last, lines, has_table = 0, None, False
        while self.at < len(self.data):
            if self.data.startswith(b"xref\n", self.at):
                last, has_table = self.at, True
                lines = self._table()
            elif head := _OBJECT.match(self.data, self.at):
                key, last = (int(head[1]), int(head[2])), self.at
                if key in objects or has_table:
                    raise NotReadable("an object stands twice, or behind the cross-references")
                objects[key] = self.begin + self.at
                self.at = head.end()
                if self._object():
                    signatures.append(key)
            else:
                break
        end = _END.match(self.data, self.at)
        if end is None or int(end[1]) != self.begin + last:
            raise NotReadable("an update without its end")
        self.at = end.end()
        whole = self.begin + start, self.begin + self.at
        return Revision(*whole, objects, self.begin + last, lines, tuple(signatures))

    def _object(self) -> bool:
        """Whether it is a signature's dictionary."""
        if not self.data.startswith(b"<<", self.at):
            self.at = value_end(self.data, self.at)
            self._expect(b"\nendobj\n")
            return False
        start = self.at
        entries, self.at = dictionary(self.data, start)
        if self.data.startswith(b"\nstream\n", self.at):
            dictionary(self.data, start, once=True)
            length = self.data[slice(*entries.get(b"/Length", (0, 0)))]
            if not length.isdigit() or len(length) > 10:
                raise NotReadable("a stream without its length")
            self.at += len(b"\nstream\n") + int(length)
            self._expect(b"\nendstream")
        self._expect(b"\nendobj\n")
        return b"/ByteRange" in entries

    def _table(self) -> dict[Key, int]:
        self._expect(b"xref\n")
        lines: dict[Key, int] = {}
        while head := _SUBSECTION.match(self.data, self.at):
            self.at = head.end()
            first, count = int(head[1]), int(head[2])
            for number in range(first, first + count):
                line = _LINE.match(self.data, self.at)
                if line is None or (number, int(line[2])) in lines:
                    raise NotReadable("a cross-reference table with a false line")
                self.at = line.end()
                if line[3] == b"n":
                    lines[number, int(line[2])] = int(line[1])
        self._expect(b"trailer\n")
        _, self.at = dictionary(self.data, self.at)
        self._expect(b"\n")
        return lines


def dictionary(data: bytes, at: int, *, once: bool = False) -> tuple[dict[bytes, tuple[int, int]], int]:
    """Where each entry's value begins and ends, and where the dictionary ends. A key twice is refused in what is ours
    (`once`), as readers differ in which one they take; a document may bring it."""
    if not data.startswith(b"<<", at):
        raise NotReadable("no dictionary")
    entries: dict[bytes, tuple[int, int]] = {}
    at = _space(data, at + 2)
    while not data.startswith(b">>", at):
        key = _NAME.match(data, at)
        name = _ESCAPED.sub(lambda one: bytes.fromhex(one[1].decode()), key[0]) if key else b""
        if key is None or (once and name in entries):
            raise NotReadable("a dictionary with a false key")
        start = _space(data, key.end())
        at = value_end(data, start, 1)
        entries[name] = (start, at)
        at = _space(data, at)
    return entries, at + 2


def value_end(data: bytes, at: int, depth: int = 0) -> int:
    """Where the value that begins at `at` ends."""
    if depth > DEEPEST:
        raise NotReadable("too deep")
    if data.startswith(b"<<", at):
        at = _space(data, at + 2)
        while not data.startswith(b">>", at):
            at = _space(data, value_end(data, at, depth + 1))
        return at + 2
    if data.startswith(b"[", at):
        at = _space(data, at + 1)
        while not data.startswith(b"]", at):
            at = _space(data, value_end(data, at, depth + 1))
        return at + 1
    for kind in (_REFERENCE_OR_WORD, _NAME, _HEXADECIMAL):
        if found := kind.match(data, at):
            return found.end()
    return _literal_end(data, at)


def _literal_end(data: bytes, at: int) -> int:
    if plain := _LITERAL.match(data, at):
        return plain.end()
    if not data.startswith(b"(", at):
        raise NotReadable(f"no value at {at}")
    count = 0
    for found in _BRACKET.finditer(data, at):
        count += {b"(": 1, b")": -1}.get(found[0], 0)
        if count == 0:
            return found.end()
    raise NotReadable("a string without its end")


def _space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return found.end() if found else at
