"""The audit trail as the doors need it: this file writes down what an operator is about to do, and holds the log against
what is known outside (P4).

- What is done outside the database (a key made in the token, a grant in its book) is written down before it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from sqlalchemy.orm import Session

from hsm.key import KeyDescription, KeyUnavailable, KeyVault, Purpose
from hsm.public_keys import verify
from storage.database import WHOLE_SERVICE, Database
from storage.log.check import Fault, Finding, check
from storage.log.checkpoints import SignedCheckpoint
from storage.log.records import record

LARGEST_CHECKPOINT = 64 * 1024  # bytes
MOST_CHECKPOINTS = 1_000_000  # two years of minutes

__all__ = ["Fault", "Finding", "LookedAt", "SignedCheckpoint", "Trail", "checkpoints_in"]


@dataclass(frozen=True)
class LookedAt:
    """`outside`: how many checkpoints from outside the database it was held against; `signatures`: whether the audit
    key's public half was at hand to judge them."""

    findings: Sequence[Finding]
    outside: int
    signatures: bool


class Trail:
    """`elsewhere` is the folder of checkpoints that the database's administrator cannot reach; `keys` knows the public
    half of the audit key."""

    def __init__(
        self, db: Database, clock: Callable[[], datetime], *, keys: KeyVault, elsewhere: Path
    ) -> None:
        self._db, self._clock, self._keys, self._elsewhere = db, clock, keys, elsewhere

    async def note(self, agency: UUID, kind: str, *, about: UUID | None, facts: Mapping[str, Any]) -> None:
        """Durable when it comes back. Raises DatabaseUnavailable: then nothing is to be done."""
        now = self._clock()

        def work(session: Session) -> None:
            record(session, agency=agency, kind=kind, at=now, about=about, facts=facts)

        await self._db.transact(agency, work)

    async def check(self, *, more: Sequence[SignedCheckpoint] = ()) -> LookedAt:
        """What is wrong with the log; `more` are checkpoints that an auditor brings. Raises DatabaseUnavailable,
        OSError."""
        known = [*await asyncio.to_thread(checkpoints_in, self._elsewhere), *more]
        keys = await audit_keys(self._keys)
        judge = partial(_signed_by, keys) if keys else None
        findings = await self._db.read(WHOLE_SERVICE, partial(check, known=known, verify=judge))
        return LookedAt(findings, len(known), judge is not None)


async def audit_keys(keys: KeyVault) -> Sequence[KeyDescription]:
    """Those that sign checkpoints; none where the token is away."""
    try:
        return [one for one in await keys.descriptions() if one.purpose is Purpose.AUDIT]
    except KeyUnavailable:
        return []


def checkpoints_in(folder: Path) -> list[SignedCheckpoint]:
    """Every checkpoint that lies directly in a folder; what is none is passed over. Blocks. Raises OSError."""
    found: list[SignedCheckpoint] = []
    for file in sorted(folder.iterdir())[:MOST_CHECKPOINTS] if folder.exists() else ():
        if file.is_file() and file.stat().st_size <= LARGEST_CHECKPOINT:
            try:
                found.append(SignedCheckpoint.from_stored(file.read_bytes()))
            except ValueError:
                continue
    return found


def _signed_by(keys: Sequence[KeyDescription], text: bytes, signature: bytes) -> bool:
    for one in keys:
        try:
            verify(one.public_key, one.mechanisms[0], text, signature)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
