"""Holds the log against itself and against what is known outside: this file names what is wrong (P4).

- Against itself: every body canonical and as its row says, every leaf hash right, numbers without a gap, every tree hash
  and checkpoint what the records give, every detail what its commitment promised.
- Against the checkpoints that were taken elsewhere: a cut tail, a restored backup and a second clone show there alone.
- What was found whole before is known outside by its hashes, and need not be read again; a span of it can be, and shows
  by the same hashes. So the cost grows with what is new.
- It reads in pieces and holds none of them; it ends whatever stands in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from storage.log.checkpoints import Checkpoint, SignedCheckpoint, signed_of
from storage.log.findings import Fault, Finding
from storage.log.merkle import CompactRange, leaf_hash, perfect
from storage.log.proofs import STEP, LogDamaged, hashes, nodes
from storage.log.records import canonical, commitment
from storage.log.sequencer import OPENED
from storage.schema import AuditCheckpointRow, AuditDetailRow, AuditNodeRow, AuditRecordRow

__all__ = ["Examined", "Fault", "Finding", "Span", "check", "examine"]

PIECE = 1000
BLOCK = 1 << STEP  # records under one kept hash: what was found whole ends at one

Verify = Callable[[bytes, bytes], bool]  # text, signature


@dataclass(frozen=True)
class Span:
    """Records `begin` to `end - 1` of a generation, both multiples of BLOCK."""

    generation: int
    begin: int
    end: int


# Bodies of records, and whether they are read again.
Heed = Callable[[Session, Sequence[dict[str, Any]], bool], Iterable[Finding]]


@dataclass
class Examined:
    """`whole`: by generation, how far a signed checkpoint from outside covers what was found whole."""

    findings: list[Finding] = field(default_factory=list)
    whole: dict[int, CompactRange] = field(default_factory=dict)
    records: int = 0  # that were read


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


@dataclass(frozen=True)
class _Due:
    """A checkpoint that the records have to give. `state`: of one that stands in the database."""

    at: Checkpoint
    signed: bool  # and the signature is right
    state: bytes | None


def check(
    session: Session, *, known: Sequence[SignedCheckpoint] = (), verify: Verify | None = None
) -> list[Finding]:
    """Everything. `known` come from outside the database; one without a signature is what the log was between two
    checkpoints. Without `verify` signatures are not looked at."""
    return examine(session, known=known, verify=verify).findings


def examine(
    session: Session, *, known: Sequence[SignedCheckpoint] = (), verify: Verify | None = None,
    whole: Mapping[int, CompactRange] | None = None, again: Sequence[Span] = (), heed: Heed | None = None,
) -> Examined:  # fmt: skip
    """What is past `whole`, and the spans of it that are named. Of `known` at least those that cover no less than it.
    `heed` is shown the bodies of all records that are read."""
    return _Examination(session, known, verify, heed).of(whole or {}, again)


class _Examination:
    def __init__(
        self, session: Session, known: Sequence[SignedCheckpoint], verify: Verify | None, heed: Heed | None
    ) -> None:
        self._session, self._known, self._verify, self._heed = session, known, verify, heed
        self._generations = list(generations(session))
        self._told = list(_told(session, self._generations))
        self._done = Examined()

    def of(self, whole: Mapping[int, CompactRange], again: Sequence[Span]) -> Examined:
        done = self._done
        for generation in self._generations:
            done.findings += self._from(generation, whole.get(generation, CompactRange()))
        for span in again:
            if span.generation in whole:
                done.findings += self._again(span, whole[span.generation])
        for one in self._known:
            at = one.checkpoint
            if at.generation not in self._generations:
                fault = Fault.NOT_IN_BACKUP if self._is_told(at) else Fault.TAIL_CUT
                done.findings.append(Finding(fault, at.generation, at.size - 1, "no record of it is left"))
        for piece in _pieces(self._session, None, 0):
            done.findings += self._about_bodies(piece)
        if not whole:
            done.findings += _orphaned_details(self._session)
        return done

    # -- one generation

    def _from(self, generation: int, begin: CompactRange) -> Iterator[Finding]:
        """To its end."""
        covers = any(
            one.signature and one.checkpoint.generation == generation and one.checkpoint.size >= begin.size
            for one in self._known
        )
        tree = _Tree(generation)
        if begin.size and covers:
            try:
                tree = _resumed(self._session, generation, begin.size)
            except LogDamaged as why:
                yield Finding(Fault.NODE_DIFFERS, generation, None, str(why))
            if tree.range != begin:
                yield Finding(Fault.NODE_DIFFERS, generation, begin.size - 1, "what was found whole before")
                tree = _Tree(generation)
        due, wrong = self._due(generation, tree.range.size, None)
        yield from wrong
        yield from self._read(tree, None, due)
        lost = [one.at.size for one in due if self._is_told(one.at)]
        if lost:
            yield Finding(
                Fault.NOT_IN_BACKUP, generation, max(lost) - 1, f"{tree.range.size}-{max(lost) - 1}"
            )
        for one in due:
            if not self._is_told(one.at):
                left = f"{tree.range.size} records are left"
                yield Finding(Fault.TAIL_CUT, generation, one.at.size - 1, left)

    def _again(self, span: Span, whole: CompactRange) -> Iterator[Finding]:
        """A span of what was found whole before: its records, between the hashes of what lies before and behind."""
        generation, node = span.generation, nodes(self._session, span.generation)
        try:
            tree = _resumed(self._session, generation, span.begin)
            due, wrong = self._due(generation, span.begin, span.end)
            yield from wrong
            yield from self._read(tree, span.end, due)
            given = tree.range
            while given.size < whole.size:
                level = (given.size & -given.size or whole.size).bit_length() - 1
                while given.size + (1 << level) > whole.size:
                    level -= 1
                given = given.append(node(level, given.size >> level), level)
        except LogDamaged as why:
            yield Finding(Fault.NODE_DIFFERS, generation, None, str(why))
            return
        if given != whole:
            records = f"{span.begin}-{span.end - 1}"
            yield Finding(Fault.CHECKPOINT_DIFFERS, generation, span.end - 1, records)

    def _read(self, tree: _Tree, end: int | None, due: list[_Due]) -> Iterator[Finding]:
        """Takes out of `due` what is reached; all of it where a number is missing, as what follows hashes to something
        else."""
        generation, aligned, astray, last_right = tree.generation, tree.range, list[_Due](), -1

        def reached() -> Iterator[Finding]:
            nonlocal last_right
            while due and due[-1].at.size == tree.range.size:
                one, root = due.pop(), tree.range.root()
                if one.at.root != root:
                    astray.append(one)
                elif one.state is not None and one.state != tree.range.to_stored():
                    yield Finding(Fault.CHECKPOINT_DIFFERS, generation, one.at.size - 1, "its state")
                elif one.signed or self._verify is None:
                    last_right = one.at.size
                    if one.signed and end is None and one.state is None and aligned.size:
                        self._done.whole[generation] = aligned

        yield from reached()
        for piece in _pieces(self._session, generation, tree.range.size, end):
            yield from self._about_bodies(piece, again=end is not None)
            for row in piece:
                if row.number != tree.range.size:
                    break
                if row.number == 0:
                    yield from _about_first(self._session, row, _body(row))
                yield from _append(self._session, tree, leaf_hash(row.body))
                if tree.range.size % BLOCK == 0:
                    aligned = tree.range
                yield from reached()
            if tree.range.size != (piece[-1].number or 0) + 1:
                after = next(row.number for row in piece if (row.number or 0) >= tree.range.size)
                yield Finding(Fault.NUMBER_MISSING, generation, tree.range.size, f"the next is {after}")
                due.clear()
                break
        else:
            if end is not None and tree.range.size < end:
                yield Finding(Fault.NUMBER_MISSING, generation, tree.range.size)
        for one in astray:
            # Another's: what stands here gave a later one.
            other = one.state is None and last_right >= one.at.size
            fault = Fault.FORKED if other else Fault.CHECKPOINT_DIFFERS
            yield Finding(fault, generation, one.at.size - 1)

    def _due(self, generation: int, begin: int, end: int | None) -> tuple[list[_Due], list[Finding]]:
        """The largest first; and those whose signature is wrong."""
        row = AuditCheckpointRow
        query = select(row).where(row.generation == generation, row.size >= begin)
        inside = self._session.scalars(query if end is None else query.where(row.size <= end))
        both: list[tuple[SignedCheckpoint, bytes | None]] = [(signed_of(one), one.state) for one in inside]
        both += [(one, None) for one in self._known if _within(one.checkpoint, generation, begin, end)]
        due, wrong = list[_Due](), list[Finding]()
        for one, state in both:
            at, signature = one.checkpoint, one.signature
            right = bool(signature and self._verify and self._verify(at.text(), signature))
            if self._verify and not right and (signature or state is not None):
                wrong.append(Finding(Fault.SIGNATURE_WRONG, generation, at.size - 1))
            due.append(_Due(at, right, state))
        return sorted(due, key=lambda one: one.at.size, reverse=True), wrong

    def _about_bodies(self, rows: Sequence[AuditRecordRow], *, again: bool = False) -> Iterator[Finding]:
        bodies = {row.id: _body(row) for row in rows}
        for row in rows:
            yield from _about_row(row, bodies[row.id])
        yield from _about_details(self._session, rows, bodies)
        self._done.records += len(rows)
        if self._heed is not None:
            known = [one for one in bodies.values() if one is not None]
            yield from self._heed(self._session, known, again)

    def _is_told(self, at: Checkpoint) -> bool:
        """Whether a later generation says that it began after it: then a restore lost it, and said so."""
        return any(one.by > at.generation and (at.generation, at.size) <= one.after for one in self._told)


def generations(session: Session) -> Iterator[int]:
    """In their order, each found by one look into the index."""
    last = -1
    while True:
        query = select(func.min(AuditRecordRow.generation)).where(AuditRecordRow.generation > last)
        found = session.scalar(query)
        if found is None:
            return
        yield found
        last = found


def _told(session: Session, generations: Iterable[int]) -> Iterator[_Told]:
    """What each generation's first record says of the ones before it."""
    for generation in generations:
        first = (AuditRecordRow.generation == generation) & (AuditRecordRow.number == 0)
        row = session.scalar(select(AuditRecordRow).where(first))
        facts = (_body(row) or {}).get("facts") if row is not None else None
        after = facts.get("after") if isinstance(facts, dict) else None
        if isinstance(after, dict):
            before, size = after.get("generation"), after.get("size")
            if isinstance(before, int) and isinstance(size, int):
                yield _Told(generation, (before, size))


