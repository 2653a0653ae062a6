"""Disk, database and object store fail at every call, once and for good: no original is lost, and no document is called
signed without its bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

from documents.document import DocumentState, RequestState
from hsm.use_log import read_uses
from storage import s3_access
from storage.database import DatabaseUnavailable
from storage.store import Damaged, StoreUnavailable
from tests import servers
from tests.faults import (
    BUSY,
    CUT,
    LESS,
    SILENT,
    Fault,
    Front,
    failing_commits,
    failing_disk,
    in_front_of,
)
from tests.house import CHAIRMAN_KEY, House, World, open_world_house
from tests.papers import letter
from tests.servers import S3Server
from tests.stories.test_we_crash_between_two_steps import ROOT, facts_of

AWAY = (StoreUnavailable, DatabaseUnavailable)
TOGETHER = 8  # faults between two looks at the whole house: each looks at everything before it

HOWS = pytest.mark.parametrize(
    ("for_good", "done"),
    [(False, False), (False, True), (True, False)],
    ids=["once", "its answer is lost", "for good"],
)


async def under(house: House, fault: Fault, heal: Callable[[], None] = lambda: None) -> None:
    """One document is brought and signed while `fault` comes, and taken up when it is over."""
    caller, content, request = house.world.chairman.caller, letter(), house.id()
    document: UUID | None = None
    # What one process knows to be kept is not asked for again: here each signature asks.
    house.rooms.sign._steps._.evidence._kept.clear()
    try:
        document = (await house.upload(caller, content)).id
        told = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert told.state is RequestState.DONE
    except (*AWAY, Damaged):
        assert fault.met
    # While it lasts, too: what is called signed has its bytes.
    if document is not None and (await house.rooms.documents.get(caller, document)).signed:
        with suppress(StoreUnavailable):  # where the fault is one of reading
            assert await house.bytes_of(caller, document)
    fault.heal()
    heal()
    if document is None:
        return  # nothing was promised
    await house.opened.sweeping.take_up(orphaned=True)
    found = await house.rooms.documents.get(caller, document)
    async with house.rooms.documents.open(caller, found, 1 if found.renditions else None) as path:
        assert path.read_bytes() == content
    assert (await house.sign(caller, document, CHAIRMAN_KEY, request=request)).state is RequestState.DONE
    signed = await house.rooms.documents.get(caller, document)
    assert signed.state is DocumentState.SIGNED
    assert hashlib.sha256(await house.bytes_of(caller, document)).hexdigest() == signed.sha256
    uses = [one for one in read_uses(house.settings.token) if one.request == request]
    assert len({one.to_sign_sha256 for one in uses}) == 1


async def every_call_fails(
    house: House, make: Callable[[int], Fault], heal: Callable[[], None] = lambda: None
) -> int:
    """How many calls there are; each has failed."""
    tried, met = 0, True
    while met:
        tried += 1
        fault = make(tried)
        await under(house, fault, heal)
        met = bool(fault.met)
        if not met or tried % TOGETHER == 0:
            await house.check()
    return tried - 1


@HOWS
async def test_every_call_to_disk_and_database_fails(
    world: World, home: Path, for_good: bool, done: bool
) -> None:
    fault = Fault(0)

    def make(at: int) -> Fault:
        nonlocal fault
        fault = Fault(at, for_good, done)
        return fault

    async with open_world_house(world, home) as house:
        engine = house.opened.db._keeper._writing  # type: ignore[attr-defined]
        with failing_disk(home, lambda: fault), failing_commits(engine, lambda: fault):
            assert await every_call_fails(house, make) > 50
    assert {"write", "fsync", "link", "rename", "commit"} <= set(fault.calls)


# -- a server


@pytest.fixture(scope="module")
def minio_server() -> Iterator[S3Server]:
    with servers.minio() as server:
        yield server


@pytest.fixture
def front(minio_server: S3Server) -> Iterator[Front]:
    with in_front_of(minio_server) as front:
        yield front


@pytest.fixture
def on_s3(front: Front, tmp_path: Path) -> dict[str, Any]:
    credentials, name = tmp_path / "credentials", secrets.token_hex(6)
    credentials.write_text(f"{front.server.access_key}\n{front.server.secret_key}\n")
    return {
        "s3_endpoint": f"http://{front.server.endpoint}", "s3_credentials_file": credentials,
        "s3_kept_bucket": f"kept-{name}", "s3_working_bucket": f"working-{name}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "for_good", "done"),
    [(BUSY, False, False), (BUSY, True, False), (CUT, False, False), (CUT, False, True), (CUT, True, False)],
    ids=["503", "503 for good", "cut", "cut after the answer", "cut for good"],
)
async def test_every_write_to_the_server_fails(
    world: World, home: Path, front: Front, on_s3: dict[str, Any], kind: str, for_good: bool, done: bool
) -> None:
    front.kind = kind

    def make(at: int) -> Fault:
        front.fault = Fault(at, for_good, done)
        return front.fault

    async with open_world_house(world, home, **on_s3) as house:
        assert await every_call_fails(house, make) >= 7


async def test_every_read_from_the_server_fails(
    world: World, home: Path, front: Front, on_s3: dict[str, Any]
) -> None:
    front.kind, front.methods = CUT, {"GET", "HEAD", "DELETE"}

    def make(at: int) -> Fault:
        front.fault = Fault(at, for_good=True)
        return front.fault

    async with open_world_house(world, home, **on_s3) as house:
        assert await every_call_fails(house, make) > 5


async def test_what_cannot_be_cleared_away_is_signed_all_the_same(
    world: World, home: Path, front: Front, on_s3: dict[str, Any]
) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home, **on_s3) as house:
        document = (await house.upload(caller)).id
        front.methods, front.fault = {"DELETE"}, Fault(1, for_good=True)
        assert (await house.sign(caller, document, CHAIRMAN_KEY)).state is RequestState.DONE
        assert front.fault.met
        front.fault.heal()
        house.clock.move(timedelta(days=40))
        assert await house.opened.sweeping.clear() == 2  # the upload, too, had its time


async def test_the_server_answers_and_keeps_less(
    world: World, home: Path, front: Front, on_s3: dict[str, Any], minio_server: S3Server
) -> None:
    """Nothing is called kept on the server's word. What it spoilt stays until somebody takes it away."""
    front.kind = LESS

    def make(at: int) -> Fault:
        front.fault = Fault(at)
        return front.fault

    def heal() -> None:
        client, bucket = _client(minio_server), on_s3["s3_kept_bucket"]
        spoilt = [
            DeleteObject(key, one.version_id)
            for of, key in front.spoilt if of == bucket
            for one in client.list_objects(bucket, key, include_version=True)
        ]  # fmt: skip
        front.spoilt.clear()
        assert list(client.remove_objects(bucket, spoilt, bypass_governance_mode=True)) == []

    async with open_world_house(world, home, **on_s3) as house:
        assert await every_call_fails(house, make, heal) >= 7


