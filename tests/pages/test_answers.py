"""The public answer: what `/v/<code>` hands out to whom, files that are wrong, trust that is only for demonstration."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pikepdf
import pytest
import segno
from PIL import Image
from playwright.sync_api import FilePayload

from documents.document import Disclosure
from signing.trust.anchors import Anchor
from tests.house import World
from tests.pages.site import Kind, Site, Visitor, brought, drop, serve, visit
from tests.papers import letter, locked

Come = Callable[..., Visitor]
UNREADABLE = "Chưa kết luận được: không đọc được tệp"
WARNING = "Chứng thư thử nghiệm"


def test_the_signed_file_is_handed_out_where_everybody_may_have_it(visitor: Come, site: Site) -> None:
    document = site.signed()
    somebody = visitor(Kind(360))
    page = somebody.go(f"/v/{site.code(document)}")
    address = page.get_by_role("link", name="Tải bản điện tử").get_attribute("href")
    answer = somebody.context.request.get(site.address + str(address))
    assert answer.status == 200
    assert answer.body() == site.bytes_of(document)
    assert answer.headers["content-type"] == "application/pdf"
    assert "attachment" in answer.headers["content-disposition"]


def test_no_other_file_is_handed_out_and_none_is_told_from_another(visitor: Come, site: Site) -> None:
    somebody = visitor(Kind(360))
    said = set()
    for code in (
        site.code(site.signed(Disclosure.RESTRICTED)),
        site.code(site.signed(Disclosure.NONE)),
        site.code(site.upload(disclosure=Disclosure.PUBLIC)),
        "0000-0000-0000-0000-0000",
        "no-code",
    ):
        answer = somebody.context.request.get(f"{site.address}/v/{code}/tep", headers={"Accept": "text/html"})
        assert answer.status == 404
        said.add(answer.text().split("<main")[1].split("</main>")[0])
    assert len(said) == 1
    page = somebody.go(f"/v/{site.code(site.signed(Disclosure.RESTRICTED))}")
    assert page.get_by_role("link", name="Tải bản điện tử").count() == 0


def test_what_was_brought_is_compared_only_with_what_we_know(visitor: Come, site: Site) -> None:
    somebody = visitor(Kind(360))
    document = site.signed()
    signed = site.bytes_of(document)
    known = somebody.go(brought(site, signed)).locator("#compare")
    assert known.inner_text() == "So với bản trên tay bạn"
    changed = bytearray(signed)
    at = changed.index(b"/MediaBox")
    changed[at : at + 9] = b"/mediaBox"
    page = somebody.go(brought(site, bytes(changed)))
    assert page.locator("h1").inner_text() == "Không hợp lệ"
    assert page.locator("#compare").inner_text() == "Tệp bạn đưa lên"


def test_each_answer_says_what_to_do(visitor: Come, site: Site) -> None:
    signed = site.bytes_of(site.signed())
    with pikepdf.open(io.BytesIO(signed)) as pdf:
        out = io.BytesIO()
        pdf.save(out)
    somebody = visitor(Kind(360))
    for content, heading, said, todo in (
        (letter(), "Không có chữ ký", "không mang chữ ký số nào", "Hãy xin bản điện tử gốc"),
        (b"GIF89a", UNREADABLE, "không phải là PDF", "Hãy chọn đúng tệp PDF"),
        (locked(), UNREADABLE, "khóa bằng mật khẩu", "bản không đặt mật khẩu"),
        (signed + b"%%", "Chưa kết luận được", "không được chữ ký nào bảo vệ", "bản điện tử gốc"),
        (out.getvalue(), "Không hợp lệ", "", "Đừng dùng tệp này"),
    ):
        page = somebody.go(brought(site, content))
        assert page.locator("h1").inner_text() == heading
        assert said in page.locator(".said").inner_text()
        assert todo in page.locator(".todo").inner_text()


def test_what_was_issued_and_what_was_signed_stand_beside_what_was_brought(visitor: Come, site: Site) -> None:
    document = site.signed()
    signed = site.bytes_of(document)
    somebody = visitor(Kind(360))
    page = somebody.go(brought(site, signed))
    assert page.locator(".both").count() == 0
    assert page.get_by_role("link", name="tải bản đúng như khi ký").count() == 0
    grown = signed + b"\n% something\n"
    page = somebody.go(brought(site, grown))
    assert page.locator(".both img").count() == 2
    page.get_by_text("Thời gian và các thay đổi").click()
    assert "Không có gì được thêm" not in page.locator("main").inner_text()
    for name, expected in (("tải bản đúng như khi ký", signed), ("Tải bản cơ quan đã phát hành", signed)):
        address = page.get_by_role("link", name=name).get_attribute("href")
        answer = somebody.context.request.get(site.address + str(address))
        assert (answer.status, answer.body()) == (200, expected)
        assert answer.headers["cache-control"] == "no-store"
    pictures = [page.get_by_role("link", name="Xem trang đầu của bản khi ký").get_attribute("href")]
    pictures += [one.get_attribute("src") for one in page.locator(".both img").all()]
    for address in pictures:
        picture = somebody.context.request.get(site.address + str(address))
        assert (picture.status, picture.body()[:4]) == (200, b"\x89PNG")
    token = page.url.rpartition("/")[2]
    for path in (f"{token}/ban-da-ky/0.pdf", f"{token}/ban-da-ky/9.pdf", "x/ban-da-ky/1.pdf", "x/ban-phat-hanh.png",
                 "x/ban-phat-hanh.pdf", f"{token}/bao-cao.xml"):  # fmt: skip
        assert somebody.context.request.get(f"{site.address}/v/tep/{path}").status in {404, 410}, path


def test_every_report_can_be_downloaded(visitor: Come, site: Site) -> None:
    somebody = visitor()
    page = somebody.go(brought(site, site.bytes_of(site.signed())))
    begins = {"(JSON)": b"{", "(XML)": b"<?xml", "(PDF)": b"%PDF-"}
    for name, begin in begins.items():
        link = page.get_by_role("link", name=name)
        answer = somebody.context.request.get(site.address + str(link.get_attribute("href")))
        assert answer.status == 200
        assert answer.body().startswith(begin), name
        assert "attachment" in answer.headers["content-disposition"]


def photo(text: str) -> bytes:
    """Of a paper with the code on it, slightly turned and not too sharp."""
    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="png", scale=6, border=4)
    with Image.open(drawn) as square:
        paper = Image.new("L", (1600, 2200), 235)
        paper.paste(square.convert("L"), (900, 1500))
    out = io.BytesIO()
    paper.rotate(7, fillcolor=120).save(out, "JPEG", quality=60)
    return out.getvalue()


def taken(content: bytes) -> FilePayload:
    return {"name": "anh.jpg", "mimeType": "image/jpeg", "buffer": content}


def test_a_photo_of_the_paper_leads_to_the_answer(visitor: Come, site: Site) -> None:
    code = site.code(site.signed())
    somebody = visitor(Kind(360))
    for content, said in (
        (photo(f"{site.rooms.address}.example.com/v/{code}"), "không dẫn tới trang này"),
        (letter(), "Không đọc được ảnh"),
    ):
        page = somebody.go("/v")
        page.set_input_files("#photo", taken(content))
        assert said in somebody.press("Đọc mã trong ảnh", status=422).locator("#photo-wrong").inner_text()
    page = somebody.go("/v")
    page.set_input_files("#photo", taken(photo(f"{site.rooms.address}/v/{code}")))
    assert somebody.press("Đọc mã trong ảnh").locator("h1").inner_text() == "Hợp lệ"


def test_a_file_is_dropped_on_the_frame(visitor: Come, site: Site) -> None:
    somebody = visitor()
    page = somebody.go("/v")
    assert page.locator("[data-droppable]").is_visible()
    drop(page, "tha.pdf", site.bytes_of(site.signed()))
    assert somebody.press("Kiểm tra tệp này").locator("h1").inner_text() == "Hợp lệ"


def test_a_file_that_is_too_large_is_not_sent(visitor: Come, site: Site) -> None:
    somebody = visitor(Kind(360))
    page = somebody.go("/v")
    drop(page, "lon.pdf", b"%PDF-1.7" + bytes(site.rooms.limits.verify))
    asked = len(somebody.asked)
    page.get_by_role("button", name="Kiểm tra tệp này").click()
    assert page.locator("[data-too-large]").is_visible()
    assert somebody.asked[asked:] == []


def test_sizes_are_written_as_the_language_does(visitor: Come) -> None:
    assert "4,2 MB" in visitor().go("/v").locator("#file-hint").inner_text()
    assert "4.2 MB" in visitor(Kind(language="en")).go("/v").locator("#file-hint").inner_text()


@pytest.fixture(scope="module")
def demonstration(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with world.home(tmp_path_factory.mktemp("demonstration")) as home, serve(world, home) as site:
        shown = Anchor(world.pki.certificate("issuing"), demonstration=True, provenance="a demonstration")
        site.run(site.rooms.trusted.add(shown, confirmed_by="test"))
        yield site


@pytest.mark.parametrize("kind", [Kind(360), Kind(360, "en", script=False, dark=True)], ids=str)
def test_demonstration_trust_is_told_above_the_sentence(
    demonstration: Site, browser: object, kind: Kind
) -> None:
    document = demonstration.signed()
    for path in (
        f"/v/{demonstration.code(document)}",
        brought(demonstration, demonstration.bytes_of(document)),
    ):
        with visit(demonstration, browser, kind) as somebody:  # type: ignore[arg-type]
            page = somebody.go(path)
            main = page.locator("main").inner_text()
            warning = WARNING if kind.language == "vi" else "Test certificates"
            said = page.locator(".said").inner_text()
            assert 0 <= main.index(warning) < main.index(said)
