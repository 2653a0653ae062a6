"""Time-stamp authorities elsewhere, over HTTP and in order (RFC 3161 3.4): this file keeps the promise `TimestampSource`.

- The first that answers so that it can be believed is taken: what a stranger gives is checked here, signer and chain
  included, so that one authority's bad answer costs a question to the next and not the time-stamp.
- Time and size are bounded, redirects are not followed, nothing is unpacked. The addresses come from configuration, so
  they may lie inside our walls.
- One that fails again and again is left in peace, longer each time; then one question finds out whether it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from signing.timestamping.answer import MAX_RESPONSE, Rejected, believe
from signing.timestamping.clock import ClockUnsure, steady_clock
from signing.timestamping.query import MAX_QUERY
from signing.timestamping.source import TimestampUnavailable
from signing.trust.anchors import TrustSnapshot

SECONDS = 15.0  # for one question to one authority, name resolution and body included
CONNECT_SECONDS = 5.0
FAILURES = 2  # one after the other, until it is left in peace
PEACE, LONGEST_PEACE = 10.0, 300.0  # seconds; doubled each time
_REPLY, _QUERY = "application/timestamp-reply", "application/timestamp-query"


@dataclass
class _Authority:
    url: httpx.URL
    failures: int = 0
    asleep_until: float = 0.0

    @property
    def name(self) -> str:
        """Without what may be secret in an address."""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.host}{port}{self.url.path.rstrip('/')}"

    def failed(self, now: float) -> None:
        self.failures += 1
        if self.failures >= FAILURES:
            times = min(self.failures - FAILURES, 16)
            self.asleep_until = now + min(PEACE * 2**times, LONGEST_PEACE)

    def worked(self) -> None:
        self.failures, self.asleep_until = 0, 0.0


class RemoteAuthorities:
    """Use it as a context, or `close` it. Safe to call from many tasks of one event loop. `clock` is UTC and may raise
    ClockUnsure; `seconds` is the time for one question. Raises ValueError for what is no http or https address."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Callable[[], datetime],
        trust: Callable[[], TrustSnapshot],
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = steady_clock,
    ) -> None:
        self._authorities = [_Authority(_url(one)) for one in urls]
        self._clock, self._trust, self._monotonic, self._seconds = clock, trust, monotonic, seconds
        # No proxy and no credentials out of the environment: the digest goes where configuration says, and no further.
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "Accept": _REPLY, "User-Agent": "antin"},
            timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        )

    async def __aenter__(self) -> RemoteAuthorities:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def stamp(self, request: bytes) -> bytes:
        """The first answer that can be believed. Raises TimestampUnavailable with what each authority said."""
        if len(request) > MAX_QUERY:
            raise TimestampUnavailable(("a request larger than any",))
        tried: list[str] = []
        for one in self._authorities:
            if one.asleep_until > self._monotonic():
                tried.append(f"{one.name}: left in peace for a while")
                continue
            if one.failures >= FAILURES:
                # Others wait until this question has found out whether it is back.
                one.asleep_until = self._monotonic() + self._seconds
            try:
                response = await self._believed(one, request)
            except Rejected as rejected:
                tried.append(f"{one.name}: {rejected.why}")
                if rejected.passing:
                    one.failed(self._monotonic())
                else:
                    one.worked()
                continue
            one.worked()
            return response
        raise TimestampUnavailable(tuple(tried), retry_after=self._retry_after())

    def resting(self) -> float:
        now = self._monotonic()
        return max(0.0, min((one.asleep_until - now for one in self._authorities), default=PEACE))

    def _retry_after(self) -> float:
        """Seconds until one of them is asked again."""
        return max(1.0, self.resting())

    async def _believed(self, one: _Authority, request: bytes) -> bytes:
        """Raises Rejected, TimestampUnavailable."""
        asked, begun = self._now(), self._monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._asked(one, request)
        except TimeoutError as late:
            raise Rejected(f"no answer within {self._seconds:g} s") from late
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as wrong:
            raise Rejected(type(wrong).__name__) from wrong
        waited = timedelta(seconds=self._monotonic() - begun)
        believe(request, response, trust=self._trust(), now=asked, waited=waited)
        return response

    def _now(self) -> datetime:
        try:
            return self._clock()
        except ClockUnsure as unsure:
            # Without the time no answer can be judged.
            raise TimestampUnavailable((f"our clock: {unsure}",), retry_after=unsure.retry_after) from unsure

    async def _asked(self, one: _Authority, request: bytes) -> bytes:
        async with self._client.stream(
            "POST", one.url, content=request, headers={"Content-Type": _QUERY}
        ) as response:
            if response.status_code != 200:
                raise Rejected(f"HTTP status {response.status_code}")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise Rejected("a compressed answer")
            if response.headers.get("content-type", "").partition(";")[0].strip().lower() != _REPLY:
                raise Rejected("an answer of another media type")
            return await _body(response)


async def _body(response: httpx.Response) -> bytes:
    whole = bytearray()
    async for piece in response.aiter_raw():
        whole += piece
        if len(whole) > MAX_RESPONSE:
            raise Rejected("an answer larger than any time-stamp")
    return bytes(whole)


def _url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError) as wrong:
        raise ValueError("not the address of a time-stamp authority") from wrong
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("not the address of a time-stamp authority")
    return url
