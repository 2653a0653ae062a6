"""What is wrong, part by part: this file asks token, store, database, clock, certificates and settings how they are.

- Each trouble is a code of a closed list; its sentence and what to do stand in `web/troubles.py`.
- A part that could not be opened is None here and hides no other: what opening it said is a trouble of its own.
- In production the table of `production.py` is asked besides, and whatever stops is a reason not to start (K6).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy.exc import ArgumentError

import ground
import production
from documents.log_keeper import LogKeeper
from documents.rooms import Trouble
from documents.scrub import kept_faults
from documents.trusted import Trusted
from ground import Times
from hsm import key_book
from hsm.health import TokenHealth
from hsm.key import HolderKind, KeyDescription, KeyUnavailable, Purpose
from hsm.mechanisms import UnsupportedKey
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_user import user_of
from settings import Settings
from signing.timestamping.clock import ClockGuard, independent
from signing.trust.certificate import NotACertificate, read
from storage.database import Database, DatabaseUnavailable, NotMigrated
from storage.problem import Problem
from storage.sealed import KeyFileUnsafe
from storage.store import ObjectStore, StoreUnavailable

T = TypeVar("T")
SOON = timedelta(days=30)

# What keeps the house, or a part of it, from being opened.
FAULTS = (
    DatabaseUnavailable,
    StoreUnavailable,
    KeyUnavailable,
    KeyFileUnsafe,
    ArgumentError,
    OSError,
    ValueError,
)


class Checked(ObjectStore, Protocol):
    """A keeper that can look at itself."""

    def check(self) -> list[Problem]: ...


@dataclass(frozen=True)
class Watch:
    settings: Settings
    vault: Pkcs11Vault
    guard: ClockGuard
    db: Database | None = None
    store: Checked | None = None
    trusted: Trusted | None = None
    confined: bool = True  # whether the children that read files are kept from the network
    sole: bool = True  # as in production.Facts
    time_sources: int = 0
    log_keeper: LogKeeper | None = None
    durable: Callable[[], Awaitable[list[Problem]]] | None = None  # how the waiting work does

    async def troubles(self) -> Sequence[Trouble]:
        """Everything at once; raises nothing."""
        found = list[Trouble]()
        health = keys = None
        try:
            health = await self.vault.probe()
            found += _token(health)
            keys = await self.vault.descriptions()
        except KeyUnavailable as why:
            if not found:
                found.append(trouble_of(why))
        if self.settings.production:
            found += production.refusals(await asyncio.to_thread(self._facts, health, keys))
        found += [*self._clock(), *self._trust()]
        if self.db is not None:
            told = await asyncio.to_thread(self.db.check)
            found += [_from("database", one) for one in told]
            if not any(one.stops for one in told):
                with suppress(DatabaseUnavailable):  # since that look: the next one tells
                    found += [_from("store", one) for one in await kept_faults(self.db)]
        if self.store is not None:
            try:
                found += [_from("store", one) for one in await asyncio.to_thread(self.store.check)]
            except StoreUnavailable as why:
                found.append(trouble_of(why))
        if self.log_keeper is not None:
            found += [_from("audit", one) for one in await self.log_keeper.problems()]
        if self.durable is not None:
            found += [_from("jobs", one) for one in await self.durable()]
        if keys is not None:
            found += self._keys(keys, self.guard.best())
        if not self.confined:
            found.append(Trouble("settings", "not-confined", "", stops=False))
        return found

    def _facts(self, health: TokenHealth | None, keys: Sequence[KeyDescription] | None) -> production.Facts:
        """Blocks. Where the token is away its book may be read here, which is a reason by itself, and tells the others."""
        refused = self.trusted.refused if self.trusted is not None else ()
        return production.Facts(
            self.settings, os.geteuid(), demonstration=[one.fingerprint for one in refused],
            keys=keys if keys is not None else _in_book(self.settings.token),
            softhsm=health is not None and health.softhsm, token_user=user_of(self.settings.socket),
            time_sources=self.time_sources, sole=self.sole,
        )  # fmt: skip

    def _clock(self) -> list[Trouble]:
        off = self.guard.trouble()
        return [] if off is None else [Trouble("clock", "clock-off", off)]

    def _trust(self) -> list[Trouble]:
        if self.trusted is None or self.trusted.snapshot().anchors:
            return []
        return [Trouble("certificates", "no-anchor", "")]

    def _keys(self, keys: Sequence[KeyDescription], now: datetime) -> list[Trouble]:
        settings, found = self.settings, list[Trouble]()
        stamps = any(one.purpose is Purpose.TIME_STAMPING for one in keys)
        if not stamps and not settings.tsa_urls:
            found.append(Trouble("authority", "no-authority", "", stops=False))
        if not any(one.purpose is Purpose.AUDIT for one in keys):
            found.append(Trouble("token", "no-audit-key", "", stops=settings.production))
        return found + [trouble for one in keys for trouble in _certificate(one, now)]


def _token(health: TokenHealth) -> list[Trouble]:
    found = [] if health.ready else [Trouble("token", health.why or "token-away", health.label)]
    return found + [
        Trouble("token", f"key-{why}", name, stops=False)
        for name, why in health.unusable
        if why != "no-certificate"
    ]


def _certificate(key: KeyDescription, now: datetime) -> list[Trouble]:
    if not key.certificate:
        return []
    try:
        seen = read(key.certificate)
    except NotACertificate as why:
        return [Trouble("certificates", "certificate-unreadable", f"{key.name}: {why}", stops=False)]
    if seen.not_after < now:
        service = key.holder.kind is HolderKind.SERVICE
        return [Trouble("certificates", "certificate-expired", key.name, stops=service)]
    if seen.not_after < now + SOON:
        return [Trouble("certificates", "certificate-expires", key.name, stops=False)]
    return []


def _in_book(folder: Path) -> list[KeyDescription]:
    try:
        return [one.describe() for one in key_book.load(folder).keys]
    except (key_book.BookDamaged, UnsupportedKey, OSError):
        return []


async def survey(settings: Settings, why: Exception) -> list[Trouble]:
    """All that is wrong with a house that could not be opened for `why`. Each part is opened by itself: one that cannot
    be hides no other."""
    found = [trouble_of(why)]

    def opened(part: Callable[[], T]) -> T | None:
        try:
            return part()
        except FAULTS as also:
            found.append(trouble_of(also))
            return None

    times = Times()
    async with AsyncExitStack() as stack:
        if (db := opened(lambda: ground.database(settings))) is not None:
            stack.push_async_callback(db.close)
        if (store := opened(lambda: ground.store(settings))) is not None:
            stack.callback(store.close)
        vault, guard = Pkcs11Vault(settings.socket), ground.guard(settings, times)
        stack.push_async_callback(vault.close)
        _, sources = await asyncio.gather(guard.measure(), independent(settings.clock_sources))
        trusted = Trusted(db, guard.best, production=settings.production) if db is not None else None
        if trusted is not None:
            try:
                await trusted.reload()
            except DatabaseUnavailable:
                trusted = None  # the database says so itself
        watch = Watch(settings, vault, guard, db=db, store=store, trusted=trusted, time_sources=sources)
        found += await watch.troubles()
    return list(dict.fromkeys(found))


def trouble_of(why: Exception) -> Trouble:
    """What kept the house from being opened at all."""
    if isinstance(why, KeyUnavailable):
        told = why.why.startswith("pin") or why.why == "log-unavailable"
        return Trouble("token", why.why if told else "token-away", why.why)
    if isinstance(why, StoreUnavailable):
        return Trouble("store", "store-away", str(why))
    if isinstance(why, DatabaseUnavailable):
        code = "not-migrated" if isinstance(why, NotMigrated) else "database-away"
        return Trouble("database", code, str(why))
    return Trouble("settings", "settings-wrong", str(why))


def _from(part: str, problem: Problem) -> Trouble:
    return Trouble(part, problem.code, problem.detail, problem.stops)
