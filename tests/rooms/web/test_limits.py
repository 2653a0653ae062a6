"""How much one caller may ask for in a minute, by a clock that nobody can set."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.steering import SteerableClock
from web.bad_request import BadRequest, Fault
from web.limits import FAILURES_PER_MINUTE, RateLimits


def refused(call: object, *args: str) -> float:
    with pytest.raises(BadRequest) as caught:
        call(*args)  # type: ignore[operator]
    assert caught.value.reason is Fault.TOO_MANY_REQUESTS and caught.value.retry_after is not None
    return caught.value.retry_after


@pytest.mark.parametrize("by", [timedelta(days=365), timedelta(days=-365)], ids=str)
def test_a_minute_lasts_a_minute_whoever_sets_the_clock(by: timedelta) -> None:
    clock = SteerableClock()
    rates = RateLimits(3, monotonic=clock.monotonic)
    for _ in range(3):
        rates.request_by_client("a")
    clock.jump(by)
    assert 50 < refused(rates.request_by_client, "a") <= 60
    rates.request_by_client("b")
    rates.request_by_address("192.0.2.1")
    clock.jump(-by)
    clock.move(timedelta(seconds=61))
    for _ in range(3):
        rates.request_by_client("a")
    assert 50 < refused(rates.request_by_client, "a") <= 60


def test_failures_are_counted_apart_and_a_look_counts_nothing() -> None:
    clock = SteerableClock()
    rates = RateLimits(3, monotonic=clock.monotonic)
    for _ in range(FAILURES_PER_MINUTE):
        rates.check_failures("2001:db8::1")
        rates.failure("2001:db8::2")
    refused(rates.check_failures, "2001:db8::3")
    rates.request_by_address("2001:db8::1")
    clock.move(timedelta(seconds=61))
    for _ in range(100):
        rates.check_failures("2001:db8::1")


def test_what_has_had_its_minute_is_forgotten() -> None:
    clock = SteerableClock()
    rates = RateLimits(3, monotonic=clock.monotonic)
    for number in range(1000):
        rates.request_by_address(f"10.0.{number >> 8}.{number & 255}")
    clock.move(timedelta(seconds=61))
    rates.request_by_address("192.0.2.1")
    assert len(rates._minutes) == 1
