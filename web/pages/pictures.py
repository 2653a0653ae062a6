"""Pictures from our own origin: this file answers with pages as PNG and codes as QR."""

from __future__ import annotations

import io

import segno
from fastapi import Request
from starlette.responses import Response

SEEN = {"Cache-Control": "private, no-cache"}
WIDTHS = range(1, 1201)  # pixels


def png(content: bytes, *, stored: bool = True) -> Response:
    """`stored`: the asker's browser may keep it; not what a stranger brought (C2)."""
    return Response(
        content, media_type="image/png", headers=SEEN if stored else {"Cache-Control": "no-store"}
    )


def width_of(request: Request) -> int:
    asked = request.query_params.get("rong", "800")
    width = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 5 else 800
    return width if width in WIDTHS else 800


def qr(address: str, kind: str) -> Response:
    """`kind` is `svg` or `png`; level M, the margin of four modules that the standard asks for (ISO/IEC 18004)."""
    made = segno.make(address, error="m", micro=False)
    out = io.BytesIO()
    if kind == "svg":
        made.save(out, kind="svg", border=4, xmldecl=True, svgclass=None, lineclass=None, light="#fff")
        return Response(out.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    made.save(out, kind="png", border=4, scale=16)
    return Response(out.getvalue(), media_type="image/png", headers={"Cache-Control": "no-store"})
