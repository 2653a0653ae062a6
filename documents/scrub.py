"""This file re-reads what is kept, a little at a time, and names what is not any more as it was kept (P2).

- In the order of names, each object once a pass however many rows name it; where it stands is a row, so that a restart
  goes on there, and one process at a time does it.
- At a bounded rate: what is read too much in one run is waited for before the next.
- Each fault is named once: a row as long as it lasts, an audit record when it is found and when it is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import func, select, tuple_

from storage.database import WHOLE_SERVICE, Database, Door
from storage.log.records import record
from storage.problem import Problem
from storage.schema import SERVICE, EvidenceRow, KeptFaultRow, RenditionRow, ScrubRow, SigningRequestRow
from storage.store import Damaged, Kept, KeptName, NotKept, ObjectStore, StoreUnavailable, first_retention

RATE = 2 << 20  # bytes per second: 170 GB a day
INTERVAL = 30.0  # seconds between runs
PASS = timedelta(days=1)  # a small archive is read through once a day
BUSY = timedelta(minutes=10)  # what a run may take before another process thinks its process dead
BATCH = 32
SHOWN = 5

GONE, DAMAGED, UNREADABLE, NOT_HELD = "gone", "damaged", "unreadable", "not-held"

log = logging.getLogger("antin.scrub")

Held = Mapping[KeptName, datetime]  # until when at least nobody may delete it


@dataclass(frozen=True)
class Scrub:
    """`look` is the store's look at itself: whether it is away, or only one object cannot be read. `clock` raises
    ClockUnsure."""

    db: Database
    store: ObjectStore
    look: Callable[[], Sequence[Problem]]
    clock: Callable[[], datetime]
    rate: int = RATE

    async def run(self) -> int:
        """How many objects were read. Raises StoreUnavailable where the store is away: the same ones come next time."""
        now, read, spent = self.clock(), 0, 0
        took, after = await self.db.transact(WHOLE_SERVICE, partial(_take, now=now), turn="scrub")
        while took and spent < self.rate * INTERVAL:
            names = await self.db.read(WHOLE_SERVICE, partial(_names, after=after))
            held = await self.db.read(WHOLE_SERVICE, partial(_held, names=names))
            seen = dict[KeptName, str | None]()
            for name in names:
                seen[name], size = await self._look_at(name, held.get(name), now)
                spent += size
                if spent >= self.rate * INTERVAL:
                    break
            if seen:
                after = next(reversed(seen))
            # What was read is paid for in time.
            at = self.clock()
            following = max(at, now + timedelta(seconds=spent / self.rate))
            write = partial(_note, seen=seen, at=at, after=after if names else None, following=following)
            await self.db.transact(WHOLE_SERVICE, write, turn="scrub")
            read += len(seen)
            took = bool(names)
        return read

    async def _look_at(self, name: KeptName, until: datetime | None, now: datetime) -> tuple[str | None, int]:
        """What is wrong with it, and how many bytes it has."""
        kept = Kept(0, None)
        try:
            kept = await self.store.kept.stat(name)
            async with self.store.kept.fetch(name):
                pass
        except NotKept:
            return GONE, 0
        except Damaged:
            return DAMAGED, kept.size
        except StoreUnavailable:
            if any(one.stops for one in await asyncio.to_thread(self.look)):
                raise
            return UNREADABLE, kept.size
        if until is not None and until > now and (kept.retain_until is None or kept.retain_until < until):
            return NOT_HELD, kept.size
        return None, kept.size


async def kept_faults(db: Database) -> list[Problem]:
    """`kept-damaged` and `kept-not-held`, with how many and some of the names. Raises DatabaseUnavailable."""

    def work(session: Door) -> list[Problem]:
        found = []
        for code, of in (
            ("kept-damaged", KeptFaultRow.fault != NOT_HELD),
            ("kept-not-held", KeptFaultRow.fault == NOT_HELD),
        ):
            count = session.scalar(select(func.count()).select_from(KeptFaultRow).where(of)) or 0
            rows = session.scalars(
                select(KeptFaultRow).where(of).order_by(KeptFaultRow.found_at).limit(SHOWN)
            )
            shown = ", ".join(f"{one.agency}/{one.sha256} {one.fault}" for one in rows)
            if count:
                found.append(Problem(code, f"{count}: {shown}", stops=False))
        return found

    return await db.read(WHOLE_SERVICE, work)


def _take(session: Door, *, now: datetime) -> tuple[bool, KeptName | None]:
    """Whether it is time, and the last name that was read."""
    row = session.get(ScrubRow, SERVICE, with_for_update=True)
    if row is None:
        row = ScrubRow(agency=SERVICE, began_at=now, next_at=now)
        session.add(row)
    if row.next_at > now:
        return False, None
    if row.at_agency is None:
        row.began_at = now
    row.next_at = now + BUSY
    return True, KeptName(row.at_agency, row.at_sha256) if row.at_agency and row.at_sha256 else None


def _names(session: Door, *, after: KeptName | None) -> list[KeptName]:
    """The next ones. The two tables are asked one by one: each has an index in this order."""
    found = set[KeptName]()
    for agency, sha256 in (
        (RenditionRow.agency, RenditionRow.sha256),
        (EvidenceRow.agency, EvidenceRow.sha256),
    ):
        query = select(agency, sha256).distinct().order_by(agency, sha256).limit(BATCH)
        if after is not None:
            query = query.where(tuple_(agency, sha256) > (after.agency, after.sha256))
        found |= {KeptName(*one) for one in session.execute(query)}
    return sorted(found, key=lambda one: (one.agency, one.sha256))[:BATCH]


def _held(session: Door, *, names: Sequence[KeptName]) -> dict[KeptName, datetime]:
    """What is kept for a request is held at least as long as if that had been kept when it came."""
    found = dict[KeptName, datetime]()
    of, wanted = SigningRequestRow, [(one.agency, one.sha256) for one in names]
    for row in (RenditionRow, EvidenceRow):
        query = (
            select(row.agency, row.sha256, func.max(of.created_at)).join(of, of.id == row.request)
            .where(tuple_(row.agency, row.sha256).in_(wanted)).group_by(row.agency, row.sha256)
        )  # fmt: skip
        for agency, sha256, came in session.execute(query):
            name, until = KeptName(agency, sha256), first_retention(came)
            found[name] = max(until, found.get(name, until))
    return found


def _note(
    session: Door, *, seen: Mapping[KeptName, str | None], at: datetime, after: KeptName | None, following: datetime
) -> None:  # fmt: skip
    for name, fault in seen.items():
        row = session.get(KeptFaultRow, (name.agency, name.sha256))
        if (row.fault if row else None) == fault:
            continue
        if row is not None:
            session.delete(row)
            session.flush()
        if fault is not None:
            session.add(KeptFaultRow(agency=name.agency, sha256=name.sha256, fault=fault, found_at=at))
            log.error("what was kept is not as it was: %s %s", name, fault)
        facts = {"sha256": name.sha256, "fault": fault or "none"}
        record(
            session, agency=name.agency, kind="kept.fault", at=at, about=_document(session, name), facts=facts
        )
    scrub = session.get_one(ScrubRow, SERVICE, with_for_update=True)
    scrub.at_agency, scrub.at_sha256 = (after.agency, after.sha256) if after else (None, None)
    scrub.next_at = following
    if after is None:
        scrub.ended_at, scrub.next_at = at, max(following, scrub.began_at + PASS)


def _document(session: Door, name: KeptName) -> UUID | None:
    row = RenditionRow
    named = select(row.document).where(row.agency == name.agency, row.sha256 == name.sha256)
    return session.scalar(named.order_by(row.id).limit(1))
