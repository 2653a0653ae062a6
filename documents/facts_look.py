"""Which facts a check of the audit trail looks at: this file chooses rows, those that new records tell of and a share of the
others, so that the cost grows with what is new (P4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.checked import ROWS_AGAIN
from documents.facts_check import SUBJECTS, Subject, after, differing
from storage.log.findings import Fault, Finding

T = TypeVar("T")
BATCH = 500
OF = {
    "agency": 0,
    "person": 1,
    "client": 2,
    "trust": 3,
    "document": 4,
    "signature": 4,
}  # in SUBJECTS, by kind


class FactsLook:
    """One check. `everything`: all rows, each once."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._seen: defaultdict[str, set[UUID]] = defaultdict(set)
        self.rows_from: dict[str, UUID] = {}  # where the next check goes on

    def heed(self, session: Session, bodies: Sequence[dict[str, Any]], again: bool) -> Iterator[Finding]:
        """Rows that records tell of: those of new ones are held against all that is recorded, of others they are there."""
        made: defaultdict[int, set[UUID]] = defaultdict(set)
        touched: defaultdict[int, set[UUID]] = defaultdict(set)
        for body in bodies:
            kind, about = str(body.get("kind")), _uuid(body.get("about"))
            place = OF.get(kind.partition(".")[0])
            if place is None or about is None:
                continue
            touched[place].add(about)
            if kind == SUBJECTS[place].made:
                made[place].add(about)
        if again or self._everything:
            for place, ids in made.items():
                yield from _missing(session, SUBJECTS[place], ids)
            return
        for place, ids in touched.items():
            yield from self._differing(session, SUBJECTS[place], ids)

    def rows(self, session: Session, rows_from: Mapping[str, UUID]) -> Iterator[Finding]:
        for subject in SUBJECTS:
            if self._everything:
                ids = after(session, subject, None, BATCH)
                while ids:
                    yield from differing(session, subject, ids)
                    ids = after(session, subject, ids[-1], BATCH)
                continue
            ids = after(session, subject, rows_from.get(subject.name), ROWS_AGAIN)
            if len(ids) < ROWS_AGAIN:
                ids += after(session, subject, None, ROWS_AGAIN - len(ids))
            if ids:
                self.rows_from[subject.name] = ids[-1]
            yield from self._differing(session, subject, ids)

    def _differing(self, session: Session, subject: Subject, ids: Iterable[UUID]) -> list[Finding]:
        new = set(ids) - self._seen[subject.name]
        self._seen[subject.name] |= new
        return differing(session, subject, new)


def batched(many: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    for one in many:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _missing(session: Session, subject: Subject, ids: set[UUID]) -> Iterator[Finding]:
    there = set(session.scalars(select(subject.key).where(subject.key.in_(ids))))
    for id in sorted(ids - there):
        yield Finding(Fault.FACT_MISSING, None, None, f"{subject.name} {id}")


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
