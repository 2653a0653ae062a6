"""Sign a document: this file asks by what, how and where, and has it done once.

- The form carries the number of the signing request: sent twice, gone back to or reloaded, it is the same request (K5).
- What the person did not see is not signed: the form names the version of the document that was on the screen.
- Whatever happens after the request was recorded is told on the page of its result; nothing is lost then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.document import Document, NoSuchDocument
from documents.office import Caller
from documents.preview import PreviewUnavailable
from documents.requests import DocumentBusy
from documents.rooms import Rooms
from documents.wish import SignWish
from signing.pades import CannotSign, Mark, Unsignable
from signing.profile import Level
from web.api.asking import porter_of
from web.identity import check_csrf, language
from web.pages.document import Found
from web.pages.keys import KeyView, keys_of
from web.pages.mark import CORNERS, FIRST, LAST, NO_MARK, PLACES, Box, boxes_on, mark_for
from web.pages.one_use import new_form, read_form_token
from web.pages.refused import sentence_of
from web.pages.render import page
from web.pages.visitor import House, Official, PageRoute, plain_words, read_fields, see
from web.problems import problem_for

CHOOSE_KEY = N_("Hãy chọn ký bằng khóa nào.")
CHANGED = N_("Văn bản đã thay đổi từ khi bạn mở trang này. Hãy xem lại văn bản, rồi ký.")
NO_PLACE = N_("Không đặt được dấu lên trang này. Hãy chọn trang khác, hoặc không hiện dấu.")
PASSWORDS = {Unsignable.PASSWORD_NOT_GIVEN, Unsignable.PASSWORD_WRONG}
LONGEST_REASON, LONGEST_PASSWORD = 150, 256

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Filled:
    """What stands in the form."""

    key: str = ""
    page: str = LAST
    corner: str = "bottom-right"
    reason: str = ""
    level: str = Level.B_T.value
    version: int = 0

    @staticmethod
    def of(fields: Mapping[str, str]) -> Filled:
        version = fields.get("version", "")
        return Filled(
            fields.get("key", "")[:200],
            _one_of(fields.get("page"), [name for name, _ in PLACES], LAST),
            _one_of(fields.get("corner"), [name for name, _ in CORNERS], "bottom-right"),
            plain_words(fields.get("reason", ""), LONGEST_REASON),
            _one_of(fields.get("level"), [one.value for one in Level], Level.B_T.value),
            int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
        )


@dataclass(frozen=True)
class Shown:
    form: Filled
    errors: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Sheet:
    """A page that the mark may stand on. `size` in points; None, and no boxes, where it cannot be found out."""

    place: str
    number: int
    size: tuple[float, float] | None
    boxes: Sequence[Box]


@dataclass(frozen=True)
class _Desk:
    """Who asks for what."""

    request: Request
    rooms: Rooms
    caller: Caller
    document: Document

    def say(self, sentence: str) -> str:
        return say(sentence, language(self.request))


class _NotYet(Exception):
    """The form is shown again: `field` is wrong because of `said`, a sentence in the asker's language."""

    def __init__(self, field: str, said: str, status: int = 422) -> None:
        super().__init__(field)
        self.field, self.said, self.status = field, said, status


