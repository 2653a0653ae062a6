"""The answer to a brought file: this file shows it with what was brought, what was signed, what was issued, and its
reports (C3). All of it lies behind an address nobody can guess, for a quarter of an hour."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_
from documents.document import Disclosure
from documents.report_signing import NotSigned
from documents.rooms import Rooms
from documents.verify_document import Brought
from signing.shown_time import day
from signing.verification.advice import told
from signing.verification.report import PDF as A_PDF
from signing.verification.report import Report, Verdict, to_json
from web import reporting
from web.admission import client_address
from web.api.asking import porter_of
from web.api.files import FileAnswer
from web.api.uploads import PDF
from web.bad_request import BadRequest, Fault
from web.disposition import attachment
from web.identity import language
from web.limits import neighbourhood
from web.pages import words
from web.pages.answer import answer
from web.pages.check import COMPARE, nothing, saying
from web.pages.pictures import png, width_of
from web.pages.render import page
from web.pages.visitor import Anybody, House, PageRoute

GONE = {
    "heading": N_("Kết quả này đã tự xóa"),
    "sentences": (
        N_("Tệp bạn đưa lên và kết quả kiểm tra chỉ được giữ 15 phút, để không ai khác xem được."),
    ),
    "todo": (N_("Hãy đưa tệp lên lần nữa nếu cần xem lại."),),
}
JSON = "bao-cao-kiem-tra.json"
REPORTS = {name: media_type for media_type, name in reporting.NAMES.items()}

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class SignedAs:
    """What a signature was made over, where the file has grown since: a picture and a file."""

    picture: str
    file: str


@router.get("/v/tep/{token}")
async def file_answer(request: Request, token: str, caller: Anybody, rooms: House) -> Response:
    brought = await rooms.verifying.brought(token)
    if brought is None:
        return nothing(request, GONE, status=410)
    ours = brought.ours
    # Our name stands in the sentence only where the file is ours to the last byte: a stranger's signature may follow.
    same = ours is not None and ours.document.sha256 == brought.sha256
    address = f"/v/tep/{token}"
    # Where nothing could be read, or what was read is no PDF, there is nothing to draw.
    drawn = brought.report.verdict is not Verdict.UNREADABLE and brought.report.format == A_PDF
    return page(
        request,
        "pages/verdict.html",
        answer=answer(brought.report, saying(request), issuer=ours.agency_name if ours and same else None),
        held=_held(brought, language(request)),
        held_as=COMPARE if ours else N_("Tệp bạn đưa lên"),
        picture=f"{address}/trang/1.png" if drawn else None,
        issued=f"{address}/ban-phat-hanh.png" if ours and not same and drawn else None,
        signed_as=_signed_as(brought.report, brought.size, address),
        downloads=[*await _downloads(rooms, address), *_issued_file(brought, address, same=same)],
        back=None,
        until=brought.expires_at,
        reveal=None,
    )


@router.get("/v/tep/{token}/trang/{name}")
async def file_picture(request: Request, token: str, name: str, rooms: House) -> Response:
    return _picture(await rooms.verifying.brought_page(token, _number(name, ".png"), width=width_of(request)))


@router.get("/v/tep/{token}/ban-da-ky/{name}")
async def signed_revision(request: Request, token: str, name: str, rooms: House) -> Response:
    """What a signature was made over: its first page as a picture, or the file."""
    if name.endswith(".png"):
        number = _number(name, ".png") - 1
        return _picture(await rooms.verifying.signed_page(token, number, 1, width=width_of(request)))
    opened = rooms.verifying.signed_revision(token, _number(name, ".pdf") - 1)
    return FileAnswer(opened, name="ban-dung-nhu-khi-ky.pdf", media_type=PDF)


@router.get("/v/tep/{token}/ban-phat-hanh.png")
async def issued_picture(request: Request, token: str, rooms: House) -> Response:
    """Whoever brings the file sees what was issued, whatever its disclosure (C2)."""
    brought = await rooms.verifying.brought(token)
    if brought is None or brought.ours is None:
        raise BadRequest(Fault.NOT_FOUND)
    return _picture(await rooms.results.first_page(brought.ours, width=width_of(request)))


@router.get("/v/tep/{token}/ban-phat-hanh.pdf")
async def issued_file(token: str, rooms: House) -> Response:
    brought = await rooms.verifying.brought(token)
    if brought is None or brought.ours is None or brought.ours.disclosure is not Disclosure.PUBLIC:
        raise BadRequest(Fault.NOT_FOUND)
    return FileAnswer(
        rooms.results.signed_file(brought.ours), name="van-ban-da-phat-hanh.pdf", media_type=PDF
    )


@router.get(f"/v/tep/{{token}}/{JSON}")
async def json_report(request: Request, token: str, rooms: House) -> Response:
    report = await _report(rooms, token)
    spoken = saying(request)
    plain = to_json(report, say=lambda one: told(one, spoken))
    return Response(
        json.dumps(plain, ensure_ascii=False, indent=1).encode(),
        media_type="application/json",
        headers={"Content-Disposition": attachment(JSON)},
    )


@router.get("/v/tep/{token}/{name}")
async def other_report(request: Request, token: str, name: str, rooms: House) -> Response:
    """The page, the XML, and the XML with the service's signature."""
    if name not in REPORTS:
        raise BadRequest(Fault.NOT_FOUND)
    report = await _report(rooms, token)
    try:
        # A signature costs the token an operation: nobody takes all of them.
        async with porter_of(request).verifying.one(neighbourhood(client_address(request.scope))):
            written = await reporting.write_report(rooms, report, REPORTS[name], language(request))
    except NotSigned as away:
        raise BadRequest(Fault.NOT_FOUND) from away
    return Response(
        written.content, media_type=written.media_type, headers={"Content-Disposition": attachment(name)}
    )


