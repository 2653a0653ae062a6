"""The field that a signature goes into: this file finds the empty one that is wished for, or lays out a new one.

- Only what must change is written anew: the field; or the page's annotations and the form's list of fields.
- What the field itself asks of its signature (seed value, lock) is kept or refused, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pikepdf

from signing.pdf.form import Field, form, names_in, root
from signing.pdf.obstacles import annotations_of, pdfa_part
from signing.pdf.opening import NotOpened, Opened
from signing.pdf.pages import is_array, is_dictionary, pages
from signing.pdf.tokens import Entry, NotPlain, array_at, dictionary_at
from signing.pdf.update import Update
from signing.pdf.values import array, changed, dictionary, raw, rectangle, reference, text, written

PRINT_AND_LOCKED = 4 | 128  # annotation flags (ISO 32000-1 table 165)
SIGNATURES_EXIST, APPEND_ONLY = 1, 2


@dataclass(frozen=True)
class Place:
    """Where a new field's widget stands: its page and rectangle, and its appearance's reference."""

    page: pikepdf.Object
    box: tuple[float, float, float, float]
    appearance: bytes | None


def choose(known: Sequence[Field], wanted: str | None) -> Field | str:
    """The empty field of this name, or a name for a new one. Raises NotOpened."""
    if wanted is None:
        names = {field.name for field in known}
        return next(
            name for number in range(1, len(known) + 2) if (name := f"Signature{number}") not in names
        )
    for field in known:
        if field.name != wanted:
            continue
        if not field.is_signature:
            raise NotOpened("field-not-for-signatures", wanted)
        if "/V" in field.node:
            raise NotOpened("field-already-signed", wanted)
        return field
    if not wanted or "." in wanted or any(field.name.startswith(wanted + ".") for field in known):
        raise NotOpened("no-such-field", wanted)
    return wanted


def fill(update: Update, field: Field, signature: bytes, appearance: bytes | None) -> None:
    """Writes the existing field anew with its value, and its widget with the mark."""
    changes = {"/V": signature}
    shown = {"/F": b"%d" % (PRINT_AND_LOCKED | _flags(field.widget))}
    if appearance is not None:
        shown["/AP"] = dictionary({"/N": appearance})
    if field.widget is field.node:
        changes |= shown
    else:
        update.change(field.widget, shown)
    update.change(field.node, changes)


def add(update: Update, name: str, signature: bytes, place: Place) -> bytes:
    """A new field, which is its own widget, on the page and in the form; its reference."""
    number = update.reserve()
    entries = {
        "/Type": b"/Annot",
        "/Subtype": b"/Widget",
        "/FT": b"/Sig",
        "/T": update.opened.string(text(name), number),
        "/V": signature,
        "/F": b"%d" % PRINT_AND_LOCKED,
        "/Rect": rectangle(*place.box),
    }
    if place.page.is_indirect:
        entries["/P"] = reference(*place.page.objgen)
    if place.appearance is not None:
        entries["/AP"] = dictionary({"/N": place.appearance})
    update.put(number, dictionary(entries))
    field = reference(number)
    if place.page.is_indirect:
        _append(update, place.page, "/Annots", field)
    elif place.appearance is not None and place.box[0] < place.box[2]:
        raise NotOpened("damaged", "the page is not an object of its own")
    return field


def register(update: Update, field: bytes | None, catalog_changes: Mapping[str, bytes]) -> None:
    """The form learns of the field (None: it knows it) and that there are signatures; the catalog changes besides."""
    catalog, found = root(update.opened.pdf), form(update.opened.pdf)
    changes = dict(catalog_changes)
    if found is None:
        changes["/AcroForm"] = _new_form(update, field or b"")
    else:
        entries_of_form = update.entries(found) if found.is_indirect else _form_in(update, catalog)
        form_changes = _form_changes(update, found, entries_of_form, field)
        if form_changes and found.is_indirect:
            update.change(found, form_changes)
        elif form_changes:
            changes["/AcroForm"] = changed(entries_of_form, form_changes)
    if changes:
        update.change(catalog, changes)


def _new_form(update: Update, field: bytes) -> bytes:
    """With the resources that every form has: pdfium draws free text without an appearance by those of the form, and
    where there is no form by some of its own, so that a bare form would make such text vanish."""
    number = update.reserve()
    helvetica = {
        "/Type": b"/Font",
        "/Subtype": b"/Type1",
        "/BaseFont": b"/Helvetica",
        "/Encoding": b"/WinAnsiEncoding",
    }
    entries = {"/Fields": array(field), "/SigFlags": b"%d" % (SIGNATURES_EXIST | APPEND_ONLY)}
    # Of PDF/A every font is embedded, and no text is without an appearance: where that holds, nothing is added.
    if pdfa_part(update.opened) is None or _has_bare_text(update.opened):
        font = update.add(dictionary(helvetica))
        entries["/DR"] = dictionary({"/Font": dictionary({"/Helv": font})})
        entries["/DA"] = update.opened.string(b"/Helv 12 Tf 0 g ", number)
    update.put(number, dictionary(entries))
    return reference(number)


def _has_bare_text(opened: Opened) -> bool:
    """Free text that each reader draws as it likes."""
    return any(
        one.get("/Subtype") == "/FreeText" and "/AP" not in one
        for node, _ in pages(opened.pdf)
        for one in annotations_of(node)
    )


def _form_in(update: Update, catalog: pikepdf.Object) -> list[Entry]:
    try:
        return dictionary_at(_standing(update.entries(catalog), "/AcroForm"))
    except NotPlain as wrong:
        raise NotOpened("damaged", f"the form: {wrong}") from wrong


def _form_changes(
    update: Update, found: pikepdf.Object, entries: Sequence[Entry], field: bytes | None
) -> dict[str, bytes]:
    changes: dict[str, bytes] = {}
    flags = found.get("/SigFlags")
    known = flags if isinstance(flags, int) else 0
    if known & (SIGNATURES_EXIST | APPEND_ONLY) != SIGNATURES_EXIST | APPEND_ONLY:
        changes["/SigFlags"] = b"%d" % (known | SIGNATURES_EXIST | APPEND_ONLY)
    if field is not None:
        members = found.get("/Fields")
        if is_array(members) and members.is_indirect:
            _extend(update, members, field)
        else:
            changes["/Fields"] = _longer(members, entries, "/Fields", field)
    return changes


def _append(update: Update, holder: pikepdf.Object, key: str, member: bytes) -> None:
    """One more in an array of an indirect dictionary, wherever the array stands."""
    members = holder.get(key)
    if is_array(members) and members.is_indirect:
        _extend(update, members, member)
    else:
        update.change(holder, {key: _longer(members, update.entries(holder), key, member)})


def _extend(update: Update, members: pikepdf.Object, member: bytes) -> None:
    number, generation = members.objgen
    update.put(number, array(*update.members(members), member), generation)


def _longer(members: object, entries: Sequence[Entry], key: str, member: bytes) -> bytes:
    """The array that stands under this key of a dictionary, with one more; what is none begins anew."""
    if not is_array(members):
        return array(member)
    try:
        return array(*array_at(_standing(entries, key)), member)
    except NotPlain as wrong:
        raise NotOpened("damaged", f"{key}: {wrong}") from wrong


def _standing(entries: Sequence[Entry], key: str) -> bytes:
    """Of a key that stands twice readers take the last."""
    return next((one.value for one in reversed(entries) if one.name == key), b"")


def _flags(widget: pikepdf.Object) -> int:
    found = widget.get("/F")
    return found if isinstance(found, int) else 0


def lock_of(field: Field) -> pikepdf.Object | None:
    """What is locked with the field's signature (ISO 32000-1 table 233)."""
    found = field.node.get("/Lock")
    return found if is_dictionary(found) else None


def lock_parameters(update: Update, lock: pikepdf.Object, owner: int) -> bytes:
    """FieldMDP parameters out of a lock."""
    entries = {"/Type": b"/TransformParams", "/V": b"/1.2", "/Action": written(raw(lock, "/Action"))}
    if is_array(lock.get("/Fields")):
        names = (update.opened.string(text(name), owner) for name in names_in(lock["/Fields"]))
        entries["/Fields"] = array(*names)
    return dictionary(entries)
