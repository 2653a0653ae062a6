"""Numbers and chains what was recorded, and says what the log was: this file is the one that appends (P4).

- Numbers are gap-free within a generation and given afterwards, in batches; the leaf hash stands beside the record.
- A checkpoint is signed, kept, and taken to a place that the database's administrator cannot reach, before the database
  itself says that there is one. The work of both is linear in what is new: the compact range of the last checkpoint is
  where the next goes on from.
- A restored database opens a new generation, whose first record names the last checkpoint that is known outside.
- Those that append take turns; whoever would not finds its numbers taken, and nothing of it stays.
- What the second place knows and this log does not give is another's: a clone goes on, or a backup came back unsaid.
  Then there is no checkpoint any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from sqlalchemy import func, select

from storage.database import WHOLE_SERVICE, Database, Door
from storage.folder_access import passing
from storage.identifiers import time_of, uuid7
from storage.log.checkpoints import Checkpoint, SignedCheckpoint
from storage.log.merkle import CompactRange, leaf_hash, perfect
from storage.log.proofs import STEP, hashes
from storage.log.records import record
from storage.schema import SERVICE, AuditCheckpointRow, AuditNodeRow, AuditRecordRow
from storage.store import KeptName, ObjectStore, first_retention

BATCH = 500  # records in one transaction
MANY = 5000  # records that are looked at for the oldest; whoever waits longest is numbered first
OPENED = "log.opened"
TURN = "audit log"

Sign = Callable[[bytes], Awaitable[bytes]]


class Forked(Exception):
    """The second place holds a checkpoint that this log does not give."""


class Elsewhere(Protocol):
    """The second place. Raises OSError where it is away."""

    async def after(self, generation: int, size: int) -> Sequence[SignedCheckpoint]:
        """What lies there of later generations, or of this one from this size on, the same size too."""
        ...

    async def take(self, signed: SignedCheckpoint) -> None: ...


@dataclass(frozen=True)
class _Head:
    generation: int
    range: CompactRange
    last: CompactRange  # what the last checkpoint covers
    leaves: Sequence[bytes]  # since then

    @property
    def covered(self) -> int:
        return self.last.size

    def gives(self, one: Checkpoint) -> bool:
        """Whether this log was that at that size; of sizes from the last checkpoint on."""
        if one.generation != self.generation or not self.last.size <= one.size <= self.range.size:
            return False
        at = self.last
        for leaf in self.leaves[: one.size - at.size]:
            at = at.append(leaf)
        return at.root() == one.root


class Sequencer:
    """`sign` asks the audit key, which lies outside the database; `elsewhere` is the second place. Both say by an
    exception that they could not: then there is no checkpoint, and the next minute tries again."""

    def __init__(
        self, db: Database, store: ObjectStore, clock: Callable[[], datetime], *, sign: Sign, elsewhere: Elsewhere
    ) -> None:  # fmt: skip
        self._db, self._store, self._clock = db, store, clock
        self._sign, self._elsewhere = sign, elsewhere

    async def sequence(self) -> int:
        """How many records got their number. Raises DatabaseUnavailable."""
        total = 0
        while True:
            now = self._clock()
            done = await self._db.transact(WHOLE_SERVICE, partial(_sequence, now=now), turn=TURN)
            total += done
            if done < BATCH:
                return total

    async def checkpoint(self) -> SignedCheckpoint | None:
        """Of all that is numbered; None where nothing is new. Raises Forked, DatabaseUnavailable, StoreUnavailable, and
        what `sign` and `elsewhere` raise."""
        head = await self._look()
        if head is None or head.range.size == head.covered:
            return None
        at = self._clock()
        checkpoint = Checkpoint(head.generation, head.range.size, head.range.root(), at)
        signed = SignedCheckpoint(checkpoint, await self._sign(checkpoint.text()))
        await self._keep(signed)
        await self._elsewhere.take(signed)

        def work(session: Door) -> None:
            name = (checkpoint.generation, checkpoint.size)
            if session.get(AuditCheckpointRow, name) is None:
                session.add(
                    AuditCheckpointRow(
                        generation=name[0], size=name[1], agency=SERVICE, root=checkpoint.root, created_at=at,
                        state=head.range.to_stored(), signature=signed.signature,
                    )
                )  # fmt: skip

        await self._db.transact(WHOLE_SERVICE, work)
        return signed

    async def look(self) -> None:
        """Whether the second place knows of another. Raises Forked, DatabaseUnavailable, and what `elsewhere` raises."""
        await self._look()

    async def _look(self) -> _Head | None:
        head = await self._db.read(WHOLE_SERVICE, _head)
        for one in await self._elsewhere.after(*((head.generation, head.covered) if head else (0, 0))):
            at = one.checkpoint
            ours = head is not None and head.gives(at)
            # A sweep beside us may have gone on since we looked.
            if not ours and not await self._db.read(WHOLE_SERVICE, partial(_gives, at=at)):
                raise Forked(f"generation {at.generation}, {at.size} records")
        return head

    async def run(self) -> None:
        """Both, as the job of every minute."""
        await self.sequence()
        await self.checkpoint()

    async def open_generation(self, last_known: Checkpoint | None) -> int:
        """After a restore: what is recorded from now on stands in a new generation. What was recorded and had no number
        is numbered there."""
        now = self._clock()
        return await self._db.transact(
            WHOLE_SERVICE, lambda s: open_generation(s, now, last_known), turn=TURN
        )

    async def _keep(self, signed: SignedCheckpoint) -> None:
        at = signed.checkpoint.at
        file, until = self._store.scratch() / f"{uuid7(at)}.checkpoint", first_retention(at)
        with passing(file):
            file.write_bytes(signed.to_stored())
            await self._store.kept.keep(KeptName(SERVICE, signed.sha256()), file, retain_until=until)


def _sequence(session: Door, now: datetime) -> int:
    generation = _generation(session)
    if generation is None:
        generation = open_generation(session, now, None)
    number = _numbered(session, generation)
    waiting = session.scalars(
        select(AuditRecordRow)
        .where(AuditRecordRow.generation.is_(None))
        .order_by(AuditRecordRow.id)
        .limit(BATCH)
        .with_for_update()
    )
    count = 0
    for row in waiting:
        _number(session, row, generation, number + count)
        count += 1
    return count


def _number(session: Door, row: AuditRecordRow, generation: int, number: int) -> None:
    row.generation, row.number, row.leaf_hash = generation, number, leaf_hash(row.body)
    size, level = number + 1, STEP
    if size % (1 << level):
        return
    session.flush()
    while size % (1 << level) == 0:
        position = (size >> level) - 1
        below = hashes(session, generation, level - STEP, position << STEP, 1 << STEP)
        session.add(
            AuditNodeRow(
                generation=generation, level=level, position=position, agency=SERVICE, hash=perfect(below)
            )
        )
        session.flush()
        level += STEP


def open_generation(session: Door, now: datetime, last_known: Checkpoint | None) -> int:
    """The generation, within a transaction that takes its turn by `TURN`."""
    generation = (_generation(session) or 0) + 1
    after = None
    if last_known is not None:
        generation = max(generation, last_known.generation + 1)
        after = {
            "generation": last_known.generation, "size": last_known.size, "root": last_known.root.hex()
        }  # fmt: skip
    facts = {"generation": generation, "after": after}
    first = record(session, agency=SERVICE, kind=OPENED, at=now, facts=facts)
    session.flush()
    _number(session, session.get_one(AuditRecordRow, first), generation, 0)
    return generation


def _generation(session: Door) -> int | None:
    return session.scalar(select(func.max(AuditRecordRow.generation)))


def _numbered(session: Door, generation: int) -> int:
    last = session.scalar(
        select(func.max(AuditRecordRow.number)).where(AuditRecordRow.generation == generation)
    )
    return -1 if last is None else last + 1


def head(session: Door, now: datetime) -> Checkpoint | None:
    """What a checkpoint of now would say, unsigned, in time linear in what is new; None for a log that is empty."""
    found = _head(session)
    return Checkpoint(found.generation, found.range.size, found.range.root(), now) if found else None


def oldest_uncovered(session: Door) -> datetime | None:
    """When the oldest record was written that no checkpoint covers yet. It looks at a few rows, however old the log."""
    row, known = AuditRecordRow, _head_rows(session)
    ids = list(session.scalars(select(row.id).where(row.generation.is_(None)).limit(MANY)))
    if known is not None:
        generation, last = known
        size = last.size if last is not None else 0
        # The first of a generation is that it was opened: it may be younger than what is numbered after it.
        first = (size, size + 1)
        ids += session.scalars(select(row.id).where(row.generation == generation, row.number.in_(first)))
    return min(map(time_of, ids), default=None)


def _gives(session: Door, at: Checkpoint) -> bool:
    row, head = session.get(AuditCheckpointRow, (at.generation, at.size)), _head(session)
    return row.root == at.root if row is not None else head is not None and head.gives(at)


def _head_rows(session: Door) -> tuple[int, AuditCheckpointRow | None] | None:
    """The generation, and its last checkpoint."""
    generation = _generation(session)
    if generation is None:
        return None
    last = session.scalar(
        select(AuditCheckpointRow)
        .where(AuditCheckpointRow.generation == generation)
        .order_by(AuditCheckpointRow.size.desc())
        .limit(1)
    )
    return generation, last


def _head(session: Door) -> _Head | None:
    found = _head_rows(session)
    if found is None:
        return None
    generation, last = found
    covered = CompactRange.from_stored(last.state) if last else CompactRange()
    query = (
        select(AuditRecordRow.leaf_hash)
        .where(AuditRecordRow.generation == generation, AuditRecordRow.number >= covered.size)
        .order_by(AuditRecordRow.number)
    )
    leaves, range = [leaf or b"" for leaf in session.scalars(query)], covered
    for leaf in leaves:
        range = range.append(leaf)
    return _Head(generation, range, covered, leaves)
