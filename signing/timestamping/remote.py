"""Time-stamp authorities elsewhere, over HTTP, in order (RFC 3161 3.4): this file keeps the promise `TimestampSource`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime


class RemoteAuthorities:
    """Use it as a context, or `close` it."""

    def __init__(self, urls: Sequence[str], *, clock: Callable[[], datetime]) -> None:
        self._urls, self._clock = tuple(urls), clock

    async def __aenter__(self) -> RemoteAuthorities:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None: ...

    async def stamp(self, request: bytes) -> bytes:
        """Raises TimestampUnavailable."""
        raise NotImplementedError
