"""The use log (K3, K5)."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hsm import use_log
from hsm.use_log import SIGNED, LogUnavailable, Use, UseLog, read_uses

NOW = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)


def use(**other: object) -> Use:
    plain = {
        "intent": uuid4(), "key": "seal", "to_sign_sha256": bytes(32), "mechanism": "ecdsa-sha256", "request": uuid4(),
        "lease": 1, "agency": UUID(int=1), "person": UUID(int=2), "at": NOW,
    }  # fmt: skip
    return Use(**(plain | other))  # type: ignore[arg-type]


def opened(folder: Path) -> UseLog:
    use_log.begin(folder)
    return UseLog(folder)


def test_a_line_is_there_for_another_reader_before_its_result(tmp_path: Path) -> None:
    log, line = opened(tmp_path), use()
    log.record([line])
    assert list(read_uses(tmp_path)) == [line]
    log.result(line.intent, SIGNED)
    log.note_results()
    assert [one.result for one in read_uses(tmp_path)] == [SIGNED]
    log.close()


def test_results_come_along_with_the_next_lines(tmp_path: Path) -> None:
    log, first = opened(tmp_path), use()
    log.record([first])
    log.result(first.intent, SIGNED)
    log.record([use()])
    assert [one.result for one in read_uses(tmp_path)] == [SIGNED, None]
    log.close()


def test_an_intent_stands_in_it_once(tmp_path: Path) -> None:
    log, line = opened(tmp_path), use()
    log.record([line])
    with pytest.raises(LogUnavailable):
        log.record([use(), line])
    assert log.count() == 1
    log.close()


def test_it_remembers_over_a_restart(tmp_path: Path) -> None:
    log, line = opened(tmp_path), use(lease=7)
    log.record([line, use(request=line.request, lease=3)])
    log.close()
    log = opened(tmp_path)
    assert log.served([line.intent, uuid4()]) == {line.intent}
    assert log.highest_leases([line.request, uuid4()]) == {line.request: 7}
    log.close()


def test_nothing_is_ever_deleted(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.record([use()])
    base = sqlite3.connect(tmp_path / "uses.sqlite")
    with pytest.raises(sqlite3.IntegrityError):
        base.execute("DELETE FROM uses")
    base.close()
    log.close()


def test_a_log_that_is_no_log_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "uses.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(LogUnavailable):
        UseLog(tmp_path)
