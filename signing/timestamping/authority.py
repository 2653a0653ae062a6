"""Our own time-stamp authority (RFC 3161): this file keeps the promise `TimestampSource` with a key of ours (S6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from hsm.key import SigningKey


class Authority:
    def __init__(
        self,
        key: Callable[[], Awaitable[SigningKey]],
        *,
        clock: Callable[[], datetime],
        accuracy: Callable[[], timedelta],
        policy: str,
    ) -> None:
        self._key, self._clock, self._accuracy, self._policy = key, clock, accuracy, policy

    async def stamp(self, request: bytes) -> bytes:
        """Raises TimestampUnavailable."""
        raise NotImplementedError
