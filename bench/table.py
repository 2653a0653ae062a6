"""How a bench tells what it measured: this file prints ratios, as a table and as JSON lines.

- A figure stands beside its rival's of the same run on the same machine; bare seconds say nothing.
- `ratio` says how many times better ours is, whether the unit is a time or a rate.
- Rivals take turns (`interleaved`), so that a machine that slows down slows both.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

RATES = {"/s"}


@dataclass(frozen=True)
class Row:
    bench: str
    case: str
    ours: float
    peer: float
    peer_name: str
    unit: str  # "ms", "MB" (less is better) or "/s" (more is better)

    @property
    def ratio(self) -> float:
        return self.ours / self.peer if self.unit in RATES else self.peer / self.ours


IN_TURN = 5  # calls
STRAY = 8  # times its fastest


def interleaved(rounds: int, *contestants: Callable[[], object]) -> list[float]:
    """Median milliseconds of each, IN_TURN calls each in turn, as a service does the same again and again; the first
    round warms up and is not counted, nor is what took STRAY times as long as the same work at its fastest (asn1crypto
    now and then codes nested parts again and again, 20 times as long as it should: pyHanko is measured at its best)."""
    times: list[list[float]] = [[] for _ in contestants]
    for round_number in range(rounds // IN_TURN + 1):
        for mine, contestant in zip(times, contestants, strict=True):
            for _ in range(IN_TURN):
                begun = time.perf_counter()
                contestant()
                if round_number:
                    mine.append((time.perf_counter() - begun) * 1000)
    return [statistics.median(one for one in mine if one < STRAY * min(mine)) for mine in times]


async def interleaved_async(
    rounds: int,
    *contestants: Callable[[], Coroutine[object, object, object]],
    between: Callable[[], object] = lambda: None,
    warm: bool = False,
    in_turn: int = 1,
) -> list[float]:
    """The same in one event loop, `in_turn` calls each in turn, every call counted. `between` clears up before each turn and is not counted;
    what is `warm` already is counted from the first round on."""
    times: list[list[float]] = [[] for _ in contestants]
    for round_number in range(warm, rounds // in_turn + 1):
        for mine, contestant in zip(times, contestants, strict=True):
            between()
            for _ in range(in_turn):
                begun = time.perf_counter()
                await contestant()
                if round_number:
                    mine.append((time.perf_counter() - begun) * 1000)
    return [statistics.median(mine) for mine in times]


def show(rows: Sequence[Row]) -> None:
    cells = [["case", "ratio", "ours", "peer", "", "peer is"]]
    for row in rows:
        cells.append(
            [row.case, f"{row.ratio:.2f}x", f"{row.ours:.3g}", f"{row.peer:.3g}", row.unit, row.peer_name]
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        print(as_json(row))


def as_json(row: Row) -> str:
    fields = {name: getattr(row, name) for name in ("bench", "case", "ours", "peer", "peer_name")}
    return json.dumps({**fields, "ratio": round(row.ratio, 3), "unit": row.unit}, ensure_ascii=False)
