"""This file sends a file as it lies in the store: streamed, whole or one range of it (RFC 9110 14)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from web.bad_request import BadRequest, Fault
from web.disposition import attachment

CHUNK = 1 << 20
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class FileAnswer(Response):
    """`opened` gives the file when the answer begins. More than one range, or one that cannot be read, is as none: the
    whole file is sent (RFC 9110 14.2), and no list of ranges ever costs anything (CVE-2025-62727)."""

    def __init__(
        self,
        opened: AbstractAsyncContextManager[Path],
        *,
        name: str,
        media_type: str,
        etag: str | None = None,
    ) -> None:
        super().__init__(media_type=media_type)
        self._opened, self._etag = opened, etag
        self.headers["content-disposition"] = attachment(name)
        self.headers["cache-control"] = "private, no-cache" if etag else "no-store"
        if etag:
            self.headers["etag"] = etag
            self.headers["accept-ranges"] = "bytes"
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opened as path:
            size = (await asyncio.to_thread(path.stat)).st_size
            first, end = self._wanted(_headers(scope), size)
            if (first, end) != (0, size):
                self.status_code = 206
                self.headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
            self.headers["content-length"] = str(end - first)
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["state"]["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            with await asyncio.to_thread(path.open, "rb") as file:
                await _send_bytes(file, send, first=first, end=end)

    def _wanted(self, asked: Mapping[str, str], size: int) -> tuple[int, int]:
        """First byte and the one behind the last. Raises BadRequest (BAD_RANGE)."""
        found = RANGE.fullmatch(asked.get("range", "").strip())
        condition = asked.get("if-range")
        if found is None or not any(found.groups()) or not self._etag or condition not in {None, self._etag}:
            return 0, size
        first, last = found.groups()
        begin = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if first and last and int(last) < begin:
            return 0, size
        if begin >= size or (not first and int(last) == 0):
            raise BadRequest(Fault.BAD_RANGE, headers={"Content-Range": f"bytes */{size}"})
        return begin, end


async def _send_bytes(file: BinaryIO, send: Send, *, first: int, end: int) -> None:
    file.seek(first)
    left = end - first
    while left > 0:
        piece = await asyncio.to_thread(file.read, min(CHUNK, left))
        if not piece:
            raise EOFError("the file is shorter than it was")
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    if first == end:
        await send({"type": "http.response.body", "body": b""})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