def _within(at: Checkpoint, generation: int, begin: int, end: int | None) -> bool:
    return at.generation == generation and begin <= at.size and (end is None or at.size <= end)


def _resumed(session: Session, generation: int, size: int) -> _Tree:
    """The tree over the first records, by the hashes that are kept of them. Raises LogDamaged."""
    tree = _Tree(generation, levels=[[]])
    level = STEP
    while size >> level:
        count = (size >> level) % BLOCK
        start = (size >> level) - count
        tree.levels.append(hashes(session, generation, level, start, count) if count else [])
        level += STEP
    for above, waiting in reversed(list(enumerate(tree.levels))):
        for hash in waiting:
            tree.range = tree.range.append(hash, above * STEP)
    return tree


def _pieces(
    session: Session, generation: int | None, begin: int, end: int | None = None
) -> Iterator[Sequence[AuditRecordRow]]:
    """Without a generation: what has no number yet."""
    row, after = AuditRecordRow, None
    while True:
        if generation is None:
            query = select(row).where(row.generation.is_(None)).order_by(row.id)
            query = query.where(row.id > after.id) if after else query
        else:
            query = select(row).where(row.generation == generation).order_by(row.number)
            query = query.where(row.number > after.number) if after else query.where(row.number >= begin)
            query = query.where(row.number < end) if end is not None else query
        rows = session.scalars(query.limit(PIECE)).all()
        if not rows:
            return
        after = rows[-1]
        yield rows
        session.expunge_all()


