"""What an update did to the form of a PDF and to the annotations of its pages: this file tells signing from filling in,
and filling in from changing what a field shows (T3).

- A field that carried a signature is sealed: nothing in it or of its look may change.
- A field is filled in when its value changes. A look that changes alone shows other words than those that stand there.
- A new field is let in only for a signature, and only without actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pikepdf

from signing.pdf.pages import box, is_array, is_dictionary, is_spoken, is_stream, spoken
from signing.verification.pdf_tree import Pages
from signing.verification.pdf_view import (
    Entries,
    Key,
    KnownField,
    TooMuch,
    View,
    entries,
    key_of,
    members,
    references,
    token,
)

MOST_FIELDS = 200_000
DEEPEST = 64
LARGEST_LOOK = 1 << 16  # packed bytes of an appearance that is looked through
WITH_A_SIGNATURE = {"/AP", "/MK", "/DA", "/F", "/BS", "/DR", "/Border", "/P", "/NM", "/H", "/M", "/AS", "/Q"}
VALUES = {"/V", "/AS", "/I", "/RV"}


class Comparison(Protocol):
    a: View
    b: View
    changed: set[Key]
    explained: set[Key]
    pages_a: Pages
    pages_b: Pages

    def note(self, kind: str, page: int | None = None, field: str | None = None, **more: object) -> None: ...
    def explain(self, *things: object) -> None: ...


@dataclass
class _Field:
    name: str
    kind: object  # /FT
    sealed: bool
    value_changed: bool = False
    looks_changed: bool = False
    new: bool = False
    filled: object = None  # the new signature dictionary
    widgets: list[object] = field(default_factory=list)  # of the newer view
    appearance: list[Key] = field(default_factory=list)


@dataclass
class Apart:
    """What the comparison of all else leaves out, and looks at by itself."""

    typed: set[Key]
    skipped: set[tuple[Key | None, str]]
    annotations: list[tuple[int, list[Key]]]
    appearances: dict[str, list[Key]]


class FormChanges:
    def __init__(self, comparison: Comparison) -> None:
        self._c = comparison
        self._fields: dict[str, _Field] = {}
        self._typed: set[Key] = set()
        self._skipped: set[tuple[Key | None, str]] = set()
        self._new: dict[Key, str] = {}  # widgets of new signature fields
        self._seen: set[Key] = set()
        self._visited = 0
        self._pictures_replaced = False
        self.replaced: set[Key] = set()  # objects with resources of which some were replaced

    def compare(self, a: object, b: object) -> None:
        c = self._c
        before, after = entries(a), entries(b)
        if before and not after:
            c.note("FORM_CHANGED")
            return
        c.explain(a)
        self._typed.update(key for key in (key_of(a),) if key)
        for name in before.keys() | after.keys():
            if name not in {"/Fields", "/SigFlags", "/DR"} and token(before.get(name)) != token(
                after.get(name)
            ):
                added = name == "/DA" and name not in before
                calmed = name == "/NeedAppearances" and after.get(name) is not True
                if not added and not calmed:
                    c.note("FORM_CHANGED")
        if "/DR" in before:
            self._only_more(before["/DR"], after.get("/DR"), within=key_of(a))
        self._list(before.get("/Fields"), after.get("/Fields"), _Field("", None, sealed=False), 0)

    def _only_more(self, a: object, b: object, *, within: Key | None, fonts: bool | None = None) -> None:
        """Resources for fields may be added to. Fonts are never replaced, since words of fields are set in them; pictures
        are (as PDFBox does at each signature), unless a look that stands already might be drawn with them."""
        before, after, within = entries(a), entries(b), key_of(a) or within
        self._c.explain(a)
        for name, value in before.items():
            if fonts is None and is_dictionary(value) and is_dictionary(after.get(name)):
                self._only_more(value, after[name], within=within, fonts=name in {"/Font", "/Encoding"})
            elif token(value) != token(after.get(name)):
                pictures = is_stream(value) and is_stream(after.get(name))
                if fonts or not pictures:
                    self._c.note("FORM_CHANGED")
                    continue
                self._pictures_replaced = True
                self.replaced.update(key for key in (within,) if key)

    # -- fields

    def _list(self, a: object, b: object, above: _Field, depth: int) -> None:
        self._c.explain(a)
        self._typed.update(key for key in (key_of(a),) if key)
        old, new = members(a, led=False), members(b, led=False)
        wanted = [token(one) for one in old]
        there = {token(one): one for one in new}
        if not _in_order(wanted, [token(one) for one in new]):
            self._gone(old, there, above)
        for one, said in zip(old, wanted, strict=True):
            if said in there:
                self._field(one, there[said], above, depth)
        known = set(wanted)
        for said, one in there.items():
            if said not in known:
                self._new_field(self._c.b.led(one), above, depth)

    def _gone(self, old: list[object], there: dict[bytes, object], above: _Field) -> None:
        signed = above.sealed or any(
            token(one) not in there and is_dictionary(entries(self._c.a.led(one)).get("/V")) for one in old
        )
        self._c.note("SIGNATURE_CHANGED" if signed else "FORM_CHANGED")

    def _field(self, a: object, b: object, above: _Field, depth: int) -> None:
        key = key_of(a)
        self._count(depth)
        if key is not None and key in self._seen:
            return
        known = self._known(key)
        if known is not None and key is not None:
            self._as_it_was(key, known, b, above)
            return
        a, b = self._c.a.led(a), self._c.b.led(b)
        if not is_dictionary(a):
            return
        if key is not None:
            self._seen.add(key)
            self._typed.add(key)
        before = entries(a)
        # What stands where it stood says what it said; its kids are looked at in both views all the same.
        as_it_was = key is not None and key not in self._c.changed and not is_array(before.get("/Kids"))
        if as_it_was and key is not None:
            self._as_it_was(key, self._learn(key, before), b, above)
            return
        after = entries(b)
        mine = self._mine(before, above)
        mine.widgets.append(b)
        mine.appearance += references(before.get("/AP"))
        self._skipped.add((key, "/AP"))
        if mine.kind != "/Sig":
            self._skipped.add((key, "/V"))
        self._value_in_place(key_of(before.get("/V")), mine)
        if key is None or key in self._c.changed:
            self._c.explain(a)
            self._differences(before, after, mine)
        if is_array(before.get("/Kids")) or is_array(after.get("/Kids")):
            self._list(before.get("/Kids"), after.get("/Kids"), mine, depth + 1)

    # -- fields that say what they said

    def _known(self, key: Key | None) -> KnownField | None:
        """Where an earlier comparison has read it, and neither it nor its value is written anew."""
        found = self._c.a.known_fields.get(key) if key is not None else None
        return found if found is not None and not {key, found.value} & self._c.changed else None

    def _learn(self, key: Key, said: Entries) -> KnownField:
        known, by_itself = KnownField.read(said)
        if by_itself:
            self._c.a.known_fields[key] = known
        return known

    def _as_it_was(self, key: Key, known: KnownField, b: object, above: _Field) -> None:
        self._seen.add(key)
        self._typed.add(key)
        kind = known.kind if known.kind is not None else above.kind
        mine = self._belongs(known.name, kind, above, filled=known.filled)
        if mine is above:
            mine.widgets.append(self._c.b.led(b))
        mine.appearance += known.looks
        self._skipped.add((key, "/AP"))
        if mine.kind != "/Sig":
            self._skipped.add((key, "/V"))
        self._value_in_place(known.value, mine)

    def _mine(self, said: Entries, above: _Field) -> _Field:
        """The field that a node belongs to: its own where it has a name, else the one above it."""
        name = _spoken(said.get("/T")) if "/T" in said else None
        return self._belongs(name, said.get("/FT", above.kind), above, filled=is_dictionary(said.get("/V")))

    def _belongs(self, partial: str | None, kind: object, above: _Field, *, filled: bool) -> _Field:
        if partial is None and above.name:
            return above
        name = ".".join(one for one in (above.name, partial) if one)
        mine = _Field(name, kind, above.sealed or (kind == "/Sig" and filled))
        while name in self._fields:  # names may stand twice; each is a field of its own here
            name += "\0"
        self._fields[name] = mine
        return mine

    def _value_in_place(self, key: Key | None, mine: _Field) -> None:
        if key is None or key not in self._c.changed:
            return
        if mine.kind == "/Sig":
            self._c.note("SIGNATURE_CHANGED", field=mine.name)
            self._c.explained.add(key)
        else:
            mine.value_changed = True

    def _differences(self, before: Entries, after: Entries, mine: _Field) -> None:
        differing = {
            name
            for name in (before.keys() | after.keys()) - {"/Kids"}
            if token(before.get(name)) != token(after.get(name))
        }
        if mine.sealed:
            if differing - {"/P"}:
                self._c.note("SIGNATURE_CHANGED", field=mine.name)
        elif mine.kind == "/Sig":
            self._signature_differences(differing, after, mine)
        else:
            if is_stream(after.get("/V")) or differing - VALUES - {"/AP", "/DA", "/M"}:
                self._c.note("FORM_CHANGED", field=mine.name)
            mine.value_changed |= bool(differing & VALUES)
            # Another font, where the field's own lacks a letter of what was filled in.
            mine.looks_changed |= bool(differing & {"/AP", "/DA"})

    def _signature_differences(self, differing: set[str], after: Entries, mine: _Field) -> None:
        if "/V" in differing and is_dictionary(after.get("/V")):
            mine.filled = after["/V"]
        elif "/V" in differing:
            self._c.note("FORM_CHANGED", field=mine.name)
        if differing - WITH_A_SIGNATURE - {"/V"}:
            self._c.note("FORM_CHANGED", field=mine.name)
        mine.looks_changed |= bool(differing - {"/V", "/M", "/P"})

    def _new_field(self, node: object, above: _Field, depth: int) -> None:
        self._count(depth)
        found = entries(node)
        if above.sealed:
            self._c.note("SIGNATURE_CHANGED", field=above.name)
            return
        kids = members(found.get("/Kids"))
        name, kind = _joined(above.name, found.get("/T")), found.get("/FT", above.kind)
        if any("/T" in entries(kid) for kid in kids):
            for kid in kids:
                self._new_field(kid, _Field(name, kind, sealed=False), depth + 1)
            return
        if kind != "/Sig" or ("/T" not in found and above.kind == "/Sig"):
            self._c.note("FORM_CHANGED", field=name or None)
            return
        nodes = [node, *kids]
        if any({"/A", "/AA"} & entries(one).keys() for one in nodes):
            self._c.note("STRUCTURE")
        self._new.update({key: name for key in map(key_of, nodes) if key is not None})
        value = found.get("/V")
        new = _Field(name, kind, sealed=False, new=True, widgets=nodes)
        new.filled = value if is_dictionary(value) else None
        while name in self._fields:
            name += "\0"
        self._fields[name] = new

    def _count(self, depth: int) -> None:
        self._visited += 1
        if self._visited > MOST_FIELDS or depth > DEEPEST:
            raise TooMuch("the form has no end")

    # -- annotations of a page

    def annotations(self, page: int, a: list[object], b: list[object]) -> None:
        """Members may be references still."""
        known, there = [token(one) for one in a], [token(one) for one in b]
        if not _in_order(known, there):
            left = set(there)
            gone = [one for one, said in zip(a, known, strict=True) if said not in left]
            fields = any(key_of(one) in self._typed for one in gone)
            self._c.note("FORM_CHANGED" if fields else "ANNOTATION", page)
        before = set(known)
        for one, said in zip(b, there, strict=True):
            if said not in before and key_of(one) not in self._new:
                widget = entries(self._c.b.led(one)).get("/Subtype") == "/Widget"
                self._c.note("FORM_CHANGED" if widget else "ANNOTATION", page)

    # -- for the comparison of all else

    def apart(self) -> Apart:
        c = self._c
        listed: list[tuple[int, list[Key]]] = []
        for number, (key, node) in enumerate(c.pages_a.pages, 1):
            annotations = entries(node).get("/Annots")
            if annotations is None:
                continue
            self._skipped.add((key, "/Annots"))
            held = key_of(annotations)
            if held is not None:
                self._typed.add(held)
            keys = [one for each in members(annotations, led=False) for one in references(each)]
            listed.append((number, [one for one in keys if one not in self._typed]))
        looks = {name: one.appearance for name, one in self._fields.items() if one.appearance}
        return Apart(self._typed, self._skipped, listed, looks)

    def appearance_changed(self, name: str) -> None:
        self._fields[name].looks_changed = True

    def signed_widgets(self) -> set[Key]:
        """Of fields that are new or newly signed."""
        shown = [one.widgets for one in self._fields.values() if one.new or one.filled is not None]
        return {key for widgets in shown for key in map(key_of, widgets) if key is not None}

    def _drawn_with_resources_of_the_form(self) -> bool:
        """Whether a look draws pictures and names no resources of its own: some readers take the form's then."""
        keys = [key for one in self._fields.values() for key in one.appearance]
        return any(_borrows(self._c.a.pdf.get_object(*key)) for key in keys)

    def tell_appearances(self) -> None:
        """What came of each field, now that all of it is known."""
        if self._pictures_replaced and self._drawn_with_resources_of_the_form():
            self._c.note("FORM_CHANGED")
        for one in self._fields.values():
            if one.sealed:
                if one.looks_changed or one.value_changed:
                    self._c.note("SIGNATURE_CHANGED", field=one.name)
            elif one.filled is not None or one.new:
                self._signed(one)
            elif one.value_changed:
                self._c.note("FORM_FILLING", field=one.name)
            elif one.looks_changed:
                self._c.note("FIELD_APPEARANCE", field=one.name)

    def _signed(self, one: _Field) -> None:
        value = entries(one.filled)
        stamp = value.get("/Type") == "/DocTimeStamp" or value.get("/SubFilter") == "/ETSI.RFC3161"
        kind = "DOCUMENT_TIMESTAMP" if stamp else "SIGNATURE" if value else "SIGNATURE_FIELD"
        marks = [(widget, box(entries(widget).get("/Rect"))) for widget in one.widgets]
        shown = [(widget, mark) for widget, mark in marks if mark is not None]
        for widget, mark in shown:
            self._c.note(kind, self._page_of(widget), one.name, mark=mark, stood=not one.new)
        if not shown:
            self._c.note(kind, field=one.name)

    def _page_of(self, widget: object) -> int | None:
        mine, wanted = key_of(widget), key_of(entries(widget).get("/P"))
        for number, (key, node) in enumerate(self._c.pages_b.pages, 1):
            if key is not None and key == wanted:
                return number
            if wanted is None and mine in [key_of(one) for one in members(entries(node).get("/Annots"))]:
                return number
        return None


def _borrows(look: object, depth: int = 0) -> bool:
    """Of a look, or of one for each state (ISO 32000-2 12.5.5)."""
    if not is_stream(look):
        return depth > 2 or any(_borrows(one, depth + 1) for one in entries(look).values())
    if "/Resources" in look:
        return False
    if len(look.get_raw_stream_buffer()) > LARGEST_LOOK:
        return True
    try:
        return b"Do" in look.read_bytes()
    except pikepdf.PikepdfError:
        return True


def _in_order(wanted: list[bytes], there: list[bytes]) -> bool:
    """Whether all that is wanted stands there, in this order."""
    rest = iter(there)
    return all(one in rest for one in wanted)


def _joined(above: str, name: object) -> str:
    return ".".join(one for one in (above, _spoken(name)) if one)


def _spoken(name: object) -> str:
    return spoken(name) if is_spoken(name) else ""
