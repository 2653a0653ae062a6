"""The documents of an agency: this file lists them, newest first, and takes new ones in.

- An upload is streamed: nothing of it is whole in memory. What is refused leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import Response

from catalogue import N_, say
from documents.document import Disclosure, Document, DocumentState
from documents.intake import Arrival, NotAccepted
from documents.office import Caller
from documents.once import OtherBody
from documents.rooms import Rooms
from web.api.uploads import PDF, UNNAMED
from web.identity import check_csrf, language
from web.multipart import read_form
from web.pages import words
from web.pages.one_use import new_form, read_form_token
from web.pages.refused import sentence_of
from web.pages.render import page
from web.pages.visitor import House, Official, PageRoute, drain, plain_words, see

AT_ONCE = 30  # documents on a page of the list
GROUPS = (
    (N_("Chờ ký"), DocumentState.UPLOADED),
    (N_("Đang ký"), DocumentState.SIGNING),
    (N_("Đã ký"), DocumentState.SIGNED),
)
NO_FILE = N_("Hãy chọn một tệp PDF.")
FORM_USED = N_("Biểu mẫu này đã gửi một tệp khác rồi. Hãy chọn tệp lần nữa rồi gửi.")
LONGEST_NUMBER, LONGEST_SUBJECT = 60, 300

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Filled:
    """What stands in the form."""

    number: str = ""
    subject: str = ""
    disclosure: str = Disclosure.RESTRICTED.value

    @staticmethod
    def of(fields: Mapping[str, str]) -> Filled:
        wanted = fields.get("disclosure", "")
        known = {one.value for one in Disclosure}
        return Filled(
            plain_words(fields.get("number", ""), LONGEST_NUMBER),
            plain_words(fields.get("subject", ""), LONGEST_SUBJECT),
            wanted if wanted in known else Disclosure.RESTRICTED.value,
        )


@dataclass(frozen=True)
class Shown:
    form: Filled = field(default_factory=Filled)
    errors: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@router.get("/van-ban")
async def show(request: Request, caller: Official, rooms: House) -> Response:
    return await _list(request, caller, rooms, Shown())


@router.post("/van-ban")
async def upload(request: Request, caller: Official, rooms: House) -> Response:
    form = await read_form(request)
    check_csrf(request, form.fields.get("csrf"))
    document = read_form_token(rooms, caller, form.fields.get("lan"))
    filled = Filled.of(form.fields)

    async def again(said: str, status: int) -> Response:
        if form.file is not None:
            await drain(form.file)
        return await _list(request, caller, rooms, Shown(filled, {"file": said}, status))

    if form.file is None or not form.file_name:
        return await again(say(NO_FILE, language(request)), 422)
    arrival = Arrival(
        # A browser guesses the type by the name; the bytes say what it is.
        form.file_name or UNNAMED, PDF, disclosure=Disclosure(filled.disclosure),
        subject=filled.subject or None, number=filled.number or None,
    )  # fmt: skip
    try:
        received = await rooms.intake.receive(caller, document, form.file, arrival)
    except NotAccepted as refused:
        said, status = sentence_of(refused, language(request))
        return await again(said, status)
    except OtherBody:
        return await again(say(FORM_USED, language(request)), 409)
    return see(f"/van-ban/{received.id}")


async def _list(request: Request, caller: Caller, rooms: Rooms, shown: Shown) -> Response:
    cursor = request.query_params.get("tiep") if request.method == "GET" else None
    found = await rooms.documents.list(caller, cursor=cursor, limit=AT_ONCE)
    return page(
        request,
        "pages/documents.html",
        status=shown.status,
        errors=shown.errors,
        form=shown.form,
        once=new_form(rooms, caller),
        documents=found.documents,
        groups=[(heading, _in_state(found.documents, state)) for heading, state in GROUPS],
        next=found.next,
        cursor=cursor,
        limit=rooms.limits.upload,
        disclosures=[(one.value, said) for one, said in words.DISCLOSURES.items()],
    )


def _in_state(them: tuple[Document, ...], state: DocumentState) -> list[Document]:
    return [one for one in them if one.state is state]
