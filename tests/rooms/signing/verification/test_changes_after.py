"""What somebody does to a signed file afterwards: each is allowed, in doubt or forbidden as V1 says, and told by name."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import io
import zipfile

import pikepdf
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec

from signing.profile import Level
from tests.papers import letter
from tests.rooms.signing import pens
from tests.rooms.signing.verification.edits import (
    add_page,
    annotate,
    content_in_place,
    crop,
    draw_fields_anew,
    drop_first_field,
    drop_signature,
    fill,
    font_in_place,
    form,
    move_signature,
    new_content,
    new_text_field,
    only_save,
    other_look_of_signature,
    page,
    remove_page,
    run_on_opening,
    set_title,
    show_and_hide,
    turn_pages,
)
from tests.rooms.signing.verification.judging_world import Edit, World, brief, codes, kinds


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (new_content, "PAGE_CONTENT"),
        (content_in_place, "PAGE_CONTENT"),
        (font_in_place, "PAGE_CONTENT"),
        (crop, "PAGE_CONTENT"),
        (add_page, "PAGES_CHANGED"),
        (remove_page, "PAGES_CHANGED"),
        (turn_pages, "PAGES_CHANGED"),
        (set_title, "METADATA"),
        (run_on_opening, "STRUCTURE"),
        (show_and_hide, "STRUCTURE"),
        (annotate, "ANNOTATION"),
        (move_signature, "SIGNATURE_CHANGED"),
        (other_look_of_signature, "SIGNATURE_CHANGED"),
        (new_text_field, "FORM_CHANGED"),
        (draw_fields_anew, "FORM_CHANGED"),
    ],
)
def test_a_forbidden_change_fails_the_signature(world: World, edit: Edit, kind: str) -> None:
    forged = world.edited(world.ours(letter(pages=2)), edit)
    report = world.judge(forged)
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert (kind, False) in kinds(report)
    assert "CHANGED_AFTER" in codes(report, 0)
    assert not report.whole_document
    assert report.signatures[0].changes_after[0].revision == 3


def test_the_page_that_changed_is_named(world: World) -> None:
    report = world.judge(world.edited(world.ours(letter(pages=3)), content_in_place))
    assert [one.page for one in report.signatures[0].changes_after] == [2]


def test_saving_alone_is_no_change(world: World) -> None:
    report = world.judge(world.edited(world.ours(letter()), only_save))
    assert brief(report) == ("VALID", ["B-B"])
    assert not report.whole_document


def test_a_reference_that_led_nowhere_is_not_filled_later(world: World) -> None:
    with pikepdf.open(io.BytesIO(letter())) as pdf:
        whole = io.BytesIO()
        pdf.pages[0].Contents = pikepdf.Array([pdf.pages[0].Contents])
        pdf.save(whole)
    paper = whole.getvalue()

    def dangling(writer: IncrementalPdfFileWriter) -> None:
        page(writer)["/Contents"].append(generic.IndirectObject(77, 0, writer))

    signed = world.ours(world.edited(paper, dangling))
    assert world.judge(signed).verdict == "VALID"

    words = b"BT /F1 30 Tf 72 600 Td (Gia) Tj ET"
    forged = world.raw_update(signed, {77: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(words), words)})
    report = world.judge(forged)
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert kinds(report) == [("PAGE_CONTENT", False)]


def test_a_signature_that_was_taken_away_leaves_a_trace(world: World) -> None:
    report = world.judge(world.edited(world.ours(letter()), drop_signature))
    assert report.verdict == "NO_SIGNATURE"
    assert codes(report) == {"SIGNATURE_TAKEN_AWAY"}


def test_taking_one_of_two_away_fails_the_other(world: World) -> None:
    signed = world.ours(world.ours(letter()), field="Hai")
    report = world.judge(world.edited(signed, drop_first_field))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert ("SIGNATURE_CHANGED", False) in kinds(report)


# -- bytes that belong to no revision (T2)


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("them.txt", "x" * 5000)
    return out.getvalue()


def test_a_lone_end_of_line_is_nothing(world: World) -> None:
    report = world.judge(world.ours(letter()) + b"\n")
    assert brief(report) == ("VALID", ["B-B"])
    assert not report.whole_document


@pytest.mark.parametrize(
    "tail", [b"% ghi chu\n", archive(), b"x" * 3000, b"\0" * 40], ids=["comment", "zip", "x", "0"]
)
def test_bytes_behind_the_end_are_never_valid(world: World, tail: bytes) -> None:
    signed = world.ours(letter(), Level.B_T)
    known = world.judge(signed).signatures[0].signed_revision
    report = world.judge(signed + tail)
    assert report.verdict == "INDETERMINATE"
    assert "BYTES_AFTER_END" in codes(report)
    assert report.signatures[0].indication == "INDETERMINATE"
    assert report.signatures[0].signed_revision == known  # recall shows all the same (C3)


OBJECT = b"5 0 obj\n<< /Length 3 >>\nstream\nq Q\nendstream\nendobj\n"


@pytest.mark.parametrize("more", [b"", b"startxref\n%d\n%%%%EOF\n", b"x" * 3000])
def test_objects_without_cross_references_fail_the_signature(world: World, more: bytes) -> None:
    signed = world.ours(letter())
    section = int(signed.rpartition(b"startxref")[2].split()[0])
    report = world.judge(signed + OBJECT + (more % section if b"%d" in more else more))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert kinds(report) == [("LOOSE_OBJECTS", False)]


def test_objects_hidden_in_a_later_update(world: World) -> None:
    signed = world.ours(letter())
    whole = world.ours(signed + OBJECT, field="Hai")
    report = world.judge(whole)
    assert brief(report)[0] == "INVALID"
    assert ("LOOSE_OBJECTS", False) in kinds(report)


# -- forms, and what the signer said about them


def certified(world: World, paper: bytes, permission: MDPPerm) -> bytes:
    return world.theirs(paper, certify=True, docmdp_permissions=permission)


def test_filling_in_is_not_permitted_by_silence(world: World) -> None:
    report = world.judge(world.edited(world.ours(form("ten")), fill("ten")))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert kinds(report) == [("FORM_FILLING", False)]


def test_filling_in_that_a_later_signature_covers(world: World) -> None:
    filled = world.edited(world.ours(form("ten")), fill("ten"))
    report = world.judge(world.ours(filled, field="Hai"))
    assert brief(report) == ("VALID", ["B-B", "B-B"])
    assert ("FORM_FILLING", True) in kinds(report)


def test_a_later_signature_that_fails_covers_nothing(world: World) -> None:
    filled = world.edited(world.ours(form("ten")), fill("ten"))
    whole = bytearray(world.ours(filled, field="Hai"))
    whole[len(filled) + 12] ^= 1
    report = world.judge(bytes(whole))
    assert report.verdict == "INVALID"
    assert ("FORM_FILLING", False) in kinds(report)


@pytest.mark.parametrize(
    ("permission", "verdict"),
    [(MDPPerm.NO_CHANGES, "INVALID"), (MDPPerm.FILL_FORMS, "VALID"), (MDPPerm.ANNOTATE, "VALID")],
)
def test_filling_in_by_an_explicit_word(world: World, permission: MDPPerm, verdict: str) -> None:
    report = world.judge(world.edited(certified(world, form("ten"), permission), fill("ten")))
    assert report.verdict == verdict
    assert kinds(report) == [("FORM_FILLING", verdict == "VALID")]


@pytest.mark.parametrize(
    ("permission", "verdict"),
    [(MDPPerm.NO_CHANGES, "INVALID"), (MDPPerm.FILL_FORMS, "INVALID"), (MDPPerm.ANNOTATE, "INDETERMINATE")],
)
def test_annotations_by_an_explicit_word(world: World, permission: MDPPerm, verdict: str) -> None:
    report = world.judge(world.edited(certified(world, form("ten"), permission), annotate))
    assert report.verdict == verdict
    assert kinds(report) == [("ANNOTATION", verdict != "INVALID")]


def test_a_look_that_changes_alone_is_no_filling_in(world: World) -> None:
    """The published Shadow Replace: other words are shown where the value stays."""
    signed = certified(world, form("ten"), MDPPerm.FILL_FORMS)
    report = world.judge(world.edited(signed, fill("ten", value=None)))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert kinds(report) == [("FIELD_APPEARANCE", False)]


def test_a_look_rewritten_in_place(world: World) -> None:
    def edit(writer: IncrementalPdfFileWriter) -> None:
        ref = writer.root["/AcroForm"]["/Fields"][0]["/AP"].raw_get("/N")
        ref.get_object()._data, ref.get_object()._encoded_data = b"BT (y) Tj ET", None
        writer.mark_update(ref)

    signed = certified(world, form("ten"), MDPPerm.FILL_FORMS)
    report = world.judge(world.edited(signed, edit))
    assert kinds(report) == [("FIELD_APPEARANCE", False)]


def test_a_field_that_was_locked(world: World) -> None:
    lock = FieldMDPSpec(FieldMDPAction.INCLUDE, fields=["ten"])

    def edit(writer: IncrementalPdfFileWriter) -> None:
        from pyhanko.sign.fields import append_signature_field

        append_signature_field(
            writer, SigFieldSpec("S1", field_mdp_spec=lock, doc_mdp_update_value=MDPPerm.FILL_FORMS)
        )

    signed = world.theirs(world.edited(form("ten", "noi"), edit))
    assert brief(world.judge(world.edited(signed, fill("noi")))) == ("VALID", ["B-B"])
    report = world.judge(world.edited(signed, fill("ten")))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])


def test_signing_after_no_changes_at_all(world: World) -> None:
    """Nobody's maker does it; so the word is taken from the file that is signed, and given back afterwards."""
    paper = certified(world, letter(), MDPPerm.NO_CHANGES)
    report = world.judge(world.forced(paper, field="Hai"))
    assert brief(report)[0] == "INVALID"
    assert kinds(report) == [("SIGNATURE", False)]


