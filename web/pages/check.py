"""The public's pages: this file answers who holds a document, by the code on its paper or by the file itself (C1-C4).

- Unknown, unpublished and secret are one answer; a code that is mistyped is told as mistyped, which says nothing else.
- Of a document of restricted disclosure no subject, signer or picture is shown, but to who brings the file or types
  what is printed on it (C2).
- A brought file and its answer lie behind an address nobody can guess, and are gone after a quarter of an hour (C3).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.codes import Codes
from documents.document import Disclosure
from documents.intake import NotAccepted
from documents.preview import PreviewUnavailable
from documents.results import PublicResult
from documents.rooms import Rooms
from signing.shown_time import day
from web.admission import client_address
from web.api.asking import porter_of
from web.api.files import FileAnswer
from web.api.uploads import PDF
from web.bad_request import BadRequest, Fault
from web.identity import language
from web.limits import neighbourhood
from web.multipart import read_form
from web.pages.answer import FIVE_ANSWERS, answer
from web.pages.pictures import png, width_of
from web.pages.refused import sentence_of
from web.pages.render import page
from web.pages.revealed import may_see, printed_matches, reveal_token
from web.pages.visitor import Anybody, House, PageRoute, drain, read_fields, see

T = TypeVar("T")

COMPARE = N_("So với bản trên tay bạn")
NO_FILE = N_("Hãy chọn một tệp PDF.")
NO_PHOTO = N_("Không đọc được ảnh. Hãy chọn một ảnh JPEG hoặc PNG.")
NOTHING_SEEN = N_(
    "Không thấy ô vuông QR trong ảnh. Hãy chụp gần hơn, đủ sáng, cả bốn góc của ô vuông; hoặc gõ mã in cạnh đó."
)
ELSEWHERE = N_(
    "Ô vuông QR trong ảnh không dẫn tới trang này. Hãy so địa chỉ in cạnh ô vuông với địa chỉ chính thức ở cuối trang."
)
MISTYPED = N_("Mã này thiếu hoặc sai một chữ. Hãy xem lại từng nhóm bốn chữ và số.")
NOT_PRINTED = N_(
    "Điều bạn gõ không giống trên văn bản. Hãy gõ đúng họ tên người ký, có dấu, như in trên giấy."
)
UNKNOWN = {
    "heading": N_("Không tra được mã này"),
    "sentences": (
        N_("Không có văn bản nào được công bố với mã này."),
        N_("Điều đó chưa nói rằng tờ giấy là giả: mã có thể bị gõ sai, hoặc văn bản không cho tra cứu."),
    ),
    "todo": (
        N_("Xem lại mã in cạnh ô vuông QR, từng nhóm bốn chữ và số."),
        N_("Xem thanh địa chỉ: chỉ địa chỉ chính thức ghi ở cuối trang mới đáng tin."),
        N_("Nếu có tệp PDF, hãy kiểm tra bằng tệp; hoặc hỏi cơ quan ban hành."),
    ),
}
router = APIRouter(route_class=PageRoute, include_in_schema=False)


# -- asking


@router.get("/v")
async def ask(request: Request, caller: Anybody, rooms: House) -> Response:
    return _ask(request)


@router.post("/v")
async def by_code(request: Request, caller: Anybody) -> Response:
    fields = await read_fields(request)
    typed = fields.get("code", "")[:100]
    code = Codes.read(typed)
    if code is None:
        errors = {"code": say(MISTYPED, language(request))}
        return _ask(request, errors=errors, code=" ".join(typed.split()), status=422)
    return see(f"/v/{Codes.spaced(code)}")


@router.post("/v/anh")
async def by_photo(request: Request, caller: Anybody, rooms: House) -> Response:
    """A photo of the paper: the QR code on it leads to the answer, if it is one of ours."""

    async def look(file: AsyncIterator[bytes], _: str) -> Sequence[str] | None:
        try:
            return await rooms.verifying.codes_in_photo(file)
        except PreviewUnavailable:
            return None

    said = await _brought(request, "photo", NO_PHOTO, look)
    if isinstance(said, Response):
        return said
    code = next((found for one in said if (found := _our_code(rooms, one)) is not None), None)
    if code is None:
        wrong = say(ELSEWHERE if said else NOTHING_SEEN, language(request))
        return _ask(request, errors={"photo": wrong}, status=422)
    return see(f"/v/{Codes.spaced(code)}")


def _our_code(rooms: Rooms, said: str) -> str | None:
    """Of an address of ours, or of a code by itself; an address of somebody else is never followed."""
    ours = f"{rooms.address}/v/"
    return Codes.read(said.removeprefix(ours)) if said.startswith(ours) or "/" not in said else None


@router.get("/v/tep")
@router.get("/v/anh")
async def nothing_brought() -> Response:
    """Where the language was switched after a file was refused."""
    return see("/v")


@router.post("/v/tep")
async def by_file(request: Request, caller: Anybody, rooms: House) -> Response:

    async def judge(file: AsyncIterator[bytes], name: str) -> str:
        return (await rooms.verifying.bring(file, name=name, declared_size=None)).token

    token = await _brought(request, "file", NO_FILE, judge)
    return token if isinstance(token, Response) else see(f"/v/tep/{token}")


async def _brought(
    request: Request,
    field: str,
    unusable: str,
    look: Callable[[AsyncIterator[bytes], str], Awaitable[T | None]],
) -> T | Response:
    """What `look` makes of the form's file (its bytes, its name), or the page that says beside the field why nothing."""
    form = await read_form(request)
    if form.file is None or not form.file_name:
        if form.file is not None:
            await drain(form.file)
        return _ask(request, errors={field: say(unusable, language(request))}, status=422)
    try:
        async with porter_of(request).verifying.one(neighbourhood(client_address(request.scope))):
            found = await look(form.file, form.file_name)
    except NotAccepted as refused:
        await drain(form.file)
        why, status = sentence_of(refused, language(request))
        return _ask(request, errors={field: why}, status=status)
    if found is None:
        return _ask(request, errors={field: say(unusable, language(request))}, status=422)
    return found


