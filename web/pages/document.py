"""One document: this file shows its facts, its pages, who signed it, and hands out its bytes and its evidence."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.document import Document, NoSuchDocument
from documents.office import Caller
from documents.rooms import Rooms
from signing.verification.advice import told
from web.api.files import FileAnswer
from web.api.uploads import PDF
from web.identity import language
from web.pages import words
from web.pages.answer import Answer, answer
from web.pages.keys import keys_of
from web.pages.pictures import png, width_of
from web.pages.render import page
from web.pages.visitor import House, Official, PageRoute

PAGES_AT_ONCE = 20

router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def found_document(document: str, caller: Official, rooms: House) -> Document:
    """Raises NoSuchDocument: what is no identifier is as what is not there."""
    try:
        wanted = UUID(document)
    except ValueError as wrong:
        raise NoSuchDocument(document[:40]) from wrong
    return await rooms.documents.get(caller, wanted)


Found = Annotated[Document, Depends(found_document)]


@router.get("/van-ban/{document}")
async def show(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    first = _first_page(request, found)
    last = min((found.pages or 0) + 1, first + PAGES_AT_ONCE)
    keys = await keys_of(rooms, caller)
    return page(
        request,
        "pages/document.html",
        document=found,
        answer=await _judged(request, rooms, caller, found) if found.signed else None,
        open_requests=[one for one in found.requests if not one.state.ended],
        pages=list(range(first, last)),
        earlier=max(1, first - PAGES_AT_ONCE) if first > 1 else None,
        later=last if last <= (found.pages or 0) else None,
        twins=list(await rooms.intake.duplicates(caller, found)),
        keys=keys.usable,
        why_not=say(keys.why_not, language(request)) if keys.why_not else "",
        disclosure=words.DISCLOSURES[found.disclosure],
    )


@router.get("/van-ban/{document}/trang/{name}")
async def picture(request: Request, found: Found, name: str, caller: Official, rooms: House) -> Response:
    number = name.removesuffix(".png")
    if not number.isascii() or not number.isdigit() or len(number) > 6:
        raise NoSuchDocument(name[:20])
    return png(await rooms.previews.page(caller, found, int(number), width=width_of(request)))


@router.get("/van-ban/{document}/tep")
async def content(found: Found, caller: Official, rooms: House) -> Response:
    return FileAnswer(
        rooms.documents.open(caller, found), name=found.name, media_type=PDF, etag=f'"{found.sha256}"'
    )


@router.get("/van-ban/{document}/bang-chung")
async def evidence(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    spoken = language(request)
    opened = rooms.evidence.write(
        caller, found.id, say=lambda one: told(one, lambda s, **d: say(s, spoken, **d))
    )
    return FileAnswer(opened, name=f"bang-chung-{found.id}.zip", media_type="application/zip")


@router.get("/van-ban/{document}/kiem-tra")
async def check(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    address = f"/van-ban/{found.id}"
    held = ((N_("Số, ký hiệu"), found.number), (N_("Trích yếu"), found.subject), (N_("Tệp"), found.name))
    return page(
        request,
        "pages/verdict.html",
        answer=await _judged(request, rooms, caller, found),
        held=held,
        held_as=N_("Văn bản được kiểm tra"),
        picture=f"{address}/trang/1.png?rong=480&v={found.version}" if found.pages else None,
        downloads=[(f"{address}/tep", N_("Tải tệp về"))],
        issued=None,
        signed_as={},
        back=(address, N_("Về văn bản")),
        until=None,
        reveal=None,
    )


async def _judged(request: Request, rooms: Rooms, caller: Caller, found: Document) -> Answer:
    """Raises NotKept where the upload's time is over."""
    spoken = language(request)
    newest = found.renditions[-1].ordinal if found.renditions else None
    report = await rooms.verifying.verify_kept(caller, found.id, newest)
    return answer(report, lambda sentence, **data: say(sentence, spoken, **data))


def _first_page(request: Request, found: Document) -> int:
    asked = request.query_params.get("tu", "1")
    first = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
    return first if 1 <= first <= (found.pages or 1) else 1
