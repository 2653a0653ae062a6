"""Visible marks: what is asked for is seen upright where it was asked for, can be searched, and nothing else changes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageChops

from signing import appearance
from signing.appearance import Mark, MarkRefused
from tests.rooms.signing.pens import CATALOG, page, pen, reason, simple, wish

TEXT = "Ký bởi: Nguyễn Thị Hường\nCơ quan: Ủy ban nhân dân xã An Phước"
BOX = (60.0, 500.0, 300.0, 580.0)


def _picture(file: Path | bytes, scale: float = 1) -> Image.Image:
    with pypdfium2.PdfDocument(file) as pdf:
        pdf.init_forms()  # marks of fields are drawn with the form
        shown: Image.Image = pdf[0].render(scale=scale).to_pil().convert("RGB")
        return shown


def _changed(before: bytes, after: Path) -> tuple[float, float, float, float] | None:
    """Left, bottom, right, top of what is seen otherwise."""
    first, second = _picture(before), _picture(after)
    found = ImageChops.difference(first, second).getbbox()
    return (found[0], first.height - found[3], found[2], first.height - found[1]) if found else None


def _within(
    inner: tuple[float, float, float, float] | None, outer: tuple[float, float, float, float]
) -> bool:
    return inner is not None and all(
        (one >= two - 1.5) if side < 2 else (one <= two + 1.5)
        for side, (one, two) in enumerate(zip(inner, outer, strict=True))
    )


def _seal(mode: str = "RGB", size: tuple[int, int] = (60, 60)) -> bytes:
    out = BytesIO()
    Image.new(mode, size, (200, 0, 0, 128)[: len(mode)]).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("turn", [0, 90, 180, 270, -90])
@pytest.mark.parametrize("crop", ["", "/CropBox[50 50 500 700]"])
def test_a_mark_stands_upright_where_it_was_asked_for(turn: int, crop: str, tmp_path: Path) -> None:
    paper = simple(CATALOG, page(f"/Contents 4 0 R/Rotate {turn}{crop}".encode()))
    box = (30.0, 300.0, 270.0, 340.0)
    signed = pen().signed(paper, tmp_path, wish(mark=Mark(box=box, text=TEXT)))
    changed = _changed(paper, signed)
    assert _within(changed, box), changed
    assert changed is not None and changed[2] - changed[0] > 2 * (changed[3] - changed[1])  # it reads across


def test_its_letters_can_be_searched_and_its_font_is_inside(tmp_path: Path) -> None:
    signed = pen().signed(simple(), tmp_path, wish(mark=Mark(box=BOX, text=TEXT)))
    with pikepdf.open(signed) as pdf:
        shown = pdf.Root.AcroForm.Fields[0].AP.N
        font = shown.Resources.Font.F
        descriptor = font.DescendantFonts[0].FontDescriptor
        assert len(descriptor.FontFile2.read_bytes()) < 40_000  # a subset
        # The appearance as the page's own content, since text in annotations is not extracted.
        pdf.pages[0].Resources = shown.Resources
        pdf.pages[0].Contents = pdf.make_stream(shown.read_bytes())
        out = BytesIO()
        pdf.save(out)
    with pypdfium2.PdfDocument(out.getvalue()) as pdf:
        text = pdf[0].get_textpage().get_text_bounded()
    assert text.replace("\r\n", "\n").strip() == TEXT


def test_nothing_is_seen_where_no_mark_was_asked_for(tmp_path: Path) -> None:
    paper = simple()
    assert _changed(paper, pen().signed(paper, tmp_path)) is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_seal_in_its_real_size(mode: str, tmp_path: Path) -> None:
    asked = Mark(box=BOX, image=_seal(mode), image_width_mm=20)
    changed = _changed(simple(), pen().signed(simple(), tmp_path, wish(mark=asked)))
    assert changed is not None and abs(changed[2] - changed[0] - 20 / 25.4 * 72) < 2


def test_text_image_and_code_stand_side_by_side(tmp_path: Path) -> None:
    asked = Mark(box=BOX, text="Số: 12/QĐ", image=_seal(), qr="https://ky.example.vn/v/ABCD-EFGH")
    signed = pen().signed(simple(), tmp_path, wish(mark=asked))
    assert _within(_changed(simple(), signed), BOX)
    with pikepdf.open(signed) as pdf:
        content = pdf.Root.AcroForm.Fields[0].AP.N.read_bytes()
    assert content.index(b" re") < content.index(b"/I Do") < content.index(b"BT")


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (Mark(box=BOX, text="x" * 2001), "mark-does-not-fit"),
        (Mark(box=BOX, text="x", text_size=200), "mark-does-not-fit"),
        (Mark(box=BOX, image=_seal(), image_width_mm=500), "mark-does-not-fit"),
        (Mark(box=BOX, qr=""), "mark-does-not-fit"),
        (Mark(box=BOX, image=_seal()[:40]), "mark-image-refused"),
        (Mark(box=BOX, image=_seal(size=(5000, 4000))), "mark-image-refused"),
        (Mark(box=BOX, text="漢"), "mark-letter-unknown"),
        (Mark(box=(0, 0, 0, 0), text="x"), "mark-off-page"),
        (Mark(text="x"), "mark-does-not-fit"),
    ],
)
def test_what_cannot_be_drawn_is_refused(mark: Mark, why: str, tmp_path: Path) -> None:
    assert reason(simple(), tmp_path, wish(mark=mark)) == why


def test_a_mark_survives_its_stored_form() -> None:
    for mark in (Mark(), Mark(box=BOX, text=TEXT, image=_seal(), image_width_mm=2.5, qr="a", text_size=8)):
        assert Mark.from_stored(mark.to_stored()) == mark


def test_every_vietnamese_letter_can_be_drawn() -> None:
    letters = "aăâbcdđeêghiklmnoôơpqrstuưvxyAĂÂBCDĐEÊGHIKLMNOÔƠPQRSTUƯVXY"
    marked = [
        letter + tone for letter in letters for tone in ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
    ]
    vowels = [one for one in marked if one[0].lower() in "aăâeêioôơuưy" or len(one) == 1]
    drawn = appearance.draw(Mark(text="".join(vowels)[:1500], text_size=4), (2000, 400))
    assert "ặ" in drawn.text and "\u0323" not in drawn.text


def test_the_times_of_copies_and_attachments_are_said_in_vietnam_s_time() -> None:
    from datetime import UTC, datetime

    moment = datetime(2026, 1, 14, 20, 5, 6, tzinfo=UTC)
    assert appearance.time_text(moment) == "15/01/2026; 03:05:06 +07:00"
    assert appearance.copy_text("SAO Y", "UBND xã", moment) == "SAO Y; UBND xã; 15/01/2026; 03:05:06 +07:00"
    assert appearance.attachment_text("1/QĐ", moment) == "Số: 1/QĐ; 15/01/2026; 03:05:06 +07:00"


def test_a_box_without_area_is_refused() -> None:
    with pytest.raises(MarkRefused):
        appearance.draw(Mark(text="a"), (0, 10))
