"""A backup made while signatures are being made, put back into an empty home: everything verifies, nothing is used twice,
and what the backup does not hold is named. On one host, and on PostgreSQL and S3."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

import backup
import restore
from documents.document import Disclosure, RequestState
from documents.requests import OPEN, Requests
from documents.wish import SignWish
from ground import Times
from hsm.use_log import read_uses
from signing.profile import Level
from signing.trust.anchors import Anchor
from storage.database import Database, Door
from storage.log.check import Fault
from storage.log.checkpoints import SignedCheckpoint
from storage.log.records import record
from storage.schema import AgencyRow, AuditRecordRow, DocumentRow, SigningRequestRow
from tests import servers
from tests.house import CHAIRMAN_KEY, SEAL_KEY, House, World, open_world_house, sequenced, settings_for

Place = Callable[[], dict[str, Any]]  # settings of another empty place to keep facts and bytes in


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[servers.PostgresqlServer, servers.S3Server]]:
    with servers.postgresql() as postgresql, servers.minio() as s3:
        yield postgresql, s3


@pytest.fixture(params=["one host", "servers"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "one host":
        yield dict
        return
    with ExitStack() as stack:
        yield on_servers(stack, request.getfixturevalue("machines"), tmp_path)


def on_servers(
    stack: ExitStack, machines: tuple[servers.PostgresqlServer, servers.S3Server], tmp_path: Path
) -> Place:
    postgresql, s3 = machines
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")

    def another() -> dict[str, Any]:
        name = secrets.token_hex(4)
        return {
            "database_url": stack.enter_context(servers.new_database(postgresql)),
            "database_password_file": postgresql.password_file,
            "jobs_database_url": stack.enter_context(servers.new_database(postgresql)),
            "s3_endpoint": f"http://{s3.endpoint}", "s3_credentials_file": credentials,
            "s3_kept_bucket": f"kept-{name}", "s3_working_bucket": f"working-{name}",
        }  # fmt: skip

    return another


@asynccontextmanager
async def opened(world: World, home: Path, chosen: dict[str, Any]) -> AsyncIterator[House]:
    async with open_world_house(world, home, serving=True, **chosen) as house:
        await house.rooms.trusted.add(
            Anchor(world.pki.certificate("root"), provenance="the test world"), confirmed_by="test"
        )
        await facts_of(house).transact(world.agency, lambda s: _has_agency(s, world))
        yield house


def facts_of(house: House) -> Database:
    db = house.opened.watch.db
    assert db is not None
    return db


def _has_agency(session: Door, world: World) -> None:
    """The furnished home's facts lie on one host; a database elsewhere begins without."""
    if session.get(AgencyRow, world.agency) is None:
        name = "Ủy ban nhân dân xã An Phước"
        session.add(
            AgencyRow(agency=world.agency, name=name, short_name="UBND xã An Phước", created_at=world.clock())
        )
        record(session, agency=world.agency, kind="agency.made", at=world.clock(), about=world.agency)


def silent(_part: str, _done: int, _of: int) -> None:
    pass


async def back_up(world: World, home: Path, chosen: dict[str, Any], to: Path, **wish: bool) -> backup.Made:
    world.clock.move(timedelta(seconds=1))  # two backups of one second would have one name
    settings, times = settings_for(home, world, **chosen), Times(world.clock, world.clock.monotonic)
    return await backup.make(settings, to, backup.Wish(**wish), times=times, told=silent)


async def put_back(
    world: World, home: Path, chosen: dict[str, Any], of: Path, **wish: Any
) -> restore.Restored:
    settings, times = settings_for(home, world, **chosen), Times(world.clock, world.clock.monotonic)
    return await restore.restore(settings, of, restore.Wish("test", **wish), times=times, told=silent)


async def keep_signing(house: House, done: list[UUID], until: asyncio.Event) -> None:
    while not until.is_set():
        document = await house.upload(house.world.program, disclosure=Disclosure.PUBLIC)
        await house.sign(house.world.program, document.id, SEAL_KEY)
        done.append(document.id)


