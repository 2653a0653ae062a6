"""The same story on PostgreSQL and S3 as on one host: signed, judged, kept under a lock, and there after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from minio.error import S3Error

from documents.document import RequestState
from hsm.use_log import read_uses
from signing.profile import Level
from signing.trust.anchors import Anchor
from signing.verification.report import Verdict
from storage.database import Database
from storage.minio_store import MinioStore
from storage.store import first_retention
from tests import servers
from tests.house import CHAIRMAN_KEY, House, World, open_world_house
from tests.stories.test_we_crash_between_two_steps import crash, facts_of


@pytest.fixture
def on_servers(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        postgresql, s3 = stack.enter_context(servers.postgresql()), stack.enter_context(servers.minio())
        credentials = tmp_path / "credentials"
        credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")
        yield {
            "database_url": _kept_by_its_owner(stack, postgresql),
            "database_password_file": postgresql.password_file,
            "jobs_database_url": stack.enter_context(servers.new_database(postgresql)),
            "s3_endpoint": f"{'https' if s3.secure else 'http'}://{s3.endpoint}",
            "s3_credentials_file": credentials,
        }


def _kept_by_its_owner(stack: ExitStack, server: servers.PostgresqlServer) -> str:
    """Migrated by the role that owns the tables; the service's owns none (P3)."""
    url = stack.enter_context(servers.new_kept_database(server))
    owner = Database(url.replace("//service@", "//keeper@"), password_file=server.password_file)
    owner.migrate()
    asyncio.run(owner.close())
    return url


async def test_signed_and_there_after_a_restart(world: World, home: Path, on_servers: dict[str, Any]) -> None:
    caller, began = world.chairman.caller, world.clock()
    async with open_world_house(world, home, serving=True, **on_servers) as house:
        root = Anchor(world.pki.certificate("root"), provenance="the test world")
        await house.rooms.trusted.add(root, confirmed_by="test")
        document, request = (await house.upload(caller)).id, house.id()
        done = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LTA, request=request)
        assert (done.state, done.reached) == (RequestState.DONE, Level.B_LTA)
        signed = await house.bytes_of(caller, document)
        troubles = await house.opened.watch.troubles()
        assert [one for one in troubles if one.stops or one.part == "database"] == []
    async with open_world_house(world, home, serving=True, **on_servers) as house:
        again = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LTA, request=request)
        assert again.state is RequestState.DONE
        assert await house.bytes_of(caller, document) == signed
        report = await house.rooms.verifying.verify_kept(caller, document)
        assert report.verdict is Verdict.VALID
        await house.check()
        await held_by_the_lock(house, began)


@pytest.mark.parametrize("point", ["3 the token has signed, its answer is gone", "5 kept"])
async def test_killed_and_taken_up(world: World, home: Path, on_servers: dict[str, Any], point: str) -> None:
    """Between the token and the database, between the bucket and the database; the other gaps on one host."""
    caller = world.chairman.caller
    async with open_world_house(world, home, **on_servers) as house:
        root = Anchor(world.pki.certificate("root"), provenance="the test world")
        await house.rooms.trusted.add(root, confirmed_by="test")
        document, request = (await house.upload(caller)).id, house.id()
    await crash(point, facts_of(house, document, request, "B-LTA", **on_servers))
    async with open_world_house(world, home, **on_servers) as house:
        await house.opened.sweeping.take_up(orphaned=True)
        done = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
        assert (done.state, done.reached) == (RequestState.DONE, Level.B_LTA)
        uses = [one for one in read_uses(house.settings.token) if one.request == request]
        assert len(uses) == (1 if point == "5 kept" else 2)
        await house.check()


async def held_by_the_lock(house: House, began: datetime) -> None:
    """P2: whoever asks without the bypass right takes nothing away before its first retention is over."""
    store = house.opened.store
    assert isinstance(store, MinioStore)
    s3, bucket = store._s3.client, house.settings.s3_kept_bucket
    wanted, count = {first_retention(began), first_retention(house.clock())}, 0
    async for name in store.kept.names():
        assert (await store.kept.stat(name)).retain_until in wanted
        version = s3.stat_object(bucket, str(name)).version_id
        with pytest.raises(S3Error, match=r"WORM|AccessDenied|Access Denied|protected"):
            s3.remove_object(bucket, str(name), version)
        count += 1
    assert count > 4  # received, signed, certificates, revocation data
