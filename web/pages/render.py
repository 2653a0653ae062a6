"""This file turns a template and what it is told into a page.

- Nothing is trusted to be HTML: autoescape everywhere, an undefined name is an error.
- No inline script or style, nothing from another origin: the Content-Security-Policy says so and the templates obey.
- Pages are never stored, indexed or named to other sites (C2).
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from catalogue import say
from signing import shown_time
from web.identity import csrf_token, known_caller
from web.identity import language as spoken_language
from web.pages import words
from web.pages.answer import INDICATIONS
from web.pages.static_files import digest

TEMPLATES = Path(__file__).parent.parent / "templates"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        moment=shown_time.moment,
        seconds=shown_time.moment_to_the_second,
        day=shown_time.day,
        machine_time=shown_time.machine_time,
        grouped=words.grouped,
    )
    made.globals.update(
        DOCUMENT_STATES=words.DOCUMENT_STATES,
        REQUEST_STATES=words.REQUEST_STATES,
        LEVELS=words.LEVELS,
        INDICATIONS=INDICATIONS,
    )
    return made


def page(request: Request, template: str, *, status: int = 200, **told: Any) -> HTMLResponse:
    """The page in the asker's language. `told` is what the template names."""
    return HTMLResponse(html(request, template, **told), status_code=status, headers=HEADERS)


def html(request: Request, template: str, **told: Any) -> str:
    language = spoken_language(request)

    def _(sentence: str, **data: object) -> str:
        return say(sentence, language, **data)

    rooms = request.app.state.rooms
    return (
        environment()
        .get_template(template)
        .render(
            _=_,
            language=language,
            size=partial(words.size, language=language),
            other_language_url=_other_language(request, language),
            static=f"/static/{digest()}",
            person=known_caller(request),
            csrf=partial(csrf_token, request),  # a cookie is made where a form asks for it alone
            address=rooms.address,
            genuine=urlsplit(rooms.address).netloc,
            demonstration=rooms.demonstration,
            here=request.url.path,
            **told,
        )
    )


def _other_language(request: Request, language: str) -> str:
    """This page in the other language; what else stands in the query stays."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return "?" + urlencode([*kept, ("lang", "vi" if language == "en" else "en")])