@pytest.mark.parametrize("done", [False, True], ids=["before", "after it was done"])
async def test_the_server_says_nothing_for_too_long(
    world: World, home: Path, front: Front, on_s3: dict[str, Any], done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after thirty seconds; here after two, so that nobody waits."""
    assert s3_access.TIMES.read_timeout == 30
    monkeypatch.setattr(s3_access, "TIMES", urllib3.Timeout(connect=5, read=2))
    front.kind = SILENT
    async with open_world_house(world, home, **on_s3) as house:
        for at in (1, 2):
            front.fault = Fault(at, for_good=at == 2, done=done)
            await under(house, front.fault)
        await house.check()


async def test_what_stands_is_hidden_and_signing_goes_on(
    world: World, home: Path, front: Front, on_s3: dict[str, Any], minio_server: S3Server
) -> None:
    """A delete marker over a kept original: told as damaged, never as a document that has no bytes; over what a worker kept
    and could not record, it is kept anew."""
    caller, bucket = world.chairman.caller, on_s3["s3_kept_bucket"]
    async with open_world_house(world, home, **on_s3) as house:
        document = (await house.upload(caller)).id
        await house.sign(caller, document, CHAIRMAN_KEY)
        found = await house.rooms.documents.get(caller, document)
        client = _client(minio_server)
        client.remove_object(bucket, f"{caller.agency}/{found.sha256}")
        with pytest.raises(Damaged):
            await house.bytes_of(caller, document)
        with pytest.raises(Damaged):
            await house.sign(caller, document, CHAIRMAN_KEY)
        (marker,) = [
            one for one in client.list_objects(bucket, f"{caller.agency}/{found.sha256}", include_version=True)
            if one.is_delete_marker
        ]  # fmt: skip
        client.remove_object(bucket, f"{caller.agency}/{found.sha256}", marker.version_id)
        await house.opened.sweeping.take_up(orphaned=True)
        await house.check()


async def test_a_bucket_without_lock_keeps_nothing(
    world: World, home: Path, front: Front, on_s3: dict[str, Any], minio_server: S3Server
) -> None:
    caller, client = world.chairman.caller, _client(minio_server)
    client.make_bucket(on_s3["s3_kept_bucket"])
    client.make_bucket(on_s3["s3_working_bucket"])
    async with open_world_house(world, home, **on_s3) as house:
        assert {"no-versions", "no-object-lock"} <= {
            one.code for one in await house.opened.watch.troubles() if one.stops
        }
        document, request = (await house.upload(caller)).id, house.id()
        with pytest.raises(StoreUnavailable):
            await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert not (await house.rooms.documents.get(caller, document)).signed
        assert [one for one in read_uses(house.settings.token) if one.request == request] == []


def _client(server: S3Server) -> Minio:
    return Minio(server.endpoint, server.access_key, server.secret_key, secure=server.secure)


# -- a full disk


async def test_a_disk_runs_full_at_any_byte(world: World, home: Path, tmp_path: Path) -> None:
    """Really, on a small file system of its own: store, database, the token's use log and the children's work."""
    place = tmp_path / "small"
    place.mkdir()
    async with open_world_house(world, home) as house:
        facts = facts_of(house, "", "") | {"place": str(place)}
    process = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "tests.full_disk",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    said, _ = await process.communicate(json.dumps(facts).encode())
    assert process.returncode == 0, said.decode()[-4000:]
    refused, signed = json.loads(said.decode().splitlines()[-1])
    assert refused
    assert signed
