"""The promise `ObjectStore`: one suite over every keeper, the folder and a real S3 server alike."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from storage.folder_store import FolderStore
from storage.minio_store import MinioStore
from storage.s3_writing import PART
from storage.store import (
    AlreadyKept,
    KeptName,
    NotKept,
    ObjectStore,
    WorkingName,
)
from tests.promises.stores import LATER, all_of, minio_store, name_of

Make = Callable[[bytes], Path]


@pytest.fixture(params=["folder", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        folder = FolderStore(tmp_path / "store")
        yield folder
        folder.close()
        return
    server = minio_store(request.getfixturevalue("minio_server"), tmp_path)
    server.make_buckets()
    yield server
    server.close()


@pytest.fixture
def make(store: ObjectStore) -> Make:
    def made(content: bytes) -> Path:
        file = store.scratch() / secrets.token_hex(8)
        file.write_bytes(content)
        return file

    return made


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", os.urandom(3 << 20)], ids=["empty", "small", "3 MiB"])
async def test_what_was_kept_is_fetched(store: ObjectStore, make: Make, content: bytes) -> None:
    name, source = name_of(content), make(content)
    await store.kept.keep(name, source)
    assert source.read_bytes() == content
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == content
    assert (await store.kept.stat(name)).size == len(content)


async def test_large_files_travel_in_parts(store: ObjectStore, make: Make) -> None:
    content = os.urandom(PART) * 2 + b"and a bit"
    name = name_of(content)
    for _ in range(2):  # the second time what lies there is read
        await store.kept.keep(name, make(content), retain_until=LATER)
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == content
    assert (await store.kept.stat(name)).retain_until == LATER


async def test_the_same_bytes_again_are_fine(store: ObjectStore, make: Make) -> None:
    name = name_of(b"again")
    for _ in range(3):
        await store.kept.keep(name, make(b"again"))
    assert await all_of(store.kept.names(name.agency)) == {name}


@pytest.mark.parametrize("size", [10, PART + 1])
async def test_other_bytes_than_the_name_says_are_refused(store: ObjectStore, make: Make, size: int) -> None:
    content = os.urandom(size)
    name = name_of(content)
    with pytest.raises(AlreadyKept):
        await store.kept.keep(name, make(content + b"!"))
    with pytest.raises(NotKept):
        await store.kept.stat(name)
    await store.kept.keep(name, make(content))
    with pytest.raises(AlreadyKept):
        await store.kept.keep(name, make(content + b"!"))
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == content


async def test_many_that_keep_the_same_at_once_keep_it_once(store: ObjectStore, make: Make) -> None:
    content = os.urandom(100_000)
    name, sources = name_of(content), [make(content) for _ in range(8)]
    await asyncio.gather(*(store.kept.keep(name, one, retain_until=LATER) for one in sources))
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == content


async def test_what_is_not_there_is_named(store: ObjectStore) -> None:
    name = name_of(b"never")
    with pytest.raises(NotKept):
        async with store.kept.fetch(name):
            pass
    with pytest.raises(NotKept):
        await store.kept.stat(name)
    with pytest.raises(NotKept):
        await store.kept.retain(name, LATER)


async def test_retention_is_only_lengthened(store: ObjectStore, make: Make) -> None:
    name = name_of(b"kept for years")
    await store.kept.keep(name, make(b"kept for years"))
    assert (await store.kept.stat(name)).retain_until is None
    await store.kept.retain(name, LATER)
    await store.kept.retain(name, LATER - timedelta(days=3))
    await store.kept.keep(name, make(b"kept for years"), retain_until=LATER - timedelta(days=2))
    assert (await store.kept.stat(name)).retain_until == LATER
    await store.kept.keep(name, make(b"kept for years"), retain_until=LATER + timedelta(days=1))
    assert (await store.kept.stat(name)).retain_until == LATER + timedelta(days=1)


async def test_retention_from_the_first_moment(store: ObjectStore, make: Make) -> None:
    name, until = name_of(b"first"), LATER + timedelta(microseconds=1)
    await store.kept.keep(name, make(b"first"), retain_until=until)
    standing = (await store.kept.stat(name)).retain_until
    assert standing is not None
    assert until <= standing <= until + timedelta(seconds=1)


async def test_a_retention_that_is_over_is_no_hindrance(store: ObjectStore, make: Make) -> None:
    name = name_of(b"old")
    await store.kept.keep(name, make(b"old"), retain_until=datetime(2020, 1, 1, tzinfo=UTC))
    await store.kept.retain(name, datetime(2020, 1, 2, tzinfo=UTC))
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == b"old"


async def test_agencies_keep_apart(store: ObjectStore, make: Make) -> None:
    one, other = name_of(b"same bytes"), name_of(b"same bytes")
    await store.kept.keep(one, make(b"same bytes"))
    with pytest.raises(NotKept):
        await store.kept.stat(other)
    await store.kept.keep(other, make(b"same bytes"))
    assert await all_of(store.kept.names(one.agency)) == {one}
    assert await all_of(store.kept.names()) == {one, other}


async def test_what_works_comes_and_goes(store: ObjectStore, make: Make) -> None:
    name = WorkingName(uuid4(), uuid4())
    await store.working.put(name, make(b"draft 1"), expires=LATER)
    await store.working.put(name, make(b"draft 2"), expires=LATER)
    async with store.working.fetch(name) as path:
        assert path.read_bytes() == b"draft 2"
    for _ in range(2):
        await store.working.delete(name)
    with pytest.raises(NotKept):
        async with store.working.fetch(name):
            pass
    with pytest.raises(NotKept):
        await store.working.extend(name, expires=LATER)


async def test_what_is_being_read_stays_though_it_is_deleted(store: ObjectStore, make: Make) -> None:
    name = WorkingName(uuid4(), uuid4())
    await store.working.put(name, make(b"being read"), expires=LATER)
    async with store.working.fetch(name) as path:
        await store.working.delete(name)
        assert path.read_bytes() == b"being read"
    assert not path.exists()


async def test_a_large_upload_may_be_moved_in(store: ObjectStore, make: Make) -> None:
    content, name = os.urandom(PART + 5), WorkingName(uuid4(), uuid4())
    await store.working.put(name, make(content), expires=LATER)
    async with store.working.fetch(name) as path:
        assert path.read_bytes() == content


async def test_the_sweep_is_told_what_is_over(store: ObjectStore, make: Make) -> None:
    agency, now = uuid4(), LATER
    over, stays, extended = (WorkingName(agency, uuid4()) for _ in range(3))
    for name in (over, extended):
        await store.working.put(name, make(b"x"), expires=now - timedelta(minutes=1))
    await store.working.put(stays, make(b"x"), expires=now + timedelta(minutes=1))
    assert {one async for one in store.working.expired(now)} == {over, extended}
    await store.working.extend(extended, expires=now + timedelta(hours=1))
    assert {one async for one in store.working.expired(now)} == {over}
    assert {one async for one in store.working.expired(now + timedelta(days=1))} == {over, stays, extended}
    async with store.working.fetch(extended) as path:
        assert path.read_bytes() == b"x"


async def test_nothing_is_left_in_scratch(store: ObjectStore, make: Make) -> None:
    source, name = make(b"one"), name_of(b"one")
    await store.kept.keep(name, source, retain_until=LATER)
    async with store.kept.fetch(name):
        pass
    with pytest.raises(AlreadyKept):
        await store.kept.keep(name, make(b"two"))
    assert len(list(store.scratch().iterdir())) == 2  # the sources, which are not the keeper's to delete


def test_it_finds_nothing_wrong_with_itself(store: ObjectStore) -> None:
    assert isinstance(store, FolderStore | MinioStore)
    assert store.check() == []


def test_a_name_that_is_a_path_is_refused() -> None:
    for bad in ("../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="SHA-256"):
            KeptName(uuid4(), bad)
