"""Reads a PDF that is plain by our own reader: this file says what stands in it where nothing is odd, and nothing otherwise.

- What is signed again and again by programs that write as they should is read here, at a fraction of the cost. One thing that is
  odd, one doubt, one change that is more than a signature with what belongs to it: then qpdf reads the file, and what it says
  is believed as far as it saw no less.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from signing.pdf.opening import NotOpened
from signing.pdf.pages import is_array, is_dictionary
from signing.pdf.parsing import WHITE, Odd
from signing.pdf.revisions import PlainFile, Revision
from signing.verification import pdf_bytes
from signing.verification.pdf_bytes import End
from signing.verification.pdf_facts import CannotRead, Facts, FoundSignature
from signing.verification.pdf_reading import Reading, read_by_qpdf
from signing.verification.pdf_view import PDF_ERRORS, TooMuch, View
from signing.verification.plain_view import PlainView, Ways
from signing.verification.report import Finding, Severity

LARGEST = 32 << 20  # bytes of a file that is held as a whole
USUAL = {"SIGNATURE", "SIGNATURE_FIELD", "DOCUMENT_TIMESTAMP", "SECURITY_STORE"}
_EOF = re.compile(rb"[\x00\t\n\x0c\r ]*startxref[\r\n ]+\d+[\r\n ]+%%EOF[\r\n ]*")


def read_pdf(path: Path, password: str | None = None) -> Facts:
    """Raises CannotRead; what else is raised, and memory or time that runs out, is our own limit (V8)."""
    with path.open("rb") as file:
        mine = all_that_is_plain(path, file) if password is None else None
        if mine is not None and is_usual(mine):
            return mine
        other = read_by_qpdf(path, file, password)
    return _in_doubt(other) if mine is not None and differ(mine, other) else other


def all_that_is_plain(path: Path, file: BinaryIO) -> Facts | None:
    """Also what is not usual, as far as nothing was odd."""
    size = pdf_bytes.size_of(file)
    if size > LARGEST:
        return None
    data = pdf_bytes.at(file, 0, size)
    try:
        with ExitStack() as stack:
            reading = _PlainReading(path, io.BytesIO(data), None, stack, plain=PlainFile(data))
            return reading.facts()
    except (*PDF_ERRORS, Odd, CannotRead, NotOpened, TooMuch):
        return None


def is_usual(facts: Facts) -> bool:
    found = [event for step in facts.steps for event in step.events]
    return bool(facts.signatures) and not (
        facts.doubts
        or any(one.fault is not None or one.unjudged is not None for one in facts.signatures)
        or any(one.kind not in USUAL for one in found)
    )


def differ(mine: Facts, other: Facts) -> bool:
    """Whether our own reader, where nothing was odd to it, saw more than qpdf did: another signature, or another change."""
    if mine.doubts or not mine.signatures:
        return False
    stated = [(one.field, one.end, one.fault is None) for one in mine.signatures]
    if stated != [(one.field, one.end, one.fault is None) for one in other.signatures]:
        return True
    seen = {step.end: {*step.events} for step in other.steps}
    return any({*step.events} - seen.get(step.end, set()) for step in mine.steps)


def _in_doubt(facts: Facts) -> Facts:
    if any(one.code == "READ_DIFFERENTLY" for one in facts.doubts):
        return facts
    return replace(facts, doubts=(*facts.doubts, Finding("READ_DIFFERENTLY", Severity.ERROR)))


@dataclass
class _PlainReading(Reading):
    plain: PlainFile = field(kw_only=True)
    ways: Ways = field(default_factory=Ways)

    def _newest(self, last: End | None) -> tuple[View, bool]:
        if last is None or pdf_bytes.tail(self.file, last.end, self.size)[0]:
            raise Odd("it ends otherwise")
        return self._opened(self.plain.first(last.section), last.end), False

    def _bounds(self, found: Iterable[FoundSignature], last: End) -> list[End]:
        bounds = super()._bounds(found, last)
        if not bounds or bounds[-1].section != last.section:
            raise Odd("no end of a revision where a signature says so")
        revision: Revision | None = None
        for one in bounds:
            revision = self.plain.next(revision, one.section) if revision else self.plain.first(one.section)
            self.views[one.end] = self._opened(revision, one.end)
        return bounds

    def _opened(self, revision: Revision, end: int) -> PlainView:
        top = revision.trailer.get("/Root")
        pages = top.get("/Pages") if is_dictionary(top) and top.is_indirect else None
        if not is_dictionary(pages) or not is_array(pages.get("/Kids")):
            raise Odd("no catalog, or no pages")
        return PlainView(revision, end, self.ways)

    def _view(self, end: int) -> View:
        return self.views[end]

    def _look_both_ways(self, bounds: list[End]) -> None:
        """No hybrid file is read here."""

    def _loose(self, older: End, newer: End, after: View) -> str | None:
        """An update is its objects and its section, each behind the other with nothing in between."""
        if not isinstance(after, PlainView):
            raise TypeError
        revision, before = after.revision, self.plain.section(older.section)
        section, parts = revision.section, list[tuple[int, int]]()
        for number, place in section.places.items():
            if place is None or len(place) == 2 or place[0] == section.offset:
                continue
            if place[0] < older.end or place == before.places.get(number):
                raise Odd("an update that shows what stood before")
            parts.append((place[0], revision.end_of(number)))
        at = older.end
        for begin, end in sorted([*parts, (section.offset, section.end)]):
            if begin < at or self.plain.data[at:begin].strip(WHITE):
                raise Odd("something between the parts of an update")
            at = end
        if _EOF.fullmatch(self.plain.data, at, newer.end) is None:
            raise Odd("something before the end of an update")
        return None
