"""This file serves style, script, fonts and logo from memory, under the digest of them all, for ever.

The digest is part of the path, so that a relative address in the style sheet carries it too.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from web.bad_request import BadRequest, Fault

STATIC = Path(__file__).parent.parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter()


@dataclass(frozen=True)
class StaticFile:
    media_type: str
    plain: bytes
    zipped: bytes | None  # only where it is worth it


@cache
def files() -> dict[str, StaticFile]:
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in TYPES:
            plain = path.read_bytes()
            zipped = None if path.suffix == ".woff2" else gzip.compress(plain, 9, mtime=0)
            found[path.relative_to(STATIC).as_posix()] = StaticFile(TYPES[path.suffix], plain, zipped)
    return found


@cache
def digest() -> str:
    whole = hashlib.sha256()
    for name, file in files().items():
        whole.update(name.encode() + b"\0" + file.plain)
    return whole.hexdigest()[:12]


@router.get("/static/{of}/{name:path}", include_in_schema=False)
def static_file(request: Request, of: str, name: str) -> Response:
    file = files().get(name)
    if file is None:
        raise BadRequest(Fault.NOT_FOUND)
    headers = {
        "Cache-Control": FOR_EVER if of == digest() else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Vary": "Accept-Encoding",
    }
    if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            file.zipped, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"}
        )
    return Response(file.plain, media_type=file.media_type, headers=headers)


@router.get("/favicon.ico", include_in_schema=False)
def favicon(request: Request) -> Response:
    """Asked for by browsers that do not read the page's link."""
    return static_file(request, digest(), "logo.svg")
