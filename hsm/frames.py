"""How a token process is spoken to: this file packs and reads the frames of its socket.

A frame is its length (four bytes, big-endian) and a JSON object. A request has `id` and `verb`, its answer the same `id`
and either `result` or `error`. Answers come in any order. `id` 0 is the process' own word: the book of keys changed.

- Whoever speaks may be hostile: lengths, types and values are checked one by one, and nothing but BadFrame is raised.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from hsm.key import Mechanism, Refusal, Refused, Signed, SigningOrder, SigningResult
from hsm.order_check import TO_SIGN_LIMIT

FRAME_LIMIT = 2 * TO_SIGN_LIMIT  # bytes; base64 needs a third more than what it carries
ORDERS_LIMIT = 256  # per frame
BOOK_CHANGED = 0  # the id of what the process says unasked

_LENGTH = struct.Struct(">I")
_Value = TypeVar("_Value", str, int, float)


class BadFrame(ValueError):
    """Not a frame of ours. Whoever sent it is not spoken to further."""


def pack(message: Mapping[str, object]) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts what arrives into messages. Holds at most one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Raises BadFrame."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > FRAME_LIMIT:
                raise BadFrame("too long")
            if len(self._buffer) < _LENGTH.size + size:
                return
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + size])
            del self._buffer[: _LENGTH.size + size]
            yield _message(body)


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise BadFrame("not JSON") from wrong
    if not isinstance(message, dict):
        raise BadFrame("not an object")
    return message


def take(message: Mapping[str, Any], name: str, kind: type[_Value]) -> _Value:
    """The field, of exactly this type. Raises BadFrame."""
    value = message.get(name)
    if type(value) is not kind:  # bool is an int to isinstance, and no number to us
        raise BadFrame(name)
    return value


def take_bytes(message: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(take(message, name, str), validate=True)
    except ValueError as wrong:
        raise BadFrame(name) from wrong


def take_list(message: Mapping[str, Any], name: str, limit: int) -> list[Any]:
    value = message.get(name)
    if not isinstance(value, list) or len(value) > limit:
        raise BadFrame(name)
    return value


def take_uuid(message: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(take(message, name, str))
    except ValueError as wrong:
        raise BadFrame(name) from wrong


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def plain_orders(orders: Sequence[SigningOrder]) -> list[dict[str, object]]:
    return [
        {
            "to_sign": base64_of(one.to_sign),
            "mechanism": one.mechanism.value,
            "intent": one.intent.hex,
            "lease": one.lease,
            "request": one.request.hex,
            "agency": one.agency.hex,
            "person": one.person.hex,
        }
        for one in orders
    ]


def read_orders(message: Mapping[str, Any]) -> list[SigningOrder]:
    """Raises BadFrame."""
    return [_order(one) for one in take_list(message, "orders", ORDERS_LIMIT)]


def _order(plain: object) -> SigningOrder:
    if not isinstance(plain, dict):
        raise BadFrame("order")
    lease = take(plain, "lease", int)
    if not 0 <= lease < 2**63:
        raise BadFrame("lease")
    try:
        mechanism = Mechanism(take(plain, "mechanism", str))
    except ValueError as wrong:
        raise BadFrame("mechanism") from wrong
    return SigningOrder(
        to_sign=take_bytes(plain, "to_sign"),
        mechanism=mechanism,
        intent=take_uuid(plain, "intent"),
        lease=lease,
        request=take_uuid(plain, "request"),
        agency=take_uuid(plain, "agency"),
        person=take_uuid(plain, "person"),
    )


def plain_result(result: SigningResult) -> dict[str, str]:
    if isinstance(result, Signed):
        return {"signed": base64_of(result.signature)}
    if isinstance(result, Refused):
        return {"refused": result.reason.value, "detail": result.detail}
    raise TypeError("a token does not let one wait")


def read_results(plain: object, count: int) -> list[SigningResult]:
    """Raises BadFrame."""
    if not isinstance(plain, list) or len(plain) != count:
        raise BadFrame("results")
    return [_result(one) for one in plain]


def _result(plain: object) -> SigningResult:
    if not isinstance(plain, dict):
        raise BadFrame("result")
    if "signed" in plain:
        return Signed(take_bytes(plain, "signed"))
    try:
        return Refused(Refusal(take(plain, "refused", str)), take(plain, "detail", str))
    except ValueError as wrong:
        raise BadFrame("refused") from wrong
