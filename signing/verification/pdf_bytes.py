"""The bytes of a PDF without any reader of PDFs: this file finds where revisions end, and what belongs to none of them.

It is held against what qpdf reads: an end is an end only where both say so.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 4 << 20
NEAR_THE_END = 2048  # bytes, looked at first
MOST_REVISIONS = 2000
BIG_PIECE = 16 << 20  # bytes of one object that are looked through
_END = re.compile(rb"startxref\s{1,8}(\d{1,20})\s{1,8}%%EOF")
_OBJECT = re.compile(rb"(?<!\d)\d{1,10}\s{1,8}\d{1,5}\s{1,8}obj\b")
_LIKE_A_FILE = re.compile(rb"(?<!\d)\d{1,10}\s{1,8}\d{1,5}\s{1,8}obj\b|\bstartxref\b|\btrailer\b|/ByteRange")
_COMMENTS = re.compile(rb"(?:\s|%[^\r\n]*(?:[\r\n]|$))*")
_STREAM = re.compile(rb">>\s*stream(?:\r\n|\n|\r)")
_BESIDE = re.compile(rb"/XRefStm\s{1,8}(\d{1,20})")
_PREV = re.compile(rb"/Prev\s{1,8}(\d{1,20})")


@dataclass(frozen=True)
class End:
    """`end`: behind `%%EOF` and one end-of-line. `section`: the offset that stands before it."""

    end: int
    section: int


@dataclass(frozen=True)
class Known:
    """An object of an update. `length` where it is a stream."""

    offset: int
    length: int | None


def size_of(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def at(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(max(0, end - begin))


def ends(file: BinaryIO, begin: int, size: int) -> Iterator[End]:
    """Every end between, in order."""
    overlap = 64
    start = begin
    last = -1
    while start < size:
        piece = at(file, start, min(size, start + CHUNK + overlap))
        for found in _END.finditer(piece):
            end = start + found.end()
            if end > last:
                last = end
                yield End(_with_line_end(file, end, size), int(found[1]))
        start += CHUNK


def last_end(file: BinaryIO, size: int) -> End | None:
    """The newest end, searched from behind."""
    stop, look = size, NEAR_THE_END
    while stop > 0:
        begin, look = max(0, stop - look), CHUNK
        found = list(_END.finditer(at(file, begin, min(size, stop + 64))))
        if found:
            return End(_with_line_end(file, begin + found[-1].end(), size), int(found[-1][1]))
        stop = begin
    return None


def end_at(file: BinaryIO, end: int) -> End | None:
    """The end whose bytes finish at this offset, an end-of-line before or behind it left aside."""
    begin = max(0, end - 64)
    found = next(reversed(list(_END.finditer(at(file, begin, end)))), None)
    if found is None or at(file, begin + found.end(), end).strip(b"\r\n \0"):
        return None
    return End(end, int(found[1]))


def _with_line_end(file: BinaryIO, end: int, size: int) -> int:
    following = at(file, end, min(size, end + 2))
    if following == b"\r\n":
        return end + 2
    return end + 1 if following[:1] in {b"\r", b"\n"} else end


@dataclass(frozen=True)
class Chain:
    """Sections that follow each other by `/Prev`. `hybrid`: those with a stream beside their table, and its offset."""

    revisions: int
    hybrid: tuple[tuple[int, int], ...]


def chain(file: BinaryIO, section: int) -> Chain:
    """From the section at this offset back to the first. A linearised file's two sections are one revision."""
    count, hybrid, seen = 1, list[tuple[int, int]](), {section}
    for _ in range(MOST_REVISIONS):
        head = at(file, section, section + CHUNK).lstrip()
        begin = head.find(b"trailer") if head.startswith(b"xref") else 0
        stop = head.find(b"startxref" if head.startswith(b"xref") else b"stream", max(0, begin))
        stop = stop if stop > 0 else len(head)
        found = _PREV.search(head, max(0, begin), stop)
        if beside := _BESIDE.search(head, max(0, begin), stop):
            hybrid.append((section, int(beside[1])))
        if begin < 0 or found is None or int(found[1]) in seen:
            return Chain(count, tuple(hybrid))
        previous = int(found[1])
        count += previous < section
        section = previous
        seen.add(section)
    return Chain(count, tuple(hybrid))


def tail(file: BinaryIO, end: int, size: int) -> tuple[int, bool]:
    """How many bytes follow the last revision, an end-of-line apart, and whether they look like parts of a PDF."""
    left = size - end
    if left <= 0:
        return 0, False
    if left <= 4 and not at(file, end, size).strip(b"\r\n"):
        return 0, False
    like, start = False, end
    while start < size and not like:
        like = _LIKE_A_FILE.search(at(file, start, start + CHUNK + 64)) is not None
        start += CHUNK
    return left, like


def loose(file: BinaryIO, begin: int, end: End, known: Iterable[Known]) -> str | None:
    """What stands between the parts of an update that its cross-references tell of: nothing (None), "bytes", or
    "objects"."""
    objects = {one.offset: one for one in known if begin <= one.offset < end.end}
    places = sorted({*objects, end.section} if begin <= end.section < end.end else objects)
    worst = _leftover(at(file, begin, places[0] if places else end.end), told=not places)
    for place, following in itertools.pairwise([*places, end.end]):
        if following - place > BIG_PIECE:
            continue
        piece = at(file, place, following)
        is_table = place == end.section and piece.lstrip()[:4] == b"xref"
        rest = _behind_table(piece) if is_table else _behind_object(piece, objects.get(place))
        worst = _worse(worst, rest)
    return worst


def _behind_table(piece: bytes) -> str | None:
    if _OBJECT.search(piece):
        return "objects"
    found = _END.search(piece)
    return _leftover(piece[found.end() :]) if found else "bytes"


def _behind_object(piece: bytes, known: Known | None) -> str | None:
    head = _OBJECT.match(piece.lstrip())
    if head is None:
        return "bytes"
    begin = piece.index(head[0]) + len(head[0])
    stream = _STREAM.search(piece, begin)
    first_end = piece.find(b"endobj", begin)
    if stream and known and known.length is not None and (first_end < 0 or stream.start() < first_end):
        begin = stream.end() + known.length
    stop = piece.find(b"endobj", begin)
    if stop < 0:
        return "bytes"
    rest = piece[stop + 6 :]
    found = _END.search(rest)
    # An update's own section may be this object, and the last of all.
    if found and not _OBJECT.search(rest[: found.start()]):
        rest = rest[: found.start()] + rest[found.end() :]
    return _leftover(rest)


def _leftover(rest: bytes, *, told: bool = False) -> str | None:
    found = _COMMENTS.match(rest)
    if _OBJECT.search(rest):
        return "objects"
    if found and found.end() == len(rest):
        return None
    if told and (stated := _END.search(rest)):
        return _leftover(rest[: stated.start()] + rest[stated.end() :])
    return "bytes"


def _worse(one: str | None, other: str | None) -> str | None:
    return "objects" if "objects" in {one, other} else one or other
