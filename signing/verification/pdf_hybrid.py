"""Hybrid files (ISO 32000-1 7.5.8.4): a table for older readers, and beside it a stream with what they shall not see. This file
reads both ways, and says where two readers would see two documents.

- What an update changed is asked of the older way too: whatever it changes there counts as if everybody saw it.
- An object that table and stream of one section place differently is read by some readers here and by others there.
- What is hidden from older readers may be anything but what is shown: pages, fields and annotations look the same to both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import pikepdf

from signing.verification.pdf_bytes import CHUNK, End, at
from signing.verification.pdf_changes import Event, compare
from signing.verification.pdf_tree import pages_of
from signing.verification.pdf_view import MOST_OBJECTS, PDF_ERRORS, TooMuch, View, open_bytes

LARGEST = 128 << 20  # bytes of a file that is read in both ways; a larger one stays in doubt
HIDDEN = {"STRUCTURE", "METADATA", "SECURITY_STORE", "SIGNATURE", "SIGNATURE_FIELD", "DOCUMENT_TIMESTAMP"}
"""Kinds of what older readers may miss."""
_WORD, _NO_WORD = b"/XRefStm", b"/XRefStX"
_TABLE = re.compile(rb"\s{0,8}xref\s{1,8}")
_SUBSECTION = re.compile(rb"\s{0,8}(\d{1,10})\s{1,8}(\d{1,10})\s{1,8}(?=\d{10})")
_STREAM = re.compile(rb"\s*\d+\s+\d+\s+obj\b(.*?)stream(?:\r\n|\n)", re.S)
_REFERENCE = re.compile(rb"\d+\s+\d+\s+R\b")
_ENTRY = 20  # bytes of a line of the table


class Differ(Exception):
    """Two readers see two documents, or that could not be ruled out."""


@dataclass(frozen=True)
class TwoWays:
    """One file, up to an end, as older readers see it."""

    file: BinaryIO
    password: str | None

    def update(self, older: End, newer: End, hidden: object) -> tuple[Event, ...]:
        """What the update with a stream at `hidden` changed for older readers. Raises Differ."""
        if self._called_free(newer.section, hidden):
            raise Differ
        before, after = self._old_way(older.end), self._old_way(newer.end)
        if before is None and after is None:
            return ()  # no older reader opens it at all
        if before is None or after is None:
            raise Differ
        with closing(before.pdf), closing(after.pdf):
            try:
                return compare(before, after)
            except (*PDF_ERRORS, TooMuch) as wrong:
                raise Differ from wrong

    def whole(self, newest: View, sections: Iterable[tuple[int, int]]) -> None:
        """`sections`: as `Chain.hybrid`. Raises Differ where both ways show another document as it stands."""
        # Many programs copy the word from the section before theirs: the stream belongs to the oldest that names it.
        streams = {hidden: section for section, hidden in sections}
        free = {
            number for hidden, section in streams.items() for number in self._called_free(section, hidden)
        }
        try:
            pages = [key for key, _ in pages_of(newest).pages if key is not None] if free else []
            if any(number in free for number, _ in newest.reached(pages)):
                raise Differ
        except (*PDF_ERRORS, TooMuch) as wrong:
            raise Differ from wrong
        shown = self._old_way(newest.end)
        if shown is None:
            return
        with closing(shown.pdf):
            try:
                events = compare(shown, newest, of_one_line=False)
            except (*PDF_ERRORS, TooMuch) as wrong:
                raise Differ from wrong
        if any(one.kind not in HIDDEN for one in events):
            raise Differ

    def _called_free(self, section: int, hidden: object) -> set[int]:
        """Numbers of objects that are there for some readers and deleted for others (qpdf), since the section's table calls
        them free and its stream does not. Raises Differ where both place an object, differently."""
        if not isinstance(hidden, int) or hidden < 0:
            raise Differ
        try:
            table, free = dict(self._table(section)), set()
            for number, place in self._stream(hidden):
                if table.get(number, place) == ():
                    free.add(number)
                elif table.get(number, place) != place:
                    raise Differ
        except PDF_ERRORS as wrong:
            raise Differ from wrong
        return free

    def _old_way(self, end: int) -> View | None:
        if end > LARGEST:
            raise Differ
        try:
            return open_bytes(at(self.file, 0, end).replace(_WORD, _NO_WORD), self.password)
        except TooMuch as wrong:
            raise Differ from wrong
        except PDF_ERRORS:
            return None

    def _table(self, section: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Number and offset of what the table tells of; of what is free, nothing for an offset."""
        said = at(self.file, section, section + CHUNK)
        head = _TABLE.match(said)
        if head is None:
            raise Differ
        begin = head.end()
        while found := _SUBSECTION.match(said, begin):
            first, count = int(found[1]), int(found[2])
            begin = found.end()
            if count > MOST_OBJECTS or begin + count * _ENTRY > len(said):
                raise Differ
            for number in range(first, first + count):
                line = said[begin : begin + _ENTRY]
                begin += _ENTRY
                yield number, (int(line[:10]),) if line[17:18] == b"n" else ()

    def _stream(self, hidden: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Number and place of what the stream says is in use."""
        said = at(self.file, hidden, hidden + CHUNK)
        found = _STREAM.match(said)
        if found is None:
            raise Differ
        told = pikepdf.Object.parse(_REFERENCE.sub(b"null", found[1]))  # nothing of these is wanted
        with closing(pikepdf.new()) as pdf:
            length = told["/Length"]
            if not isinstance(length, int) or length > CHUNK:
                raise Differ
            packed = pikepdf.Stream(pdf, said[found.end() : found.end() + length])
            for name in ("/Filter", "/DecodeParms"):
                if name in told:
                    packed[name] = told[name]
            content = packed.read_bytes()
        widths = [int(one) for one in told["/W"].as_list()]
        index = (
            [int(one) for one in told["/Index"].as_list()] if "/Index" in told else [0, int(told["/Size"])]
        )
        row = sum(widths)
        if len(widths) != 3 or min(widths) < 0 or row == 0 or len(content) > MOST_OBJECTS * row:
            raise Differ
        source = io.BytesIO(content)
        for first, count in zip(index[::2], index[1::2], strict=True):
            for number in range(first, first + min(count, MOST_OBJECTS)):
                line = source.read(row)
                if len(line) < row:
                    return
                kind = int.from_bytes(line[: widths[0]], "big") if widths[0] else 1
                place = int.from_bytes(line[widths[0] : widths[0] + widths[1]], "big")
                at_index = int.from_bytes(line[row - widths[2] :], "big")
                if kind:
                    yield number, (place,) if kind == 1 else (place, at_index)
