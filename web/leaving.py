"""This file puts on every answer what protects who reads it.

- A page or a file that sets a header of its own keeps it; everything else gets the strictest.
- To HEAD goes the head alone (RFC 9110 9.3.2).
- Where the body was not read to its end the connection is closed, or the rest would be taken for a request.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

from web.arriving import Arriving

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ONLY_HTTPS = "max-age=31536000; includeSubDomains"  # RFC 6797


class Leaving:
    """`send` of one request. `status` is 0 until the answer began; `size` bytes of body went."""

    def __init__(self, scope: Scope, send: Send, arriving: Arriving, *, https: bool) -> None:
        self._scope, self._send, self._arriving, self._https = scope, send, arriving, https
        self.status, self.size = 0, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._dress(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body":
            if self._scope["state"]["method"] == "HEAD":
                message = {**message, "body": b""}
            self.size += len(message.get("body", b""))
        await self._send(message)

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if self._https:
            headers.setdefault("Strict-Transport-Security", ONLY_HTTPS)
        headers["X-Request-Id"] = self._scope["state"]["request_id"]
        for name, value in self._scope["state"].get("answer_headers", {}).items():
            headers[name] = value
        cookies: Iterable[str] = self._scope["state"].get("set_cookies", ())
        for cookie in cookies:
            headers.append("Set-Cookie", cookie)
        if not self._arriving.done and _has_body(self._scope):
            headers["Connection"] = "close"


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
