"""What a signature of ours may change in a document: this file holds each redefined object against what was meant.

- A signature: its field (new, or the empty one of its name), the page's list of annotations, the form's list of fields
  and flags, the catalog's entries for these. What follows it: validation material and document time-stamps.
- Whatever is redefined and not explained by these is refused; so pages, their contents and resources are as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import pikepdf

from signing.verification.second_reader import (
    FAILURES,
    Key,
    NotOpenedAlike,
    View,
    added,
    redefined,
    referring,
)

SIGNATURES_EXIST_APPEND_ONLY = 3
PRINT_AND_LOCKED = 4 | 128
_NEW_FIELD = {"/Type", "/Subtype", "/FT", "/T", "/V", "/F", "/Rect", "/P", "/AP", "/Ff"}
_NEW_FORM = {"/Fields", "/SigFlags", "/DR", "/DA"}  # the resources that every form has
_LISTS = ("/Certs", "/CRLs", "/OCSPs")
_OF_STORE = {"/Type", "/VRI", *_LISTS}


class NotMeant(ValueError):
    """The update changes what no signature needs to change."""


@dataclass(frozen=True)
class NewField:
    """A signature field that an update added or filled: its name and its signature dictionary."""

    name: str
    key: Key
    signature: Key
    shown: bool


@dataclass
class Comparison:
    """Two views of one growing document. `ours`: where our own reader found each object that was added."""

    old: View
    new: View
    ours: Mapping[Key, int]
    fresh: set[Key] = field(default_factory=set)
    left: set[Key] = field(default_factory=set)  # redefined, and not explained yet

    def __post_init__(self) -> None:
        self.left = redefined(self.old, self.new)
        self.fresh = added(self.old, self.new)

    def signature(self, name: str) -> NewField:
        """One signature in the field of this name, and nothing else. Raises NotMeant, NotOpenedAlike."""
        self._places()
        fields = self._form({"/AcroForm", "/Perms"})
        if not fields:
            fields = [self._filled(name)]
        if len(fields) != 1 or fields[0].name != name:
            raise NotMeant("other fields than the signature's")
        self._permissions(fields[0])
        self._nothing_left()
        return fields[0]

    def following(self) -> list[NewField]:
        """Validation material and fields of document time-stamps, which are not seen. Raises as `signature`."""
        self._places()
        fields = self._form({"/AcroForm", "/DSS", "/Extensions"})
        if any(one.shown for one in fields):
            raise NotMeant("a document time-stamp that is seen")
        self._store()
        self._extensions()
        self._nothing_left()
        return fields

    # -- where objects stand

    def _places(self) -> None:
        for key in self.left | self.fresh:
            if self.new.entries[key] != (1, self.ours.get(key, -1), 0):
                raise NotMeant(f"object {key} stands at another place of the document")
        numbers = {number for number, _ in self.fresh}
        if numbers and min(numbers) <= self.old.highest:
            raise NotMeant("a number of the document is used again")
        unchanged = self.old.entries.keys() - self.left
        if alive := referring(self.new, numbers, unchanged):
            raise NotMeant(f"objects {sorted(alive)[:5]} of the document referred to these numbers before")
        old, new = self.old.pdf.trailer, self.new.pdf.trailer
        for entry in ("/Root", "/Info", "/Encrypt"):
            if _text(old, entry) != _text(new, entry):
                raise NotMeant(f"another {entry}")
        if "/ID" in old and _first_id(old) not in (None, _first_id(new)):
            raise NotMeant("another document identifier")

    def _nothing_left(self) -> None:
        if self.left:
            raise NotMeant(f"redefined and not meant: {sorted(self.left)[:5]}")

    # -- catalog and form

    @property
    def _catalogs(self) -> tuple[pikepdf.Object, pikepdf.Object]:
        return self.old.pdf.trailer["/Root"], self.new.pdf.trailer["/Root"]

    def _form(self, allowed: set[str]) -> list[NewField]:
        """The fields that were added to the form."""
        before, after = self._catalogs
        allowed_in_form = {"/Fields", "/SigFlags"}
        self._explained(after)
        _only(before, after, allowed, "the catalog")
        old, new = _dictionary(before.get("/AcroForm")), _dictionary(after.get("/AcroForm"))
        if new is None:
            if old is not None or _text(before, "/AcroForm") != _text(after, "/AcroForm"):
                raise NotMeant("the form is gone")
            return []
        if old is None:
            old, allowed_in_form = pikepdf.Dictionary(), _NEW_FORM
        elif new.is_indirect and old.objgen != new.objgen:
            raise NotMeant("another form")
        self._explained(new)
        _only(old, new, allowed_in_form, "the form")
        fields = self._appended(old.get("/Fields"), new.get("/Fields"))
        if old.get("/SigFlags") != new.get("/SigFlags"):
            flags = old.get("/SigFlags")
            known = flags if isinstance(flags, int) else 0
            if new.get("/SigFlags") != known | SIGNATURES_EXIST_APPEND_ONLY:
                raise NotMeant("other signature flags")
        found = [self._new_field(key) for key in fields]
        self._annotations(fields)
        return found

    def _appended(self, old: object, new: object) -> list[Key]:
        """What an array got behind what it held: new objects only."""
        before, after = _members(old), _members(new)
        if isinstance(new, pikepdf.Object) and new.is_indirect:
            if isinstance(old, pikepdf.Object) and old.objgen not in (new.objgen, (0, 0)):
                raise NotMeant("another list")
            self._explained(new)
        if [_written(one) for one in after[: len(before)]] != [_written(one) for one in before]:
            raise NotMeant("a list lost what it held")
        more = [one.objgen for one in after[len(before) :]]
        if len(set(more)) != len(more) or any(key not in self.fresh for key in more):
            raise NotMeant("a list got what is not new")
        return more

    def _explained(self, one: pikepdf.Object) -> None:
        if one.is_indirect:
            self.left.discard(one.objgen)

    # -- fields

    def _new_field(self, key: Key) -> NewField:
        node = self.new.object(key)
        if set(map(str, node)) - _NEW_FIELD or node.get("/FT") != "/Sig" or node.get("/Subtype") != "/Widget":
            raise NotMeant("a new field that is not just a signature's")
        return NewField(str(node.get("/T")), key, self._value(node), self._shown(node))

    def _value(self, node: pikepdf.Object) -> Key:
        value = _dictionary(node.get("/V"))
        if value is None or value.objgen not in self.fresh:
            raise NotMeant("a field without a new signature")
        return value.objgen

    def _shown(self, widget: pikepdf.Object) -> bool:
        """Whether it has a place on the page. Its appearance is one new stream."""
        appearance = widget.get("/AP")
        if appearance is not None:
            stream = appearance.get("/N")
            if set(map(str, appearance)) != {"/N"} or not isinstance(stream, pikepdf.Stream):
                raise NotMeant("an appearance that is not one stream")
            if stream.objgen not in self.fresh:
                raise NotMeant("an appearance that stood there before")
        box = [float(one) for one in _members(widget.get("/Rect"))]
        return len(box) == 4 and box[0] != box[2] and box[1] != box[3]

    def _annotations(self, fields: Iterable[Key]) -> None:
        """Each new field stands last in the annotations of the page that it names, which changes in nothing else."""
        by_page: dict[Key, list[Key]] = {}
        for key in fields:
            page = _dictionary(self.new.object(key).get("/P"))
            if page is not None and page.is_indirect:
                by_page.setdefault(page.objgen, []).append(key)
        for page_key, expected in by_page.items():
            before, after = self.old.object(page_key), self.new.object(page_key)
            if after.get("/Type") == "/Pages" or "/Kids" in after:
                raise NotMeant("a field on what is no page")
            _only(before, after, {"/Annots"}, "the page")
            if self._appended(before.get("/Annots"), after.get("/Annots")) != expected:
                raise NotMeant("other annotations than the field's")
            self._explained(after)

    def _filled(self, name: str) -> NewField:
        """The one field that stood there empty: it got its value, and its widget the mark."""
        candidates = [key for key in self.left if _is_field(self.new, key, name)]
        if len(candidates) != 1:
            raise NotMeant("no field was filled")
        before, after = self.old.object(candidates[0]), self.new.object(candidates[0])
        if "/V" in before:
            raise NotMeant("a field that was filled before")
        kids = [_dictionary(one) for one in _members(after.get("/Kids"))]
        widget = kids[0] if kids else None
        self._explained(after)
        if widget is None:
            _only(before, after, {"/V", "/F", "/AP"}, "the field")
            self._widget(before, after)
            shown = self._shown(after)
        else:
            _only(before, after, {"/V"}, "the field")
            old_widget = self.old.object(widget.objgen)
            _only(old_widget, widget, {"/F", "/AP"}, "the field's widget")
            self._widget(old_widget, widget)
            self._explained(widget)
            shown = self._shown(widget)
        return NewField(name, candidates[0], self._value(after), shown)

    def _widget(self, before: pikepdf.Object, after: pikepdf.Object) -> None:
        flags = before.get("/F")
        if after.get("/F") != (flags if isinstance(flags, int) else 0) | PRINT_AND_LOCKED:
            raise NotMeant("other flags of the field")
        if _text(before, "/AP") != _text(after, "/AP"):
            self._shown(after)

    def _permissions(self, signature: NewField) -> None:
        """A certification signature, where there was none (ISO 32000-1 12.8.4)."""
        before, after = self._catalogs
        if _text(before, "/Perms") == _text(after, "/Perms"):
            return
        old, new = _dictionary(before.get("/Perms")), _dictionary(after.get("/Perms"))
        if new is None or (old is not None and "/DocMDP" in old):
            raise NotMeant("other permissions")
        _only(old or pikepdf.Dictionary(), new, {"/DocMDP"}, "the permissions")
        if new["/DocMDP"].objgen != signature.signature:
            raise NotMeant("permissions of another signature")

    # -- what follows

    def _store(self) -> None:
        """The document security store grows; nothing in it is lost (EN 319 142-1 5.4.2)."""
        before, after = self._catalogs
        old, new = _dictionary(before.get("/DSS")), _dictionary(after.get("/DSS"))
        if new is None:
            if old is not None:
                raise NotMeant("the document security store is gone")
            return
        self._explained(new)
        _only(old or pikepdf.Dictionary(), new, _OF_STORE, "the document security store")
        for entry in _LISTS:
            self._grown_list(old.get(entry) if old is not None else None, new.get(entry))
        olds = _dictionary(old.get("/VRI")) if old is not None else None
        news = _dictionary(new.get("/VRI"))
        if news is not None:
            self._explained(news)
        for name in map(str, olds or ()):
            had = _dictionary(olds.get(name)) if olds is not None else None
            has = _dictionary(news.get(name)) if news is not None else None
            if had is None or has is None:
                raise NotMeant("material for a signature is gone")
            self._explained(has)
            for entry in ("/Cert", "/CRL", "/OCSP"):
                self._grown_list(had.get(entry), has.get(entry))

    def _grown_list(self, old: object, new: object) -> None:
        if isinstance(new, pikepdf.Object):
            self._explained(new)
        kept = {_written(one) for one in _members(new)}
        if any(_written(one) not in kept for one in _members(old)):
            raise NotMeant("material is gone")

    def _extensions(self) -> None:
        before, after = self._catalogs
        old, new = _dictionary(before.get("/Extensions")), _dictionary(after.get("/Extensions"))
        if old is None and new is None:
            return
        if new is None:
            raise NotMeant("the extensions are gone")
        self._explained(new)
        _only(old or pikepdf.Dictionary(), new, {"/ESIC", "/ADBE"}, "the extensions")


def _only(old: pikepdf.Object, new: pikepdf.Object, allowed: set[str], what: str) -> None:
    """Both have the same entries with the same values, but for those allowed."""
    for entry in {*map(str, old), *map(str, new)} - allowed:
        if _text(old, entry) != _text(new, entry):
            raise NotMeant(f"{what} has another {entry}")


def _text(holder: pikepdf.Object, entry: str) -> bytes | None:
    if entry not in holder:
        return None
    return _written(holder.get_raw(entry if entry.isascii() else _name(entry)))


def _name(entry: str) -> pikepdf.Name:
    """One that need not be UTF-8, which pikepdf takes from nobody as text."""
    octets = entry.removeprefix("/").encode("utf-8", "surrogateescape")
    return cast(pikepdf.Name, pikepdf.Object.parse(b"/" + b"".join(b"#%02x" % one for one in octets)))


def _written(one: object) -> bytes:
    return one.unparse() if isinstance(one, pikepdf.Object) else repr(one).encode()


def _members(value: object) -> list[pikepdf.Object]:
    if not isinstance(value, pikepdf.Object) or value._type_code != pikepdf.ObjectType.array:
        return []
    with pikepdf.explicit_conversion():
        return list(iter(value))


def _dictionary(value: object) -> pikepdf.Object | None:
    if isinstance(value, pikepdf.Object) and value._type_code == pikepdf.ObjectType.dictionary:
        return value
    return None


def _first_id(trailer: pikepdf.Object) -> bytes | None:
    try:
        return bytes(trailer["/ID"][0])
    except FAILURES:
        return None


def _is_field(view: View, key: Key, name: str) -> bool:
    """Whether the object is the field of this fully qualified name (ISO 32000-1 12.7.3.2)."""
    parts: list[str] = []
    node: pikepdf.Object | None = view.object(key)
    if _dictionary(node) is None or "/V" not in view.object(key):
        return False
    for _ in range(64):
        if node is None:
            return ".".join(reversed(parts)) == name
        if (part := node.get("/T")) is not None and str(part):
            parts.append(str(part))
        node = _dictionary(node.get("/Parent"))
    raise NotOpenedAlike("a field without an end")