@router.get("/van-ban/{document}/ky")
async def ask(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    if any(not one.state.ended for one in found.requests):
        return see(f"/van-ban/{found.id}/ket-qua")
    if not (await keys_of(rooms, caller)).usable:
        return see(f"/van-ban/{found.id}")  # there it says why
    return await _form(_Desk(request, rooms, caller, found), Shown(Filled()))


@router.post("/van-ban/{document}/ky")
async def sign(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    fields = await read_fields(request)
    check_csrf(request, fields.get("csrf"))
    wanted = read_form_token(rooms, caller, fields.get("lan"))
    result = see(f"/van-ban/{found.id}/ket-qua")
    if any(one.id == wanted for one in found.requests):
        return result  # sent before: what became of it stands there
    desk, filled = _Desk(request, rooms, caller, found), Filled.of(fields)
    try:
        wish = await _wish(desk, filled, fields.get("password", ""))
        await _sign(desk, wanted, wish)
    except _NotYet as why:
        now = replace(desk, document=await rooms.documents.get(caller, found.id))
        return await _form(now, Shown(filled, {why.field: why.said}, why.status))
    return result


async def _wish(desk: _Desk, filled: Filled, password: str) -> SignWish:
    """Raises _NotYet."""
    keys = await keys_of(desk.rooms, desk.caller)
    key = next((one for one in keys.usable if one.name == filled.key), None)
    if key is None:
        raise _NotYet("key", desk.say(keys.why_not or CHOOSE_KEY))
    if filled.version != desk.document.version:
        raise _NotYet("", desk.say(CHANGED), 409)
    return SignWish(
        level=Level(filled.level),
        key=key.name,
        reason=filled.reason or None,
        mark=await _mark(desk, filled, key),
        password=password[:LONGEST_PASSWORD] or None,
    )


async def _mark(desk: _Desk, filled: Filled, key: KeyView) -> Mark | None:
    """Raises _NotYet."""
    document = desk.document
    if filled.page == NO_MARK or not document.pages:
        return None
    number = 1 if filled.page == FIRST else document.pages
    try:
        size = await desk.rooms.previews.size(desk.caller, document, number)
    except PreviewUnavailable as why:
        raise _NotYet("page", desk.say(NO_PLACE)) from why
    code = await desk.rooms.results.code_for(desk.caller, document)
    return mark_for(number, filled.corner, size, who=key.owner, code=code)


async def _sign(desk: _Desk, wanted: UUID, wish: SignWish) -> None:
    """Done, or recorded and told by the result's page. Raises _NotYet, and what befell before anything was recorded."""
    try:
        async with porter_of(desk.request).signing.one(str(desk.caller.id)):
            await desk.rooms.sign.sign(desk.caller, desk.document.id, wanted, wish)
    except DocumentBusy:
        return
    except Exception as fault:
        if isinstance(fault, CannotSign) and fault.reason in PASSWORDS:
            said, _ = sentence_of(fault, language(desk.request))
            raise _NotYet("password", said) from fault
        # What the table knows and what came after the record is told there; all else is told by the door.
        if problem_for(fault) is None or not await _recorded(desk, wanted):
            raise


async def _recorded(desk: _Desk, wanted: UUID) -> bool:
    try:
        await desk.rooms.documents.request(desk.caller, wanted)
    except NoSuchDocument:
        return False
    return True


async def _sheets(desk: _Desk) -> list[Sheet]:
    """What is chosen is seen before it is signed: a mark must not fall on the words."""
    pages, sheets = desk.document.pages or 0, []
    for place, number in [(LAST, pages), (FIRST, 1)][: min(pages, 2)]:
        try:
            size = await desk.rooms.previews.size(desk.caller, desk.document, number)
            sheets.append(Sheet(place, number, size, boxes_on(size)))
        except PreviewUnavailable:
            sheets.append(Sheet(place, number, None, ()))
    return sheets


async def _form(desk: _Desk, shown: Shown) -> Response:
    keys, document = await keys_of(desk.rooms, desk.caller), desk.document
    chosen = shown.form.key or (keys.usable[0].name if len(keys.usable) == 1 else "")
    return page(
        desk.request,
        "pages/sign.html",
        status=shown.status,
        errors=shown.errors,
        document=document,
        keys=keys.usable,
        form=shown.form,
        chosen=chosen,
        once=new_form(desk.rooms, desk.caller),
        page_choices=[one for one in PLACES if one[0] != FIRST or (document.pages or 0) > 1],
        corners=CORNERS,
        sheets=await _sheets(desk),
        encrypted=document.pages is None,
    )


def _one_of(given: str | None, known: list[str], otherwise: str) -> str:
    return given if given in known else otherwise
