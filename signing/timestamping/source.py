"""The promise `TimestampSource`: a DER TimeStampReq in, a DER TimeStampResp out (RFC 3161).

Ours in process and a stranger's over HTTP look alike, and neither is believed before its answer was checked.
"""

from __future__ import annotations

from typing import Protocol


class TimestampUnavailable(Exception):
    """No source gave a token that could be believed. `tried` says what each answered; none of it is secret."""

    def __init__(self, tried: tuple[str, ...], *, retry_after: float = 30.0) -> None:
        super().__init__("; ".join(tried) or "no time-stamp source is configured")
        self.tried, self.retry_after = tried, retry_after


class TimestampSource(Protocol):
    async def stamp(self, request: bytes) -> bytes:
        """DER TimeStampReq to DER TimeStampResp, granted or rejected. Nothing is kept; asking twice gives two
        tokens. Safe to call from many tasks. Raises TimestampUnavailable."""
        ...
