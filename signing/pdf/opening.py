"""Opens a PDF to be updated: this file says where its newest cross-reference section stands, what number is free, and
whether what is read is what stands there.

- qpdf (by pikepdf) reads; it mends in silence what is damaged, so every offset that it used is held against the file.
- A file whose cross-references are sound is continued (`/Prev`). One whose cross-references are damaged, while every
  object in it can be found, gets a whole table of its own with the update, and never loses a byte; a file that carries a
  signature already is not mended at all.
- New objects are numbered above every number that occurs anywhere, whatever `/Size` says (reliability T1).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pikepdf

from signing.pdf.encryption import Encryption
from signing.pdf.source import OBJECT, BytesAt, Place, Source
from signing.pdf.values import Strings, literal

TAIL = 4096  # bytes at the end in which `startxref` is looked for
HEAD = 1024  # bytes at the begin in which `%PDF-` is looked for
HIGHEST_NUMBER = 8_388_607  # ISO 32000-1 annex C
READ_AT_ONCE = 256 * 1024
LARGEST_MENDED = 256 * 1024**2
ROOM = 2000  # objects of one update, at most
SCANNED = 1 << 16  # bytes: more would be given back to the system, and taken again, each time
LARGEST_TABLE_OFFSET = 9_999_999_999  # ten digits

_MENDED_IN_SILENCE = ("(trailer,", "(xref table,", "(xref stream,")
_START = re.compile(rb"startxref\s*(\d+)")
NEAR = 4096  # bytes in which a stream's dictionary ends, or else it is looked through to its end
_STREAM = re.compile(rb">>[\x00\t\n\x0c\r ]*stream\r?\n")
_BEFORE = 24  # bytes before the R of a reference in which its numbers stand
# A single letter is looked for at the speed of memory; what stands before it is looked at where there is one.
_REFERRING = re.compile(rb"R(?<=(.{%d})[\x00\t\n\x0c\r ]R)" % _BEFORE, re.DOTALL)
_NUMBER = re.compile(rb"(\d{1,10})[\x00\t\n\x0c\r ]+\d{1,5}[\x00\t\n\x0c\r ]*R")


class NotOpened(Exception):
    """`reason` is a value of `Unsignable`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Section:
    """The newest cross-reference section: its offset as `startxref` tells it, and its form."""

    start: int
    stream: bool


@dataclass
class Opened:
    """A file open for one update. `previous` is None where its cross-references cannot be continued: then an update
    tells where every object of `source` stands."""

    pdf: pikepdf.Pdf
    path: Path
    size: int
    previous: Section | None
    next_number: int
    encryption: Encryption | None
    source: Source
    file: BinaryIO

    def strings(self, number: int, generation: int = 0) -> Strings | None:
        """How strings of this object are written; None where nothing is encrypted."""
        secret = self.encryption
        if secret is None:
            return None
        return lambda octets: secret.string(octets, number, generation)

    def string(self, octets: bytes, number: int, generation: int = 0) -> bytes:
        strings = self.strings(number, generation)
        return strings(octets) if strings else literal(octets)

    def close(self) -> None:
        self.pdf.close()
        self.file.close()

    @property
    def streams(self) -> bool:
        """Whether the update's own section must be a stream: where the file's is, and where a whole table tells of
        objects in object streams."""
        if self.previous is not None:
            return self.previous.stream
        return any(isinstance(place, tuple) for place in self.source.places.values())


def open_for_update(path: Path, password: str | None = None) -> Opened:
    """Use it as short as can be: the file stays open. Raises NotOpened."""
    size = path.stat().st_size
    file = path.open("rb")
    try:
        bytes_at = _reader(file, size)
        _look_at_head(bytes_at(0, HEAD))
        previous = _newest_section(bytes_at, size)
        if previous is not None and not previous.stream and size > LARGEST_TABLE_OFFSET:
            raise NotOpened("too-large", "beyond what a cross-reference table can tell")
        pdf, sound = _read(path, password)
    except BaseException:
        file.close()
        raise
    try:
        entries = pdf.get_xref_table()
        whole = (
            not sound
            or previous is None
            or _size_too_small(pdf, entries)
            or _is_misplaced(pdf, bytes_at, entries, previous)
        )
        if whole:
            pdf.close()
            pdf = _open_mending(path, password)
            entries = _read_whole(pdf, bytes_at, size)
        encryption = _encryption(pdf)
        places = {key: _place(entry) for key, entry in entries.items()}
        source = Source(pdf, bytes_at, places, encryption)
        return Opened(
            pdf=pdf,
            path=path,
            size=size,
            previous=None if whole else previous,
            next_number=_next_number(pdf, source, size, sound=not whole),
            encryption=encryption,
            source=source,
            file=file,
        )
    except BaseException:
        pdf.close()
        file.close()
        raise


