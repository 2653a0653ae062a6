"""UUIDv7 (RFC 9562 5.7): this file makes identifiers that sort by the time they were made."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(now: datetime) -> UUID:
    """`now` is aware, at or after 1970. Within a millisecond the microseconds order (RFC 9562 6.2, method 3), after
    that 62 random bits differ; the random bits make it unguessable enough to be shown, never to be a secret."""
    since = now - _EPOCH
    micros = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    millis, rest = divmod(micros, 1000)
    value = (millis & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (rest * 4096 // 1000) << 64
    value |= 0b10 << 62
    return UUID(int=value | secrets.randbits(62))


def time_of(id: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=id.int >> 80)
