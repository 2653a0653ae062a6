"""What was recorded about keys and who may use them: this file writes it down, and holds the token's book of keys against
it (P4, K2).

- What is done in the token is recorded before it is done: a record may tell of more than was done, the book never of more
  than was recorded.
- Keys that were there before they were recorded are taken stock of once, at the first start. A key that comes later without
  a record is named, also after another start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.told import Told, told_about
from hsm.key import Holder, KeyUnavailable, KeyVault, Purpose
from storage.database import WHOLE_SERVICE, Database, Door
from storage.log.findings import Fault, Finding
from storage.log.records import record
from storage.schema import SERVICE, AuditRecordRow

_KEYS = UUID("0d6f6d1e-6b1f-5d0a-9a57-3f1b8a5f7c11")  # the room of names that stand for keys in records
STOCK = uuid5(_KEYS, "")
PIECE = 200


class KeyFacts(Protocol):
    """A key as the book or the token process tells of it."""

    @property
    def name(self) -> str: ...
    @property
    def agency(self) -> UUID: ...
    @property
    def purpose(self) -> Purpose: ...
    @property
    def holder(self) -> Holder: ...
    @property
    def granted(self) -> frozenset[UUID]: ...
    @property
    def certificate(self) -> bytes: ...


def key_id(name: str) -> UUID:
    """What records about a key are about."""
    return uuid5(_KEYS, name)


async def take_stock(db: Database, keys: KeyVault, clock: Callable[[], datetime]) -> None:
    """Once in the life of a home: what keys there are, and who may use them. Nothing where the token is away: the next
    start does it. Raises DatabaseUnavailable."""

    def taken(session: Session) -> bool:
        query = select(AuditRecordRow.id).where(AuditRecordRow.about == STOCK).limit(1)
        return session.scalar(query) is not None

    if await db.read(WHOLE_SERVICE, taken):
        return
    try:
        found = await keys.descriptions()
    except KeyUnavailable:
        return
    now = clock()

    def work(door: Door) -> None:
        if taken(door):
            return
        for one in found:
            record(
                door, agency=one.agency, kind="key.found", at=now, about=key_id(one.name), facts=_facts(one)
            )
        record(
            door, agency=SERVICE, kind="keys.counted", at=now, about=STOCK, facts={"count": len(found)}
        )  # fmt: skip

    await db.transact(WHOLE_SERVICE, work)


def making_facts(
    name: str, purpose: Purpose, holder: Holder, granted: frozenset[UUID] = frozenset()
) -> dict[str, Any]:
    return {
        "key": name, "purpose": purpose.value, "holder_kind": holder.kind.value, "holder": str(holder.id),
        "granted": sorted(str(one) for one in granted),
    }  # fmt: skip


def _facts(key: KeyFacts) -> dict[str, Any]:
    made = making_facts(key.name, key.purpose, key.holder, key.granted)
    return made | ({"certificate": _fingerprint(key.certificate)} if key.certificate else {})


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


@dataclass
class _Recorded:
    """What the records about one key add up to."""

    agencies: set[str] = field(default_factory=set)
    made: Mapping[str, Any] | None = None
    certificates: set[str] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)

    @staticmethod
    def of(told: Told) -> _Recorded:
        found = _Recorded()
        for one in told.records:
            kind, facts = one["kind"], one["facts"]
            if kind in {"key.found", "key.making"}:
                found.made = facts
                found.agencies.add(one["agency"])
                found.granted |= set(facts.get("granted", ()))
            if "certificate" in facts:
                found.certificates.add(facts["certificate"])
            if kind == "key.granting":
                found.granted.add(facts.get("who"))
            elif kind == "key.revoking":
                found.granted.discard(facts.get("who"))
        return found


def keys_differing(session: Session, keys: Sequence[KeyFacts]) -> Iterator[Finding]:
    """Nothing in a home whose keys were never counted."""
    if not told_about(session, [STOCK])[STOCK].records:
        return
    for begin in range(0, len(keys), PIECE):
        piece = keys[begin : begin + PIECE]
        told = told_about(session, [key_id(one.name) for one in piece])
        for key in piece:
            yield from _about(key, _Recorded.of(told[key_id(key.name)]))


def _about(key: KeyFacts, recorded: _Recorded) -> Iterator[Finding]:
    what = f"keys {key.name}"
    if recorded.made is None:
        yield Finding(Fault.FACT_UNRECORDED, None, None, what)
        return
    if str(key.agency) not in recorded.agencies:
        yield Finding(Fault.FACT_DIFFERS, None, None, f"{what}: agency")
    for name, value in _facts(key).items():
        if name not in {"key", "granted", "certificate"} and recorded.made.get(name) != value:
            yield Finding(Fault.FACT_DIFFERS, None, None, f"{what}: {name}")
    if key.certificate and _fingerprint(key.certificate) not in recorded.certificates:
        yield Finding(Fault.FACT_DIFFERS, None, None, f"{what}: certificate")
    for who in sorted({str(one) for one in key.granted} - recorded.granted):
        yield Finding(Fault.FACT_UNRECORDED, None, None, f"{what}: granted {who}")
