"""Proofs that a record stands in the log: this file makes them from the few hashes that they need."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.log.merkle import Node, inclusion_proof, perfect
from storage.schema import AuditCheckpointRow, AuditNodeRow, AuditRecordRow

STEP = 8  # full subtrees are kept at levels 8, 16, 24, ...


class LogDamaged(Exception):
    """A hash that the tree needs is not there: `antin audit check` names what is missing."""


def proof_of(session: Session, row: AuditRecordRow) -> dict[str, Any] | None:
    """RFC 9162 2.1.3 against the oldest checkpoint that covers the record; None while there is none. Raises
    LogDamaged."""
    if row.generation is None or row.number is None or row.leaf_hash is None:
        return None
    checkpoint = session.scalar(
        select(AuditCheckpointRow)
        .where(AuditCheckpointRow.generation == row.generation, AuditCheckpointRow.size > row.number)
        .order_by(AuditCheckpointRow.size)
        .limit(1)
    )
    if checkpoint is None:
        return None
    path = inclusion_proof(row.number, checkpoint.size, nodes(session, row.generation))
    return {
        "generation": row.generation,
        "number": row.number,
        "leaf_hash": row.leaf_hash.hex(),
        "path": [one.hex() for one in path],
        "checkpoint": to_json(checkpoint),
    }


def to_json(row: AuditCheckpointRow) -> dict[str, Any]:
    """The signed text is `storage.log.checkpoints.Checkpoint.text` over these."""
    from storage.log.checkpoints import checkpoint_of

    checkpoint = checkpoint_of(row)
    return {
        "text": checkpoint.text().decode(),
        "signature": row.signature.hex() if row.signature else None,
    }


def nodes(session: Session, generation: int) -> Node:
    """Hashes of perfect subtrees as they stand in the database; at most 128 rows are read for one."""

    def node(level: int, position: int) -> bytes:
        below = level - level % STEP
        count = 1 << (level - below)
        return perfect(hashes(session, generation, below, position * count, count))

    return node


def hashes(session: Session, generation: int, level: int, start: int, count: int) -> list[bytes]:
    """`count` neighbours of one kept level (0: the leaves). Raises LogDamaged."""
    if level == 0:
        query = (
            select(AuditRecordRow.number, AuditRecordRow.leaf_hash)
            .where(
                AuditRecordRow.generation == generation,
                AuditRecordRow.number.between(start, start + count - 1),
            )
            .order_by(AuditRecordRow.number)
        )
    else:
        query = (
            select(AuditNodeRow.position, AuditNodeRow.hash)
            .where(
                AuditNodeRow.generation == generation, AuditNodeRow.level == level,
                AuditNodeRow.position.between(start, start + count - 1),
            )
            .order_by(AuditNodeRow.position)
        )  # fmt: skip
    found = {at: hash for at, hash in session.execute(query) if hash is not None}
    if len(found) != count:
        raise LogDamaged(f"generation {generation}, level {level}, from {start}")
    return list(found.values())
