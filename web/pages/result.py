"""What became of a signature: this file shows it under one address, done, waiting or refused.

- What waits is told with what happens next by itself; the page looks again, with or without script.
- What was recorded and not finished can be taken up again by who may use its key, or given up while nobody has signed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.document import Document, RequestState, SigningRequest
from documents.requests import RequestEnded, RequestHeld
from documents.wish import SignWish
from signing.profile import Level
from web.api.asking import porter_of
from web.bad_request import BadRequest, Fault
from web.identity import check_csrf, language
from web.pages import words
from web.pages.document import Found
from web.pages.keys import keys_of
from web.pages.pictures import qr
from web.pages.refused import remembered
from web.pages.render import page
from web.pages.visitor import House, Official, PageRoute, read_fields, see
from web.pages.words import Label
from web.problems import problem_for

log = logging.getLogger("antin.pages")

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Telling:
    """How a state is told; sentences of the catalogue."""

    heading: str
    sentence: str
    todo: tuple[str, ...] = ()


NOTHING_LOST = N_("Bạn có thể rời trang này, không mất gì. Trang tự xem lại.")
UNCHANGED = N_("Văn bản vẫn được giữ nguyên như trước khi yêu cầu ký.")
TELLINGS: Mapping[RequestState, Telling] = {
    RequestState.RECORDED: Telling(
        N_("Đang ký"), N_("Yêu cầu ký đã được ghi lại và đang được làm."), (NOTHING_LOST,)
    ),
    RequestState.PREPARED: Telling(
        N_("Chờ khóa ký"),
        N_("Văn bản đã chuẩn bị xong, đang chờ thiết bị giữ khóa ký."),
        (
            NOTHING_LOST,
            N_("Nếu thiết bị vừa mất kết nối, hãy bấm ký tiếp khi thiết bị sẵn sàng; văn bản không bị ký hai lần."),
        ),
    ),
    RequestState.TIMESTAMP_PENDING: Telling(
        N_("Chờ dấu thời gian"),
        N_("Bạn đã ký. Nơi cấp dấu thời gian chưa trả lời, nên bản đã ký chưa được phát hành."),
        (
            N_("Hệ thống tự hỏi lại cho đến khi có dấu thời gian. Bạn không phải ký lại."),
            NOTHING_LOST,
        ),
    ),
    RequestState.REVOCATION_PENDING: Telling(
        N_("Đã ký, chờ tình trạng chứng thư"),
        N_("Bản đã ký đã phát hành. Nơi cấp chứng thư chưa trả lời về tình trạng chứng thư lúc ký."),
        (
            N_("Hệ thống tự hỏi lại và bổ sung vào văn bản. Trong lúc chờ, có nơi kiểm tra sẽ nói chưa kết luận được."),
            NOTHING_LOST,
        ),
    ),
    RequestState.DONE: Telling(N_("Đã ký xong"), N_("Bản đã ký đã qua kiểm tra và được lưu giữ.")),
    RequestState.REFUSED: Telling(
        N_("Không ký được"), N_("Văn bản chưa được ký."), (UNCHANGED,)
    ),
    RequestState.EXPIRED: Telling(
        N_("Đã hết thời hạn ký"), N_("Không có chữ ký nào được làm trong thời hạn."), (UNCHANGED,)
    ),
    RequestState.FAILED: Telling(
        N_("Không qua tự kiểm tra"),
        N_("Chữ ký đã làm không qua được bước tự kiểm tra, nên không được phát hành."),
        (UNCHANGED, N_("Hãy báo cho người quản trị; có thể ký lại từ đầu.")),
    ),
}  # fmt: skip
CANCELLED = Telling(N_("Đã hủy việc ký"), N_("Văn bản chưa được ký."), (UNCHANGED,))
CANCELLED_LABEL = Label(CANCELLED.heading, "none", "circle")

STEPS = (
    N_("Giữ bản gốc như bạn đã xem"),
    N_("Ghi lại điều sắp ký"),
    N_("Ký"),
    N_("Đóng dấu thời gian"),
    N_("Tự kiểm tra và phát hành"),
    N_("Xác nhận tình trạng chứng thư"),
)
STAMP = 3
REACHED = {
    RequestState.RECORDED: 0,
    RequestState.PREPARED: 2,
    RequestState.TIMESTAMP_PENDING: 3,
    RequestState.REVOCATION_PENDING: 5,
}


@router.get("/van-ban/{document}/ket-qua")
async def show(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    asked = current(found)
    if asked is None:
        return see(f"/van-ban/{found.id}")
    spoken = language(request)
    telling, label = TELLINGS[asked.state], words.REQUEST_STATES[asked.state]
    if asked.problem and asked.problem.get("code") == "cancelled":
        telling, label = CANCELLED, CANCELLED_LABEL
    sentence, todo = _told(asked, telling, spoken)
    unfinished = asked.state in {RequestState.RECORDED, RequestState.PREPARED}
    mine = unfinished and any(one.name == asked.key for one in (await keys_of(rooms, caller)).usable)
    released = found.signed and asked.state in {RequestState.DONE, RequestState.REVOCATION_PENDING}
    return page(
        request,
        "pages/result.html",
        document=found,
        asked=asked,
        heading=say(telling.heading, spoken),
        sentence=sentence,
        todo=todo,
        tone=label.tone,
        mark=label.icon,
        waiting="" if asked.state.ended else asked.state.value,
        steps=() if asked.state.ended else _steps(asked),
        resume=mine,
        again=asked.state.ended and asked.state is not RequestState.DONE,
        released=released,
        code=await rooms.results.code_for(caller, found) if released else None,
        disclosure=words.DISCLOSURES[found.disclosure],
    )


@router.post("/van-ban/{document}/ky-tiep")
async def go_on(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    """The same request again: it goes on where it stood, with the wish that was recorded."""
    asked = await _unfinished(request, found)
    if asked is not None and any(one.name == asked.key for one in (await keys_of(rooms, caller)).usable):
        try:
            async with porter_of(request).signing.one(str(caller.id)):
                await rooms.sign.sign(caller, found.id, asked.id, SignWish(level=asked.level, key=asked.key))
        except Exception as fault:
            if problem_for(fault) is None or isinstance(fault, BadRequest):
                raise
            log.warning("request %s waits: %s", asked.id, type(fault).__name__)
    return see(f"/van-ban/{found.id}/ket-qua")


@router.post("/van-ban/{document}/ky-huy")
async def give_up(request: Request, found: Found, caller: Official, rooms: House) -> Response:
    asked = await _unfinished(request, found)
    if asked is not None:
        with suppress(RequestEnded, RequestHeld):  # the page says how it stands
            await rooms.sign.cancel(caller, asked.id)
    return see(f"/van-ban/{found.id}/ket-qua")


@router.get("/van-ban/{document}/ma.{kind}")
async def code_picture(found: Found, kind: str, caller: Official, rooms: House) -> Response:
    code = await rooms.results.code_for(caller, found) if found.signed else None
    if code is None or kind not in {"svg", "png"}:
        raise BadRequest(Fault.NOT_FOUND)
    return qr(code.url, kind)


def current(found: Document) -> SigningRequest | None:
    """The one that is open, else the last."""
    return next((one for one in found.requests if not one.state.ended), None) or (
        found.requests[-1] if found.requests else None
    )


async def _unfinished(request: Request, found: Document) -> SigningRequest | None:
    fields = await read_fields(request)
    check_csrf(request, fields.get("csrf"))
    try:
        wanted = UUID(fields.get("request", ""))
    except ValueError as wrong:
        raise BadRequest(Fault.INVALID, data={"where": "request"}) from wrong
    return next((one for one in found.requests if one.id == wanted and not one.state.ended), None)


def _told(asked: SigningRequest, telling: Telling, spoken: str) -> tuple[str, Sequence[str]]:
    """Sentence and what to do, in the asker's language."""
    todo = [say(one, spoken) for one in telling.todo]
    why = remembered(asked.problem, spoken) if asked.problem else None
    if asked.state is RequestState.REFUSED and why is not None:
        return why.said, [*todo, why.todo]
    return say(telling.sentence, spoken), todo


def _steps(asked: SigningRequest) -> Sequence[Label]:
    """Those before are done, one is being waited for, the others are still to come. A step that is not asked for, or
    not owed, is not shown."""
    at = REACHED[asked.state]
    left_out = {STAMP} if asked.level is Level.B_B else set()
    if asked.state is not RequestState.REVOCATION_PENDING:
        left_out.add(len(STEPS) - 1)
    return [_step(said, n - at) for n, said in enumerate(STEPS) if n not in left_out]


def _step(said: str, ahead: int) -> Label:
    if ahead < 0:
        return Label(said, "good", "check")
    return Label(said, "unsure", "clock") if ahead == 0 else Label(said, "none", "circle")
