"""One page of paper: this file sets lines of Vietnamese text on it, left, centred or justified, and makes it a PDF.

- The typeface is the one of visible marks, embedded as a subset. It has no bold and no italic of its own: lines are
  drawn thicker and slanted instead.
- The same lines make the same bytes.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pikepdf

from signing.pdf.opening import open_for_update
from signing.pdf.update import Update
from signing.pdf.values import dictionary, number, with_entries
from signing.typeface import Subset, normal, width

WIDE, HIGH = 595.28, 841.89  # A4, points
SLANT = 0.21  # 12 degrees
THICKER = 0.036  # of the size


@dataclass(frozen=True)
class Style:
    """`size` in points."""

    size: float
    bold: bool = False
    italic: bool = False


@dataclass
class _Run:
    words: list[tuple[float, str]]  # each with its place from the left
    y: float
    style: Style


@dataclass
class Paper:
    """Coordinates in points from the lower left corner."""

    title: str
    _runs: list[_Run] = field(default_factory=list)
    _rules: list[tuple[float, float, float]] = field(default_factory=list)

    def left(self, text: str, x: float, y: float, style: Style) -> float:
        """Where the text ends."""
        text = normal(text)
        self._runs.append(_Run([(x, text)], y, style))
        return x + width(text, style.size)

    def centred(self, text: str, x: float, y: float, style: Style) -> float:
        """Its width."""
        wide = width(normal(text), style.size)
        self.left(text, x - wide / 2, y, style)
        return wide

    def rule(self, x: float, y: float, wide: float) -> None:
        """A thin line, centred at x."""
        self._rules.append((x - wide / 2, y, wide))

    def paragraph(
        self, text: str, sides: tuple[float, float], y: float, style: Style, *, lead: str = "", leading: float = 1.25
    ) -> float:  # fmt: skip
        """Justified between the sides, first line indented; `lead` opens it in bold. Where the next one may begin."""
        indent, space = 36.0, width(" ", style.size)
        words = [(one, True) for one in normal(lead).split()] + [(one, False) for one in normal(text).split()]
        line: list[tuple[str, bool]] = []
        start = sides[0] + indent
        for word in words:
            wanted = sum(width(one, style.size) + space for one, _ in [*line, word]) - space
            if line and start + wanted > sides[1]:
                self._justified(line, (start, sides[1]), y, style)
                line, start, y = [], sides[0], y - style.size * leading
            line.append(word)
        self._set(line, start, space, y, style)
        return y - style.size * leading - 6

    def _justified(
        self, line: list[tuple[str, bool]], sides: tuple[float, float], y: float, style: Style
    ) -> None:
        free = sides[1] - sides[0] - sum(width(one, style.size) for one, _ in line)
        self._set(line, sides[0], free / max(1, len(line) - 1), y, style)

    def _set(self, line: list[tuple[str, bool]], x: float, space: float, y: float, style: Style) -> None:
        for bold in (True, False):
            places, at = [], x
            for word, heavy in line:
                if heavy is bold:
                    places.append((at, word))
                at += width(word, style.size) + space
            if places:
                self._runs.append(_Run(places, y, Style(style.size, bold=bold, italic=style.italic)))

    def to_pdf(self) -> bytes:
        letters = Subset(" ".join(word for run in self._runs for _, word in run.words))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page.pdf"
            _blank(file)
            opened = open_for_update(file)
            try:
                update = Update(opened, bytes(16))
                page = opened.pdf.pages[0].obj
                fonts = dictionary({"/Font": dictionary({"/F": letters.embed(update)})})
                shown = update.stream({}, self._content(letters))
                update.put(page.objgen[0], with_entries(page, {"/Resources": fonts, "/Contents": shown}))
                added = update.to_bytes()
            finally:
                opened.close()
            with file.open("ab") as out:
                out.write(added)
            return self._as_one(file)

    def _as_one(self, file: Path) -> bytes:
        """One revision instead of two, with its title and language."""
        with pikepdf.open(file) as pdf:
            pdf.Root.Lang = pikepdf.String("vi-VN")
            pdf.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
            pdf.docinfo["/Title"] = pikepdf.String(self.title)
            out = io.BytesIO()
            pdf.save(out, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
        return out.getvalue()

    def _content(self, letters: Subset) -> bytes:
        drawn = [b"BT 0 g 0 G"]
        for run in self._runs:
            style = run.style
            weight = b"2 Tr %s w" % number(style.size * THICKER) if style.bold else b"0 Tr"
            drawn.append(b"/F %s Tf %s" % (number(style.size), weight))
            for x, word in run.words:
                place = (1, 0, SLANT if style.italic else 0, 1, x, run.y)
                drawn.append(b" ".join(number(one) for one in place) + b" Tm " + letters.show(word) + b" Tj")
        drawn.append(b"ET 0.6 w")
        for x, y, wide in self._rules:
            drawn.append(b"%s %s m %s %s l S" % tuple(number(one) for one in (x, y, x + wide, y)))
        return b"\n".join(drawn)


def _blank(file: Path) -> None:
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(WIDE, HIGH))
        pdf.save(file, deterministic_id=True)
