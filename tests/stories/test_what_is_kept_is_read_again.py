"""What is kept is read again: a flipped bit, a file that is gone and a retention that was shortened are named, once."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from minio.commonconfig import GOVERNANCE
from minio.error import S3Error
from minio.retention import Retention
from sqlalchemy import select

from documents.counts import counts
from documents.scrub import PASS, Scrub
from signing.trust.anchors import Anchor
from storage.schema import AuditRecordRow, KeptFaultRow
from storage.store import KeptName, StoreUnavailable
from tests import servers
from tests.house import CHAIRMAN_KEY, House, World, open_world_house
from tests.servers import S3Server


@pytest.fixture(scope="module")
def minio_server() -> Iterator[S3Server]:
    with servers.minio() as server:
        yield server


class Shelf:
    """Hands past our doors, as an administrator has them: one for each kind of keeper."""

    def __init__(self, house: House, server: S3Server | None) -> None:
        self.house = house
        self.client = (
            Minio(server.endpoint, server.access_key, server.secret_key, secure=False) if server else None
        )
        self.bucket = house.settings.s3_kept_bucket

    def file(self, name: KeptName) -> Path:
        if self.client is None:
            return self.house.settings.home / "store/kept" / str(name.agency) / name.sha256[:2] / name.sha256
        (folder,) = Path(tempfile.gettempdir()).glob(f"antin-minio-*/data/{self.bucket}/{name}")
        whole = [one for one in folder.rglob("*") if one.is_file()]
        return max(whole, key=lambda one: one.stat().st_size)

    def flip(self, name: KeptName) -> None:
        """One bit, on the disk; the second time it is as it was."""
        path = self.file(name)
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))

    def hide(self, name: KeptName) -> Callable[[], None]:
        """Takes it away, as far as one can; what puts it back."""
        if self.client is None:
            path = self.file(name)
            aside = path.rename(path.with_suffix(".aside"))
            return lambda: (aside.rename(path), None)[1]
        client = self.client
        client.remove_object(self.bucket, str(name))
        (marker,) = [
            one for one in client.list_objects(self.bucket, str(name), include_version=True) if one.is_delete_marker
        ]  # fmt: skip
        return lambda: client.remove_object(self.bucket, str(name), marker.version_id)

    def shorten(self, name: KeptName, until: datetime) -> None:
        if self.client is None:
            beside = self.file(name).with_name(f"{name.sha256}.until")
            beside.chmod(0o644)
            beside.write_text(until.isoformat())
            return
        shorter = Retention(GOVERNANCE, until)
        with pytest.raises(S3Error):  # without the right to bypass
            self.client.set_object_retention(self.bucket, str(name), shorter)
        _bypassing(self.client).set_object_retention(self.bucket, str(name), shorter)


def _bypassing(client: Minio) -> Minio:
    really = client._execute

    def execute(*args: Any, **more: Any) -> Any:
        more["headers"] = {**(more.get("headers") or {}), "x-amz-bypass-governance-retention": "true"}
        return really(*args, **more)

    client._execute = execute  # type: ignore[method-assign]
    return client


@pytest.fixture(params=["folder", "s3"])
async def shelf(
    request: pytest.FixtureRequest, world: World, home: Path, tmp_path: Path
) -> AsyncIterator[Shelf]:
    settings: dict[str, Any] = {}
    server = None
    if request.param == "s3":
        server = request.getfixturevalue("minio_server")
        credentials, name = tmp_path / "credentials", secrets.token_hex(6)
        credentials.write_text(f"{server.access_key}\n{server.secret_key}\n")
        settings = {
            "s3_endpoint": f"http://{server.endpoint}", "s3_credentials_file": credentials,
            "s3_kept_bucket": f"kept-{name}", "s3_working_bucket": f"working-{name}",
        }  # fmt: skip
    async with open_world_house(world, home, **settings) as house:
        yield Shelf(house, server)


def scrub_of(house: House, **more: Any) -> Scrub:
    opened = house.opened
    return replace(Scrub(opened.db, opened.store, opened.store.check, house.clock), **more)


async def whole_pass(house: House) -> int:
    house.clock.move(PASS + timedelta(minutes=1))
    return await scrub_of(house).run()


async def faults(house: House) -> dict[str, str]:
    rows = await house.facts(lambda s: [(one.sha256, one.fault) for one in s.scalars(select(KeptFaultRow))])
    return dict(rows)


async def recorded(house: House) -> list[str]:
    bodies = [
        json.loads(one) for one in await house.facts(lambda s: list(s.scalars(select(AuditRecordRow.body))))
    ]
    return [one["facts"]["fault"] for one in bodies if one["kind"] == "kept.fault"]


async def signed(house: House) -> tuple[KeptName, KeptName]:
    """The original and the signed file of a document."""
    caller = house.world.chairman.caller
    document = (await house.upload(caller)).id
    await house.sign(caller, document, CHAIRMAN_KEY)
    found = await house.rooms.documents.get(caller, document)
    first, second = (KeptName(caller.agency, one.sha256) for one in found.renditions)
    return first, second


async def codes(house: House) -> set[str]:
    return {one.code for one in await house.opened.watch.troubles() if one.code.startswith("kept-")}


async def test_a_flipped_bit_is_named_once_and_forgotten_when_mended(shelf: Shelf) -> None:
    house = shelf.house
    name, _ = await signed(house)
    assert await whole_pass(house) > 2
    assert (await faults(house), await codes(house), await recorded(house)) == ({}, set(), [])
    shelf.flip(name)
    for _ in range(2):
        await whole_pass(house)
        (fault,) = (await faults(house)).items()
        assert fault[0] == name.sha256
        assert fault[1] in {"damaged", "unreadable"}  # a server may see it for itself
        assert await codes(house) == {"kept-damaged"}
        assert (await counts(house.opened.db))["kept_faults"] == 1
    assert await recorded(house) == [fault[1]]
    shelf.flip(name)
    await whole_pass(house)
    assert (await faults(house), await codes(house)) == ({}, set())
    assert await recorded(house) == [fault[1], "none"]
    await house.check()


async def test_what_was_taken_away_is_named(shelf: Shelf) -> None:
    house = shelf.house
    _, name = await signed(house)
    back = shelf.hide(name)
    await whole_pass(house)
    assert await faults(house) == {name.sha256: "gone"}
    back()
    await whole_pass(house)
    assert await recorded(house) == ["gone", "none"]


async def test_a_retention_that_was_shortened_is_named(shelf: Shelf) -> None:
    house = shelf.house
    name, _ = await signed(house)
    shelf.shorten(name, house.clock() + timedelta(days=5))
    await whole_pass(house)
    assert await faults(house) == {name.sha256: "not-held"}
    assert await codes(house) == {"kept-not-held"}
    # When all of it is over by itself, nothing is said any more.
    house.clock.move(timedelta(days=70))
    await whole_pass(house)
    assert await faults(house) == {}


async def test_it_reads_no_faster_than_it_may_and_goes_on_where_it_stood(house: House) -> None:
    await signed(house)
    everything = await whole_pass(house)
    assert everything > 3
    for _ in range(2):
        assert await scrub_of(house).run() == 0, "a pass is begun once a day"
        house.clock.move(PASS / 3)
    house.clock.move(PASS)
    slow = scrub_of(house, rate=1)  # byte per second: an object takes the time of many runs
    for _ in range(everything):
        assert await slow.run() == 1
        assert await scrub_of(house, rate=1).run() == 0, "nor does another process: it is not time"
        house.clock.move(timedelta(days=1))
    assert (await counts(house.opened.db))["kept_read_through"] < (house.clock() - 2 * PASS).timestamp()
    assert await slow.run() == 0
    assert (await counts(house.opened.db))["kept_read_through"] > (house.clock() - PASS).timestamp()


async def test_it_reads_on_postgresql_as_well(world: World, home: Path) -> None:
    with servers.postgresql() as server, servers.new_database(server) as url:
        on_it: dict[str, Any] = {"database_url": url, "database_password_file": server.password_file}
        async with open_world_house(world, home, **on_it) as house:
            root = Anchor(world.pki.certificate("root"), provenance="the test world")
            await house.rooms.trusted.add(root, confirmed_by="test")
            name, _ = await signed(house)
            Shelf(house, None).flip(name)
            everything = await whole_pass(house)
            assert await faults(house) == {name.sha256: "damaged"}
            house.clock.move(PASS)
            slow = scrub_of(house, rate=1)
            for _ in range(everything):
                assert await slow.run() == 1
                house.clock.move(timedelta(days=1))


async def test_a_store_that_is_away_is_no_damage(world: World, home: Path, tmp_path: Path) -> None:
    async with open_world_house(world, home) as house:
        await signed(house)
        kept = home / "store" / "kept"
        scratch = house.opened.store.scratch()
        house.clock.move(PASS + timedelta(minutes=1))
        agency = kept / str(world.agency)
        (aside, gone) = agency.rename(kept / "aside"), scratch.rename(scratch.with_suffix(".aside"))
        agency.write_text("")
        with pytest.raises(StoreUnavailable):
            await scrub_of(house).run()
        assert await faults(house) == {}
        agency.unlink()
        aside.rename(agency)
        gone.rename(scratch)
        house.clock.move(timedelta(minutes=11))
        assert await scrub_of(house).run() > 2
        assert await faults(house) == {}