def _about_row(row: AuditRecordRow, body: dict[str, Any] | None) -> Iterator[Finding]:
    if row.generation is not None and row.leaf_hash != leaf_hash(row.body):
        yield Finding(Fault.HASH_DIFFERS, row.generation, row.number, str(row.id))
    if body is None:
        yield Finding(Fault.NOT_CANONICAL, row.generation, row.number, str(row.id))
        return
    says = (body.get("id"), body.get("agency"), body.get("about"))
    if says != (str(row.id), str(row.agency), str(row.about) if row.about else None):
        yield Finding(Fault.ROW_DIFFERS, row.generation, row.number, str(row.id))


def _about_first(session: Session, row: AuditRecordRow, body: dict[str, Any] | None) -> Iterator[Finding]:
    """A generation begins with the record that says where it came from."""
    facts = (body or {}).get("facts")
    after = facts.get("after") if isinstance(facts, dict) else None
    before = session.scalar(select(exists().where(AuditRecordRow.generation < row.generation)))
    if (body or {}).get("kind") != OPENED or (before and not isinstance(after, dict)):
        yield Finding(Fault.GENERATION_UNANCHORED, row.generation, 0)


def _append(session: Session, tree: _Tree, leaf: bytes) -> Iterator[Finding]:
    tree.range = tree.range.append(leaf)
    level, hash = 0, leaf
    while True:
        if level == len(tree.levels):
            tree.levels.append([])
        tree.levels[level].append(hash)
        if len(tree.levels[level]) < BLOCK:
            return
        hash = perfect(tree.levels[level])
        tree.levels[level].clear()
        level += 1
        position = (tree.range.size >> level * STEP) - 1
        node = session.get(AuditNodeRow, (tree.generation, level * STEP, position))
        if node is None or node.hash != hash:
            last = tree.range.size - 1
            yield Finding(Fault.NODE_DIFFERS, tree.generation, last, f"level {level * STEP}, {position}")


