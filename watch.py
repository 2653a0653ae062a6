"""What is wrong, part by part: this file asks token, store, database, clock, certificates and settings how they are.

- Each trouble is a code of a closed list; its sentence and what to do stand in `web/troubles.py`.
- Production refuses to start for whatever stops it, with every reason named at once (K6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from documents.rooms import Trouble
from documents.trusted import Trusted
from hsm.health import TokenHealth
from hsm.key import HolderKind, KeyDescription, KeyUnavailable, Purpose
from hsm.pkcs11_vault import Pkcs11Vault
from settings import Settings
from signing.timestamping.clock import ClockGuard
from signing.trust.certificate import NotACertificate, read
from storage.database import Database, DatabaseUnavailable
from storage.problem import Problem
from storage.store import ObjectStore, StoreUnavailable

SOFTHSM_ACCEPTED = "I accept that keys in SoftHSM are files"
SOON = timedelta(days=30)
INDEPENDENT_SOURCES = 2


class Checked(ObjectStore, Protocol):
    """A keeper that can look at itself."""

    def check(self) -> list[Problem]: ...


@dataclass(frozen=True)
class Watch:
    settings: Settings
    db: Database
    store: Checked
    vault: Pkcs11Vault
    guard: ClockGuard
    trusted: Trusted
    confined: bool  # whether the children that read files are kept from the network

    async def troubles(self) -> Sequence[Trouble]:
        """Everything at once; raises nothing."""
        found = [*_settings(self.settings), *self._clock(), *self._trust()]
        found += [_from("database", one) for one in await asyncio.to_thread(self.db.check)]
        try:
            found += [_from("store", one) for one in await asyncio.to_thread(self.store.check)]
        except StoreUnavailable as why:
            found.append(Trouble("store", "store-away", str(why)))
        found += await self._token()
        if not self.confined:
            found.append(Trouble("settings", "not-confined", "", stops=False))
        return found

    def _clock(self) -> list[Trouble]:
        found = []
        if (off := self.guard.trouble()) is not None:
            found.append(Trouble("clock", "clock-off", off))
        if self.settings.production and len(set(self.settings.clock_sources)) < INDEPENDENT_SOURCES:
            found.append(Trouble("clock", "no-sources", ", ".join(self.settings.clock_sources)))
        return found

    def _trust(self) -> list[Trouble]:
        believed = self.trusted.snapshot()
        if not believed.anchors:
            return [Trouble("certificates", "no-anchor", "")]
        if self.settings.production and believed.demonstration:
            return [Trouble("certificates", "demonstration-in-production", believed.digest)]
        return []

    async def _token(self) -> list[Trouble]:
        try:
            health, keys = await self.vault.probe(), await self.vault.descriptions()
        except KeyUnavailable as why:
            return [Trouble("token", "token-away", why.why)]
        found = [] if health.ready else [Trouble("token", health.why or "token-away", health.label)]
        found += [
            Trouble("token", f"key-{why}", name, stops=False)
            for name, why in health.unusable
            if why != "no-certificate"
        ]
        return found + self._about_keys(health, keys)

    def _about_keys(self, health: TokenHealth, keys: Sequence[KeyDescription]) -> list[Trouble]:
        settings, found = self.settings, list[Trouble]()
        if settings.production and health.softhsm and settings.softhsm_in_production != SOFTHSM_ACCEPTED:
            found.append(Trouble("token", "softhsm-in-production", health.label))
        stamps = any(one.purpose is Purpose.TIME_STAMPING for one in keys)
        if not stamps and not settings.tsa_urls:
            found.append(Trouble("authority", "no-authority", "", stops=False))
        if not any(one.purpose is Purpose.AUDIT for one in keys):
            found.append(Trouble("token", "no-audit-key", "", stops=settings.production))
        for one in keys:
            found += _certificate(one, production=settings.production)
        return found


def _certificate(key: KeyDescription, *, production: bool) -> list[Trouble]:
    if not key.certificate:
        return []
    try:
        seen = read(key.certificate)
    except NotACertificate as why:
        return [Trouble("certificates", "certificate-unreadable", f"{key.name}: {why}", stops=False)]
    now, found = datetime.now(UTC), list[Trouble]()
    service = key.holder.kind is HolderKind.SERVICE
    if seen.not_after < now:
        found.append(Trouble("certificates", "certificate-expired", key.name, stops=service))
    elif seen.not_after < now + SOON:
        found.append(Trouble("certificates", "certificate-expires", key.name, stops=False))
    if production and "DEMO" in seen.subject_text:
        found.append(Trouble("certificates", "demonstration-in-production", key.name))
    return found


def _settings(settings: Settings) -> list[Trouble]:
    if not settings.production:
        return []
    found = []
    if urlsplit(settings.address).scheme != "https":
        found.append(Trouble("settings", "public-url-without-tls", settings.address))
    if settings.database.startswith("sqlite"):
        found.append(Trouble("database", "sqlite-in-production", "", stops=False))
    if not settings.s3_endpoint:
        found.append(Trouble("store", "folder-in-production", "", stops=False))
    return found


def trouble_of(why: Exception) -> Trouble:
    """What kept the house from being opened at all."""
    if isinstance(why, KeyUnavailable):
        return Trouble("token", why.why if why.why.startswith("pin") else "token-away", why.why)
    if isinstance(why, StoreUnavailable):
        return Trouble("store", "store-away", str(why))
    if isinstance(why, DatabaseUnavailable):
        return Trouble("database", "database-away", str(why))
    return Trouble("settings", "settings-wrong", str(why))


def _from(part: str, problem: Problem) -> Trouble:
    return Trouble(part, problem.code, problem.detail, problem.stops)
