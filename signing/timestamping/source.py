"""The promise `TimestampSource`: a DER TimeStampReq in, a DER TimeStampResp out (RFC 3161).

Ours in process and a stranger's over HTTP look alike, and neither is believed before its answer was checked.
"""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timedelta
from typing import Protocol

from signing.timestamping.answer import Rejected, believe, granted
from signing.timestamping.query import write_query
from signing.timestamping.token import Token
from signing.trust.anchors import TrustSnapshot

__all__ = ["TimestampSource", "TimestampUnavailable", "Token", "obtain", "response_of"]

NONCE_BITS = 128


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

    def resting(self) -> float:
        """Seconds for which whoever can wait should not ask: it was away when it was asked last; 0 where it may be asked."""
        ...


async def obtain(
    source: TimestampSource, digest: bytes, *, hash_name: str, trust: TrustSnapshot, now: datetime
) -> Token:
    """A token over this digest that was checked: status, imprint, nonce, time, signer, chain. Raises
    TimestampUnavailable; ValueError for a digest that is none by this hash."""
    request = write_query(digest, hash_name, secrets.randbits(NONCE_BITS))
    begun = time.monotonic()
    response = await source.stamp(request)
    waited = timedelta(seconds=time.monotonic() - begun)
    try:
        return believe(request, response, trust=trust, now=now, waited=waited)
    except Rejected as rejected:
        raise TimestampUnavailable((rejected.why,)) from rejected


def response_of(token_der: bytes) -> bytes:
    """The DER TimeStampResp, granted, around a token."""
    return granted(token_der)
