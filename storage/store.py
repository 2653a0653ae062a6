"""The promise `ObjectStore`: two spaces for bytes, `kept` for ever and `working` for now (P2).

- Bytes travel as files, so that nothing is ever whole in memory.
- A kept object's name is its agency and its SHA-256: what is read is checked against its name, every time.
- The names are all that a keeper knows of an agency: its UUID, never a word of it (P3).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

# What is kept cannot be deleted before: as long as a digital file has to reach the archive after its work ends (Circular
# 05/2025/TT-BNV). The class of a document (10 years to for ever) is known later, and only lengthens it.
FIRST_RETENTION = timedelta(days=60)

SHA256_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class KeptName:
    """Names bytes by what they are: `<agency UUID>/<SHA-256 in hex>`. Raises ValueError for another form: a name
    becomes a path."""

    agency: UUID
    sha256: str

    def __post_init__(self) -> None:
        if not SHA256_HEX.fullmatch(self.sha256):
            raise ValueError("not a SHA-256 in lower-case hexadecimal")

    def __str__(self) -> str:
        return f"{self.agency}/{self.sha256}"


@dataclass(frozen=True)
class WorkingName:
    """Names bytes for a while: `<agency UUID>/<UUID>`."""

    agency: UUID
    id: UUID

    def __str__(self) -> str:
        return f"{self.agency}/{self.id}"


@dataclass(frozen=True)
class Kept:
    size: int  # bytes
    retain_until: datetime | None  # UTC; the keeper refuses to delete before


class StoreUnavailable(Exception):
    """The keeper does not answer, is full, or says something it must not. Nothing was promised."""


class AlreadyKept(Exception):
    """Other bytes are wanted under a kept name. The kept ones stay."""


class NotKept(LookupError):
    """No object of this name."""


class Damaged(Exception):
    """What lies under the name is not what was kept there."""


def first_retention(now: datetime) -> datetime:
    """The midnight (UTC) after it is over: what is kept again on the same day needs no longer lock."""
    day = (now + FIRST_RETENTION).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)


class KeptSpace(Protocol):
    async def keep(self, name: KeptName, source: Path, *, retain_until: datetime | None = None) -> None:
        """Returns only when the bytes would survive a power cut. The same bytes again is fine (and lengthens the
        retention, if longer). `source` is read, not moved. Raises AlreadyKept when `source` has another digest
        than its name, Damaged when what lies there is not these bytes any more, StoreUnavailable."""
        ...

    def fetch(self, name: KeptName) -> AbstractAsyncContextManager[Path]:
        """A local file to read, checked against its name before it is given; never to be written. Gone after the
        block. Raises NotKept, Damaged, StoreUnavailable."""
        ...

    async def stat(self, name: KeptName) -> Kept:
        """Raises NotKept, StoreUnavailable. Does not read the bytes."""
        ...

    async def retain(self, name: KeptName, until: datetime) -> None:
        """Lengthens the retention; a shorter one than stands is ignored. Raises NotKept, StoreUnavailable."""
        ...

    def names(self, agency: UUID | None = None) -> AsyncIterator[KeptName]:
        """Every kept name, of one agency or of all, in no order."""
        ...


class WorkingSpace(Protocol):
    async def put(self, name: WorkingName, source: Path, *, expires: datetime) -> None:
        """Returns when the bytes would survive a power cut (an open intent may name them). Overwrites. `source`
        may be moved away. Raises StoreUnavailable."""
        ...

    def fetch(self, name: WorkingName) -> AbstractAsyncContextManager[Path]:
        """A local file to read; never to be written. Raises NotKept, StoreUnavailable."""
        ...

    async def delete(self, name: WorkingName) -> None:
        """Deletes; nothing there is fine. Raises StoreUnavailable."""
        ...

    async def extend(self, name: WorkingName, *, expires: datetime) -> None:
        """Keeps it longer. Raises NotKept, StoreUnavailable."""
        ...

    def expired(self, now: datetime) -> AsyncIterator[WorkingName]:
        """Names whose time is over; the sweep deletes those that no open intent names."""
        ...


class ObjectStore(Protocol):
    """Two spaces of one keeper."""

    @property
    def kept(self) -> KeptSpace: ...

    @property
    def working(self) -> WorkingSpace: ...

    def scratch(self) -> Path:
        """A local folder for files being made, on the same file system as a folder keeper's spaces where that
        makes putting them there a rename. Emptied at start."""
        ...
