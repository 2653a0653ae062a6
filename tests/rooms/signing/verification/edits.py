"""What somebody may do to a file with another program: this file makes papers with forms, and changes to them."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import io

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import NameObject as Name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.papers import letter
from tests.rooms.signing.verification.judging_world import Edit


def form(*fields: str) -> bytes:
    """A letter with text fields, each with a look of its own."""
    with pikepdf.open(io.BytesIO(letter(pages=2))) as pdf:
        made = []
        for number, name in enumerate(fields):
            look = pdf.make_stream(
                b"/Tx BMC EMC", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 200, 20]
            )
            made.append(
                pdf.make_indirect(
                    pikepdf.Dictionary(
                        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T=name,
                        Rect=[72, 500 - 30 * number, 272, 520 - 30 * number], F=4, AP=pikepdf.Dictionary(N=look),
                    )
                )
            )  # fmt: skip
        pdf.pages[0].Annots = pdf.make_indirect(pikepdf.Array(made))
        pdf.Root.AcroForm = pdf.make_indirect(pikepdf.Dictionary(Fields=pikepdf.Array(made)))
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


def page(writer: IncrementalPdfFileWriter, number: int = 0) -> generic.DictionaryObject:
    ref = writer.find_page_for_modification(number)[0]
    found = ref.get_object()
    writer.mark_update(ref)
    assert isinstance(found, generic.DictionaryObject)
    return found


def stream(content: bytes, **entries: generic.PdfObject) -> generic.StreamObject:
    return generic.StreamObject({Name(f"/{key}"): one for key, one in entries.items()}, stream_data=content)


def fill(name: str, *, value: str | None = "Da dien", look: bool = True) -> Edit:
    def edit(writer: IncrementalPdfFileWriter) -> None:
        for one in writer.root["/AcroForm"]["/Fields"]:
            ref = one.get_object()
            if ref["/T"] == name:
                if value is not None:
                    ref[Name("/V")] = generic.TextStringObject(value)
                if look:
                    box = generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 20)))
                    made = stream(b"BT (x) Tj ET", Type=Name("/XObject"), Subtype=Name("/Form"), BBox=box)
                    ref[Name("/AP")] = generic.DictionaryObject({Name("/N"): writer.add_object(made)})
                writer.update_container(ref)

    return edit


def annotate(writer: IncrementalPdfFileWriter) -> None:
    note = generic.DictionaryObject({
        Name("/Type"): Name("/Annot"), Name("/Subtype"): Name("/FreeText"),
        Name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (72, 600, 300, 700))),
        Name("/Contents"): generic.TextStringObject("khac"),
    })  # fmt: skip
    target = page(writer)
    listed = list(target["/Annots"]) if "/Annots" in target else []
    target[Name("/Annots")] = generic.ArrayObject([*listed, writer.add_object(note)])


def new_content(writer: IncrementalPdfFileWriter) -> None:
    page(writer)[Name("/Contents")] = writer.add_object(stream(b"BT /F1 14 Tf 72 700 Td (Gia) Tj ET"))


def content_in_place(writer: IncrementalPdfFileWriter) -> None:
    ref = page(writer, 1).raw_get("/Contents")
    ref.get_object()._data = b"BT /F1 14 Tf 72 700 Td (Gia) Tj ET"
    ref.get_object()._encoded_data = None
    ref.get_object().pop("/Filter", None)
    writer.mark_update(ref)


def font_in_place(writer: IncrementalPdfFileWriter) -> None:
    ref = page(writer)["/Resources"]["/Font"].raw_get("/F1")
    ref.get_object()[Name("/BaseFont")] = Name("/Symbol")
    writer.mark_update(ref)


def crop(writer: IncrementalPdfFileWriter) -> None:
    page(writer)[Name("/CropBox")] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 100, 100)))


def add_page(writer: IncrementalPdfFileWriter) -> None:
    tree = writer.root["/Pages"]
    copy = generic.DictionaryObject(page(writer))
    tree["/Kids"].append(writer.add_object(copy))
    tree[Name("/Count")] = generic.NumberObject(int(tree["/Count"]) + 1)
    writer.update_container(tree["/Kids"])
    writer.mark_update(writer.root.raw_get("/Pages"))


def remove_page(writer: IncrementalPdfFileWriter) -> None:
    tree = writer.root["/Pages"]
    del tree["/Kids"][1]
    tree[Name("/Count")] = generic.NumberObject(int(tree["/Count"]) - 1)
    writer.update_container(tree["/Kids"])
    writer.mark_update(writer.root.raw_get("/Pages"))


def turn_pages(writer: IncrementalPdfFileWriter) -> None:
    tree = writer.root["/Pages"]
    tree["/Kids"].reverse()
    writer.update_container(tree["/Kids"])
    writer.mark_update(writer.root.raw_get("/Pages"))


def set_title(writer: IncrementalPdfFileWriter) -> None:
    made = generic.DictionaryObject({Name("/Title"): generic.TextStringObject("Khac")})
    writer.set_info(writer.add_object(made))


def only_save(writer: IncrementalPdfFileWriter) -> None:
    """pyHanko tells of its own saving."""


def run_on_opening(writer: IncrementalPdfFileWriter) -> None:
    action = {Name("/S"): Name("/JavaScript"), Name("/JS"): generic.TextStringObject("app.alert(1)")}
    writer.root[Name("/OpenAction")] = generic.DictionaryObject(action)
    writer.update_root()


def show_and_hide(writer: IncrementalPdfFileWriter) -> None:
    writer.root[Name("/OCProperties")] = generic.DictionaryObject({Name("/OCGs"): generic.ArrayObject()})
    writer.update_root()


def drop_signature(writer: IncrementalPdfFileWriter) -> None:
    field = writer.root["/AcroForm"]["/Fields"][0]
    del field["/V"]
    writer.update_container(field)


def drop_first_field(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/AcroForm"]["/Fields"][0]
    writer.update_container(writer.root["/AcroForm"]["/Fields"])


def move_signature(writer: IncrementalPdfFileWriter) -> None:
    field = writer.root["/AcroForm"]["/Fields"][0]
    field[Name("/Rect")] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 595, 842)))
    writer.update_container(field)


def other_look_of_signature(writer: IncrementalPdfFileWriter) -> None:
    field = writer.root["/AcroForm"]["/Fields"][0]
    look = stream(b"0 0 200 200 re f", Type=Name("/XObject"), Subtype=Name("/Form"))
    field[Name("/AP")] = generic.DictionaryObject({Name("/N"): writer.add_object(look)})
    writer.update_container(field)


def new_text_field(writer: IncrementalPdfFileWriter) -> None:
    made = generic.DictionaryObject({
        Name("/FT"): Name("/Tx"), Name("/T"): generic.TextStringObject("moi"), Name("/Subtype"): Name("/Widget"),
        Name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 595, 842))),
    })  # fmt: skip
    writer.root["/AcroForm"]["/Fields"].append(writer.add_object(made))
    writer.update_container(writer.root["/AcroForm"]["/Fields"])


def draw_fields_anew(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/AcroForm"][Name("/NeedAppearances")] = generic.BooleanObject(True)
    writer.update_container(writer.root["/AcroForm"])
