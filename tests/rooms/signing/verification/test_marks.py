"""The mark of a later signature over the page of an earlier one (V9)."""

from __future__ import annotations

import io

import pikepdf
import pytest

from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, brief, codes, kinds

OVER_WORDS = (60, 730, 400, 790)
BLANK = (60, 100, 300, 200)


def marked(
    world: World, paper: bytes, box: tuple[int, int, int, int], look: bytes, resources: bytes = b""
) -> bytes:
    """Signed by a stranger whose visible field looks like that."""
    with pikepdf.open(io.BytesIO(paper)) as pdf:
        page = pdf.pages[0].obj
        number, annotations = page.objgen[0], [one.objgen[0] for one in page.get("/Annots", [])]
        fields = [one.objgen[0] for one in pdf.Root.AcroForm.Fields]
        words = page.unparse(resolved=True)
        page_words = words if "/Annots" not in page else words.replace(page.Annots.unparse(), b"@")
        root = pdf.Root.objgen[0]
        form = pdf.Root.AcroForm.objgen[0]
        form_words = pdf.Root.AcroForm.unparse(resolved=True)
        old_fields = pdf.Root.AcroForm.Fields.unparse()
    listed = b"[ " + b"".join(b"%d 0 R " % one for one in [*annotations, 80]) + b"]"
    filled = b"[ " + b"".join(b"%d 0 R " % one for one in [*fields, 80]) + b"]"
    new_page = (
        page_words.replace(b"@", listed)
        if b"@" in page_words
        else page_words[:-2] + b"/Annots " + listed + b" >>"
    )
    width, height = box[2] - box[0], box[3] - box[1]
    prepared = world.raw_update(paper, {
        number: new_page,
        form: form_words.replace(old_fields, filled),
        80: b"<< /FT /Sig /T (Sau) /Type /Annot /Subtype /Widget /F 132 /Rect [%d %d %d %d] /P %d 0 R /AP << /N 81 0 R >> >>"
        % (*box, number),
        81: b"<< /Type /XObject /Subtype /Form /BBox [0 0 %d %d] /Resources << %s >> /Length %d >>\nstream\n%s\nendstream"
        % (width, height, resources, len(look), look),
    }, root=root)  # fmt: skip
    return world.ours(prepared, field="Sau")


OPAQUE = b"1 g 0 0 900 900 re f"
CLEAR = b"/G gs 1 1 0 rg 0 0 900 900 re f"
MULTIPLY = b"/ExtGState << /G << /BM /Multiply >> >>"


@pytest.mark.parametrize(
    ("box", "look", "resources", "verdict"),
    [
        (OVER_WORDS, OPAQUE, b"", "INVALID"),
        (OVER_WORDS, CLEAR, MULTIPLY, "VALID"),
        (BLANK, OPAQUE, b"", "VALID"),
    ],
    ids=["opaque over words", "transparent over words", "opaque over paper"],
)
def test_what_a_mark_hides(
    world: World, box: tuple[int, int, int, int], look: bytes, resources: bytes, verdict: str
) -> None:
    signed = marked(world, world.ours(letter()), box, look, resources)
    report = world.judge(signed)
    assert report.verdict == verdict, (brief(report), kinds(report), codes(report))
    assert (("SIGNATURE_HIDES_CONTENT", False) in kinds(report)) is (verdict == "INVALID")
    assert ("SIGNATURE_OVER_CONTENT" in codes(report)) is (resources != b"")


def test_our_own_marks_hide_nothing(world: World) -> None:
    from signing.appearance import Mark

    first = world.ours(letter(), mark=Mark(page=1, box=(72, 100, 300, 180), text="Nguyễn Văn A"))
    whole = world.ours(first, field="Hai", mark=Mark(page=1, box=(310, 100, 540, 180), text="Văn thư"))
    assert brief(world.judge(whole)) == ("VALID", ["B-B", "B-B"])
