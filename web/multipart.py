"""Form data with a file (RFC 7578): this file streams it, so that nothing is whole in memory or in a temporary file.

- Fields come before the file, as browsers send them in the order of the form; what follows the file is refused, but for
  further files where many are asked for.
- Fields, headers and files are limited each; a form that breaks off is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from web import disposition
from web.bad_request import BadRequest, Fault

MOST_FIELDS = 32
MOST_FILES = 100
LARGEST_FIELD = 8 * 1024  # bytes
MOST_PART_HEADERS = 8
LARGEST_PART_HEADER = 2 * 1024
LARGEST_EPILOGUE = 1024

Event = tuple[Literal["begin", "name", "value", "headed", "data", "end", "over"], bytes]


@dataclass
class Form:
    """What came before the file's bytes. `file` gives them, once; None where the form has no file."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    media_type: str = ""
    file: AsyncIterator[bytes] | None = None


class NextFile(bytes):
    """Stands among the chunks where another file begins; as bytes, its name with an end."""

    @staticmethod
    def named(name: str) -> NextFile:
        return NextFile(b"\0" + name.encode("utf-8", "replace") + b"\0")

    @property
    def name(self) -> str:
        return self[1:-1].decode()


async def read_form(request: Request, *, many: bool = False) -> Form:
    """Raises BadRequest. `file` raises it too, for what is wrong behind the place where it stands. With `many` it gives
    the bytes of all files, a NextFile before those of each but the first."""
    return await _Reader(request, many=many).read()


def boundary_of(content_type: str) -> bytes:
    """Raises BadRequest."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data" or not rest:
        raise BadRequest(Fault.BAD_FORM)
    try:
        _, parameters = disposition.read(f"x;{rest}", extended=False)
        boundary = parameters["boundary"].encode("ascii")
    except (BadRequest, KeyError, UnicodeEncodeError) as wrong:
        raise BadRequest(Fault.BAD_FORM) from wrong
    if not 0 < len(boundary) <= 70:  # RFC 2046 5.1.1
        raise BadRequest(Fault.BAD_FORM)
    return boundary


class _Reader:
    def __init__(self, request: Request, *, many: bool) -> None:
        self._many = many
        self._chunks = request.stream().__aiter__()
        self._events: deque[Event] = deque()
        self._over, self._after = False, 0
        self._parser = MultipartParser(
            boundary_of(request.headers.get("content-type", "")),
            {
                "on_part_begin": lambda: self._events.append(("begin", b"")),
                "on_header_field": lambda data, a, b: self._events.append(("name", data[a:b])),
                "on_header_value": lambda data, a, b: self._events.append(("value", data[a:b])),
                "on_header_end": lambda: self._events.append(("name", b"\n")),
                "on_headers_finished": lambda: self._events.append(("headed", b"")),
                "on_part_data": lambda data, a, b: self._events.append(("data", data[a:b])),
                "on_part_end": lambda: self._events.append(("end", b"")),
                "on_end": lambda: self._events.append(("over", b"")),
            },
            max_header_count=MOST_PART_HEADERS,
            max_header_size=LARGEST_PART_HEADER,
        )

    async def read(self) -> Form:
        form = Form()
        while (event := await self._next()) != "over":
            if event != "begin":
                raise BadRequest(Fault.BAD_FORM)
            name, parameters, media_type = await self._part()
            if "filename" in parameters:
                form.file_name, form.media_type = parameters["filename"], media_type
                form.file = self._file()
                return form
            if name in form.fields or len(form.fields) >= MOST_FIELDS:
                raise BadRequest(Fault.TOO_MANY_FIELDS)
            form.fields[name] = await self._field()
        return form

    async def _part(self) -> tuple[str, Mapping[str, str], str]:
        """A part's name, what else its disposition says, and its media type."""
        headers = await self._headers()
        kind, parameters = disposition.read(headers.get("content-disposition", ""), extended=False)
        if kind != "form-data" or "name" not in parameters:
            raise BadRequest(Fault.BAD_FORM)
        return parameters["name"], parameters, headers.get("content-type", "")

    async def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        name, value = b"", b""
        while (event := await self._next()) != "headed":
            if event == "name" and self._data == b"\n":
                key = name.decode("latin-1").lower()
                if key in headers:
                    raise BadRequest(Fault.BAD_FORM)
                headers[key] = value.decode("latin-1")
                name, value = b"", b""
            elif event == "name":
                name += self._data
            elif event == "value":
                value += self._data
            else:
                raise BadRequest(Fault.BAD_FORM)
        return headers

    async def _field(self) -> str:
        whole = b""
        while (event := await self._next()) == "data":
            whole += self._data
            if len(whole) > LARGEST_FIELD:
                raise BadRequest(Fault.TOO_MANY_FIELDS)
        if event != "end":
            raise BadRequest(Fault.BAD_FORM)
        try:
            return whole.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise BadRequest(Fault.BAD_FORM) from wrong

    async def _file(self) -> AsyncIterator[bytes]:
        for number in range(1, MOST_FILES + 2):
            while (event := await self._next()) == "data":
                yield self._data
            if event != "end":
                raise BadRequest(Fault.BAD_FORM)
            if (event := await self._next()) == "over":
                break
            if event != "begin" or not self._many:
                raise BadRequest(Fault.BAD_FORM)
            _, parameters, _ = await self._part()
            if "filename" not in parameters:
                raise BadRequest(Fault.BAD_FORM)
            if number == MOST_FILES:
                raise BadRequest(Fault.TOO_MANY_FIELDS)
            yield NextFile.named(parameters["filename"])
        while await self._feed():
            continue

    async def _next(self) -> str:
        """The next event's name; its bytes are in `_data`."""
        while not self._events:
            if not await self._feed():
                raise BadRequest(Fault.BAD_FORM)  # broken off
        name, self._data = self._events.popleft()
        self._over = self._over or name == "over"
        return name

    async def _feed(self) -> bool:
        """False at the end of the body."""
        chunk = await anext(self._chunks, None)
        if chunk is None:
            return False
        if self._over:
            self._after += len(chunk)
            if self._after > LARGEST_EPILOGUE:
                raise BadRequest(Fault.BAD_FORM)
            return True
        try:
            self._parser.write(chunk)
        except FormParserError as wrong:
            raise BadRequest(Fault.BAD_FORM) from wrong
        return True
