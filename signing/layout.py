"""The objects of one signature: this file lays them out in an update, from the hole to the mark on the page."""

from __future__ import annotations

import pikepdf

from signing import appearance
from signing.appearance import MarkRefused
from signing.pdf import fields, holes, obstacles, pages
from signing.pdf.form import Field
from signing.pdf.opening import NotOpened
from signing.pdf.pages import Page, is_dictionary
from signing.pdf.update import Update
from signing.pdf.values import array, date, dictionary, raw, reference, text, written
from signing.wishes import Wish

NO_PLACE = (0.0, 0.0, 0.0, 0.0)


def lay_out(update: Update, field: Field | str, wish: Wish, room: int) -> None:
    """Signature, field, mark and form for a CMS of up to `room` bytes. Raises NotOpened, MarkRefused."""
    number = update.reserve()
    # The first object of the update, so that nothing that a caller wrote can stand before its hole and look like one.
    update.put(number, _signature(update, number, (field, wish), room))
    signature, catalog = reference(number), {}
    if wish.certify is not None:
        catalog["/Perms"] = _permissions(update, signature)
    if isinstance(field, Field):
        fields.fill(update, field, signature, _shown_in(update, field, wish))
        fields.register(update, None, catalog)
    else:
        added = fields.add(update, field, signature, _new_place(update, wish))
        fields.register(update, added, catalog)


def _permissions(update: Update, signature: bytes) -> bytes:
    """What else stands in /Perms (usage rights) stays."""
    catalog = update.opened.pdf.trailer["/Root"]
    known = catalog.get("/Perms")
    if not is_dictionary(known):
        return dictionary({"/DocMDP": signature})
    kept = {str(key): written(raw(known, str(key))) for key in known if str(key) != "/DocMDP"}
    return dictionary(kept | {"/DocMDP": signature})


def _signature(update: Update, number: int, asked: tuple[Field | str, Wish], room: int) -> bytes:
    """The signature dictionary (ISO 32000-1 table 252, EN 319 142-1 6.3)."""
    field, wish = asked
    entries = {"/Type": b"/Sig", "/Filter": b"/Adobe.PPKLite", "/SubFilter": b"/ETSI.CAdES.detached"}
    entries |= holes.entries(room)
    if wish.claimed_time is not None:
        entries["/M"] = update.opened.string(date(wish.claimed_time), number)
    for key, words in (("/Reason", wish.reason), ("/Location", wish.location)):
        if words:
            entries[key] = update.opened.string(text(words), number)
    references = []
    if wish.certify is not None:
        references.append(_doc_mdp(wish.certify))
    if isinstance(field, Field) and (lock := fields.lock_of(field)) is not None:
        if (permitted := lock.get("/P")) in (1, 2, 3):  # ISO 32000-2 table 236
            references.append(_doc_mdp(int(permitted)))
        parameters = fields.lock_parameters(update, lock, number)
        data = reference(*update.opened.pdf.trailer["/Root"].objgen)
        references.append(
            b"<</Type/SigRef/TransformMethod/FieldMDP/Data " + data + b"/TransformParams" + parameters + b">>"
        )
    if references:
        entries["/Reference"] = array(*references)
    return dictionary(entries)


def _doc_mdp(permitted: int) -> bytes:
    parameters = b"<</Type/TransformParams/P %d/V/1.2>>" % permitted
    return b"<</Type/SigRef/TransformMethod/DocMDP/TransformParams" + parameters + b">>"


def _new_place(update: Update, wish: Wish) -> fields.Place:
    """On the page of the mark; without a mark on the first, and nothing is seen."""
    mark, part = wish.mark, obstacles.pdfa_part(update.opened)
    page = pages.page(update.opened.pdf, mark.page if mark else 1)
    if mark is None:
        return fields.Place(page.node, NO_PLACE, appearance.empty(update) if part else None)
    if mark.box is None:
        raise MarkRefused("mark-does-not-fit", "no box is given")
    box = appearance.rectangle_on(page, mark.box)
    left, bottom, right, top = mark.box
    drawn = appearance.draw(mark, (right - left, top - bottom))
    return fields.Place(page.node, box, _write(update, drawn, page, part))


def _shown_in(update: Update, field: Field, wish: Wish) -> bytes | None:
    """The mark in an existing field, at the field's own size; a field without a place shows nothing."""
    if wish.mark is None:
        return None
    box = pages.box(field.widget.get("/Rect"))
    if box is None:
        raise MarkRefused("mark-does-not-fit", "the field has no place on a page")
    page = _page_of(update, field)
    wide, high = (box[2] - box[0]) * page.unit, (box[3] - box[1]) * page.unit
    size = (wide, high) if page.rotation % 180 == 0 else (high, wide)
    return _write(update, appearance.draw(wish.mark, size), page, obstacles.pdfa_part(update.opened))


def _page_of(update: Update, field: Field) -> Page:
    pdf, widget = update.opened.pdf, field.widget
    stated = widget.get("/P")
    for node, inherited in pages.pages(pdf):
        if (is_dictionary(stated) and stated.objgen == node.objgen) or _lists(node, widget):
            return pages.as_page(node, inherited)
    raise NotOpened("damaged", "the field stands on no page")


def _lists(node: pikepdf.Object, widget: pikepdf.Object) -> bool:
    found = node.get("/Annots")
    return pages.is_array(found) and any(
        is_dictionary(one) and one.objgen == widget.objgen for one in list(found)
    )


def _write(update: Update, drawn: appearance.Drawn, page: Page, part: int | None) -> bytes:
    if part == 1 and drawn.transparent:
        raise NotOpened("pdfa-transparency")
    return drawn.write(update, page.rotation)
