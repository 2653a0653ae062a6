"""The typeface of visible marks: this file embeds of Liberation Serif (metrics of Times New Roman) what a mark shows.

Only glyphs that occur are embedded, each with its letter, so that what is seen can be searched and copied
(ISO 32000-1 9.10.3). A letter that the typeface lacks is refused: a mark never shows an empty box for a name.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from pathlib import Path

import uharfbuzz as hb

from signing.pdf.update import Update
from signing.pdf.values import array, dictionary

FILE = Path(__file__).parent / "fonts" / "LiberationSerif-Regular.ttf"
UNITS = 2048
ASCENT, DESCENT, CAP_HEIGHT = 1825, -443, 1341
BOX = (-1114, -621, 2618, 2010)


class NoSuchGlyph(ValueError):
    """The typeface has no such letter."""


@cache
def _face() -> tuple[hb.Face, hb.Font]:
    face = hb.Face(hb.Blob.from_file_path(str(FILE)))
    return face, hb.Font(face)


def normal(text: str) -> str:
    """One character per letter with its tone mark, which is how the typeface draws them."""
    return unicodedata.normalize("NFC", text).replace("\t", " ").replace("\r", "")


def width(text: str, size: float) -> float:
    """Points. Raises NoSuchGlyph."""
    font = _face()[1]
    advance: int = sum(font.get_glyph_h_advance(_glyph(letter)) for letter in text)
    return advance * size / UNITS


def _glyph(letter: str) -> int:
    found = _face()[1].get_nominal_glyph(ord(letter))
    if not found:
        raise NoSuchGlyph(f"U+{ord(letter):04X}")
    return int(found)


class Subset:
    """The letters of one text, ready to be shown and embedded."""

    def __init__(self, text: str) -> None:
        letters = sorted(set(text) - {"\n"})
        wanted = hb.SubsetInput()
        wanted.sets(hb.SubsetInputSets.GLYPH_INDEX).update({_glyph(letter) for letter in letters})
        tables = (b"GSUB", b"GPOS", b"GDEF", b"kern", b"FFTM")
        wanted.sets(hb.SubsetInputSets.DROP_TABLE_TAG).update({int.from_bytes(tag) for tag in tables})
        plan = hb.SubsetPlan(_face()[0], wanted)
        moved = {int(old): int(new) for old, new in plan.old_to_new_glyph_mapping.items()}
        self._data = bytes(plan.execute().blob.data)
        self._of = {letter: moved[_glyph(letter)] for letter in letters}
        self._widths = {
            new: _face()[1].get_glyph_h_advance(old) * 1000 // UNITS for old, new in moved.items()
        }

    def show(self, line: str) -> bytes:
        """The operand of `Tj` for a line."""
        return b"<" + b"".join(b"%04X" % self._of[letter] for letter in line) + b">"

    def embed(self, update: Update) -> bytes:
        """The font's reference."""
        name = self._name()
        file = update.stream({"/Length1": b"%d" % len(self._data)}, self._data)
        glyphs = max(self._widths) + 1
        # PDF/A-1 (ISO 19005-1 6.3.5) wants to be told which glyphs a subset has: all of them.
        present = update.stream({}, ((1 << glyphs) - 1 << (-glyphs % 8)).to_bytes((glyphs + 7) // 8, "big"))
        descriptor = {
            "/Type": b"/FontDescriptor",
            "/FontName": name,
            "/Flags": b"6",  # serif, symbolic: glyphs are chosen by number
            "/FontBBox": array(*(b"%d" % (one * 1000 // UNITS) for one in BOX)),
            "/ItalicAngle": b"0",
            "/Ascent": b"%d" % (ASCENT * 1000 // UNITS),
            "/Descent": b"%d" % (DESCENT * 1000 // UNITS),
            "/CapHeight": b"%d" % (CAP_HEIGHT * 1000 // UNITS),
            "/StemV": b"80",
            "/FontFile2": file,
            "/CIDSet": present,
        }
        descendant = {
            "/Type": b"/Font",
            "/Subtype": b"/CIDFontType2",
            "/BaseFont": name,
            "/FontDescriptor": update.add(dictionary(descriptor)),
            "/DW": b"1000",
            "/W": array(b"0", array(*(b"%d" % self._widths.get(glyph, 1000) for glyph in range(glyphs)))),
            "/CIDToGIDMap": b"/Identity",
        }
        font = {
            "/Type": b"/Font",
            "/Subtype": b"/Type0",
            "/BaseFont": name,
            "/Encoding": b"/Identity-H",
            "/DescendantFonts": array(self._with_strings(update, descendant)),
            "/ToUnicode": update.stream({}, self._to_unicode()),
        }
        return update.add(dictionary(font))

    def _with_strings(self, update: Update, descendant: dict[str, bytes]) -> bytes:
        number, string = update.reserve(), update.opened.string
        system = {
            "/Registry": string(b"Adobe", number),
            "/Ordering": string(b"Identity", number),
            "/Supplement": b"0",
        }
        update.put(number, dictionary(descendant | {"/CIDSystemInfo": dictionary(system)}))
        return b"%d 0 R" % number

    def _name(self) -> bytes:
        """Six letters before the name say that it is a subset (ISO 32000-1 9.6.4)."""
        digest = hashlib.sha256(self._data).digest()
        return b"/" + bytes(65 + octet % 26 for octet in digest[:6]) + b"+LiberationSerif"

    def _to_unicode(self) -> bytes:
        lines = [
            b"<%04X> <%s>" % (glyph, letter.encode("utf-16-be").hex().upper().encode())
            for letter, glyph in sorted(self._of.items(), key=lambda one: one[1])
        ]
        blocks = [lines[at : at + 100] for at in range(0, len(lines), 100)]
        ranges = b"\n".join(
            b"%d beginbfchar\n" % len(block) + b"\n".join(block) + b"\nendbfchar" for block in blocks
        )
        return (
            b"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
            b"/CIDSystemInfo <</Registry (Adobe)/Ordering (UCS)/Supplement 0>> def\n"
            b"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
            b"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n" + ranges + b"\nendcmap\n"
            b"CMapName currentdict /CMap defineresource pop\nend\nend"
        )