def _about_details(
    session: Session, rows: Sequence[AuditRecordRow], bodies: Mapping[Any, dict[str, Any] | None]
) -> Iterator[Finding]:
    by_id = {row.id: row for row in rows}
    query = select(AuditDetailRow).where(AuditDetailRow.record.in_(by_id))
    for detail in session.scalars(query):
        row, personal = by_id[detail.record], (bodies[detail.record] or {}).get("personal")
        promised = personal.get(detail.name) if isinstance(personal, dict) else None
        if promised is None:
            yield Finding(Fault.DETAIL_UNKNOWN, row.generation, row.number, detail.name)
        elif promised != commitment(detail.salt, detail.value).hex():
            yield Finding(Fault.DETAIL_DIFFERS, row.generation, row.number, detail.name)


def _orphaned_details(session: Session) -> Iterator[Finding]:
    record = exists().where(AuditRecordRow.id == AuditDetailRow.record)
    for name in session.scalars(select(AuditDetailRow.name).where(~record)):
        yield Finding(Fault.DETAIL_UNKNOWN, None, None, name)


def _body(row: AuditRecordRow) -> dict[str, Any] | None:
    """None for what is not the canonical form of an object."""
    try:
        body = json.loads(row.body)
        return body if isinstance(body, dict) and canonical(body) == row.body else None
    except (ValueError, RecursionError):
        return None
