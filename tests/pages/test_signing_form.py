"""The form that signs: what is chosen is seen on the page, and stands there afterwards; files with a password."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.pages.site import Kind, Site, Visitor, drop
from tests.papers import letter, locked

Come = Callable[..., Visitor]
LONG = "1234567/QĐ-UBND-VP-KT-HT-ĐT-NNPTNT-GDĐT"


@pytest.mark.parametrize("kind", [Kind(360), Kind(1280, script=False, dark=True)], ids=str)
def test_the_page_and_the_corner_that_are_chosen_are_shown(visitor: Come, site: Site, kind: Kind) -> None:
    official = visitor(kind)
    official.log_in()
    document = site.upload(letter(pages=3))
    page = official.go(f"/van-ban/{document.id}/ky")
    first, last = page.locator(".on-first"), page.locator(".on-last")
    assert last.is_visible() and not first.is_visible()
    assert last.locator(".at-bottom-right").is_visible()
    page.locator("[value=first]").check()
    page.locator("[value=top-left]").check()
    assert first.is_visible() and not last.is_visible()
    assert "Trang 1 / 3" in first.inner_text()
    assert [box.is_visible() for box in first.locator("rect").all()] == [True, False, False, False]
    page.locator("[value=none]").check()
    assert last.is_visible() and not last.locator("svg").is_visible()


def test_the_mark_stands_where_it_was_shown(visitor: Come, site: Site) -> None:
    official = visitor()
    official.log_in()
    document = site.upload(letter(pages=2))
    page = official.go(f"/van-ban/{document.id}/ky")
    page.locator("[value=first]").check()
    page.locator("[value=bottom-left]").check()
    shown = page.locator(".on-first .at-bottom-left").bounding_box()
    sheet = page.locator(".on-first img").bounding_box()
    assert shown and sheet
    before = picture(official, document.id, 1)
    official.press("Ký văn bản này")
    after = picture(official, document.id, 1)
    scale = after.width / sheet["width"]
    left, top = (shown["x"] - sheet["x"]) * scale, (shown["y"] - sheet["y"]) * scale
    box = (int(left), int(top), int(left + shown["width"] * scale), int(top + shown["height"] * scale))
    assert dark(before.crop(box)) == 0
    assert dark(after.crop(box)) > 500
    # Elsewhere the page is as it was, but for the shades that the picture's palette has; and so is the other one.
    for one in (before, after):
        one.paste(255, (box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3))
    assert sum(ImageChops.difference(before, after).histogram()[16:]) == 0
    assert dark(picture(official, document.id, 2).crop(box)) == 0


def picture(official: Visitor, document: object, number: int) -> Image.Image:
    answer = official.context.request.get(
        f"{official.site.address}/van-ban/{document}/trang/{number}.png?rong=800"
    )
    assert answer.status == 200
    return Image.open(io.BytesIO(answer.body())).convert("L")


def dark(image: Image.Image) -> int:
    return sum(image.histogram()[:128])


def test_a_file_with_a_password_is_uploaded_and_signed(visitor: Come, site: Site, tmp_path: Path) -> None:
    paper = tmp_path / "mat.pdf"
    paper.write_bytes(locked("mở ra"))
    official = visitor(Kind(360))
    page = official.log_in()
    page.locator("#file").set_input_files(paper)
    page = official.press("Tải văn bản lên")
    assert "có mật khẩu" in page.locator("main").inner_text()
    official.press("Ký văn bản này")
    page = official.press("Ký văn bản này", status=422)
    assert "Hãy nhập mật khẩu mở tệp" in page.locator("#password-wrong").inner_text()
    page.locator("#password").fill("sai")
    page = official.press("Ký văn bản này", status=422)
    assert "không đúng" in page.locator("#password-wrong").inner_text()
    assert page.locator("#password").input_value() == ""
    page.locator("#password").fill("mở ra")
    page = official.press("Ký văn bản này")
    assert page.locator("h1").inner_text() == "Đã ký xong"


def test_a_file_is_dropped_to_upload_it_whatever_the_browser_calls_it(visitor: Come) -> None:
    official = visitor()
    page = official.log_in()
    drop(page, "quyet-dinh.pdf", letter(), kind="text/plain")
    assert official.press("Tải văn bản lên").get_by_role("link", name="Ký văn bản này").is_visible()
    page = official.go("/van-ban")
    drop(page, "to-trinh.docx", b"PK\x03\x04", kind="application/msword")
    page = official.press("Tải văn bản lên", status=422)
    assert "không phải là PDF" in page.locator("#file-wrong").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_phone_has_a_short_way_to_upload(visitor: Come, site: Site, width: int) -> None:
    site.upload()
    official = visitor(Kind(width))
    page = official.log_in()
    way = page.get_by_role("link", name="Tải văn bản mới lên")
    assert way.is_visible() is (width == 360)
    if way.is_visible():
        way.click()
        assert page.locator("#number").bounding_box()["y"] < 740  # type: ignore[index]


def test_a_long_number_and_name_do_not_break_the_page(visitor: Come, site: Site) -> None:
    document = site.signed(number=LONG, subject="Về " * 90, name="x" * 180 + ".pdf")
    official = visitor(Kind(360))
    official.log_in()
    for path in ("", "/ky", "/ket-qua", "/kiem-tra"):
        official.go(f"/van-ban/{document.id}{path}")
    official.go("/van-ban")
    visitor(Kind(360)).go(f"/v/{site.code(document)}")


def test_many_documents_have_pages(visitor: Come, site: Site) -> None:
    for number in range(31):
        site.upload(number=f"{number}/CV-UBND")
    official = visitor(Kind(360))
    official.log_in()
    page = official.press("Các văn bản cũ hơn")
    assert "30/CV-UBND" not in page.locator("main").inner_text()
    assert "30/CV-UBND" in official.press("Về các văn bản mới nhất").locator("main").inner_text()


@pytest.mark.parametrize("path", ["/v", "/van-ban"])
def test_every_control_is_reached_by_the_keyboard_and_seen(visitor: Come, site: Site, path: str) -> None:
    official = visitor(Kind(640))  # 1280 px at 200 %
    official.log_in()
    page = official.go(path)
    seen: list[str] = []
    while True:
        page.keyboard.press("Tab")
        where = page.evaluate(
            """() => {
                const at = document.activeElement, drawn = getComputedStyle(at), box = at.getBoundingClientRect();
                const inside = box.bottom > 0 && box.top < innerHeight;
                return at === document.body ? null : [at.outerHTML.slice(0, 80), drawn.outlineStyle, drawn.outlineWidth, inside];
            }"""
        )
        if where is None or where[0] in seen:
            break
        seen.append(where[0])
        assert where[1:] == ["solid", "3px", True], where
    assert any("<button" in one for one in seen)
    assert 'href="#main"' in seen[0]


def test_paper_has_the_answer_and_no_buttons(visitor: Come, site: Site) -> None:
    document = site.signed()
    official = visitor()
    official.log_in()
    for path, gone in ((f"/van-ban/{document.id}", ".bar"), (f"/van-ban/{document.id}/ket-qua", ".links")):
        page = official.go(path)
        page.emulate_media(media="print")
        assert not page.locator(gone).first.is_visible()
        assert page.locator("h1").is_visible()
        page.emulate_media(media="screen")
    page = official.go(f"/v/{site.code(document)}")
    page.emulate_media(media="print")
    assert page.locator(".said").is_visible()
    assert page.locator("nav").first.is_hidden()
