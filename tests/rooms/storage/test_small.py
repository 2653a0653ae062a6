"""Identifiers, seals and the first lock."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.identifiers import uuid7
from storage.sealed import KeyFileUnsafe, SealBroken, Sealer
from storage.store import FIRST_RETENTION, first_retention

NOW = datetime(2026, 11, 24, 10, 30, 0, 123456, tzinfo=UTC)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_an_identifier_holds_its_time(now: datetime) -> None:
    made = uuid7(now)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_identifiers_sort_by_the_microsecond() -> None:
    made = [uuid7(NOW + timedelta(microseconds=n)) for n in range(3000)]
    assert made == sorted(made)
    assert len({uuid7(NOW) for _ in range(1000)}) == 1000


def test_a_seal_opens_for_its_context_alone(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path / "seal.key")
    sealed = sealer.seal(b"K7MQ-2XRA", b"document 1")
    assert Sealer(tmp_path / "seal.key").open(sealed, b"document 1") == b"K7MQ-2XRA"
    assert b"K7MQ" not in sealed
    assert sealer.seal(b"K7MQ-2XRA", b"document 1") != sealed
    with pytest.raises(SealBroken):
        sealer.open(sealed, b"document 2")
    with pytest.raises(SealBroken):
        Sealer(tmp_path / "other.key").open(sealed, b"document 1")


@pytest.fixture(scope="module")
def a_sealer(tmp_path_factory: pytest.TempPathFactory) -> Sealer:
    return Sealer(tmp_path_factory.mktemp("seal") / "key")


@given(junk=st.binary(max_size=200))
def test_what_was_never_sealed_is_refused(a_sealer: Sealer, junk: bytes) -> None:
    with pytest.raises(SealBroken):
        a_sealer.open(junk, b"")


def test_hashes_are_keyed(tmp_path: Path) -> None:
    one, other = Sealer(tmp_path / "one"), Sealer(tmp_path / "other")
    assert (
        one.keyed_hash(b"code") == Sealer(tmp_path / "one").keyed_hash(b"code") != other.keyed_hash(b"code")
    )
    assert len(one.keyed_hash(b"code")) == 32


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "seal.key"
    Sealer(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    with pytest.raises(KeyFileUnsafe):
        Sealer(file)
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(KeyFileUnsafe):
        Sealer(file)


def test_two_that_make_the_key_at_once_hold_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        hashes = set(threads.map(lambda _: Sealer(tmp_path / "deep" / "key").keyed_hash(b"x"), range(16)))
    assert len(hashes) == 1
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["key"]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=7)), timezone(timedelta(hours=-11))])
def test_the_first_lock_ends_at_a_midnight_after_its_time(zone: timezone) -> None:
    for now in (datetime(2026, 11, 24, 23, 59, 59, 999999, tzinfo=zone), datetime(2026, 12, 31, tzinfo=zone)):
        until = first_retention(now)
        assert now + FIRST_RETENTION < until <= now + FIRST_RETENTION + timedelta(days=1)
        assert (until.utcoffset(), until.timetz().replace(tzinfo=None)) == (timedelta(), time())
