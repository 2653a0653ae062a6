"""The roof: this file chooses who keeps which promise, and hands the rooms to `web/` and `cli.py`.

- `app` (for `uvicorn service:app`) and `antin` (the command) are built on first use.
- In development a home is furnished on first use (`demonstration/`); production refuses to start where something stops
  it, and names every reason at once.
- A command beside a running service uses the same home, the same token process, the same story and the same log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import chores
import ground
import startup
from documents.codes import Codes
from documents.counts import counts
from documents.document import Documents
from documents.evidence import EvidenceBundle, EvidenceKeeper
from documents.intake import Intake
from documents.judging import Judging
from documents.keys_told import take_stock
from documents.log_keeper import LogKeeper
from documents.office import Office
from documents.once import Once
from documents.preview import Previews
from documents.progress import Progress
from documents.requests import Requests
from documents.results import Results
from documents.resumable import ResumableUploads
from documents.rooms import Rooms, Trouble
from documents.sign_document import SignDocument
from documents.signer_check import SignerCheck
from documents.signing_steps import SigningSteps, Timestamping, Tools
from documents.sweeping import Sweeping
from documents.trail import Trail
from documents.trusted import Trusted
from documents.verify_document import Verifying
from ground import Times
from hsm.key import SigningKey
from hsm.pkcs11_vault import Pkcs11Vault
from production import DEMONSTRATION
from settings import Settings
from signing.timestamping.authority import Authority
from signing.timestamping.clock import ClockGuard, independent
from signing.timestamping.remote import RemoteAuthorities
from signing.timestamping.source import TimestampSource, TimestampUnavailable, obtain
from signing.trust.anchors import TrustSnapshot
from signing.trust.revocation import Revocation
from signing.workshop import Workshop
from storage.database import Database, DatabaseUnavailable
from storage.folder_store import FolderStore
from storage.jobs import Jobs
from storage.log.second_place import SecondPlace
from storage.sealed import Sealer
from watch import FAULTS, Watch, survey

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cli import Roof
    from demonstration.home import Furnished
    from demonstration.server import DemonstrationServer
    from storage.minio_store import MinioStore

TSA_KEY = "tsa"
MACHINE = Times()
ROOM_UNKNOWN = 8192  # bytes of a token, until an authority has shown how large its own are

log = logging.getLogger("antin")


def antin() -> None:
    """The command."""
    import sys

    from pydantic import ValidationError

    from cli import INTERRUPTED, explain_settings, main

    try:
        given = roof()
    except ValidationError as wrong:
        sys.exit(explain_settings(wrong.errors()))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    startup.leave_no_core()
    startup.begin_log("antin", given.settings.log_level)
    sys.exit(main(given))


def __getattr__(name: str) -> Any:
    """`uvicorn service:app`."""
    if name != "app":
        raise AttributeError(name)
    return _app(Settings())


@cache
def roof() -> Roof:
    """What the command is given."""
    from cli import Roof
    from serving import serve

    settings = Settings()

    @asynccontextmanager
    async def rooms() -> AsyncIterator[Rooms]:
        async with open_house(settings) as house:
            yield house.rooms

    async def trust() -> TrustSnapshot:
        """Without touching anything else: who only verifies needs no home."""
        db = ground.database(settings)
        try:
            return await Trusted(db, MACHINE.wall, production=settings.production).reload()
        except DatabaseUnavailable:
            return TrustSnapshot(())
        finally:
            await db.close()

    @asynccontextmanager
    async def trail() -> AsyncIterator[Trail]:
        """The log and what is known outside; a token that is away leaves the signatures unjudged."""
        db, vault = ground.database(settings), Pkcs11Vault(settings.socket)
        try:
            yield Trail(db, MACHINE.wall, keys=vault, elsewhere=settings.checkpoints, token=settings.token)
        finally:
            await vault.close()
            await db.close()

    @asynccontextmanager
    async def revocation(of_home: bool) -> AsyncIterator[Revocation]:
        """The authority of a demonstration home answers as long as somebody asks, also while no service runs."""
        async with AsyncExitStack() as stack:
            if of_home and not settings.production and (settings.home / DEMONSTRATION).is_dir():
                from demonstration.server import AddressTaken, DemonstrationServer, ServerAway

                with suppress(AddressTaken, ServerAway, OSError):
                    await stack.enter_async_context(DemonstrationServer.start(settings.home / DEMONSTRATION))
            yield await stack.enter_async_context(ground.revocation(settings, MACHINE.wall))

    async def troubles() -> Sequence[Trouble]:
        try:
            async with open_house(settings) as house:
                return await house.watch.troubles()
        except FAULTS as why:
            return await survey(settings, why)

    return Roof(
        settings=settings, open_rooms=rooms, trust=trust,
        revocation=revocation, trail=trail, troubles=troubles,
        serve=lambda as_json: serve(settings, as_json=as_json),
    )  # fmt: skip


def _app(settings: Settings) -> ASGIApp:
    from web.app import build

    startup.leave_no_core()
    startup.begin_log("antin", settings.log_level)

    @asynccontextmanager
    async def rooms() -> AsyncIterator[Rooms]:
        async with open_house(settings, serving=True) as house:
            yield house.rooms

    return build(rooms)


class WillNotStart(Exception):
    """Production with what stops it: every reason, not only the first (K6)."""

    def __init__(self, troubles: Sequence[Trouble]) -> None:
        self.troubles = [one for one in troubles if one.stops]
        super().__init__(", ".join(f"{one.part}: {one.code} {one.detail}".strip() for one in self.troubles))


@dataclass(frozen=True)
class House:
    """The rooms, and what only the roof needs."""

    rooms: Rooms
    db: Database
    store: FolderStore | MinioStore
    watch: Watch
    sweeping: Sweeping
    log_keeper: LogKeeper
    told: Furnished | None = None  # what a demonstration home tells its visitor


@asynccontextmanager
async def open_house(
    settings: Settings, *, serving: bool = False, times: Times = MACHINE, furnished: bool = True
) -> AsyncIterator[House]:
    """Opens everything from the ground up, and closes it in the other order. `serving`: durable work is done here;
    `furnished`: in development an empty home gets an authority, people and a sample.
    Raises DatabaseUnavailable, StoreUnavailable, KeyUnavailable, WillNotStart."""
    ground.refuse_half_restored(settings.home)
    async with AsyncExitStack() as stack:
        demonstration = None
        if furnished and not settings.production:
            from demonstration.server import DemonstrationServer

            settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            demonstration = await stack.enter_async_context(
                DemonstrationServer.start(settings.home / DEMONSTRATION)
            )
        try:
            alone, parts = await _open_parts(settings, times, stack, serving=serving)
            house = await parts.house(stack)
        except FAULTS as why:
            if not (settings.production and serving):
                raise
            raise WillNotStart(await survey(settings, why)) from why
        if settings.production and serving:
            troubles = await house.watch.troubles()
            if any(one.stops for one in troubles):
                raise WillNotStart(troubles)
        if demonstration is not None:
            house = await _furnished(house, demonstration, parts, stack)
        if (jobs := parts.jobs) is not None:
            await take_stock(parts.db, parts.vault, parts.guard.best)
            # Where several hosts share a database, what is held may be a living one's.
            orphaned = alone and parts.db.kind == "sqlite"
            starting = asyncio.create_task(
                chores.begin(jobs, house, parts, orphaned=orphaned), name="durable work"
            )
            stack.push_async_callback(chores.end, jobs, starting)
        yield house


async def _open_parts(
    settings: Settings, times: Times, stack: AsyncExitStack, *, serving: bool
) -> tuple[bool, Parts]:
    """And whether nobody else is at home. Raises one of FAULTS."""
    # The ground: keys we may use but never see, facts, bytes.
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    alone = stack.enter_context(ground.presence(settings.home, serving=serving))
    sole = stack.enter_context(ground.sole(settings, serving=serving))
    await ground.token_process(settings, stack)
    db = ground.database(settings)
    stack.push_async_callback(db.close)
    db.migrate()
    store = ground.store(settings)
    stack.callback(store.close)
    vault = Pkcs11Vault(settings.socket)
    stack.push_async_callback(vault.close)
    # A wall clock that somebody set moves nothing: whoever must not stop for it goes by the best time that is known.
    guard = ground.guard(settings, times)
    log_keeper = LogKeeper(db, store, vault, SecondPlace(settings.checkpoints), guard.best)
    # The craft.
    _, sources = await asyncio.gather(guard.measure(), independent(settings.clock_sources))
    trusted = Trusted(db, guard.best, production=settings.production)
    await trusted.reload()
    workshop = await stack.enter_async_context(Workshop(settings.workers))
    # The office.
    jobs = ground.jobs(settings, guard.best) if serving else None
    watch = Watch(
        settings, vault, guard, db=db, store=store, trusted=trusted, confined=workshop.confined, sole=sole,
        time_sources=sources, log_keeper=log_keeper, durable=partial(chores.durable, settings, db, guard.best, jobs),
    )  # fmt: skip
    return alone, Parts(settings, times, db, store, vault, log_keeper, guard, trusted, workshop, jobs, watch)


async def _furnished(house: House, server: DemonstrationServer, parts: Parts, stack: AsyncExitStack) -> House:
    """A home for demonstration has people, keys and a sample, and tells about them at each start."""
    from demonstration.authority import DemonstrationAuthority
    from demonstration.home import furnish

    settings = parts.settings
    authority = await asyncio.to_thread(
        DemonstrationAuthority.open, settings.home / DEMONSTRATION, server.address
    )
    told = await furnish(house.rooms, settings.socket, authority)
    if any(person.password for person in told.people):
        # The first start: only now there is an authority that shows how large its tokens are.
        house = await parts.house(stack)
    return replace(house, told=told)


@dataclass(frozen=True)
class Parts:
    """What the office is put together from."""

    settings: Settings
    times: Times
    db: Database
    store: FolderStore | MinioStore
    vault: Pkcs11Vault
    log_keeper: LogKeeper
    guard: ClockGuard
    trusted: Trusted
    workshop: Workshop
    jobs: Jobs | None
    watch: Watch

    async def house(self, stack: AsyncExitStack) -> House:
        settings, db, store, clock = self.settings, self.db, self.store, self.guard.best
        workshop, trusted = self.workshop, self.trusted
        revocation = await stack.enter_async_context(ground.revocation(settings, clock))
        ours = self._authority()
        source = self._source(ours, stack)
        seal = Sealer(settings.home / "seal.key")
        codes = Codes(seal, settings.address)
        documents = Documents(db, store)
        previews = Previews(documents, store, workshop, clock)
        judging = Judging(workshop, revocation, trust=trusted.snapshot, clock=clock)
        results = Results(db, documents, codes=codes, judging=judging, previews=previews, clock=clock)
        progress, requests = Progress(db, clock, ready=self.log_keeper.ready), Requests(db, clock, seal)
        intake = Intake(db, store, workshop, codes=codes, clock=clock, limit=settings.upload_limit)
        tools = Tools(
            progress=progress, store=store, keys=self.vault,
            check=SignerCheck(revocation, trust=trusted.snapshot, clock=clock), workshop=workshop,
            timestamping=Timestamping(source, await self._room(source)), trust=trusted.snapshot,
            evidence=EvidenceKeeper(store, clock), clock=self.guard.now, later=self._later,
            allow_javascript=settings.allow_javascript, allow_embedded_files=settings.allow_embedded_files,
        )  # fmt: skip
        sign = SignDocument(requests, progress, SigningSteps(tools))
        rooms = Rooms(
            address=settings.address, production=settings.production, limits=ground.limits(settings), clock=clock,
            office=Office(db, clock), once=Once(db, clock, seal, started_at=clock()), documents=documents,
            intake=intake, uploads=ResumableUploads(db, store, intake, documents, clock=clock, limit=settings.upload_limit),
            sign=sign, results=results,
            verifying=Verifying(db, store, documents, judging, results, previews, clock, settings.verify_limit),
            previews=previews, trusted=trusted,
            evidence=EvidenceBundle(
                db, store, documents, judging, clock, keys=self.vault, cover=self.log_keeper.cover
            ),
            trail=Trail(db, clock, keys=self.vault, elsewhere=settings.checkpoints, token=settings.token),
            keys=self.vault, authority=ours, seal=seal, ready=self.watch.troubles, counts=self._counts,
        )  # fmt: skip
        sweeping = Sweeping(db, store, requests, sign, self.guard.now, source.resting)
        return House(rooms, db, store, self.watch, sweeping, self.log_keeper)

    # -- time-stamps

    def _authority(self) -> Authority:
        async def key() -> SigningKey:
            return await self.vault.open(TSA_KEY)

        return Authority(
            key, clock=self.guard.now, accuracy=lambda: self.guard.error, policy=self.settings.tsa_policy_oid,
            monotonic=self.times.monotonic,
        )  # fmt: skip

    def _source(self, ours: Authority, stack: AsyncExitStack) -> TimestampSource:
        if not self.settings.tsa_urls:
            return ours
        remote = RemoteAuthorities(
            self.settings.tsa_urls,
            clock=self.guard.now,
            trust=self.trusted.snapshot,
            monotonic=self.times.monotonic,
        )
        stack.push_async_callback(remote.close)
        return remote

    async def _room(self, source: TimestampSource) -> int:
        """Bytes of the token that the authority gives (S3)."""
        try:
            async with asyncio.timeout(5):
                token = await obtain(
                    source,
                    bytes(32),
                    hash_name="sha256",
                    trust=self.trusted.snapshot(),
                    now=self.guard.best(),
                )
        except (TimestampUnavailable, TimeoutError):
            return ROOM_UNKNOWN
        return len(token.der)

    # -- what goes on by itself

    async def _later(self, agency: UUID, request: UUID) -> None:
        """Where no durable work is done (a command beside the service) the service's next sweep finds it."""
        if self.jobs is None or not self.jobs.started:
            return
        try:
            await self.jobs.enqueue(chores.GO_ON, request, {"request": str(request)}, agency=agency)
        except Exception:
            # The request stands as it is told: it is not to fail for what a sweep does as well.
            log.warning("request %s is left to the sweep", request, exc_info=True)

    async def _counts(self) -> Mapping[str, float]:
        return await counts(self.db) | (await self.jobs.counts() if self.jobs else {})
