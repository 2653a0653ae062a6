"""This file gives a repeated POST the answer of the first (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key).

- What a call makes has its identifier before it is made; whoever repeats a call that failed for a passing reason goes
  on with the same identifier, and so signs nothing twice.
- An upload is compared by its digest, taken while it streams: the bytes of a replay are read, compared and dropped.
- Answers that tell of a passing fault, of a right that may yet be granted, or that the document was another when it
  was read (`If-Match`), are not kept: nothing was made.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from documents.office import Caller
from documents.once import Answer, OtherBody
from storage.identifiers import uuid7
from web.bad_request import BadRequest, Fault
from web.identity import rooms_of
from web.problem import Found
from web.problems import problem_for
from web.telling import tell

KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')
KEPT_HEADERS = ("content-type", "location", "etag", "content-language")
BODY_DIGEST = "antin-body-sha256"  # kept with the answer, never sent
Work = Callable[[UUID], Awaitable[Response]]


class Streamed:
    """An upload's chunks, digested on their way."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks, self._digest, self.whole = chunks, hashlib.sha256(), False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._digest.update(chunk)
            yield chunk
        self.whole = True

    async def drain(self) -> str:
        """SHA-256 in hexadecimal of all that came."""
        async for _ in self:
            continue
        return self.digest

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


def digest_of(request: Request, *parts: bytes) -> bytes:
    """What makes a repetition the same request: method, address, and what else is given."""
    whole = hashlib.sha256()
    target = (request.method, request.scope["path"], request.scope["query_string"].decode("latin-1"))
    for part in (*(one.encode() for one in target), *parts):
        whole.update(len(part).to_bytes(8) + part)
    return whole.digest()


async def once(
    request: Request, caller: Caller, digest: bytes, work: Work, *, streamed: Streamed | None = None
) -> Response:
    """Raises OtherBody, InProgress, BadRequest, and as `work`."""
    rooms = rooms_of(request)
    key = _key(request)
    if key is None:
        return await work(uuid7(rooms.clock()))
    begun = await rooms.once.begin(caller, key, digest)
    if begun.answer is not None:
        return await _replay(begun.answer, streamed)
    try:
        response = await work(begun.resource)
    except Exception as fault:
        found = problem_for(fault)
        if found is None or _passes(found) or (streamed is not None and not streamed.whole):
            await rooms.once.release(caller, key)
            raise
        response = tell(request, found)
    except BaseException:
        await asyncio.shield(rooms.once.release(caller, key))
        raise
    await rooms.once.finish(caller, key, _kept(response, streamed))
    return response


def _key(request: Request) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    found = KEY.fullmatch(given[0].strip())
    if found is None or len(given) > 1:
        raise BadRequest(Fault.BAD_KEY)
    return found[1]


def _passes(found: Found) -> bool:
    return found.retryable or found.status >= 500 or found.status in {412, 429} or found.code == "not-allowed"


async def _replay(answer: Answer, streamed: Streamed | None) -> Response:
    headers = dict(answer.headers)
    digest = headers.pop(BODY_DIGEST, None)
    if streamed is not None and digest is not None and await streamed.drain() != digest:
        raise OtherBody
    return Response(answer.body, answer.status, headers=headers | {"Idempotent-Replayed": "true"})


def _kept(response: Response, streamed: Streamed | None) -> Answer:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    if streamed is not None:
        headers[BODY_DIGEST] = streamed.digest
    return Answer(response.status_code, headers, bytes(response.body))
