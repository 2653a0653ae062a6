"""What an earlier `antin audit check` found whole (P4): this file keeps it beside the checkpoints, out of the database.

- It is believed only as far as a signed checkpoint covers it: written by hand it can make a check longer, not blind.
- What was found whole is read again bit by bit, so much at each check: a small home as a whole each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from storage.log.check import BLOCK, Span
from storage.log.merkle import CompactRange

FILE = "checked"
VERSION = 1
RECORDS_AGAIN = 100 * BLOCK  # at each check
ROWS_AGAIN = 5000  # of each table
USES_AGAIN = 1000  # newest lines: a backup that comes back does not know them


@dataclass(frozen=True)
class Checked:
    whole: Mapping[int, CompactRange] = field(default_factory=dict)  # by generation
    again_from: int = 0  # among all records of `whole`
    rows_from: Mapping[str, UUID] = field(default_factory=dict)  # by table
    uses: int = 0  # lines of the token's use log

    @property
    def records(self) -> int:
        return sum(one.size for one in self.whole.values())

    def spans(self) -> tuple[list[Span], int]:
        """What is to be read again now, and where the next check goes on."""
        spans, left, at = list[Span](), min(RECORDS_AGAIN, self.records), self.again_from
        at = at if at < self.records else 0
        while left:
            for generation, begin, end in self._generations():
                if begin <= at < end and left:
                    to = min(end, at + left)
                    spans.append(Span(generation, at - begin, to - begin))
                    left, at = left - (to - at), to
            at = at if at < self.records else 0
        return spans, at

    def _generations(self) -> Iterator[tuple[int, int, int]]:
        begin = 0
        for generation, range in sorted(self.whole.items()):
            yield generation, begin, begin + range.size
            begin += range.size


def load(folder: Path) -> Checked:
    """Nothing where nothing is, or what is no such thing."""
    try:
        plain = json.loads((folder / FILE).read_bytes())
        if plain["version"] != VERSION:
            return Checked()
        whole = {
            int(generation): CompactRange.from_stored(bytes.fromhex(one))
            for generation, one in plain["whole"].items()
        }
        if any(one.size % BLOCK for one in whole.values()) or int(plain["again_from"]) % BLOCK:
            return Checked()
        rows = {str(table): UUID(id) for table, id in plain["rows_from"].items()}
        return Checked(whole, int(plain["again_from"]), rows, int(plain["uses"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Checked()


def save(folder: Path, checked: Checked) -> None:
    """Raises OSError. It need not survive a power cut."""
    plain = {
        "version": VERSION, "whole": {str(g): one.to_stored().hex() for g, one in checked.whole.items()},
        "again_from": checked.again_from, "rows_from": {t: str(id) for t, id in checked.rows_from.items()},
        "uses": checked.uses,
    }  # fmt: skip
    new = folder / f".{FILE}.new"
    new.write_text(json.dumps(plain, indent=1))
    new.replace(folder / FILE)