async def _report(rooms: Rooms, token: str) -> Report:
    brought = await rooms.verifying.brought(token)
    if brought is None:
        raise BadRequest(Fault.NOT_FOUND)
    return brought.report


def _picture(found: bytes | None) -> Response:
    if found is None:
        raise BadRequest(Fault.NOT_FOUND)
    return png(found, stored=False)


def _number(name: str, ending: str) -> int:
    number = name.removesuffix(ending)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0


def _signed_as(report: Report, size: int, address: str) -> dict[int, SignedAs]:
    """By the signature's place in the report; of each state of the file once."""
    found: dict[int, SignedAs] = {}
    for at, one in enumerate(report.signatures):
        if one.signed_size is not None and one.signed_revision is not None and one.signed_size < size:
            place = f"{address}/ban-da-ky/{at + 1}"
            found[at] = SignedAs(f"{place}.png?rong=1200", f"{place}.pdf")
    return found


async def _downloads(rooms: Rooms, address: str) -> list[tuple[str, str]]:
    signs = await reporting.signs_reports(rooms)
    offered = [one for one in reporting.NAMES if signs or one != reporting.SIGNED_XML]
    links = [(f"{address}/{reporting.NAMES[one]}", reporting.WORDS[one]) for one in offered]
    return [*links, (f"{address}/{JSON}", N_("Tải báo cáo kiểm tra (JSON)"))]


def _issued_file(brought: Brought, address: str, *, same: bool) -> list[tuple[str, str]]:
    if brought.ours is None or same or brought.ours.disclosure is not Disclosure.PUBLIC:
        return []
    return [(f"{address}/ban-phat-hanh.pdf", N_("Tải bản cơ quan đã phát hành"))]


def _held(brought: Brought, spoken: str) -> list[tuple[str, str | None]]:
    ours = brought.ours
    if ours is None:
        return [(N_("Tệp"), brought.name), (N_("Độ lớn"), words.size(brought.size, spoken))]
    return [
        (N_("Số, ký hiệu"), ours.document.number),
        (N_("Cơ quan"), ours.document.issuer or ours.agency_name),
        (N_("Ngày ký"), day(ours.signed_at) if ours.signed_at else None),
        (N_("Trích yếu"), ours.document.subject),
        (N_("Tệp"), brought.name),
    ]
