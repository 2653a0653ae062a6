"""Frames of the token process' socket, also hostile ones."""

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.frames import (
    FRAME_LIMIT,
    BadFrame,
    FrameReader,
    pack,
    plain_orders,
    plain_result,
    read_orders,
    read_results,
)
from hsm.key import Refusal, Refused, Signed, SigningResult
from tests.rooms.hsm.test_order_check import KEY
from tests.rooms.hsm.tokens import order_for

ORDER = order_for(KEY)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_orders_arrive_as_they_were_sent() -> None:
    frame = pack({"id": 1, "orders": plain_orders([ORDER, ORDER])})
    reader = FrameReader()
    arrived = [message for byte in frame for message in reader.feed(bytes([byte]))]
    assert read_orders(arrived[0]) == [ORDER, ORDER]


def test_several_frames_in_one_piece() -> None:
    assert [one["id"] for one in FrameReader().feed(pack({"id": 1}) + pack({"id": 2}))] == [1, 2]


def test_results_arrive_as_they_were_sent() -> None:
    results: list[SigningResult] = [Signed(b"\0\xff"), Refused(Refusal.STALE_LEASE, "ấn")]
    assert read_results(json.loads(json.dumps([plain_result(one) for one in results])), 2) == results


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"id": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        list(FrameReader().feed(struct.pack(">I", len(body)) + body))


def test_a_long_frame_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadFrame):
        list(FrameReader().feed(struct.pack(">I", FRAME_LIMIT + 1)))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadFrame):
        list(FrameReader().feed(data))


@given(st.sampled_from(list(plain_orders([ORDER])[0])), JSON)
def test_an_order_with_any_field_changed_is_read_or_refused(name: str, value: object) -> None:
    plain = plain_orders([ORDER])[0]
    plain[name] = value
    try:
        (read,) = read_orders({"orders": [plain]})
    except BadFrame:
        return
    assert 0 <= read.lease < 2**63
    assert isinstance(read.to_sign, bytes)


@pytest.mark.parametrize("lease", [True, -1, 2**63, 1.0, "1", None])
def test_a_lease_is_a_number(lease: object) -> None:
    with pytest.raises(BadFrame):
        read_orders({"orders": [plain_orders([ORDER])[0] | {"lease": lease}]})


def test_too_many_orders_are_refused() -> None:
    with pytest.raises(BadFrame):
        read_orders({"orders": plain_orders([ORDER]) * 257})
