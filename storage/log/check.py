"""Holds the log against itself and against what is known outside: this file names what is wrong (P4).

- Against itself: every body canonical and as its row says, every leaf hash right, numbers without a gap, every tree hash
  and checkpoint what the records give, every detail what its commitment promised.
- Against the checkpoints that were taken elsewhere: a cut tail, a restored backup and a second clone show there alone.
- It reads in pieces and holds none of them; it ends whatever stands in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.log.checkpoints import Checkpoint, SignedCheckpoint, signed_of
from storage.log.merkle import CompactRange, leaf_hash, perfect
from storage.log.proofs import STEP
from storage.log.records import canonical, commitment
from storage.log.sequencer import OPENED
from storage.schema import AuditCheckpointRow, AuditDetailRow, AuditNodeRow, AuditRecordRow

PIECE = 1000

Verify = Callable[[bytes, bytes], bool]  # text, signature


class Fault(StrEnum):
    NOT_CANONICAL = "not-canonical"  # a body is not the canonical JSON of a record
    ROW_DIFFERS = "row-differs"  # a row says something else than its body
    HASH_DIFFERS = "hash-differs"  # a body is not the one that was hashed
    NUMBER_MISSING = "number-missing"
    DETAIL_DIFFERS = "detail-differs"  # personal data is not what was committed to
    DETAIL_UNKNOWN = "detail-unknown"  # personal data that no record committed to
    NODE_DIFFERS = "node-differs"  # a subtree's hash is not that of its records, or is missing
    CHECKPOINT_DIFFERS = "checkpoint-differs"  # the records do not give this checkpoint
    SIGNATURE_WRONG = "signature-wrong"
    TAIL_CUT = "tail-cut"  # a checkpoint covers more than there is
    NOT_IN_BACKUP = "not-in-backup"  # so much was lost by a restore that said so
    GENERATION_UNANCHORED = "generation-unanchored"  # its first record does not name where it came from


@dataclass(frozen=True)
class Finding:
    fault: Fault
    generation: int | None
    number: int | None
    detail: str = ""


@dataclass
class _Tree:
    """What the records of one generation give, as they are read."""

    generation: int
    range: CompactRange = field(default_factory=CompactRange)
    levels: list[list[bytes]] = field(default_factory=list)  # hashes waiting for their subtree to be full


@dataclass(frozen=True)
class _Told:
    by: int  # the generation that says it
    after: tuple[int, int]  # generation and size


def check(
    session: Session, *, known: Sequence[SignedCheckpoint] = (), verify: Verify | None = None
) -> list[Finding]:
    """`known` come from outside the database. Without `verify` signatures are not looked at."""
    found: list[Finding] = []
    told = _told(session)
    for generation in session.scalars(
        select(AuditRecordRow.generation).where(AuditRecordRow.generation.is_not(None)).distinct().order_by(
            AuditRecordRow.generation)
    ).all():  # fmt: skip
        if generation is not None:
            found += _generation(session, generation, known, verify, told)
    generations = {one.generation for one in found}
    for one in known:
        at = one.checkpoint
        if at.generation not in generations and not _size(session, at.generation):
            fault = Fault.NOT_IN_BACKUP if _is_told(at, told) else Fault.TAIL_CUT
            found.append(Finding(fault, at.generation, at.size - 1, "no record of it is left"))
    waiting = session.scalars(select(AuditRecordRow).where(AuditRecordRow.generation.is_(None)))
    for row in waiting.yield_per(PIECE):
        found += _about_body(row)
    return found + list(_about_details(session))


def _generation(
    session: Session,
    generation: int,
    known: Sequence[SignedCheckpoint],
    verify: Verify | None,
    told: Sequence[_Told],
) -> Iterator[Finding]:
    tree = _Tree(generation)
    inside = [signed_of(row) for row in session.scalars(
        select(AuditCheckpointRow).where(AuditCheckpointRow.generation == generation))]  # fmt: skip
    outside = [one for one in known if one.checkpoint.generation == generation]
    due = sorted([*inside, *outside], key=lambda one: one.checkpoint.size, reverse=True)
    for one in due if verify else ():
        if verify and not (one.signature and verify(one.checkpoint.text(), one.signature)):
            yield Finding(Fault.SIGNATURE_WRONG, generation, one.checkpoint.size - 1)
    for row in _records(session, generation):
        number = tree.range.size
        if row.number != number:
            yield Finding(Fault.NUMBER_MISSING, generation, number, f"the next is {row.number}")
            return  # what follows hashes to something else
        yield from _about_body(row)
        if number == 0:
            yield from _about_first(session, row)
        yield from _append(session, tree, leaf_hash(row.body))
        while due and due[-1].checkpoint.size == tree.range.size:
            if due.pop().checkpoint.root != tree.range.root():
                yield Finding(Fault.CHECKPOINT_DIFFERS, generation, number)
    lost = [one.checkpoint.size for one in due if _is_told(one.checkpoint, told)]
    if lost:
        yield Finding(Fault.NOT_IN_BACKUP, generation, max(lost) - 1, f"{tree.range.size}-{max(lost) - 1}")
    for one in due:
        if _is_told(one.checkpoint, told):
            continue
        yield Finding(
            Fault.TAIL_CUT, generation, one.checkpoint.size - 1, f"{tree.range.size} records are left"
        )
    yield from _about_states(session, tree)


def _told(session: Session) -> list[_Told]:
    """What each generation's first record says of the ones before it."""
    found = []
    for row in session.scalars(select(AuditRecordRow).where(AuditRecordRow.number == 0)):
        facts = (_body(row) or {}).get("facts")
        after = facts.get("after") if isinstance(facts, dict) else None
        if isinstance(after, dict):
            generation, size = after.get("generation"), after.get("size")
            if isinstance(generation, int) and isinstance(size, int):
                found.append(_Told(row.generation or 0, (generation, size)))
    return found