def _reader(file: BinaryIO, size: int) -> BytesAt:
    """A small file is read once; of a larger one only what is asked for."""
    if size <= READ_AT_ONCE:
        whole = file.read()
        return lambda at, count: whole[at : at + count]
    return lambda at, count: os.pread(file.fileno(), count, at)


def _look_at_head(head: bytes) -> None:
    """Bytes before the header shift every offset for some readers and not for others, so no update is read alike."""
    at = head.find(b"%PDF-")
    if at < 0:
        raise NotOpened("not-a-pdf", "no %PDF- header")
    if at > 0:
        raise NotOpened("bytes-before-header", f"{at} bytes stand before the header")


def _newest_section(bytes_at: BytesAt, size: int) -> Section | None:
    """None where `startxref` does not lead to a cross-reference section."""
    found = _START.findall(bytes_at(max(0, size - TAIL), TAIL))
    if not found or int(found[-1]) >= size:
        return None
    start = int(found[-1])
    begin = bytes_at(start, 64)
    if begin.startswith(b"xref"):
        return Section(start, stream=False)
    return Section(start, stream=True) if OBJECT.match(begin) else None


def _read(path: Path, password: str | None) -> tuple[pikepdf.Pdf, bool]:
    """Whether its cross-references could be read as they stand is the second value."""
    try:
        pdf = _open(path, password, mend=False)
        # What qpdf lets pass in a trailer stops other readers; a whole table of our own leads none of them there.
        return pdf, not any(mark in str(said) for said in pdf.get_warnings() for mark in _MENDED_IN_SILENCE)
    except pikepdf.PasswordError as wrong:
        raise _password(password) from wrong
    except (pikepdf.PikepdfError, ValueError, RuntimeError, OverflowError):
        return _open_mending(path, password), False


def _open(path: Path, password: str | None, *, mend: bool) -> pikepdf.Pdf:
    # Streamed, not mapped: a file of gigabytes must not count as our memory. Pages are left as they stand: qpdf would
    # else write inherited and missing attributes into them, and our update would carry these as a change.
    return pikepdf.open(
        path,
        password=password or "",
        attempt_recovery=mend,
        inherit_page_attributes=False,
        access_mode=pikepdf.AccessMode.stream,
    )


def _password(given: str | None) -> NotOpened:
    return NotOpened("password-not-given" if given is None else "password-wrong")


def _open_mending(path: Path, password: str | None) -> pikepdf.Pdf:
    try:
        return _open(path, password, mend=True)
    except pikepdf.PasswordError as wrong:
        raise _password(password) from wrong
    except (pikepdf.PikepdfError, ValueError, RuntimeError, OverflowError) as wrong:
        said = str(wrong).lower()
        unknown = "encryption" in said or "security handler" in said
        # Without our path, of which nobody shall learn.
        detail = str(wrong).replace(str(path), "").lstrip(": ")[:200]
        raise NotOpened("encryption-unknown" if unknown else "damaged", detail) from wrong


def _told_wrong(
    bytes_at: BytesAt, entries: Mapping[tuple[int, int], pikepdf.XrefEntry]
) -> set[tuple[int, int]]:
    """The objects that do not begin where the cross-references say. At 0 no object can stand: readers pass that over."""
    wrong = set()
    for key, entry in entries.items():
        if entry.type != 1 or not entry.offset:
            continue
        found = OBJECT.match(bytes_at(entry.offset or 0, 40))
        if not found or (int(found[1]), int(found[2])) != key:
            wrong.add(key)
    return wrong


def _is_misplaced(
    pdf: pikepdf.Pdf,
    bytes_at: BytesAt,
    entries: Mapping[tuple[int, int], pikepdf.XrefEntry],
    newest: Section,
) -> bool:
    """Whether any object is, but the newest cross-reference streams (a hybrid file has one beside its table): what they
    say of themselves nobody reads."""
    wrong = _told_wrong(bytes_at, entries)
    if not wrong:
        return False
    hidden = pdf.trailer.get("/XRefStm")
    starts = [newest.start, hidden] if isinstance(hidden, int) and hidden >= 0 else [newest.start]
    found = (OBJECT.match(bytes_at(start, 40)) for start in starts)
    return bool(wrong - {(int(one[1]), int(one[2])) for one in found if one})


