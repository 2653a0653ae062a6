"""Checkpoints: this file says what the log was at a moment, in a form that is signed and kept elsewhere (P4)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from storage.schema import AuditCheckpointRow

TITLE = b"antin audit checkpoint 1\n"


@dataclass(frozen=True)
class Checkpoint:
    generation: int
    size: int  # records
    root: bytes
    at: datetime

    def text(self) -> bytes:
        """What is signed: a title of its own, so that it can be taken for nothing else, then canonical JSON."""
        at = self.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        fields: dict[str, Any] = {
            "generation": self.generation,
            "size": self.size,
            "root": self.root.hex(),
            "at": at,
        }
        return TITLE + rfc8785.dumps(fields)


@dataclass(frozen=True)
class SignedCheckpoint:
    checkpoint: Checkpoint
    signature: bytes | None  # by the audit key, over `checkpoint.text()`

    def to_stored(self) -> bytes:
        """The same for the same checkpoint: what lies in `kept` is named by it."""
        signature = self.signature.hex() if self.signature is not None else ""
        return self.checkpoint.text() + b"\n" + signature.encode() + b"\n"

    @staticmethod
    def from_stored(stored: bytes) -> SignedCheckpoint:
        """Raises ValueError."""
        head, title, rest = stored.partition(TITLE)
        body, _, signature = rest.strip().partition(b"\n")
        if head or not title:
            raise ValueError("not a checkpoint")
        try:
            fields: dict[str, Any] = json.loads(body)
            checkpoint = Checkpoint(
                int(fields["generation"]), int(fields["size"]), bytes.fromhex(fields["root"]),
                datetime.fromisoformat(fields["at"]),
            )  # fmt: skip
            return SignedCheckpoint(checkpoint, bytes.fromhex(signature.decode()) or None)
        except (KeyError, TypeError, UnicodeDecodeError) as why:
            raise ValueError("not a checkpoint") from why

    def sha256(self) -> str:
        return hashlib.sha256(self.to_stored()).hexdigest()


def checkpoint_of(row: AuditCheckpointRow) -> Checkpoint:
    return Checkpoint(row.generation, row.size, row.root, row.created_at)


def signed_of(row: AuditCheckpointRow) -> SignedCheckpoint:
    return SignedCheckpoint(checkpoint_of(row), row.signature)
