"""Numbers and chains what was recorded, and says what the log was: this file is the one that appends (P4).

- Numbers are gap-free within a generation and given afterwards, in batches; the leaf hash stands beside the record.
- A checkpoint is signed, kept, and taken to a place that the database's administrator cannot reach, before the database
  itself says that there is one. The work of both is linear in what is new: the compact range of the last checkpoint is
  where the next goes on from.
- A restored database opens a new generation, whose first record names the last checkpoint that is known outside.
- Those that append take turns; whoever would not finds its numbers taken, and nothing of it stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database import WHOLE_SERVICE, Database
from storage.identifiers import uuid7
from storage.log.checkpoints import Checkpoint, SignedCheckpoint
from storage.log.merkle import CompactRange, leaf_hash, perfect
from storage.log.proofs import STEP, hashes
from storage.log.records import record
from storage.schema import SERVICE, AuditCheckpointRow, AuditNodeRow, AuditRecordRow
from storage.store import KeptName, ObjectStore, first_retention

BATCH = 500  # records in one transaction
OPENED = "log.opened"
TURN = "audit log"

Sign = Callable[[bytes], Awaitable[bytes]]
Elsewhere = Callable[[SignedCheckpoint], Awaitable[None]]


@dataclass(frozen=True)
class _Head:
    generation: int
    range: CompactRange
    covered: int  # records that the last checkpoint covers


class Sequencer:
    """`sign` asks the audit key, which lies outside the database; `elsewhere` takes a checkpoint to the second place.
    Both say by an exception that they could not: then there is no checkpoint, and the next minute tries again."""

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
        """Of all that is numbered; None where nothing is new. Raises DatabaseUnavailable, StoreUnavailable, and what
        `sign` and `elsewhere` raise."""
        head = await self._db.read(WHOLE_SERVICE, _new_head)
        if head is None:
            return None
        at = self._clock()
        checkpoint = Checkpoint(head.generation, head.range.size, head.range.root(), at)
        signed = SignedCheckpoint(checkpoint, await self._sign(checkpoint.text()))
        await self._keep(signed)
        await self._elsewhere(signed)

        def work(session: Session) -> None:
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
        try:
            file.write_bytes(signed.to_stored())
            await self._store.kept.keep(KeptName(SERVICE, signed.sha256()), file, retain_until=until)
        finally:
            file.unlink(missing_ok=True)


def _sequence(session: Session, now: datetime) -> int:
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


def _number(session: Session, row: AuditRecordRow, generation: int, number: int) -> None:
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


def open_generation(session: Session, now: datetime, last_known: Checkpoint | None) -> int:
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


def _generation(session: Session) -> int | None:
    return session.scalar(select(func.max(AuditRecordRow.generation)))


def _numbered(session: Session, generation: int) -> int:
    last = session.scalar(
        select(func.max(AuditRecordRow.number)).where(AuditRecordRow.generation == generation)
    )
    return -1 if last is None else last + 1


def head(session: Session, now: datetime) -> Checkpoint | None:
    """What a checkpoint of now would say, unsigned, in time linear in what is new; None for a log that is empty."""
    found = _head(session)
    return Checkpoint(found.generation, found.range.size, found.range.root(), now) if found else None


def _new_head(session: Session) -> _Head | None:
    """The tree over all that is numbered, where that is more than the last checkpoint covers."""
    found = _head(session)
    return found if found and found.range.size > found.covered else None


def _head(session: Session) -> _Head | None:
    generation = _generation(session)
    if generation is None:
        return None
    last = session.scalar(
        select(AuditCheckpointRow)
        .where(AuditCheckpointRow.generation == generation)
        .order_by(AuditCheckpointRow.size.desc())
        .limit(1)
    )
    range = CompactRange.from_stored(last.state) if last else CompactRange()
    since = range.size
    leaves = session.scalars(
        select(AuditRecordRow.leaf_hash)
        .where(AuditRecordRow.generation == generation, AuditRecordRow.number >= since)
        .order_by(AuditRecordRow.number)
    )
    for leaf in leaves:
        range = range.append(leaf or b"")
    return _Head(generation, range, since)
