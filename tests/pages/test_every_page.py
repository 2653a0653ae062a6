"""Every screen, in both languages, narrow and wide, by day and by night, with script and without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from documents.document import Disclosure, Document
from tests.pages.site import Kind, Site, Visitor, brought
from tests.papers import letter

KINDS = [
    Kind(360, "vi", script=True, dark=False),
    Kind(1280, "vi", script=False, dark=True),
    Kind(360, "en", script=False, dark=False),
    Kind(1280, "en", script=True, dark=True),
]
NOBODYS = "/v/0000-0000-0000-0000-0000"


@dataclass(frozen=True)
class Papers:
    waiting: Document
    signed: Document
    restricted: Document


@pytest.fixture(scope="module")
def papers(site: Site) -> Papers:
    return Papers(
        site.upload(letter(pages=3), subject="Về việc sửa trường mầm non", number="07/TTr-UBND"),
        site.signed(),
        site.signed(Disclosure.RESTRICTED),
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pages_for_all(visitor: Callable[..., Visitor], site: Site, papers: Papers, kind: Kind) -> None:
    somebody = visitor(kind)
    for path in ("/v", "/dang-nhap", f"/v/{site.code(papers.signed)}", f"/v/{site.code(papers.restricted)}"):
        somebody.go(path)
    for path in (NOBODYS, f"/v/{site.code(papers.waiting)}", "/khong-co", "/problems/none"):
        somebody.go(path, status=404)
    somebody.go("/v/tep/khong-con", status=410)
    signed = site.bytes_of(papers.signed)
    for content in (signed, signed + b"%%", letter(), b"no PDF"):
        somebody.go(brought(site, content))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pages_for_officials(visitor: Callable[..., Visitor], papers: Papers, kind: Kind) -> None:
    official = visitor(kind)
    official.log_in()
    official.go("/van-ban")
    for document in (papers.waiting, papers.signed):
        official.go(f"/van-ban/{document.id}")
        official.go(f"/van-ban/{document.id}/ky")
        official.go(f"/van-ban/{document.id}/kiem-tra")
    official.go(f"/van-ban/{papers.signed.id}/ket-qua")
    official.go("/van-ban/khong-co", status=404)


def test_the_other_language_keeps_the_page(
    visitor: Callable[..., Visitor], papers: Papers, site: Site
) -> None:
    somebody = visitor()
    page = somebody.go(f"/v/{site.code(papers.signed)}")
    page.get_by_role("link", name="English").click()
    page.wait_for_load_state()
    assert site.code(papers.signed) in page.url
    assert page.locator("html").get_attribute("lang") == "en"
    page.goto(f"{site.address}/v")
    assert page.locator("html").get_attribute("lang") == "en"
