"""What no signature needs to change: this file changes it in the very update that is signed."""

from __future__ import annotations

from signing.pdf.update import Update
from signing.pdf.values import dictionary, reference
from tests.steering import SteerableClock

clock = SteerableClock()


def put_over(update: Update, key: tuple[int, int], body: bytes) -> None:
    """Also where the maker wrote it anew already."""
    update._bodies[key] = body


def page_content(update: Update) -> None:
    page = update.opened.pdf.pages[1].obj
    number, generation = page.Contents.objgen
    content = b"BT /F1 14 Tf 72 770 Td (Khac) Tj ET"
    update.put(number, b"<</Length %d>>\nstream\n" % len(content) + content + b"\nendstream", generation)


def page_dictionary(update: Update) -> None:
    page = update.opened.pdf.pages[1].obj
    update.put(page.objgen[0], page.unparse(resolved=True).replace(b"595", b"300"), page.objgen[1])


def new_resources(update: Update) -> None:
    font = update.opened.pdf.pages[1].obj.Resources.Font.F1
    update.put(font.objgen[0], font.unparse(resolved=True).replace(b"Helvetica", b"Courier"), font.objgen[1])


def one_page_more(update: Update) -> None:
    tree = update.opened.pdf.Root.Pages
    page = update.add(
        dictionary({"/Type": b"/Page", "/Parent": reference(*tree.objgen), "/MediaBox": b"[0 0 9 9]"})
    )
    kids = tree.Kids.unparse().replace(b"]", b" " + page + b" ]")
    entries = {"/Type": b"/Pages", "/Kids": kids, "/Count": b"3"}
    update.put(tree.objgen[0], dictionary(entries), tree.objgen[1])


def new_catalog(update: Update) -> None:
    number = update.opened.pdf.Root.objgen
    body = update._bodies[number].removesuffix(b">>") + b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>"
    put_over(update, number, body)


def another_annotation(update: Update) -> None:
    note = update.add(b"<</Type/Annot/Subtype/Square/Rect[0 0 99 99]>>")
    page = update.opened.pdf.pages[0].obj.objgen
    body = update._bodies[page]
    at = body.index(b"]", body.index(b"/Annots"))
    put_over(update, page, body[:at] + b" " + note + body[at:])


def another_field(update: Update) -> None:
    key = next(key for key, body in update._bodies.items() if b"/Fields" in body)
    field = update.add(b"<</FT/Tx/T(khac)>>")
    put_over(update, key, update._bodies[key].replace(b"/Fields [", b"/Fields [" + field + b" "))


def field_with_an_action(update: Update) -> None:
    key = next(key for key, body in update._bodies.items() if b"/Widget" in body)
    put_over(update, key, update._bodies[key].removesuffix(b">>") + b"/A<</S/URI/URI(http://x)>>>>")


def number_from_the_past(update: Update) -> None:
    update.put(0x7FFFFF, b"<<>>")
    update.put(1, b"<<>>", 3)
