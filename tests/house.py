"""The test world: this file furnishes a home on real parts (a SoftHSM token, a PKI with live CRL, OCSP and a foreign
time-stamp authority, SQLite, a folder store, a steerable clock), and looks whether everything in it is as it should be.

- One home is furnished for all tests; each test gets a copy, so that it may break it.
- `check` is held after every step of a story: what it asks must be true at any time and after any crash.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.document import Document, RenditionKind, SigningRequest
from documents.intake import Arrival
from documents.office import Caller, CallerKind
from documents.progress import EARLIER
from documents.requests import OPEN
from documents.rooms import Rooms
from documents.wish import SignWish
from ground import Times
from hsm import enrolment
from hsm.enrolment import KeyWish
from hsm.key import Holder, HolderKind, Purpose
from hsm.use_log import SIGNED, read_uses
from service import House as OpenHouse
from service import open_house
from settings import Settings
from signing.profile import Level
from signing.trust.anchors import Anchor
from signing.verification.report import Verdict
from storage.database import WHOLE_SERVICE, Database
from storage.identifiers import uuid7
from storage.log.check import Fault
from storage.log.checkpoints import SignedCheckpoint
from storage.schema import (
    SERVICE,
    AuditRecordRow,
    DocumentRow,
    EvidenceRow,
    IntentRow,
    RenditionRow,
    SigningRequestRow,
)
from storage.store import KeptName
from tests.papers import letter
from tests.pki import Pki
from tests.rooms.hsm.tokens import copy_token
from tests.steering import SteerableClock

CHAIRMAN_KEY, CLERK_KEY, SEAL_KEY, AUDIT_KEY = "chu-tich", "van-thu", "con-dau", "audit"
OF_THE_SERVICE = {AUDIT_KEY, "tsa", "probe"}
PASSWORD = "mat khau cua cuoc thu"


@dataclass(frozen=True)
class Somebody:
    """A person or program of the world's commune, as the doors know them."""

    login: str
    caller: Caller


@dataclass
class World:
    """What all tests share: the authorities, and a furnished home to copy."""

    folder: Path
    clock: SteerableClock
    pki: Pki
    made: Path
    agency: UUID
    chairman: Somebody
    clerk: Somebody
    program: Caller
    api_key: str

    @contextmanager
    def home(self, place: Path) -> Iterator[Path]:
        """A home of one's own, as the furnished one was."""
        home = place / "home"
        shutil.copytree(
            self.made, home, ignore=shutil.ignore_patterns("token", "socket", "*.lock", "scratch")
        )
        copy_token(self.made / "token", home / "token")
        yield home


def settings_for(home: Path, world: World, **more: Any) -> Settings:
    chosen: dict[str, Any] = {"home": home, "tsa_urls": [world.pki.tsa_url], "workers": 1} | more
    return Settings(**chosen)


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    clock = SteerableClock()
    keys = folder / "authorities"
    keys.mkdir()
    with Pki(keys, clock) as pki:
        yield asyncio.run(_furnish(folder, clock, pki))


async def _furnish(folder: Path, clock: SteerableClock, pki: Pki) -> World:
    made = folder / "made"
    settings = Settings(home=made, tsa_urls=[pki.tsa_url], workers=1)
    times = Times(clock, clock.monotonic)
    async with open_house(settings, times=times, furnished=False) as house:
        rooms = house.rooms
        agency = await rooms.office.make_agency("Ủy ban nhân dân xã An Phước", "UBND xã An Phước", by="test")
        people = {}
        for login, name, title in (
            ("binh", "Trần Thị Bình", "Chủ tịch"),
            ("an", "Nguyễn Văn An", "Văn thư"),
        ):
            person, _ = await rooms.office.make_person(agency.id, login, name=name, title=title, by="test")
            await rooms.office.reset_password(login, by="test", password=PASSWORD)
            caller = Caller(person.id, agency.id, CallerKind.PERSON, name, title, agency.short_name)
            people[login] = Somebody(login, caller)
        scopes = (
            "documents:write",
            "documents:read",
            "sign:con-dau",
            "sign:certificate",
            "verify",
            "timestamp",
        )
        client, key = await rooms.office.make_client(agency.id, "Quản lý văn bản", scopes, by="test")
        program = Caller(
            client.id, agency.id, CallerKind.CLIENT, client.name, "", agency.short_name, frozenset(scopes)
        )
        await _make_keys(
            settings.socket, pki, agency.id, [people["binh"].caller, people["an"].caller, program]
        )
        await rooms.trusted.add(
            Anchor(pki.certificate("root"), provenance="the test world"), confirmed_by="test"
        )
    return World(folder, clock, pki, made, agency.id, people["binh"], people["an"], program, key)


