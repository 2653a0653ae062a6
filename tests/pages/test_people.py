"""What people do here: log in, upload, sign, look up, bring a changed file; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from documents.document import Disclosure, SigningRequest
from documents.office import Caller, CallerKind
from tests.pages.site import Kind, Site, Visitor
from tests.papers import letter

Come = Callable[..., Visitor]


@pytest.mark.parametrize("kind", [Kind(360), Kind(1280, script=False)], ids=str)
def test_log_in_upload_sign_and_look_it_up(visitor: Come, site: Site, tmp_path: Path, kind: Kind) -> None:
    paper = tmp_path / "Quyết định.pdf"
    paper.write_bytes(letter(pages=2))
    official = visitor(kind)
    page = official.log_in()
    page.locator("#number").fill("21/QĐ-UBND")
    page.locator("input[name=disclosure][value=public]").check()
    page.locator("#file").set_input_files(paper)
    page = official.press("Tải văn bản lên")
    document = page.url.rsplit("/", 1)[1]
    page = official.press("Ký văn bản này")
    page = official.press("Ký văn bản này")
    assert page.url.endswith("/ket-qua")
    assert page.locator("h1").inner_text() == "Đã ký xong"
    code = page.locator(".number.code").inner_text()
    # A reload, and the form gone back to and sent again, sign nothing.
    page.reload()
    page.go_back()
    page.wait_for_load_state()
    assert len(requests_of(site, document)) == 1
    # Anybody opens the address of the code.
    found = visitor(kind).go(f"/v/{code}")
    assert found.locator("h1").inner_text() == "Hợp lệ"
    assert "21/QĐ-UBND" in found.locator("main").inner_text()
    assert site.address.removeprefix("http://") in found.locator("footer").inner_text()


def requests_of(site: Site, document: str) -> list[SigningRequest]:
    return list(site.get(UUID(document)).requests)


def test_a_form_sent_twice_signs_once(visitor: Come, site: Site) -> None:
    official = visitor()
    official.log_in()
    document = site.upload()
    page = official.go(f"/van-ban/{document.id}/ky")
    form = page.evaluate("() => Object.fromEntries(new FormData(document.querySelector('main form')))")
    address = f"{site.address}/van-ban/{document.id}/ky"
    for _ in range(2):
        answer = official.context.request.post(address, form=form, max_redirects=0)
        assert answer.status == 303
    found = site.get(document.id)
    assert len(found.requests) == 1
    assert [one.kind.value for one in found.renditions] == ["received", "signed"]


def test_what_was_not_seen_is_not_signed(visitor: Come, site: Site) -> None:
    official = visitor()
    official.log_in()
    document = site.upload()
    official.go(f"/van-ban/{document.id}/ky")
    site.sign(document)
    page = official.press("Ký văn bản này", status=409)
    assert page.locator("#errors").is_visible()
    assert len(site.get(document.id).requests) == 1


@pytest.mark.parametrize("script", [True, False])
def test_a_changed_file_is_brought(visitor: Come, site: Site, tmp_path: Path, script: bool) -> None:
    changed = bytearray(site.bytes_of(site.signed()))
    at = changed.index(b"/MediaBox")
    changed[at : at + 9] = b"/mediaBox"
    file = tmp_path / "sua.pdf"
    file.write_bytes(changed)
    somebody = visitor(Kind(360, script=script))
    page = somebody.go("/v")
    page.locator("#file").set_input_files(file)
    page = somebody.press("Kiểm tra tệp này")
    assert "/v/tep/" in page.url
    assert page.locator("h1").inner_text() != "Hợp lệ"


def test_a_code_is_typed(visitor: Come, site: Site) -> None:
    code = site.code(site.signed())
    somebody = visitor(Kind(360, script=False))
    page = somebody.go("/v")
    page.locator("#code").fill(code[:-1] + ("0" if code[-1] != "0" else "1"))
    page = somebody.press("Tra cứu mã này", status=422)
    assert page.locator("#code-wrong").is_visible()
    page.locator("#code").fill(code.lower().replace("-", " "))
    assert somebody.press("Tra cứu mã này").locator("h1").inner_text() == "Hợp lệ"


def test_secret_unsigned_and_unknown_answer_alike(visitor: Come, site: Site) -> None:
    somebody = visitor()
    said = set()
    for code in (
        site.code(site.signed(Disclosure.NONE)),
        site.code(site.upload(disclosure=Disclosure.PUBLIC)),
        "0000-0000-0000-0000-0000",
    ):
        said.add(somebody.go(f"/v/{code}", status=404).locator("main").inner_html())
    assert len(said) == 1


def test_restricted_shows_more_to_who_has_the_paper(visitor: Come, site: Site) -> None:
    document = site.signed(Disclosure.RESTRICTED)
    somebody = visitor(Kind(360, script=False))
    path = f"/v/{site.code(document)}"
    shown = somebody.go(path).content()
    assert "Trần Thị Bình" not in shown and str(document.subject) not in shown
    assert somebody.context.request.get(f"{site.address}{path}/trang-dau.png").status == 404
    somebody.page.locator("#printed").fill("Ai Khác")
    page = somebody.press("Xem thêm để đối chiếu", status=422)
    page.locator("#printed").fill("trần thị bình")
    page = somebody.press("Xem thêm để đối chiếu")
    assert str(document.subject) in page.content()
    picture = page.locator(".thumb img").get_attribute("src")
    assert somebody.context.request.get(site.address + str(picture)).status == 200


def test_another_agency_sees_nothing(visitor: Come, site: Site) -> None:
    async def other() -> Caller:
        agency = await site.rooms.office.make_agency("Xã Hòa Bình", "UBND xã Hòa Bình", by="test")
        person, _ = await site.rooms.office.make_person(agency.id, "hoa", name="Lê Hoa", title="", by="test")
        return Caller(person.id, agency.id, CallerKind.PERSON, "Lê Hoa", "", "UBND xã Hòa Bình")

    theirs = site.upload(who=site.run(other()))
    official = visitor()
    official.log_in()
    for path in ("", "/ky", "/ket-qua", "/kiem-tra"):
        official.go(f"/van-ban/{theirs.id}{path}", status=404)
    for path in ("/tep", "/bang-chung", "/trang/1.png", "/ma.svg"):
        assert official.context.request.get(f"{site.address}/van-ban/{theirs.id}{path}").status == 404


def test_a_wrong_password(visitor: Come) -> None:
    somebody = visitor(Kind(360, script=False))
    page = somebody.go("/dang-nhap")
    page.locator("#login").fill("binh")
    page.locator("#password").fill("sai rồi")
    page = somebody.press("Đăng nhập", status=401)
    assert page.locator("#errors").is_visible()
    assert page.locator("#password").input_value() == ""


def test_without_the_forms_token_nothing_is_done(visitor: Come, site: Site) -> None:
    official = visitor()
    official.log_in()
    document = site.upload()
    forms: list[dict[str, str | float | bool]] = [{"lan": "x"}, {"csrf": "0" * 64, "lan": "x"}]
    for form in forms:
        for path in (f"/van-ban/{document.id}/ky", "/dang-xuat"):
            assert official.context.request.post(site.address + path, form=form).status == 403
    assert site.get(document.id).requests == ()
    official.go("/van-ban")


def test_the_session_ends_and_work_goes_on_where_it_was(visitor: Come, site: Site) -> None:
    official = visitor()
    official.log_in()
    document = site.upload()
    official.go(f"/van-ban/{document.id}/ky")
    site.world.clock.move(timedelta(hours=11))
    try:
        page = official.press("Ký văn bản này")
        assert "/dang-nhap" in page.url
        assert "chưa được nhận" in page.locator("main").inner_text()
        assert site.get(document.id).requests == ()
    finally:
        site.world.clock.reset()


def test_logging_out(visitor: Come) -> None:
    official = visitor(Kind(360))
    page = official.log_in()
    page.locator("summary").first.click()
    page = official.press("Đăng xuất")
    assert "đăng xuất" in page.locator("main").inner_text()
    assert "/dang-nhap" in official.go("/van-ban").url


def test_the_authority_is_away_and_the_page_says_so(visitor: Come, site: Site) -> None:
    official = visitor(Kind(360, script=False))
    official.log_in()
    document = site.upload()
    official.go(f"/van-ban/{document.id}/ky")
    with site.world.pki.answering("tsa"):
        page = official.press("Ký văn bản này")
    assert page.locator("h1").inner_text() == "Chờ dấu thời gian"
    assert "không phải ký lại" in page.locator("main").inner_text()
    assert page.locator("a[href$='/tep']").count() == 0


def test_what_is_no_pdf_is_refused_and_leaves_nothing(visitor: Come, tmp_path: Path) -> None:
    file = tmp_path / "anh.pdf"
    file.write_bytes(b"GIF89a")
    for script in (True, False):
        official = visitor(Kind(1280, script=script))
        page = official.log_in()
        page.locator("#number").fill("99/QĐ-UBND")
        page.locator("#file").set_input_files(file)
        page = official.press("Tải văn bản lên", status=422)
        assert page.locator("#file-wrong").is_visible()
        assert page.locator("#number").input_value() == "99/QĐ-UBND"
