"""Who looks at a page: this file lets a person in, or sends them to log in first and back to where they wanted to go.

- What stands in a form is read from a small body only; files come through `web/multipart.py`.
- Nobody is sent to an address that is not a path of ours.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from documents.office import Caller
from documents.rooms import Rooms
from web.arriving import media_type
from web.bad_request import BadRequest, Fault
from web.identity import FormRefused, current_caller, rooms_of, session_token

OUR_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]{0,500}")
MOST_FIELDS = 40
DRAINED = 64 * 1024 * 1024  # bytes read and dropped, so that the browser listens to the refusal
FORM = "application/x-www-form-urlencoded"


class LogInFirst(Exception):
    """The page is for people who are logged in. `following` is where they go then; `ended`: they were."""

    def __init__(self, following: str, *, ended: bool) -> None:
        super().__init__("log in first")
        self.following, self.ended = following, ended


class PageRoute(APIRoute):
    """A page that asks who is there answers LogInFirst with the way to the log-in page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_log_in(request: Request) -> Response:
            try:
                return await handle(request)
            except FormRefused:
                await drain(request.stream())
                raise
            except LogInFirst as first:
                await drain(request.stream())
                asked = {"tiep": first.following} | (
                    {"het": "gui" if request.method == "POST" else "xem"} if first.ended else {}
                )
                return see("/dang-nhap?" + urlencode(asked))

        return handle_or_log_in


async def official(request: Request) -> Caller:
    """Raises LogInFirst."""
    caller = await current_caller(request)
    if caller is None:
        path = request.scope["path"]
        if request.method == "GET":
            query = request.scope["query_string"].decode("latin-1")
            following = f"{path}?{query}" if query else path
        else:
            # What was sent is not done; the page with its form is where to begin again.
            following = path.removesuffix("-tiep").removesuffix("-huy")
        raise LogInFirst(our_path(following), ended=session_token(request) is not None)
    return caller


async def anybody(request: Request) -> Caller | None:
    """Asked so that the page's head is right; the page itself is for all."""
    return await current_caller(request)


Official = Annotated[Caller, Depends(official)]
Anybody = Annotated[Caller | None, Depends(anybody)]
House = Annotated[Rooms, Depends(rooms_of)]


async def read_fields(request: Request) -> Mapping[str, str]:
    """The fields of a form without files, the last of each name. Raises BadRequest."""
    if media_type(request.scope["headers"]) != FORM:
        raise BadRequest(Fault.MEDIA_TYPE, data={"wanted": FORM})
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except (UnicodeError, ValueError) as wrong:
        raise BadRequest(Fault.BAD_FORM) from wrong
    return dict(pairs)


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Reads what still comes, up to DRAINED: a browser that is still sending does not read an answer."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > DRAINED:
            return


def our_path(given: str | None) -> str:
    """The path, or the first page of an official where it is none of ours."""
    return given if given and OUR_PATH.fullmatch(given) else "/van-ban"


def see(address: str) -> RedirectResponse:
    """Go there with GET (RFC 9110 15.4.4): a reload asks again and sends nothing again."""
    return RedirectResponse(address, status_code=303)


def plain_words(given: str, most: int) -> str:
    """One line as it may be kept and shown: no controls, nothing that turns text around."""
    kept = "".join(c if c.isprintable() else " " for c in given)
    kept = re.sub("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", "", kept)
    return " ".join(kept.split())[:most]