def _is_told(at: Checkpoint, told: Sequence[_Told]) -> bool:
    """Whether a later generation says that it began after it: then a restore lost it, and said so."""
    return any(one.by > at.generation and (at.generation, at.size) <= one.after for one in told)


def _records(session: Session, generation: int) -> Iterator[AuditRecordRow]:
    after = -1
    while True:
        rows = session.scalars(
            select(AuditRecordRow)
            .where(AuditRecordRow.generation == generation, AuditRecordRow.number > after)
            .order_by(AuditRecordRow.number)
            .limit(PIECE)
        ).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].number or 0
        session.expunge_all()


def _about_body(row: AuditRecordRow) -> Iterator[Finding]:
    if row.generation is not None and row.leaf_hash != leaf_hash(row.body):
        yield Finding(Fault.HASH_DIFFERS, row.generation, row.number, str(row.id))
    body = _body(row)
    if body is None:
        yield Finding(Fault.NOT_CANONICAL, row.generation, row.number, str(row.id))
        return
    says = (body.get("id"), body.get("agency"), body.get("about"))
    if says != (str(row.id), str(row.agency), str(row.about) if row.about else None):
        yield Finding(Fault.ROW_DIFFERS, row.generation, row.number, str(row.id))


def _about_first(session: Session, row: AuditRecordRow) -> Iterator[Finding]:
    """A generation begins with the record that says where it came from."""
    body = _body(row) or {}
    facts = body.get("facts")
    after = facts.get("after") if isinstance(facts, dict) else None
    before = session.scalar(
        select(func.count()).select_from(AuditRecordRow).where(AuditRecordRow.generation < row.generation)
    )
    if body.get("kind") != OPENED or (before and not isinstance(after, dict)):
        yield Finding(Fault.GENERATION_UNANCHORED, row.generation, 0)


def _append(session: Session, tree: _Tree, leaf: bytes) -> Iterator[Finding]:
    tree.range = tree.range.append(leaf)
    level, hash = 0, leaf
    while True:
        if level == len(tree.levels):
            tree.levels.append([])
        tree.levels[level].append(hash)
        if len(tree.levels[level]) < 1 << STEP:
            return
        hash = perfect(tree.levels[level])
        tree.levels[level].clear()
        level += 1
        position = (tree.range.size >> level * STEP) - 1
        node = session.get(AuditNodeRow, (tree.generation, level * STEP, position))
        if node is None or node.hash != hash:
            last = tree.range.size - 1
            yield Finding(Fault.NODE_DIFFERS, tree.generation, last, f"level {level * STEP}, {position}")


def _about_states(session: Session, tree: _Tree) -> Iterator[Finding]:
    """The state that the next checkpoint goes on from gives the root that was signed."""
    rows = session.scalars(select(AuditCheckpointRow).where(AuditCheckpointRow.generation == tree.generation))
    for row in rows:
        try:
            range = CompactRange.from_stored(row.state)
        except ValueError:
            range = CompactRange()
        if range.size != row.size or range.root() != row.root:
            yield Finding(Fault.CHECKPOINT_DIFFERS, tree.generation, row.size - 1, "its state")


def _about_details(session: Session) -> Iterator[Finding]:
    query = select(AuditDetailRow, AuditRecordRow).outerjoin(
        AuditRecordRow, AuditRecordRow.id == AuditDetailRow.record
    )
    for detail, row in session.execute(query.execution_options(yield_per=PIECE)):
        personal = (_body(row) or {}).get("personal") if row is not None else None
        promised = personal.get(detail.name) if isinstance(personal, dict) else None
        at = (row.generation, row.number) if row is not None else (None, None)
        if promised is None:
            yield Finding(Fault.DETAIL_UNKNOWN, *at, detail.name)
        elif promised != commitment(detail.salt, detail.value).hex():
            yield Finding(Fault.DETAIL_DIFFERS, *at, detail.name)


def _size(session: Session, generation: int) -> int:
    query = select(func.count()).select_from(AuditRecordRow).where(AuditRecordRow.generation == generation)
    return session.scalar(query) or 0


def _body(row: AuditRecordRow) -> dict[str, Any] | None:
    """None for what is not the canonical form of an object."""
    try:
        body = json.loads(row.body)
        return body if isinstance(body, dict) and canonical(body) == row.body else None
    except (ValueError, RecursionError):
        return None