@asynccontextmanager
async def signing(house: House, done: list[UUID]) -> AsyncIterator[None]:
    """Clients sign meanwhile, and end what they have begun."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(keep_signing(house, done, stop))
        try:
            yield
        finally:
            stop.set()


async def there_are(done: list[UUID], count: int) -> None:
    while len(done) < count:
        await asyncio.sleep(0.05)


async def taken_up(house: House) -> None:
    """Recovery has carried on what was open."""
    while await house.facts(
        lambda s: s.scalar(select(SigningRequestRow.id).where(SigningRequestRow.state.in_(OPEN)))
    ):
        await asyncio.sleep(0.05)


async def code_of(house: House, document: UUID) -> str:
    caller = house.world.program
    code = await house.rooms.results.code_for(caller, await house.rooms.documents.get(caller, document))
    assert code is not None
    return code.text


async def documents_in(house: House) -> set[UUID]:
    found: set[UUID] = await house.facts(lambda s: set(s.scalars(select(DocumentRow.id))))
    return found


async def test_backed_up_while_signatures_are_made(
    world: World, home: Path, place: Place, tmp_path: Path
) -> None:
    to, here = tmp_path / "backups", place()
    async with opened(world, home, here) as house:
        before: list[UUID] = []
        async with signing(house, before):
            await there_are(before, 8)
            surely = list(before)
            made = await back_up(world, home, here, to)
            assert made.missing == [] and made.kept == made.copied > 2 * len(surely)
            await there_are(before, len(before) + 8)  # the backup knows nothing of the last of them
        again = await back_up(world, home, here, to)
        assert again.copied < again.kept  # what lies there is not copied again
        codes = {one: await code_of(house, one) for one in surely}
        versions = {one: (await house.rooms.documents.get(world.program, one)).version for one in surely}
        await house.check()
    there, new = place(), tmp_path / "restored"
    restored = await put_back(world, new, there, to, backup=made.folder.name)
    assert restored.missing == [] and restored.uses_seen
    assert restored.settled.unlogged == 0
    async with opened(world, new, there) as house:
        await taken_up(house)
        assert set(surely) <= await documents_in(house)
        assert len(await documents_in(house)) < len(before)
        await house.check(restored=True)
        for one in surely:
            found = await house.rooms.results.look_up(codes[one])
            assert found is not None and await code_of(house, one) == codes[one]
            assert (await house.rooms.documents.get(world.program, one)).version > versions[one]
        document = (await house.upload(world.chairman.caller)).id
        done = await house.sign(world.chairman.caller, document, CHAIRMAN_KEY, level=Level.B_LTA)
        assert done.state is RequestState.DONE
        await house.check(restored=True)


async def test_what_was_signed_after_the_backup_is_lost_and_never_signed_again(
    world: World, home: Path, place: Place, tmp_path: Path
) -> None:
    """The facts are of yesterday, the token is of today: it outlived them."""
    to, here, caller = tmp_path / "backups", place(), world.chairman.caller
    async with opened(world, home, here) as house:
        held = await house.upload(caller)
        waiting = house.id()
        world.clock.move(timedelta(seconds=1))
        await requested_only(house, held.id, waiting)
        await back_up(world, home, here, to)
        done = await house.rooms.sign.go_on(waiting, orphaned=True)
        assert done is not None and done.state is RequestState.DONE  # after the backup, and given out
        other = (await house.upload(caller)).id
        await house.sign(caller, other, CHAIRMAN_KEY)
        await sequenced(house)
    new = tmp_path / "restored"
    there = place() | {"token_folder": home / "token", "checkpoint_folder": home / "checkpoints"}
    assert len([one for one in read_uses(home / "token") if one.key == CHAIRMAN_KEY]) == 2
    restored = await put_back(world, new, there, to)
    assert (restored.settled.lost, restored.settled.ended, restored.settled.unlogged) == (2, 1, 0)
    assert restored.settled.missing > 0
    async with opened(world, new, there) as house:
        again = await house.rooms.sign.go_on(waiting, orphaned=True)
        assert again is None  # it has ended
        seen = await house.rooms.documents.get(caller, held.id)
        (request,) = seen.requests
        assert (request.state, request.problem) == (RequestState.EXPIRED, {"code": "restored"})
        fresh = await house.sign(caller, held.id, CHAIRMAN_KEY)  # somebody decides to ask anew
        assert fresh.state is RequestState.DONE
        await house.check(restored=True)
        looked = await house.rooms.trail.check()
        assert {one.fault for one in looked.findings} == {Fault.NOT_IN_BACKUP}
    assert len([one for one in read_uses(home / "token") if one.key == CHAIRMAN_KEY]) == 3


async def test_the_bucket_outlives_the_database(
    world: World, home: Path, machines: tuple[servers.PostgresqlServer, servers.S3Server], tmp_path: Path
) -> None:
    to, caller = tmp_path / "backups", world.chairman.caller
    with ExitStack() as stack:
        another = on_servers(stack, machines, tmp_path)
        here = another()
        async with opened(world, home, here) as house:
            document = (await house.upload(caller)).id
            await house.sign(caller, document, CHAIRMAN_KEY)
            made = await back_up(world, home, here, to, objects=False)
        assert (made.copied, made.missing) == (0, [])
        there = another() | {name: here[name] for name in ("s3_kept_bucket", "s3_working_bucket")}
        restored = await put_back(world, tmp_path / "restored", there, to)
        assert restored.missing == []
        async with opened(world, tmp_path / "restored", there) as house:
            await house.check(restored=True)


async def test_numbers_are_never_used_twice(world: World, home: Path, place: Place, tmp_path: Path) -> None:
    to, here = tmp_path / "backups", place()
    async with opened(world, home, here) as house:
        await sequenced(house)
        await back_up(world, home, here, to)
        await house.sign(world.chairman.caller, (await house.upload(world.chairman.caller)).id, CHAIRMAN_KEY)
        await sequenced(house)
        first = await numbers(house)
    last = newest(home / "checkpoints")
    generations = set()
    for turn in range(2):  # the same backup, twice
        new, there = tmp_path / f"restored-{turn}", place()
        restored = await put_back(world, new, there, to, checkpoints=[last.checkpoint])
        assert restored.settled.after == last.checkpoint
        async with opened(world, new, there) as house:
            await sequenced(house)
            again = await numbers(house)
        assert {number for number in again if first.get(number, again[number]) != again[number]} == set()
        last = newest(new / "checkpoints")
        generations.add(restored.settled.generation)
    assert len(generations) == 2


async def requested_only(house: House, document: UUID, request: UUID) -> None:
    """Recorded, and no more: whoever would go on with it is not there."""
    caller, wish = house.world.chairman.caller, SignWish(level=Level.B_T, key=CHAIRMAN_KEY)
    requests = Requests(facts_of(house), house.clock, house.rooms.seal)
    await requests.claim(caller, document, request, wish)


async def numbers(house: House) -> dict[tuple[int, int], bytes]:
    rows = await house.facts(lambda s: list(s.execute(select(
        AuditRecordRow.generation, AuditRecordRow.number, AuditRecordRow.body).where(AuditRecordRow.number.is_not(None)))))  # fmt: skip
    return {(generation, number): body for generation, number, body in rows}


def newest(folder: Path) -> SignedCheckpoint:
    return SignedCheckpoint.from_stored(sorted(folder.glob("*.checkpoint"))[-1].read_bytes())