def _place(entry: pikepdf.XrefEntry) -> Place:
    if entry.type == 1:
        return entry.offset or 0
    return entry.obj_stream_number or 0, entry.obj_stream_index or 0


def _size_too_small(pdf: pikepdf.Pdf, entries: Iterable[tuple[int, int]]) -> bool:
    return _declared(pdf) <= max((number for number, _ in entries), default=0)


def _declared(pdf: pikepdf.Pdf) -> int:
    declared = pdf.trailer.get("/Size")
    return declared if isinstance(declared, int) else 0


def _read_whole(pdf: pikepdf.Pdf, bytes_at: BytesAt, size: int) -> dict[tuple[int, int], pikepdf.XrefEntry]:
    """Every object of a damaged file and where it stands. qpdf mends when it meets the damage, so all are asked for."""
    if size > LARGEST_MENDED:
        raise NotOpened("damaged-cross-references", "too large to be looked through")
    for number, generation in pdf.get_xref_table():
        pdf.get_object(number, generation)
    entries = pdf.get_xref_table()
    wrong = _told_wrong(bytes_at, entries)
    # What is found nowhere reads as null, for us as for every reader of the damaged file.
    with pikepdf.explicit_conversion():
        lost = {key for key in wrong if pdf.get_object(*key) is not None}
    if lost:
        raise NotOpened(
            "damaged-cross-references", f"objects {sorted(lost)[:5]} are not where they are said to be"
        )
    return {
        key: entry for key, entry in entries.items() if key not in wrong and (entry.type == 2 or entry.offset)
    }


def _next_number(pdf: pikepdf.Pdf, source: Source, size: int, *, sound: bool) -> int:
    """A number above which none is in use and, for as many as an update may need, none is referred to (T1): such a
    reference leads nowhere, and would lead to what we add."""
    highest = max((number for number, _ in source.places), default=0)
    declared = _declared(pdf)
    # qpdf takes a number for nonsense that a file of this size cannot have.
    plausible = sound and highest < declared <= max(highest + ROOM, size // 4)
    following = declared if plausible else highest + 1
    for number in sorted(_referred(source, size, following)):
        if number >= following + ROOM:
            break
        following = max(following, number + 1)
    if following > HIGHEST_NUMBER - ROOM:
        raise NotOpened("too-complex", "object numbers are used up")
    return following


def _referred(source: Source, size: int, least: int) -> set[int]:
    """Every number from `least` on that something in the file refers to, or seems to."""
    found: set[int] = set()
    for begin, end in _outside_streams(source, size):
        for at in range(begin, end, SCANNED):
            found |= _numbers(source.bytes_at(at, min(SCANNED, end - at) + 2 * _BEFORE), least)
    for holder in {place[0] for place in source.places.values() if isinstance(place, tuple)}:
        with contextlib.suppress(
            pikepdf.PikepdfError, ValueError, RuntimeError
        ):  # what cannot be read refers to nothing
            stream = source.pdf.get_object(holder, 0)
            if isinstance(stream, pikepdf.Stream):
                found |= _numbers(b" " * _BEFORE + stream.read_bytes(), least)
    return found


def _outside_streams(source: Source, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the parts in which references may stand: the insides of large streams are left out."""
    begin = 0
    starts = sorted(place for place in source.places.values() if isinstance(place, int) and place < size)
    for start, following in pairwise([*starts, size]):
        if following - start > 4 * NEAR and (stream := _STREAM.search(source.bytes_at(start, NEAR))):
            yield begin, start + stream.end()
            begin = following - NEAR  # behind a stream a table and its trailer may stand
    yield begin, size


def _numbers(data: bytes, least: int) -> set[int]:
    told = _NUMBER.findall(b"R".join([*set(_REFERRING.findall(data)), b""]))
    return {number for number in map(int, set(told)) if number >= least}


def _encryption(pdf: pikepdf.Pdf) -> Encryption | None:
    if "/AuthCode" in pdf.trailer:
        raise NotOpened("encryption-unknown", "protected by an integrity code (ISO/TS 32004)")
    try:
        return Encryption.of(pdf)
    except ValueError as unknown:
        raise NotOpened("encryption-unknown", str(unknown)) from unknown
