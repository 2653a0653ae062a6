"""What waits, and how it goes on: for a time-stamp, for a certificate's status, for a key; what is given up or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from playwright.sync_api import Route

from documents.document import Document, RequestState
from documents.wish import SignWish
from hsm.key import KeyUnavailable
from signing.profile import Level
from storage.identifiers import uuid7
from tests.pages.site import Kind, Site, Visitor

Come = Callable[..., Visitor]


def as_clerk(site: Site, document: Document, key: str, level: Level = Level.B_T) -> Document:
    wish = SignWish(level=level, key=key)
    site.run(site.rooms.sign.sign(site.world.clerk.caller, document.id, uuid7(site.rooms.clock()), wish))
    return site.get(document.id)


@contextmanager
def token_away(site: Site) -> Iterator[None]:
    tokens = site.house.settings.token / "tokens"
    away = tokens.with_name("away")
    tokens.rename(away)
    try:
        yield
    finally:
        away.rename(tokens)


@pytest.fixture
def waits_for_its_key(site: Site) -> Document:
    document = site.upload(number="33/TB-UBND")
    with token_away(site), pytest.raises(KeyUnavailable):
        site.sign(document)
    return site.get(document.id)


def come_back(official: Visitor, document: Document) -> None:
    """Until the token is taken up again the page offers nothing."""
    for _ in range(100):
        page = official.go(f"/van-ban/{document.id}/ket-qua")
        if page.get_by_role("button", name="Ký tiếp văn bản này").count():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the token did not come back")


@pytest.mark.parametrize("kind", [Kind(360), Kind(1280, script=False, dark=True)], ids=str)
def test_what_waits_for_its_key_is_gone_on_with(
    visitor: Come, site: Site, waits_for_its_key: Document, kind: Kind
) -> None:
    official = visitor(kind)
    official.log_in()
    come_back(official, waits_for_its_key)
    page = official.press("Ký tiếp văn bản này")
    assert page.locator("h1").inner_text() == "Đã ký xong"
    assert len(site.get(waits_for_its_key.id).requests) == 1


def test_a_page_that_looks_again_does_not_take_the_place_of_the_answer(
    visitor: Come, site: Site, waits_for_its_key: Document
) -> None:
    """Pressed while the page is about to look: what is shown next is what came of pressing."""
    official = visitor(Kind(360))
    official.log_in()
    come_back(official, waits_for_its_key)

    def slowly(route: Route) -> None:
        official.page.wait_for_timeout(4000)
        route.continue_()

    def otherwise(route: Route) -> None:
        """Another state is told to the script that looks."""
        if route.request.resource_type == "fetch":
            route.fulfill(body="<main data-waiting='another'></main>", content_type="text/html")
        else:
            route.continue_()

    official.page.route("**/ky-tiep", slowly)
    official.page.route("**/ket-qua", otherwise)
    page = official.press("Ký tiếp văn bản này")
    assert page.locator("h1").inner_text() == "Đã ký xong"


def test_what_waits_for_its_key_is_given_up(visitor: Come, site: Site, waits_for_its_key: Document) -> None:
    official = visitor(Kind(360))
    official.log_in()
    come_back(official, waits_for_its_key)
    page = official.press("Hủy yêu cầu ký này")
    assert page.locator("h1").inner_text() == "Đã hủy việc ký"
    assert "Văn bản chưa được ký" in page.locator(".said").inner_text()
    (asked,) = site.get(waits_for_its_key.id).requests
    assert asked.state is RequestState.REFUSED
    assert official.press("Ký lại từ đầu").locator("h1").inner_text() == "Xác nhận ký"


def test_a_page_that_waits_looks_again_by_itself(visitor: Come, site: Site) -> None:
    document = site.upload()
    official = visitor(Kind(360))
    official.log_in()
    with site.world.pki.answering("tsa"):
        site.sign(document)
        page = official.go(f"/van-ban/{document.id}/ket-qua")
        assert page.locator(".steps .unsure").inner_text().strip() == "Đóng dấu thời gian"
        shown = official.go(f"/van-ban/{document.id}").locator("main").inner_text()
        assert "Chờ dấu thời gian" in shown and "Chưa ai ký" not in shown
        official.go(f"/van-ban/{document.id}/ket-qua")
    site.world.clock.move(timedelta(minutes=5))
    try:
        site.run(site.house.opened.sweeping.take_up())
        page.get_by_role("heading", name="Đã ký xong").wait_for()
        official.look()
    finally:
        site.world.clock.reset()


@pytest.mark.parametrize("kind", [Kind(360), Kind(1280, "en", script=False, dark=True)], ids=str)
def test_a_certificate_whose_status_is_not_known_yet(visitor: Come, site: Site, kind: Kind) -> None:
    document = site.upload()
    site.world.clock.move(timedelta(days=40))  # what is known of the certificate is too old
    try:
        with site.world.pki.answering("ocsp"), site.world.pki.answering("crls"):
            as_clerk(site, document, "van-thu", Level.B_LT)
            official = visitor(kind)
            official.log_in()
            page = official.go(f"/van-ban/{document.id}/ket-qua")
            assert page.locator(".steps .unsure").count() == 1
            assert page.locator("main a[href$='/tep']").count() == 1  # released at the level reached (V4)
            assert page.locator(".number.code").is_visible()
            official.go(f"/van-ban/{document.id}")
    finally:
        site.world.clock.reset()


def test_why_it_was_refused_is_told(visitor: Come, site: Site) -> None:
    document = site.upload()
    site.world.clock.move(timedelta(days=80))  # what is known of the certificate is too old
    try:
        official = visitor(Kind(360))
        official.log_in("an")
        official.go(f"/van-ban/{document.id}/ky")
        official.page.locator("input[name=key][value=con-dau]").check()
        with site.world.pki.revoked("con-dau", site.world.clock() - timedelta(hours=1)):
            page = official.press("Ký văn bản này")
        assert page.locator("h1").inner_text() == "Không ký được"
        assert "thu hồi" in page.locator(".said").inner_text()
        assert "chứng thư mới" in page.locator(".todo").inner_text()
    finally:
        site.world.clock.reset()
