"""This file lets a request's body in: counted, never faster than it is read, never slower than a person's line.

- The limit goes by the media type, so that no handler reads more into memory than such a body may have; uploads have
  their own limit beside it (`documents/intake.py`).
- A body that drips is cut off: each piece within PIECE_WITHIN, and after GRACE never below SLOWEST on the average.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive, Scope

from web.admission import Headers, declared_length
from web.bad_request import BadRequest, Fault

PIECE_WITHIN = 30.0  # seconds
GRACE = 60.0  # seconds
SLOWEST = 1024  # bytes a second
FORM_LIMIT = 64 * 1024  # bytes of a form without files
JSON_LIMIT = 4 * 1024 * 1024  # a mark's image, in base64
FRAMING = 256 * 1024  # bytes that multipart may add to a file
SMALL = {
    "application/x-www-form-urlencoded": FORM_LIMIT,
    "application/json": JSON_LIMIT,
    "application/timestamp-query": FORM_LIMIT,
}


class Arriving:
    """`receive` of one request. `size` bytes have come; `done` says that all have."""

    def __init__(self, scope: Scope, receive: Receive, *, largest_file: int, piece_within: float) -> None:
        headers: Headers = scope["headers"]
        self._receive, self._within = receive, piece_within
        self._limit = SMALL.get(media_type(headers), largest_file + FRAMING)
        self._declared = declared_length(headers)
        self._started = time.monotonic()
        self.size, self.done = 0, False

    async def __call__(self) -> Message:
        if self.done:
            return await self._receive()  # waits for the client to go away
        if self._declared is not None and self._declared > self._limit:
            raise BadRequest(Fault.BODY_TOO_LARGE, data={"limit": str(self._limit)})
        try:
            async with asyncio.timeout(self._within):
                message = await self._receive()
        except TimeoutError as late:
            raise BadRequest(Fault.TOO_SLOW, headers={"Connection": "close"}) from late
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")))
            self.done = not message.get("more_body", False)
        else:
            self.done = True
        return message

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > self._limit:
            raise BadRequest(Fault.BODY_TOO_LARGE, data={"limit": str(self._limit)})
        lasted = time.monotonic() - self._started
        if lasted > GRACE and self.size < (lasted - GRACE) * SLOWEST:
            raise BadRequest(Fault.TOO_SLOW, headers={"Connection": "close"})


def media_type(headers: Headers) -> str:
    """The `Content-Type` without its parameters, in lower case; empty where there is none."""
    value = next((value for name, value in headers if name == b"content-type"), b"")
    return value.decode("latin-1").split(";", maxsplit=1)[0].strip().lower()