def test_evidence_may_follow_no_changes_at_all(world: World) -> None:
    paper = world.theirs(letter(), lta=True, certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    assert brief(world.judge(paper))[0] == "VALID"


def test_a_prepared_field_is_signed_later(world: World) -> None:
    def edit(writer: IncrementalPdfFileWriter) -> None:
        from pyhanko.sign.fields import append_signature_field

        for name in ("Mot", "Hai"):
            append_signature_field(writer, SigFieldSpec(name, box=(72, 72, 200, 120)))

    prepared = world.edited(letter(), edit)
    report = world.judge(world.ours(world.ours(prepared, field="Mot"), field="Hai"))
    assert brief(report) == ("VALID", ["B-B", "B-B"])


@pytest.mark.parametrize(
    ("entry", "anew"),
    [(b"/Rotate 6 0 R", b"180"), (b"/CropBox[0 0 6 0 R 842]", b"100"), (b"/UserUnit 6 0 R", b"2"), (b"/Hidden 6 0 R", b"true")],
)  # fmt: skip
def test_a_number_that_stands_by_itself_is_not_changed(world: World, entry: bytes, anew: bytes) -> None:
    """A page refers to it; the page itself stays as it is."""
    paper = pens.simple(pens.CATALOG, pens.page(b"/Contents 4 0 R" + entry), b"90")
    signed = world.ours(paper)
    assert world.judge(signed).verdict == "VALID"
    report = world.judge(world.raw_update(signed, {6: anew}))
    assert brief(report) == ("INVALID", ["FORMAT_FAILURE"])
    assert kinds(report) == [("PAGE_CONTENT", False)]


def test_the_length_of_a_stream_is_not_changed(world: World) -> None:
    shown = pens.SHOWN + b" BT /F 30 Tf 72 600 Td (5 000 000 dong) Tj ET"
    paper = pens.written(
        pens.CATALOG, pens.TREE, pens.page(), pens.stream(shown, b"<</Length 6 0 R>>"), pens.FONT, b"%d" % len(shown)
    )  # fmt: skip
    report = world.judge(world.raw_update(world.ours(paper), {6: b"%d" % len(pens.SHOWN)}))
    assert report.verdict != "VALID"
