"""This file knows who is asking: an API key, or the cookie of a session; and in which language to answer.

- The API believes API keys only, the pages cookies only: a foreign page in somebody's browser reaches nothing by API.
- A cookie is `__Host-` and Secure wherever the public address is https; on plain HTTP it has another name, so that
  neither is ever taken for the other.
- A form's token is a keyed hash of the session's (or, before log-in, of a cookie made for the form): nothing is stored.
- Cookies that an answer shall carry are noted while asking and set by `web/door.py`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from catalogue import LANGUAGES
from documents.office import SESSION_LASTS, Caller
from documents.rooms import Rooms

TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
API_KEY = re.compile(r"Bearer +(antin_[A-Za-z0-9_-]{20,100})", re.IGNORECASE)
A_YEAR = 365 * 24 * 3600


class NotLoggedIn(Exception):
    """An API key is wanted and none, or none that counts, was given."""


class FormRefused(Exception):
    """The form does not come from a page of ours, or from a page of another session."""


def rooms_of(request: Request) -> Rooms:
    rooms: Rooms = request.app.state.rooms
    return rooms


# -- programs


async def calling_program(request: Request) -> Caller | None:
    """The program whose API key stands in `Authorization: Bearer` (RFC 6750 2.1), asked once per request."""
    if not hasattr(request.state, "program"):
        given = API_KEY.fullmatch(request.headers.get("authorization", "").strip())
        request.state.program = await rooms_of(request).office.by_api_key(given[1]) if given else None
    program: Caller | None = request.state.program
    return program


# -- people


async def current_caller(request: Request) -> Caller | None:
    """Who is logged in, asked once per request."""
    if not hasattr(request.state, "caller"):
        token = session_token(request)
        request.state.caller = await rooms_of(request).office.by_session(token) if token else None
    return known_caller(request)


def known_caller(request: Request) -> Caller | None:
    """The same without asking: None until `current_caller` was awaited for this request."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller


def session_token(request: Request) -> str | None:
    return _cookie(request, session_cookie(rooms_of(request)))


def set_session(response: Response, token: str, *, rooms: Rooms) -> None:
    """Logs the browser in."""
    response.headers.append(
        "set-cookie",
        _set_cookie(rooms, session_cookie(rooms), token, lasts=int(SESSION_LASTS.total_seconds())),
    )


def clear_session(response: Response, *, rooms: Rooms) -> None:
    response.headers.append("set-cookie", _set_cookie(rooms, session_cookie(rooms), "", lasts=0))


def session_cookie(rooms: Rooms) -> str:
    return _named(rooms, "antin")


# -- forms


def csrf_token(request: Request) -> str:
    """For the hidden field of every form that changes something."""
    rooms = rooms_of(request)
    seed = session_token(request) or _cookie(request, _named(rooms, "antin-form"))
    if seed is None:
        seed = getattr(request.state, "form_seed", None)
        if seed is None:
            seed = request.state.form_seed = secrets.token_urlsafe(24)
            set_later(request, _set_cookie(rooms, _named(rooms, "antin-form"), seed, lasts=None))
    return _form_token(rooms, seed)


def check_csrf(request: Request, form_token: str | None) -> None:
    """Raises FormRefused. `form_token` is what came in the hidden field."""
    rooms = rooms_of(request)
    seed = session_token(request) or _cookie(request, _named(rooms, "antin-form"))
    if seed is None or not _from_here(request, rooms):
        raise FormRefused
    if not hmac.compare_digest(_form_token(rooms, seed).encode(), (form_token or "").encode()):
        raise FormRefused


def _from_here(request: Request, rooms: Rooms) -> bool:
    """What the browser says of where the form stood. Under `Referrer-Policy: no-referrer` its Origin is `null` even
    for our own forms (Fetch 3.2), so there Sec-Fetch-Site counts, and the token where that is not sent either."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin in {None, "null"}:
        return True
    here = urlsplit(rooms.address)
    allowed = {f"{here.scheme}://{here.netloc}"}
    if not rooms.production:
        allowed.add(f"{request.scope['scheme']}://{request.headers.get('host', '')}")
    return origin in allowed


def _form_token(rooms: Rooms, seed: str) -> str:
    return rooms.seal.keyed_hash(b"form " + seed.encode()).hex()


# -- language


def language(request: Request) -> str:
    """`?lang=`, else the cookie that it left, else what the browser prefers, else Vietnamese."""
    known = getattr(request.state, "language", None)
    if known is None:
        known = request.state.language = _language(request)
    return str(known)


def _language(request: Request) -> str:
    asked = request.query_params.get("lang")
    if asked in LANGUAGES:
        rooms = rooms_of(request)
        set_later(request, _set_cookie(rooms, "lang", asked, lasts=A_YEAR))
        return asked
    remembered = request.cookies.get("lang")
    if remembered in LANGUAGES:
        return remembered
    return preferred(request.headers.get("accept-language", ""))


def preferred(accepted: str) -> str:
    """RFC 9110 12.5.4, as far as two languages need it."""
    best, weight = LANGUAGES[0], 0.0
    for item in accepted[:200].split(","):
        name, _, rest = item.strip().partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest)
        asked = float(found[1]) if found else (0.0 if rest else 1.0)
        code = name.split("-", maxsplit=1)[0].lower()
        if code in LANGUAGES and asked > weight:
            best, weight = code, asked
    return best


# -- cookies


def set_later(request: Request, cookie: str) -> None:
    """The answer will carry this cookie, whoever makes the answer."""
    waiting: list[str] = request.scope.setdefault("state", {}).setdefault("set_cookies", [])
    waiting.append(cookie)


def _named(rooms: Rooms, name: str) -> str:
    return f"__Host-{name}" if _secure(rooms) else name


def _secure(rooms: Rooms) -> bool:
    return rooms.address.startswith("https://")


def _set_cookie(rooms: Rooms, name: str, value: str, *, lasts: int | None) -> str:
    """RFC 6265 with SameSite; `lasts` in seconds, None until the browser is closed."""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if lasts is not None:
        parts.append(f"Max-Age={lasts}")
    if _secure(rooms):
        parts.append("Secure")
    return "; ".join(parts)


def _cookie(request: Request, name: str) -> str | None:
    value = request.cookies.get(name, "")
    return value if TOKEN.fullmatch(value) else None
