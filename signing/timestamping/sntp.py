"""Asks one time server over UDP (SNTP, RFC 4330; RFC 5905 7.3): this file says how far our clock is from its.

- One question, one answer that echoes our random number; whatever else arrives is passed over.
- A server that says that it does not know the time itself is no answer.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PORT = 123
SECONDS = 2.0  # for one question, name resolution included
MOST_PACKETS = 32
MAX_ROOT_DISTANCE = timedelta(seconds=16)  # a server further from its own source says nothing
_PACKET = struct.Struct("!BBbbII4sQQQQ")
_CLIENT = 0x23  # no warning, version 4, client
_SERVER, _UNSYNCHRONISED = 4, 3
_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
_ERA = timedelta(seconds=1 << 32)  # the first ends in 2036


class NoTime(Exception):
    """The server gave no answer that says the time. `why` is short."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Offset:
    """What must be added to our clock, and by how much that may be wrong."""

    offset: timedelta
    error: timedelta


async def ask(
    server: str,
    *,
    wall: Callable[[], datetime],
    monotonic: Callable[[], float],
    seconds: float = SECONDS,
) -> Offset:
    """`server`: host or host:port, [::1]:123. Raises NoTime."""
    host, port = parse(server)
    answers: asyncio.Queue[bytes] = asyncio.Queue(MOST_PACKETS)
    try:
        async with asyncio.timeout(seconds):
            loop = asyncio.get_running_loop()
            # Connected: the system passes over what comes from elsewhere.
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Listener(answers), remote_addr=(host, port)
            )
            try:
                cookie, asked, begun = secrets.randbits(64), wall(), monotonic()
                transport.sendto(_PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, cookie))
                while True:
                    packet = await answers.get()
                    away = timedelta(seconds=monotonic() - begun)
                    if (found := _offset(packet, cookie, (asked, away))) is not None:
                        return found
            finally:
                transport.close()
    except TimeoutError as late:
        raise NoTime(f"no answer within {seconds:g} s") from late
    except (OSError, UnicodeError) as wrong:
        raise NoTime(type(wrong).__name__) from wrong


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, answers: asyncio.Queue[bytes]) -> None:
        self._answers = answers

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answers.full():
            self._answers.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the end of the time says it too, and a forged error ends nothing."""


def _offset(packet: bytes, cookie: int, asked: tuple[datetime, timedelta]) -> Offset | None:
    """None for what is not the answer to our question. Raises NoTime."""
    if len(packet) < _PACKET.size:
        return None
    head, stratum, _, _, delay, dispersion, _, _, echoed, received, sent = _PACKET.unpack_from(packet)
    if echoed != cookie or head & 7 != _SERVER:
        return None
    if head >> 6 == _UNSYNCHRONISED or not 1 <= stratum <= 15 or not received or not sent:
        raise NoTime("the server does not know the time itself")
    begun, away = asked
    arrived, left = _moment(received, begun), _moment(sent, begun)
    distance = timedelta(seconds=delay / 65536 / 2 + dispersion / 65536)
    if distance > MAX_ROOT_DISTANCE or not timedelta() <= left - arrived <= away + timedelta(seconds=1):
        raise NoTime("the server contradicts itself")
    travelled = max(timedelta(), away - (left - arrived))
    offset = (arrived - begun + (left - (begun + away))) / 2
    return Offset(offset, travelled / 2 + distance)


def _moment(stamp: int, near: datetime) -> datetime:
    """Of the era that is nearest to our own time (RFC 5905 6)."""
    found = _EPOCH + timedelta(seconds=stamp >> 32, microseconds=(stamp & 0xFFFFFFFF) * 1_000_000 >> 32)
    return found + _ERA * round((near - found) / _ERA)


def parse(server: str) -> tuple[str, int]:
    """Raises NoTime."""
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or server.endswith("]"):
        host, port = server, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise NoTime("not a host or host:port")
    return host, int(port)