# -- the answer to a code; its path is for ever


@router.get("/v/{code}")
async def code_answer(request: Request, code: str, caller: Anybody, rooms: House) -> Response:
    return await _by_code(request, code, await rooms.results.look_up(code))


@router.post("/v/{code}")
async def show_more(request: Request, code: str, caller: Anybody, rooms: House) -> Response:
    """Who types the signer's name as it is printed sees what else stands on the paper (C2)."""
    fields = await read_fields(request)
    rates, address = porter_of(request).rates, client_address(request.scope)
    rates.check_failures(address)
    result = await rooms.results.look_up(code)
    if result is not None and not printed_matches(result, fields.get("printed", "")[:200]):
        rates.failure(address)
        return await _by_code(request, code, result, errors={"printed": say(NOT_PRINTED, language(request))})
    if result is None:
        rates.failure(address)
        return nothing(request, UNKNOWN, status=404)
    return see(f"/v/{Codes.spaced(Codes.read(code) or '')}?xem={reveal_token(rooms, result)}")


@router.get("/v/{code}/trang-dau.png")
async def code_picture(request: Request, code: str, rooms: House) -> Response:
    result = await rooms.results.look_up(code)
    if result is None or not may_see(request, rooms, result):
        raise BadRequest(Fault.NOT_FOUND)
    found = await rooms.results.first_page(result, width=width_of(request))
    if found is None:
        raise BadRequest(Fault.NOT_FOUND)
    return png(found, stored=False)


@router.get("/v/{code}/tep")
async def code_file(code: str, caller: Anybody, rooms: House) -> Response:
    """The signed file, where everybody may have all of it (C2)."""
    result = await rooms.results.look_up(code)
    if result is None or result.disclosure is not Disclosure.PUBLIC:
        raise BadRequest(Fault.NOT_FOUND)
    return FileAnswer(rooms.results.signed_file(result), name="van-ban-da-ky.pdf", media_type=PDF)


async def _by_code(
    request: Request, code: str, result: PublicResult | None, *, errors: Mapping[str, str] | None = None
) -> Response:
    if result is None:
        return nothing(request, UNKNOWN, status=404)
    rooms = request.app.state.rooms
    all_of_it = may_see(request, rooms, result)
    document = result.document
    held = [(N_("Số, ký hiệu"), document.number), (N_("Cơ quan"), document.issuer or result.agency_name)]
    token = request.query_params.get("xem")
    spaced = Codes.spaced(Codes.read(code) or "")
    picture = f"/v/{spaced}/trang-dau.png" + (f"?xem={token}" if token and all_of_it else "")
    if all_of_it:
        held += [(N_("Trích yếu"), document.subject)]
    if result.signed_at:
        held += [(N_("Ngày ký"), day(result.signed_at))]
    return page(
        request,
        "pages/verdict.html",
        status=422 if errors else 200,
        answer=answer(result.report, saying(request), issuer=result.agency_name, revealing=all_of_it),
        held=held,
        held_as=COMPARE,
        picture=picture if all_of_it and document.pages else None,
        downloads=[(f"/v/{spaced}/tep", N_("Tải bản điện tử"))]
        if result.disclosure is Disclosure.PUBLIC
        else [],
        issued=None,
        signed_as={},
        back=None,
        until=None,
        reveal=None if all_of_it else {"action": f"/v/{spaced}", "errors": errors or {}},
    )


def _ask(
    request: Request, *, errors: Mapping[str, str] | None = None, code: str = "", status: int = 200
) -> Response:
    limit = request.app.state.rooms.limits.verify
    return page(
        request,
        "pages/check.html",
        status=status,
        errors=errors or {},
        code=code,
        limit=limit,
        five=FIVE_ANSWERS,
    )


def nothing(request: Request, told: Mapping[str, Any], *, status: int) -> Response:
    spoken = language(request)
    return page(
        request,
        "pages/unknown.html",
        status=status,
        heading=say(told["heading"], spoken),
        sentences=[say(one, spoken) for one in told["sentences"]],
        todo=[say(one, spoken) for one in told["todo"]],
    )


def saying(request: Request) -> Any:
    spoken = language(request)
    return lambda sentence, **data: say(sentence, spoken, **data)