async def _make_keys(socket: Path, pki: Pki, agency: UUID, who: list[Caller]) -> None:
    chairman, clerk, program = who
    seal = Holder(HolderKind.AGENCY, agency)
    wishes = (
        KeyWish(
            CHAIRMAN_KEY, agency, Purpose.SIGNING, Holder(HolderKind.PERSON, chairman.id), "CN=Trần Thị Bình,C=VN"
        ),
        KeyWish(
            CLERK_KEY, agency, Purpose.SIGNING, Holder(HolderKind.PERSON, clerk.id), "CN=Nguyễn Văn An,C=VN", "rsa-2048"
        ),
        KeyWish(
            SEAL_KEY, agency, Purpose.SEAL, seal, "CN=UBND xã An Phước,C=VN", granted=frozenset({clerk.id, program.id})
        ),
        KeyWish(AUDIT_KEY, SERVICE, Purpose.AUDIT, Holder(HolderKind.SERVICE, SERVICE), "CN=audit"),
    )  # fmt: skip
    for wish in wishes:
        request = await enrolment.make_key(socket, wish)
        if wish.purpose is not Purpose.AUDIT:
            await enrolment.install(socket, wish.name, pki.issue(wish.name, request), pki.chain)


@dataclass
class House:
    """An open home, with hands to do in it what people do."""

    world: World
    settings: Settings
    opened: OpenHouse
    clock: SteerableClock
    _papers: int = field(default=0)

    @property
    def rooms(self) -> Rooms:
        return self.opened.rooms

    def id(self) -> UUID:
        return uuid7(self.clock())

    async def upload(
        self, who: Caller, content: bytes | None = None, *, name: str = "cong-van.pdf", **more: Any
    ) -> Document:
        body = content if content is not None else letter()

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        arrival = Arrival(name, declared_size=len(body), **more)
        return await self.rooms.intake.receive(who, self.id(), chunks(), arrival)

    async def sign(
        self, who: Caller, document: UUID, key: str, *, level: Level = Level.B_T, request: UUID | None = None, **more: Any
    ) -> SigningRequest:  # fmt: skip
        wish = SignWish(level=level, key=key, **more)
        return await self.rooms.sign.sign(who, document, request or self.id(), wish)

    async def bytes_of(self, who: Caller, document: UUID) -> bytes:
        found = await self.rooms.documents.get(who, document)
        async with self.rooms.documents.open(who, found) as path:
            return path.read_bytes()

    async def facts(self, work: Callable[[Session], Any]) -> Any:
        return await self.opened.db.read(WHOLE_SERVICE, work)

    async def check(self, *, recovered: bool = True, restored: bool = False) -> None:
        """Raises AssertionError. `recovered`: whether recovery has run, so that nothing is left in between. `restored`: a
        restore lost the end of the log, and said so."""
        await check_home(self.settings, self.opened, recovered=recovered, restored=restored)


