"""The whole service against its promise: this file has clients upload, sign B-T and hear of it, on SQLite and a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.table import Row, show
from tests.load import run_clients, service

PROMISED = 30.0  # signatures a second, two cores, clients among them


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, service(Path(folder) / "home") as running:
        run_clients(running, clients=4, signatures=20, weight=80_000)
        rows = []
        for clients in (1, 8, 32):
            load = run_clients(running, clients=clients, signatures=150, weight=80_000)
            case = f"upload 80 KB, sign B-T, judge, keep, record, answer; {clients} clients"
            rows.append(Row("service", case, load.rate, PROMISED, "the promised rate", "/s"))
        show(rows)


if __name__ == "__main__":
    main()
