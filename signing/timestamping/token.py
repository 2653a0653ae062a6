"""One time-stamp token (RFC 3161 2.4.2): this file reads it and says whether it may be believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from signing.trust.anchors import TrustSnapshot
from signing.trust.path import StandingPath


class NotAToken(ValueError):
    """The bytes are no time-stamp token that could be judged."""


class TokenRefused(Exception):
    """The token proves nothing. `why` is short, and none of it is secret."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Token:
    """What a token says. `signer` and `certificates` are DER, `authority` the signer's subject (RFC 4514)."""

    der: bytes
    time: datetime
    authority: str
    signer: bytes
    certificates: tuple[bytes, ...]
    hash_name: str
    imprint: bytes
    policy: str
    serial: int
    nonce: int | None


def read_token(der: bytes) -> Token:
    """Raises NotAToken."""
    raise NotImplementedError


def check_token(
    token: Token, *, digest: bytes, hash_name: str, trust: TrustSnapshot, at: datetime
) -> StandingPath:
    """Raises TokenRefused."""
    raise NotImplementedError
