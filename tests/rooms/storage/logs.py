"""A log that lives, for the tests of the audit trail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from storage.database import WHOLE_SERVICE, Database, Door
from storage.folder_store import FolderStore
from storage.log.check import Examined, Fault, Span, check, examine
from storage.log.checkpoints import SignedCheckpoint
from storage.log.merkle import CompactRange
from storage.log.records import record
from storage.log.sequencer import Sequencer

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
AGENCY = uuid4()
KEY = b"the audit key"


def signature(text: bytes) -> bytes:
    return hashlib.sha256(KEY + text).digest()


def verify(text: bytes, signed: bytes) -> bool:
    return signature(text) == signed


class World:
    """A log that lives: its database, its store, and the second place where checkpoints go."""

    def __init__(self, db: Database, store: FolderStore) -> None:
        self.db, self.store, self.now = db, store, NOW
        self.outside: list[SignedCheckpoint] = []
        self.reachable = True
        self.sequencer = Sequencer(db, store, lambda: self.now, sign=self.sign, elsewhere=self)

    async def sign(self, text: bytes) -> bytes:
        return signature(text)

    async def take(self, signed: SignedCheckpoint) -> None:
        if not self.reachable:
            raise OSError("the second place is away")
        self.outside.append(signed)

    async def after(self, generation: int, size: int) -> list[SignedCheckpoint]:
        names = [(one, (one.checkpoint.generation, one.checkpoint.size)) for one in self.outside]
        return [one for one, at in names if at >= (generation, size)]

    async def tell(self, count: int, about: UUID | None = None, **personal: str) -> None:
        def work(session: Door) -> None:
            for n in range(count):
                record(
                    session, agency=AGENCY, kind="document.received", at=self.now, about=about,
                    facts={"n": n, "by": "clerk"}, personal=personal,
                )  # fmt: skip

        await self.db.transact(AGENCY, work)
        self.now += timedelta(seconds=1)

    async def faults(self, known: bool = True) -> list[Fault]:
        outside = self.outside if known else []
        found = await self.db.read(WHOLE_SERVICE, lambda s: check(s, known=outside, verify=verify))
        return [one.fault for one in found]

    async def examine(self, whole: dict[int, CompactRange], again: Sequence[Span] = ()) -> Examined:
        return await self.db.read(
            WHOLE_SERVICE,
            lambda s: examine(s, known=self.outside, verify=verify, whole=whole, again=again),
        )

    async def by_hand(self, *statements: Any) -> None:
        """What an administrator of the database does."""

        def work(session: Door) -> None:
            for one in statements:
                session.execute(one)

        await self.db.transact(WHOLE_SERVICE, work)
