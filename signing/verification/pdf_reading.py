"""Reads a PDF of a stranger, in a child process: this file brings bytes, signatures, revisions and changes together as
facts. What cannot be read for sure is a doubt, and with a doubt no file is VALID (T2, T3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pikepdf

from signing.pdf.opening import NotOpened
from signing.verification import pdf_bytes
from signing.verification.pdf_bytes import Chain, End, Known
from signing.verification.pdf_changes import Event, compare
from signing.verification.pdf_facts import CannotRead, Facts, FoundSignature, Step
from signing.verification.pdf_hybrid import Differ, TwoWays
from signing.verification.pdf_marks import Seen, look
from signing.verification.pdf_signatures import has_store, judge_bytes, permissions, signatures
from signing.verification.pdf_store import read_store
from signing.verification.pdf_view import PDF_ERRORS, Place, TooMuch, View, open_view, written_in
from signing.verification.report import Coverage, Finding, Severity

HEAD = 1024  # bytes in which `%PDF-` is looked for
MOST_STEPS = 500


def read_by_qpdf(path: Path, file: BinaryIO, password: str | None) -> Facts:
    """As `read_pdf`, of any file."""
    with ExitStack() as stack:
        return Reading(path, file, password, stack).facts()


@dataclass
class Reading:
    path: Path
    file: BinaryIO
    password: str | None
    stack: ExitStack
    doubts: dict[str, Finding] = field(default_factory=dict)
    views: dict[int, View] = field(default_factory=dict)
    remarks: list[Finding] = field(default_factory=list)
    sound: set[Place] = field(default_factory=set)
    _first: Chain | None = None
    prepared: dict[str, int] = field(default_factory=dict)  # fields that came empty, and the end before them

    def facts(self) -> Facts:
        size = self.size = pdf_bytes.size_of(self.file)
        # 1. A PDF at all?
        self._look_at_head()
        # 2. Its newest revision.
        last = pdf_bytes.last_end(self.file, size)
        newest, mended = self._newest(last)
        # 3. Its signatures.
        found, remarks = signatures(newest, self.file, size)
        if not found and last is not None and not mended and pdf_bytes.tail(self.file, last.end, size)[1]:
            # The copy may have been cut within the revision that was signed.
            newest, mended = self._mended("cut"), True
            found, remarks = signatures(newest, self.file, size)
        for one in remarks:
            self.doubts[one.code] = one
        found = sorted(judge_bytes(self.file, found), key=lambda one: one.end)
        # 4. Its revisions from the first signed one on, and what each changed.
        bounds = self._bounds(found, last) if last is not None and not mended else []
        self._look_both_ways(bounds)
        steps, unknown_from = self._steps(bounds)
        found = [self._placed(one, bounds) for one in found]
        # 5. What belongs to none of them.
        if last is not None:
            steps += self._tail(bounds, last, mended=mended)
        store = read_store(newest)
        return Facts(
            size=size,
            revisions=self._number(bounds, len(bounds) - 1) if bounds else 1,
            signatures=tuple(found),
            steps=tuple(steps),
            doubts=tuple(self.doubts.values()),
            remarks=tuple(self.remarks) if found else self._traces(),
            certificates=tuple(store.certificates),
            crls=tuple(store.crls),
            ocsps=tuple(store.ocsps),
            unknown_from=0 if mended or last is None else unknown_from,
        )

    def doubt(self, code: str, **data: str) -> None:
        self.doubts.setdefault(code, Finding(code, Severity.ERROR, data))

    def _look_at_head(self) -> None:
        if self.size == 0:
            raise CannotRead("EMPTY_FILE")
        begin = pdf_bytes.at(self.file, 0, HEAD).find(b"%PDF-")
        if begin < 0:
            raise CannotRead("NOT_A_PDF")
        if begin:
            self.doubt("BYTES_BEFORE_HEADER")

    # -- views

    def _newest(self, last: End | None) -> tuple[View, bool]:
        """The newest revision as it stands, else what can be mended of the file."""
        for end in dict.fromkeys([self.size, last.end if last else self.size]):
            try:
                return self._view(end), False
            except pikepdf.PasswordError as wrong:
                raise CannotRead("PASSWORD_WRONG" if self.password else "PASSWORD_WANTED") from wrong
            except PDF_ERRORS as wrong:
                why = str(wrong)
        return self._mended(why), True

    def _mended(self, why: str) -> View:
        try:
            pdf = pikepdf.open(self.path, password=self.password or "", suppress_warnings=True,
                               inherit_page_attributes=False, access_mode=pikepdf.AccessMode.stream)  # fmt: skip
            self.stack.enter_context(closing(pdf))
            _ = pdf.Root.get("/AcroForm")
            if "/Pages" not in pdf.Root:
                raise CannotRead("DAMAGED", why)
            places = {key: (one.offset or 0,) for key, one in pdf.get_xref_table().items() if one.type == 1}
        except pikepdf.PasswordError as wrong:
            raise CannotRead("PASSWORD_WRONG" if self.password else "PASSWORD_WANTED") from wrong
        except PDF_ERRORS as wrong:
            unknown = "encryption" in str(wrong).lower() or "security handler" in str(wrong).lower()
            raise CannotRead("ENCRYPTION_UNKNOWN" if unknown else "DAMAGED", str(wrong)[:200]) from wrong
        self.doubt("MENDED")
        return View(pdf, self.size, dict(places), written_in(self.file, self.size))

    def _view(self, end: int) -> View:
        known = self.views.get(end)
        if known is None:
            whole = end == self.size
            known = open_view(self.path, self.file, end, self.password, whole=whole, sound=self.sound)
            self.stack.enter_context(closing(known.pdf))
            self.views[end] = known
            _ = known.pdf.Root.get("/Pages")
        return known

    # -- revisions

    def _bounds(self, found: Iterable[FoundSignature], last: End) -> list[End]:
        """The ends of revisions from the first signed one on."""
        stated = {one.end for one in found if one.fault is None}
        signed = {end: at for end in stated if (at := pdf_bytes.end_at(self.file, end)) is not None}
        if not signed:
            return []
        first = min(signed)
        bounds = {first: signed[first]}
        for one in pdf_bytes.ends(self.file, first - 64 if first > 64 else 0, last.end):
            if len(bounds) > MOST_STEPS:
                raise TooMuch("revisions without end")
            # A signature may end before or behind the end-of-line that follows `%%EOF`.
            near = next((end for end in signed if 0 <= abs(end - one.end) <= 2), one.end)
            if one.end > first + 2:
                bounds[near] = End(near, one.section)
        return [bounds[end] for end in sorted(bounds)]

    def _look_both_ways(self, bounds: list[End]) -> None:
        """At the first signed revision; what later ones changed is asked of both ways by itself."""
        try:
            if bounds and (hybrid := self._chain(bounds).hybrid):
                TwoWays(self.file, self.password).whole(self._view(bounds[0].end), hybrid)
        except Differ:
            self.doubt("HYBRID_UPDATE", revision=str(self._number(bounds, 0)))
        except (*PDF_ERRORS, TooMuch):
            self.doubt("READ_DIFFERENTLY")

    def _number(self, bounds: list[End], index: int) -> int:
        return self._chain(bounds).revisions + index

    def _chain(self, bounds: list[End]) -> Chain:
        """Of the first signed revision."""
        if self._first is None:
            self._first = pdf_bytes.chain(self.file, bounds[0].section)
        return self._first

    def _steps(self, bounds: list[End]) -> tuple[list[Step], int | None]:
        """What each revision changed; and the end from which on that could not be said."""
        steps: list[Step] = []
        for index, (older, newer) in enumerate(itertools.pairwise(bounds), 1):
            number = self._number(bounds, index)
            try:
                events = self._step(older, newer, number)
            except (*PDF_ERRORS, TooMuch):
                steps.append(Step(number, newer.end, (Event("UNKNOWN"),)))
                self.doubt("READ_DIFFERENTLY")
                return steps, older.end
            steps.append(Step(number, newer.end, events))
        return steps, None

    def _step(self, older: End, newer: End, number: int) -> tuple[Event, ...]:
        before, after = self._view(older.end), self._view(newer.end)
        events = self._marks(compare(before, after), older.end, newer.end)
        trailer = after.pdf.trailer
        if newer.section != older.section and trailer.get("/Prev") != older.section:
            self.doubt("READ_DIFFERENTLY")
        hidden = trailer.get("/XRefStm")
        if hidden is not None and hidden != before.pdf.trailer.get("/XRefStm"):
            try:
                told = TwoWays(self.file, self.password).update(older, newer, hidden)
                events = tuple(dict.fromkeys((*events, *told)))
            except Differ:
                self.doubt("HYBRID_UPDATE", revision=str(number))
        left = self._loose(older, newer, after)
        if left == "objects":
            return (*events, Event("LOOSE_OBJECTS"))
        if left is not None:
            self.doubt("LOOSE_BYTES", revision=str(number))
        return events

    def _loose(self, older: End, newer: End, after: View) -> str | None:
        return pdf_bytes.loose(self.file, older.end, newer, _known(after, older.end))

    def _marks(self, events: tuple[Event, ...], older: int, newer: int) -> tuple[Event, ...]:
        """With an event more for each mark that hides something (V9)."""
        hiding = []
        for one in events:
            if one.mark is None or one.page is None or one.field is None:
                continue
            if one.kind == "SIGNATURE_FIELD":
                self.prepared[one.field] = older
            # A field that stood there when the first signer signed was seen by them, at its place.
            begin = self.prepared.get(one.field) if one.stood else older
            if begin is None:
                continue
            seen = look(self._upto, (begin, newer), one.page, one.mark, self.password)
            if seen is Seen.HIDDEN:
                hiding.append(Event("SIGNATURE_HIDES_CONTENT", one.page, one.field))
            elif seen is Seen.UNSEEN:
                self.doubt("MARK_NOT_COMPARED", page=str(one.page))
            elif seen is Seen.ABOVE:
                data = {"page": str(one.page)}
                self.remarks.append(Finding("SIGNATURE_OVER_CONTENT", Severity.INFO, data))
        return (*events, *hiding)

    def _upto(self, end: int) -> bytes:
        return pdf_bytes.at(self.file, 0, end)

    def _placed(self, one: FoundSignature, bounds: list[End]) -> FoundSignature:
        """With its place among the revisions, and what its own revision says of it."""
        index = next((index for index, bound in enumerate(bounds) if bound.end == one.end), None)
        if one.fault is not None or index is None:
            whole = one.fault is None and one.end == self.size
            return replace(one, coverage=Coverage.WHOLE_DOCUMENT if whole else Coverage.PARTIAL)
        coverage = Coverage.WHOLE_DOCUMENT if one.end == self.size else Coverage.REVISION
        try:
            view = self._view(one.end)
            permission, lock = permissions(view, one.field)
            sees = has_store(view)
        except (*PDF_ERRORS, NotOpened, TooMuch):
            self.doubt("READ_DIFFERENTLY")
            permission, lock, sees = 1, None, False
        return replace(
            one, revision=self._number(bounds, index), coverage=coverage, permission=permission, lock=lock,
            sees_store=sees,
        )  # fmt: skip

    def _tail(self, bounds: list[End], last: End, *, mended: bool) -> list[Step]:
        end = last.end if mended or not bounds else bounds[-1].end
        count, like_a_file = pdf_bytes.tail(self.file, end, self.size)
        if not count:
            return []
        self.doubt("BYTES_AFTER_END", count=str(count))
        if not like_a_file:
            return []
        number = self._number(bounds, len(bounds)) if bounds else 2
        return [Step(number, self.size, (Event("LOOSE_OBJECTS"),))]

    def _traces(self) -> tuple[Finding, ...]:
        """A file without a signature that still carries the words of one."""
        begin = 0
        while begin < self.size:
            if b"/ByteRange" in pdf_bytes.at(self.file, begin, begin + pdf_bytes.CHUNK + 16):
                return (Finding("SIGNATURE_TAKEN_AWAY", Severity.WARNING),)
            begin += pdf_bytes.CHUNK
        return ()


def _known(view: View, begin: int) -> list[Known]:
    found = []
    for key, place in view.places.items():
        if len(place) == 1 and place[0] >= begin:
            found.append(Known(place[0], view.extent(key)))
    return found
