"""What other programs write beside their signature when they sign after somebody else: none of it changes what was signed, and
what goes one step further does."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import io
import re
from collections.abc import Callable

import pikepdf
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import NameObject as Name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.ades.api import CAdESSignedAttrSpec
from pyhanko.sign.fields import MDPPerm

from signing.verification.report import Indication
from tests.papers import letter
from tests.rooms.signing.verification.edits import fill, form, page, stream
from tests.rooms.signing.verification.judging_world import Edit, World, brief, codes, kinds

FORM = {"Type": Name("/XObject"), "Subtype": Name("/Form")}
Shape = Callable[[pikepdf.Pdf], None]


def shaped(shape: Shape, paper: bytes | None = None) -> bytes:
    with pikepdf.open(io.BytesIO(paper or form("a"))) as pdf:
        shape(pdf)
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


# -- the form's resources (PDFBox writes a picture of the new mark there)


def resources(pdf: pikepdf.Pdf, *, borrowed: bool = False, of_the_page: bool = False) -> None:
    picture = pdf.make_stream(
        b"0 0 9 9 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9]
    )
    font = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
        )
    )
    held = pdf.make_indirect(
        pikepdf.Dictionary(XObject=pikepdf.Dictionary(FRM=picture), Font=pikepdf.Dictionary(Helv=font))
    )
    pdf.Root.AcroForm.DR = held
    if borrowed:
        pdf.Root.AcroForm.Fields[0].AP.N.write(b"/FRM Do")
    if of_the_page:
        pdf.pages[1].Resources = held


def another(kind: str) -> Edit:
    def edit(writer: IncrementalPdfFileWriter) -> None:
        held = writer.root["/AcroForm"]["/DR"]
        if kind == "/XObject":
            held["/XObject"][Name("/FRM")] = writer.add_object(stream(b"0 0 5 5 re f", **FORM))
        else:
            other = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Symbol"}
            made = generic.DictionaryObject({Name(name): Name(value) for name, value in other.items()})
            held["/Font"][Name("/Helv")] = writer.add_object(made)
        writer.update_container(held)

    return edit


@pytest.mark.parametrize(
    ("shape", "kind", "verdict"),
    [
        (resources, "/XObject", "VALID"),
        (resources, "/Font", "INVALID"),
        (lambda pdf: resources(pdf, borrowed=True), "/XObject", "INVALID"),
        (lambda pdf: resources(pdf, of_the_page=True), "/XObject", "INVALID"),
    ],
    ids=["a picture", "a font", "a look drawn with it", "a page drawn with it"],
)
def test_resources_of_the_form(world: World, shape: Shape, kind: str, verdict: str) -> None:
    edited = world.edited(world.ours(shaped(shape)), another(kind))
    assert brief(world.judge(edited))[0] == verdict


# -- the page, written anew


def says_the_same(writer: IncrementalPdfFileWriter) -> None:
    target = page(writer)
    target[Name("/MediaBox")] = generic.ArrayObject(
        [
            generic.NumberObject(0),
            generic.FloatObject("0.0"),
            *(generic.FloatObject(f"{float(one):.1f}") for one in list(target["/MediaBox"])[2:]),
        ]
    )
    target[Name("/Resources")] = writer.add_object(generic.DictionaryObject(target["/Resources"]))


def says_something_else(writer: IncrementalPdfFileWriter) -> None:
    target = page(writer)
    target[Name("/MediaBox")] = generic.ArrayObject(
        [*list(target["/MediaBox"])[:3], generic.FloatObject(float(target["/MediaBox"][3]) - 0.5)]
    )


def test_a_page_that_says_the_same_in_other_words(world: World) -> None:
    signed = world.ours(letter())
    assert brief(world.judge(world.edited(signed, says_the_same))) == ("VALID", ["B-B"])
    report = world.judge(world.edited(signed, says_something_else))
    assert (report.verdict, kinds(report)) == ("INVALID", [("PAGE_CONTENT", False)])


def test_another_font_with_what_is_filled_in(world: World) -> None:
    def words(writer: IncrementalPdfFileWriter) -> None:
        field = writer.root["/AcroForm"]["/Fields"][0]
        field[Name("/DA")] = generic.TextStringObject("/Other 9 Tf")
        writer.update_container(field)

    def both(writer: IncrementalPdfFileWriter) -> None:
        words(writer)
        fill("a")(writer)

    signed = world.theirs(form("a"), certify=True, docmdp_permissions=MDPPerm.FILL_FORMS)
    assert kinds(world.judge(world.edited(signed, both))) == [("FORM_FILLING", True)]
    assert kinds(world.judge(world.edited(signed, words))) == [("FIELD_APPEARANCE", False)]


# -- the structure of a tagged document (iText adds an element for each mark)


def tagged(pdf: pikepdf.Pdf) -> None:
    root = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.StructTreeRoot))
    word = pdf.make_indirect(pikepdf.Dictionary(S=pikepdf.Name.P, P=root, K=0, Pg=pdf.pages[0].obj))
    root.K = pikepdf.Array([word])
    root.ParentTree = pdf.make_indirect(pikepdf.Dictionary(Nums=[0, pikepdf.Array([word])]))
    root.ParentTreeNextKey = 1
    pdf.Root.StructTreeRoot = root


def element_for_the_mark(writer: IncrementalPdfFileWriter, *, kind: str = "/Form", new: bool = True) -> None:
    """With a new field and its signature, as raw objects: what the signature says is not asked here."""
    root = writer.root["/StructTreeRoot"]
    field = writer.root["/AcroForm"]["/Fields"].raw_get(-1 if new else 0)
    inside = generic.DictionaryObject({Name("/Type"): Name("/OBJR"), Name("/Obj"): field})
    element = generic.DictionaryObject({
        Name("/S"): Name(kind), Name("/P"): writer.root.raw_get("/StructTreeRoot"), Name("/K"): inside,
    })  # fmt: skip
    made = writer.add_object(element)
    root["/K"].append(made)
    root["/ParentTree"]["/Nums"].extend([generic.NumberObject(1), made])
    root[Name("/ParentTreeNextKey")] = generic.NumberObject(2)
    for one in (root, root["/ParentTree"]):
        writer.update_container(one)


def new_field(writer: IncrementalPdfFileWriter) -> None:
    made = {
        "/FT": Name("/Sig"),
        "/T": generic.TextStringObject("Hai"),
        "/Subtype": Name("/Widget"),
        "/F": generic.NumberObject(132),
    }
    field = generic.DictionaryObject({Name(name): value for name, value in made.items()})
    field[Name("/Rect")] = generic.ArrayObject([generic.NumberObject(0)] * 4)
    writer.root["/AcroForm"]["/Fields"].append(writer.add_object(field))
    writer.update_container(writer.root["/AcroForm"]["/Fields"])


@pytest.mark.parametrize(
    ("how", "structure"),
    [
        ({}, False),
        ({"kind": "/Figure"}, True),
        ({"new": False}, True),
    ],
    ids=["for the new mark", "of another kind", "for another mark"],
)
def test_an_element_of_structure(world: World, how: dict[str, object], structure: bool) -> None:
    def edit(writer: IncrementalPdfFileWriter) -> None:
        new_field(writer)
        element_for_the_mark(writer, **how)  # type: ignore[arg-type]

    report = world.judge(world.edited(world.ours(shaped(tagged, letter())), edit))
    told = {kind for kind, _ in kinds(report)}
    assert ("STRUCTURE" in told) is structure
    assert "SIGNATURE_FIELD" in told


def test_the_structure_that_stood_there_stays(world: World) -> None:
    def renamed(writer: IncrementalPdfFileWriter) -> None:
        word = writer.root["/StructTreeRoot"]["/K"][0]
        word[Name("/ActualText")] = generic.TextStringObject("Khac")
        writer.update_container(word)

    def led_elsewhere(writer: IncrementalPdfFileWriter) -> None:
        numbers = writer.root["/StructTreeRoot"]["/ParentTree"]["/Nums"]
        numbers[1] = generic.ArrayObject()
        writer.update_container(writer.root["/StructTreeRoot"]["/ParentTree"])

    signed = world.ours(shaped(tagged, letter()))
    for edit in (renamed, led_elsewhere):
        report = world.judge(world.edited(signed, edit))
        assert brief(report) == ("INVALID", ["FORMAT_FAILURE"]), edit


# -- updates with a table for older readers, and a stream beside it (Word begins such files, iText and PDFBox go on with them)


def hybrid_update(
    paper: bytes,
    table: dict[int, bytes],
    hidden: dict[int, bytes],
    *,
    clash: bool = False,
    free: bool = False,
) -> bytes:
    """`hidden` stands in the stream alone. `clash`: the stream places what the table has elsewhere, at what `hidden` says.
    `free`: the table calls what is hidden free."""
    previous = int(re.findall(rb"startxref\s+(\d+)", paper)[-1])
    size = int(re.findall(rb"/Size (\d+)", paper)[-1])
    own = max(size, *table, *hidden) + 1
    out = paper
    places: dict[int, int] = {}
    secret: dict[int, int] = {}
    for where, objects in ((places, table), (secret, hidden)):
        for number, body in objects.items():
            where[number] = len(out)
            out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    told = secret if clash else {number: at for number, at in secret.items() if number not in table}
    rows = b"".join(b"\1" + at.to_bytes(4, "big") + b"\0" for _, at in sorted(told.items()))
    index = b" ".join(b"%d 1" % number for number in sorted(told))
    start = len(out)
    head = b"<</Type/XRef/Size %d/W[1 4 1]/Index[%s]/Root 1 0 R/Length %d>>" % (own + 1, index, len(rows))
    out += b"%d 0 obj\n%s\nstream\n%s\nendstream\nendobj\n" % (own, head, rows)
    section = len(out)
    told_free = {number: b"0000000000 65535 f\r\n" for number in told if free and number not in table}
    places[own] = start
    used = {number: b"%010d 00000 n\r\n" % at for number, at in places.items()}
    lines = b"".join(b"%d 1\n%s" % (number, line) for number, line in sorted((told_free | used).items()))
    trailer = b"trailer\n<</Size %d/Root 1 0 R/Prev %d/XRefStm %d>>\n" % (own + 1, previous, start)
    return out + b"xref\n" + lines + trailer + b"startxref\n%d\n%%%%EOF\n" % section


def body_of(paper: bytes, number: int) -> bytes:
    return bytes(re.findall(rb"\n%d 0 obj\s*(.*?)\s*endobj" % number, paper, re.S)[-1])


def words(said: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(said), said)


def test_a_hybrid_update(world: World) -> None:
    signed = world.ours(letter())
    catalog = body_of(signed, 1)
    content = int(re.findall(rb"/Contents (\d+) 0 R", signed)[0])
    store = catalog[:-2] + b" /DSS 90 0 R >>"
    forged = words(b"BT /F1 30 Tf 72 600 Td (Gia) Tj ET")

    def judged(table: dict[int, bytes], hidden: dict[int, bytes], **how: bool) -> tuple[str, set[str]]:
        report = world.judge(hybrid_update(signed, table, hidden, **how))
        return report.verdict.value, {one.code for one in report.findings} | {
            kind for kind, _ in kinds(report)
        }

    # What Word and iText do: new objects are hidden from older readers, nothing that is shown changes.
    assert judged({1: store}, {90: b"<< /CRLs [] >>"}) == ("VALID", {"SECURITY_STORE"})
    # Readers of the stream, of the table, and of both see other words.
    assert judged({1: store}, {90: b"<< >>", content: forged})[0] == "INVALID"
    verdict, told = judged({content: forged}, {90: b"<< >>"})
    assert (verdict, "PAGE_CONTENT" in told) == ("INVALID", True)
    assert judged({1: catalog}, {content: forged})[0] == "INVALID"
    assert "HYBRID_UPDATE" in judged({1: store}, {90: b"<< >>"}, free=True)[1]
    same = body_of(signed, content)
    assert "HYBRID_UPDATE" in judged({content: same}, {content: forged}, clash=True)[1]


@pytest.mark.parametrize("free", [False, True], ids=["hidden", "called free"])
def test_a_hybrid_file_that_shows_two_pages(world: World, free: bool) -> None:
    """Older readers see other words, and both were signed."""
    paper = letter()
    content = int(re.findall(rb"/Contents (\d+) 0 R", paper)[0])
    other = words(b"BT /F1 30 Tf 72 600 Td (Gia) Tj ET")
    report = world.judge(
        world.ours(hybrid_update(paper, {1: body_of(paper, 1)}, {content: other}, free=free))
    )
    assert report.verdict != "VALID"
    assert "HYBRID_UPDATE" in codes(report)


def test_a_table_behind_an_end_of_line(world: World) -> None:
    """`startxref` tells of the line before the table (older DSS wrote so), and nothing is loose by that."""
    signed = world.ours(letter())
    store = body_of(signed, 1)[:-2] + b" /DSS 90 0 R >>"
    update = world.raw_update(signed, {1: store, 90: b"<< /CRLs [] >>"})
    section = int(re.findall(rb"startxref\s+(\d+)", update)[-1])
    moved = update[:section] + b"\n" + update[section:]
    assert brief(world.judge(moved)) == ("VALID", ["B-B"])


def test_a_time_stamp_over_the_content_before_it_was_signed(world: World) -> None:
    """CAdES content-time-stamp (ETSI EN 319 122-1 5.2.8): listed, passed, and no proof of when the signature was there."""
    stamped = CAdESSignedAttrSpec(timestamp_content=True)
    signed = world.theirs(letter(), stamped=True, cades_signed_attr_spec=stamped)
    (signature,) = world.judge(signed).signatures
    assert signature.indication is Indication.TOTAL_PASSED
    assert [(one.type, one.indication) for one in signature.timestamps] == [
        ("CONTENT", Indication.TOTAL_PASSED), ("SIGNATURE", Indication.TOTAL_PASSED)
    ]  # fmt: skip
