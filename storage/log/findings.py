"""What `antin audit check` may find: this file holds the closed list, and the shape of one finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    FORKED = "forked"  # two that began as one both went on
    NOT_IN_BACKUP = "not-in-backup"  # so much was lost by a restore that said so
    GENERATION_UNANCHORED = "generation-unanchored"  # its first record does not name where it came from
    # Of the facts that the records tell of, and of the token's use log.
    FACT_DIFFERS = "fact-differs"  # a row says something else than the records about it
    FACT_MISSING = "fact-missing"  # records tell of a row that is not there
    FACT_UNRECORDED = "fact-unrecorded"  # no record tells of a row
    USE_UNRECORDED = "use-unrecorded"  # the token was used, and no record tells of it


@dataclass(frozen=True)
class Finding:
    fault: Fault
    generation: int | None
    number: int | None
    detail: str = ""
