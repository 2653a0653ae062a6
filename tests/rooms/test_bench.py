"""Every bench measures what it says and tells it in one form: this file runs the quick ones with the smallest numbers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bench import database, store, token, verify

SMALL: dict[str, tuple[Callable[[], None], set[str]]] = {
    "database": (
        lambda: database.main(rounds=1, large=200),
        {"SQLite: one durable intent", "PostgreSQL: one durable intent"},
    ),
    "store": (
        lambda: store.main({"1 KB": (1_000, 1)}),
        {"folder: keep 1 KB", "folder: fetch 1 KB", "S3: keep 1 KB", "S3: fetch 1 KB"},
    ),
    "token": (
        lambda: token.main(rounds=1),
        {"sign a list of 1, P-256", "sign a list of 32, RSA-2048"},
    ),
    "verify": (
        lambda: verify.main(((verify.KB_80, 2),), rounds=1),
        {"80 KB B-B, 2 signatures", "80 KB B-LTA, 2 signatures"},
    ),
}


@pytest.mark.parametrize("bench", SMALL)
def test_a_bench_tells_ratios(
    bench: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")  # a bench may set it: it is as before afterwards
    run, expected = SMALL[bench]
    run()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert expected <= {row["case"] for row in rows}
    for row in rows:
        assert list(row) == ["bench", "case", "ours", "peer", "peer_name", "ratio", "unit"]
        assert row["bench"] == bench and row["peer_name"] and row["unit"] == "ms"
        assert row["ours"] > 0 and row["peer"] > 0
        assert row["ratio"] == pytest.approx(row["peer"] / row["ours"], abs=0.001)
