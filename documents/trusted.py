"""This file keeps whom we believe (P5, K6): anchors as dated rows, the snapshot in use, and who confirmed each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from signing.trust.anchors import Anchor, CannotLoad, TrustSnapshot, Use, describe
from storage.database import Database, Door
from storage.identifiers import uuid7
from storage.log.records import record, rfc3339
from storage.schema import SERVICE, TrustAnchorRow


class NoSuchAnchor(LookupError):
    """No anchor with this fingerprint is believed now."""


@dataclass(frozen=True)
class KeptAnchor:
    fingerprint: str  # SHA-256 of the certificate, hexadecimal
    anchor: Anchor
    confirmed_by: str
    added_at: datetime


class Trusted:
    """`production`: anchors for demonstration are not believed, whoever confirmed them, but named in `refused` (K6)."""

    def __init__(self, db: Database, clock: Callable[[], datetime], *, production: bool = False) -> None:
        self._db, self._clock, self._production = db, clock, production
        self._snapshot = TrustSnapshot(())
        self.refused: tuple[Anchor, ...] = ()

    def snapshot(self) -> TrustSnapshot:
        return self._snapshot

    async def reload(self) -> TrustSnapshot:
        """What other processes changed is believed from here on."""
        anchors = [one.anchor for one in await self.list()]
        self.refused = tuple(one for one in anchors if self._production and one.demonstration)
        self._snapshot = TrustSnapshot(tuple(one for one in anchors if one not in self.refused))
        return self._snapshot

    async def list(self) -> Sequence[KeptAnchor]:
        def work(session: Door) -> list[KeptAnchor]:
            query = (
                select(TrustAnchorRow)
                .where(TrustAnchorRow.removed_at.is_(None))
                .order_by(TrustAnchorRow.added_at)
            )
            return [_kept(row) for row in session.scalars(query)]

        return await self._db.read(SERVICE, work)

    async def add(self, anchor: Anchor, *, confirmed_by: str) -> str:
        """The anchor's fingerprint; one that is believed already stays as it is."""
        now = self._clock()
        fingerprint = hashlib.sha256(anchor.certificate).hexdigest()

        def work(session: Door) -> None:
            if _row(session, fingerprint) is not None:
                return
            id = uuid7(now)
            session.add(
                TrustAnchorRow(
                    id=id, agency=SERVICE, certificate=anchor.certificate, uses=sorted(anchor.uses),
                    since=anchor.since, until=anchor.until, demonstration=anchor.demonstration,
                    provenance=anchor.provenance, confirmed_by=confirmed_by, added_at=now,
                )
            )  # fmt: skip
            facts = {
                "fingerprint": fingerprint, "uses": sorted(anchor.uses), "by": confirmed_by,
                "demonstration": anchor.demonstration, "provenance": anchor.provenance,
                "since": rfc3339(anchor.since) if anchor.since else None,
                "until": rfc3339(anchor.until) if anchor.until else None,
            }  # fmt: skip
            record(session, agency=SERVICE, kind="trust.added", at=now, about=id, facts=facts)

        await self._db.transact(SERVICE, work)
        await self.reload()
        return fingerprint

    async def remove(self, fingerprint: str, *, by: str) -> None:
        """Believed no more; the row stays, with its end. Raises NoSuchAnchor."""
        now = self._clock()

        def work(session: Door) -> None:
            row = _row(session, fingerprint)
            if row is None:
                raise NoSuchAnchor(fingerprint)
            row.removed_at = now
            record(
                session,
                agency=SERVICE,
                kind="trust.removed",
                at=now,
                about=row.id,
                facts={"fingerprint": fingerprint, "by": by},
            )

        await self._db.transact(SERVICE, work)
        await self.reload()


def _row(session: Door, fingerprint: str) -> TrustAnchorRow | None:
    believed: UUID | None = None
    for row in session.scalars(select(TrustAnchorRow).where(TrustAnchorRow.removed_at.is_(None))):
        if hashlib.sha256(row.certificate).hexdigest() == fingerprint:
            believed = row.id
    return session.get(TrustAnchorRow, believed) if believed else None


def _kept(row: TrustAnchorRow) -> KeptAnchor:
    uses = frozenset(Use(one) for one in row.uses)
    demonstration = row.demonstration or _says_demonstration(row.certificate)
    anchor = Anchor(row.certificate, uses, row.since, row.until, demonstration, row.provenance)
    return KeptAnchor(hashlib.sha256(row.certificate).hexdigest(), anchor, row.confirmed_by, row.added_at)


def _says_demonstration(certificate: bytes) -> bool:
    """Its own subject stands above the row, which can be written by hand."""
    try:
        return describe(certificate).demonstration
    except CannotLoad:
        return False