async def check_home(
    settings: Settings, house: OpenHouse, *, recovered: bool, restored: bool = False
) -> None:
    store, db = house.store, house.db
    facts = await db.read(WHOLE_SERVICE, _facts)
    # Every kept signed file verifies, as a stranger would see it.
    for document in facts.signed:
        caller = Caller(document.agency, document.agency, CallerKind.OPERATOR, "check", "", "")
        report = await house.rooms.verifying.verify_kept(caller, document.id)
        assert report.verdict is Verdict.VALID, (report.verdict, report.findings, report.signatures)
    # The log is whole, also against what was taken elsewhere; so are the facts and the use log that it tells of.
    looked = await house.rooms.trail.check(everything=True)
    assert [one for one in looked.findings if not (restored and one.fault is Fault.NOT_IN_BACKUP)] == []
    # Every object that is named is kept, and locked for a first while (P2).
    for name in facts.named:
        locked = (await store.kept.stat(name)).retain_until
        assert locked is not None, f"nothing holds {name}"
    # Each request released one signature at most, and each released one stands in the use log.
    uses = {one.intent: one for one in await asyncio.to_thread(lambda: list(read_uses(settings.token)))}
    delivered = [one for one in facts.intents if one.state == "DELIVERED"]
    assert len({one.request for one in delivered}) == len(delivered)
    for one in delivered:
        assert facts.external(one) or uses[one.id].result in {SIGNED, None}
        assert facts.external(one) or uses[one.id].to_sign_sha256 == one.digest
    of_documents = {one.id for one in facts.intents} | facts.lost
    for use in uses.values():
        # A request for a certificate is signed by no lease.
        known_use = use.intent in of_documents or use.key in OF_THE_SERVICE or use.lease == 0
        assert known_use, "the token was used without an intent"
    if not recovered:
        return
    # After recovery each intent of an ended request is at an end, and nothing kept is unnamed.
    for one in facts.intents:
        if facts.requests[one.request].ended_at is not None:
            assert one.state in {"DELIVERED", "VOID", "LOST"}, one.state
    async for name in store.kept.names():
        if name.agency == SERVICE:  # a checkpoint names itself: a crash may fall between its two places
            async with store.kept.fetch(name) as path:
                SignedCheckpoint.from_stored(path.read_bytes())
            assert (await store.kept.stat(name)).retain_until is not None
            continue
        assert name in facts.named | facts.earlier, f"nothing names {name}"


@dataclass(frozen=True)
class _Facts:
    signed: list[DocumentRow]
    named: set[KeptName]
    earlier: set[KeptName]  # what a worker was about to keep when another took over
    intents: list[IntentRow]
    requests: dict[UUID, SigningRequestRow]
    lost: set[UUID]  # intents that a restore found in the use log alone

    def external(self, intent: IntentRow) -> bool:
        return self.requests[intent.request].wish["certificate"] is not None


def _facts(session: Session) -> _Facts:
    renditions = session.scalars(select(RenditionRow)).all()
    signed = {one.document for one in renditions if one.kind != RenditionKind.RECEIVED.value}
    named = {KeptName(one.agency, one.sha256) for one in renditions}
    named |= {KeptName(one.agency, one.sha256) for one in session.scalars(select(EvidenceRow))}
    requests = {one.id: one for one in session.scalars(select(SigningRequestRow))}
    earlier = {
        KeptName(one.agency, sha256)
        for one in requests.values()
        for sha256 in (one.finished or {}).get(EARLIER, ())
    }
    documents = [one for one in session.scalars(select(DocumentRow)) if one.id in signed]
    intents = list(session.scalars(select(IntentRow)))
    assert session.scalar(select(AuditRecordRow.id).limit(1)) is not None
    bodies = [json.loads(one) for one in session.scalars(select(AuditRecordRow.body))]
    lost = {
        UUID(one["facts"]["intent"])
        for one in bodies
        if one["kind"] == "signature.attempt-ended" and one["facts"]["why"] == "restored"
    }
    session.expunge_all()
    return _Facts(documents, named, earlier, intents, requests, lost)


async def sequenced(house: House) -> None:
    """The audit trail numbers what waits and takes a checkpoint, as its jobs do all the time."""
    await house.opened.log_keeper.sequence()
    await house.opened.log_keeper.checkpoint()


@asynccontextmanager
async def open_world_house(
    world: World, home: Path, *, serving: bool = False, **settings: Any
) -> AsyncIterator[House]:
    """The home of a test, open."""
    chosen = settings_for(home, world, **settings)
    times = Times(world.clock, world.clock.monotonic)
    async with open_house(chosen, serving=serving, times=times, furnished=False) as opened:
        yield House(world, chosen, opened, world.clock)


__all__ = [
    "OPEN",
    "Database",
    "House",
    "World",
    "make_world",
    "open_world_house",
    "replace",
    "sequenced",
    "settings_for",
]
