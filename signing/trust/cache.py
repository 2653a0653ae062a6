"""Where answers of revocation authorities are remembered: this file holds the promise, and its keeper in memory.

A question is the SHA-256 of an address (CRL), or of issuer and serial number (OCSP). Only answers whose signature was
checked are put here, so nobody can push a good one out with a bad one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

MEMORY = 64 << 20  # bytes


class Kind(StrEnum):
    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True)
class Cached:
    kind: Kind
    der: bytes
    this_update: datetime
    next_update: datetime | None
    fetched_at: datetime


class RevocationCache(Protocol):
    async def get(self, question: bytes) -> Cached | None:
        """The newest answer, however old. An unreachable keeper is None: it is only a cache."""
        ...

    async def put(self, question: bytes, answer: Cached) -> None:
        """Takes the place of what was there. Safe to call from many tasks."""
        ...


class MemoryCache:
    """Bounded by bytes; the one that was not asked for longest goes first."""

    def __init__(self, room: int = MEMORY) -> None:
        self._room, self._held = room, 0
        self._answers: OrderedDict[bytes, Cached] = OrderedDict()

    async def get(self, question: bytes) -> Cached | None:
        if question in self._answers:
            self._answers.move_to_end(question)
        return self._answers.get(question)

    async def put(self, question: bytes, answer: Cached) -> None:
        old = self._answers.pop(question, None)
        self._held += len(answer.der) - (len(old.der) if old else 0)
        self._answers[question] = answer
        while self._held > self._room and self._answers:
            _, gone = self._answers.popitem(last=False)
            self._held -= len(gone.der)
