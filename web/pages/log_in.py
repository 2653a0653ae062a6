"""Log in and log out: this file is the door for people with an account.

- A wrong name and a wrong password are one answer; how long somebody must wait is not said, for it would tell that the
  name is known.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.office import LogInRefused
from web.admission import client_address
from web.api.asking import porter_of
from web.identity import check_csrf, clear_session, language, session_token, set_session
from web.pages.render import page
from web.pages.visitor import Anybody, House, PageRoute, our_path, read_fields, see

NOTICES = {
    ("het", "gui"): N_("Phiên làm việc đã hết. Việc vừa gửi chưa được nhận; đăng nhập rồi gửi lại."),
    ("het", "xem"): N_("Phiên làm việc đã hết. Hãy đăng nhập lại để xem tiếp."),
    ("ra", "1"): N_("Bạn đã đăng xuất."),
}
WRONG = N_("Tên đăng nhập hoặc mật khẩu không đúng. Nếu đã nhập sai nhiều lần, hãy đợi ít phút rồi thử lại.")
LONGEST_PASSWORD = 1024

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def front(caller: Anybody) -> Response:
    return see("/van-ban" if caller else "/v")


@router.get("/dang-nhap")
async def ask(request: Request, caller: Anybody) -> Response:
    following = our_path(request.query_params.get("tiep"))
    if caller is not None:
        return see(following)
    said = next(
        (words for (name, value), words in NOTICES.items() if request.query_params.get(name) == value), None
    )
    notice = say(said, language(request)) if said else None
    return page(request, "pages/log_in.html", errors={}, login="", next=following, notice=notice)


@router.post("/dang-nhap")
async def log_in(request: Request, rooms: House) -> Response:
    fields = await read_fields(request)
    check_csrf(request, fields.get("csrf"))
    rates, address = porter_of(request).rates, client_address(request.scope)
    rates.check_failures(address)
    following = our_path(fields.get("tiep"))
    login = fields.get("login", "")[:64]
    try:
        token = await rooms.office.log_in(login, fields.get("password", "")[:LONGEST_PASSWORD])
    except LogInRefused:
        rates.failure(address)
        errors = {"login": say(WRONG, language(request))}
        told = {"errors": errors, "login": login, "next": following, "notice": None}
        return page(request, "pages/log_in.html", status=401, **told)
    if before := session_token(request):
        await rooms.office.log_out(before)
    response = see(following)
    set_session(response, token, rooms=rooms)
    return response


@router.post("/dang-xuat")
async def log_out(request: Request, rooms: House) -> Response:
    fields = await read_fields(request)
    check_csrf(request, fields.get("csrf"))
    if token := session_token(request):
        await rooms.office.log_out(token)
    response = see("/dang-nhap?ra=1")
    clear_session(response, rooms=rooms)
    return response


@router.get("/dang-xuat")
async def gone_out() -> Response:
    """Where the language was switched after logging out was refused."""
    return see("/dang-nhap")
