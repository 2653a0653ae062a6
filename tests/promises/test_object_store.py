"""The promise `ObjectStore`: one suite over every keeper, the folder and a real S3 server alike."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from storage.folder_store import FolderStore
from storage.minio_store import Buckets, MinioStore
from storage.s3_writing import PART, S3Address, S3Credentials
from storage.store import (
    AlreadyKept,
    Damaged,
    KeptName,
    NotKept,
    ObjectStore,
    StoreUnavailable,
    WorkingName,
)
from tests.servers import S3Server

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
Make = Callable[[bytes], Path]


def minio_store(server: S3Server, folder: Path, buckets: Buckets | None = None) -> MinioStore:
    named = buckets or Buckets(f"kept-{secrets.token_hex(6)}", f"working-{secrets.token_hex(6)}")
    return MinioStore(
        S3Address(server.endpoint, secure=server.secure), S3Credentials(server.access_key, server.secret_key),
        buckets=named, scratch=folder / "scratch",
    )  # fmt: skip


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


def name_of(content: bytes, agency: UUID | None = None) -> KeptName:
    return KeptName(agency or uuid4(), hashlib.sha256(content).hexdigest())


async def all_of(names: AsyncIterator[KeptName]) -> set[KeptName]:
    return {one async for one in names}


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


# -- what only one keeper can suffer


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[FolderStore]:
    made = FolderStore(tmp_path / "store")
    yield made
    made.close()


async def test_a_flipped_bit_in_the_folder_is_found(folder: FolderStore, tmp_path: Path) -> None:
    content = os.urandom(5000)
    name, source = name_of(content), folder.scratch() / "source"
    source.write_bytes(content)
    await folder.kept.keep(name, source)
    path = tmp_path / "store" / "kept" / str(name.agency) / name.sha256[:2] / name.sha256
    assert path.stat().st_mode & 0o777 == 0o444
    path.chmod(0o644)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(Damaged):
        async with folder.kept.fetch(name):
            pass
    with pytest.raises(Damaged):
        await folder.kept.keep(name, source)


async def test_bytes_and_every_name_are_durable_before_the_answer(
    folder: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; the folders' own names too, though another process made them and died before it had fsynced."""
    content = os.urandom(5000)
    name, source = name_of(content), folder.scratch() / "source"
    kept = tmp_path / "store" / "kept"
    shelf = kept / str(name.agency) / name.sha256[:2]
    shelf.mkdir(parents=True)
    source.write_bytes(content)
    done: list[str] = []
    fsync, link, rename = os.fsync, os.link, Path.rename
    known = {one.stat().st_ino: one.name or "kept" for one in (kept, shelf.parent, shelf)}

    def synced(handle: int) -> None:
        fsync(handle)
        done.append(f"fsync {known.get(os.fstat(handle).st_ino, 'file')}")

    def linked(old: Path, new: Path) -> None:
        link(old, new)
        done.append("link")

    def renamed(old: Path, new: Path) -> Path:
        done.append("rename")
        return rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(Path, "rename", renamed)
    await folder.kept.keep(name, source, retain_until=LATER)
    names = [f"fsync {one.name}" for one in (kept, shelf.parent)]
    end = [f"fsync {shelf.name}"]
    assert done == [*names, "fsync file", "fsync file", "rename", "link", *end]
    done.clear()
    await folder.kept.keep(name, source, retain_until=LATER)
    assert done == ["fsync file", *end]


async def test_what_cannot_be_written_to_its_end_leaves_nothing(folder: FolderStore, tmp_path: Path) -> None:
    """Half a file in scratch would keep a full disk full until the next start."""
    content, elsewhere = os.urandom(900_000), Path("/dev/shm") / secrets.token_hex(8)
    elsewhere.write_bytes(content)  # another file system: it has to be copied
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        with pytest.raises(StoreUnavailable):
            await folder.kept.keep(name_of(content), elsewhere, retain_until=LATER)
        with pytest.raises(StoreUnavailable):
            await folder.working.put(WorkingName(uuid4(), uuid4()), elsewhere, expires=LATER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        elsewhere.unlink()
    assert list(folder.scratch().iterdir()) == []
    assert [one for one in (tmp_path / "store").rglob("*") if one.is_file() and one.suffix != ".lock"] == []


async def test_a_place_that_cannot_be_written_is_told(folder: FolderStore, tmp_path: Path) -> None:
    name, source = name_of(b"x"), folder.scratch() / "source"
    source.write_bytes(b"x")
    (tmp_path / "store" / "kept" / str(name.agency)).write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        await folder.kept.keep(name, source)


def test_a_name_that_is_a_path_is_refused() -> None:
    for bad in ("../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="SHA-256"):
            KeptName(uuid4(), bad)


def test_scratch_of_the_dead_is_cleared_and_of_the_living_not(tmp_path: Path) -> None:
    dead = tmp_path / "store" / "scratch" / "0123456789abcdef"
    dead.mkdir(parents=True)
    (dead / "half.pdf").write_bytes(b"half")
    dead.with_suffix(".lock").touch()
    living = FolderStore(tmp_path / "store")
    (living.scratch() / "mine.pdf").write_bytes(b"mine")
    other = FolderStore(tmp_path / "store")
    assert not dead.exists()
    assert (living.scratch() / "mine.pdf").exists()
    for one in (living, other):
        one.close()
    assert list((tmp_path / "store" / "scratch").iterdir()) == []


@pytest.fixture
def s3(minio_server: S3Server, tmp_path: Path) -> Iterator[tuple[MinioStore, Buckets]]:
    buckets = Buckets(f"kept-{secrets.token_hex(6)}", f"working-{secrets.token_hex(6)}")
    made = minio_store(minio_server, tmp_path, buckets)
    yield made, buckets
    made.close()


def test_missing_buckets_and_locks_are_named(s3: tuple[MinioStore, Buckets]) -> None:
    store, buckets = s3
    assert {(one.code, one.detail) for one in store.check()} == {
        ("no-bucket", buckets.kept), ("no-bucket", buckets.working)
    }  # fmt: skip
    for bucket in (buckets.kept, buckets.working):
        store._s3.client.make_bucket(bucket)
    assert {one.code for one in store.check() if one.stops} == {"no-versions", "no-object-lock"}


async def test_other_bytes_under_a_kept_name_in_the_bucket_are_found(s3: tuple[MinioStore, Buckets]) -> None:
    store, buckets = s3
    store.make_buckets()
    name, source, other = name_of(b"right"), store.scratch() / "right", store.scratch() / "other"
    source.write_bytes(b"right")
    other.write_bytes(b"wrong")
    await store.kept.keep(name, source, retain_until=LATER)
    store._s3.client.fput_object(buckets.kept, str(name), str(other))  # an administrator, past our door
    with pytest.raises(Damaged):
        async with store.kept.fetch(name):
            pass
    with pytest.raises(Damaged):
        await store.kept.keep(name, source)


async def test_what_is_retained_cannot_be_deleted_without_the_bypass_right(
    s3: tuple[MinioStore, Buckets],
) -> None:
    from minio.error import S3Error

    store, buckets = s3
    store.make_buckets()
    name, source = name_of(b"locked"), store.scratch() / "source"
    source.write_bytes(b"locked")
    await store.kept.keep(name, source, retain_until=LATER)
    version = store._s3.client.stat_object(buckets.kept, str(name)).version_id
    with pytest.raises(S3Error, match=r"WORM|AccessDenied|Access Denied|protected"):
        store._s3.client.remove_object(buckets.kept, str(name), version)
    assert store._s3.client.get_object_retention(buckets.kept, str(name)).mode == "GOVERNANCE"  # type: ignore[union-attr]


async def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    store = minio_store(S3Server("127.0.0.1:1", "a", "b" * 8), tmp_path)
    name, source = name_of(b"x"), store.scratch() / "source"
    source.write_bytes(b"x")
    with pytest.raises(StoreUnavailable):
        await store.kept.keep(name, source)
    with pytest.raises(StoreUnavailable):
        await store.kept.stat(name)
    with pytest.raises(StoreUnavailable):
        async with store.working.fetch(WorkingName(name.agency, uuid4())):
            pass
    assert [one.code for one in store.check()] == ["store-away"]
    store.close()


async def test_wrong_credentials_are_no_missing_object(minio_server: S3Server, tmp_path: Path) -> None:
    store = minio_store(S3Server(minio_server.endpoint, "nobody", "x" * 16), tmp_path)
    with pytest.raises(StoreUnavailable):
        await store.kept.stat(name_of(b"x"))
    store.close()


@pytest.mark.parametrize(
    ("text", "host", "secure"),
    [("https://s3.example.gov.vn", "s3.example.gov.vn", True), ("http://127.0.0.1:9000", "127.0.0.1:9000", False),
     ("minio:9000", "minio:9000", True)],
)  # fmt: skip
def test_addresses(text: str, host: str, secure: bool) -> None:
    assert S3Address.parse(text, "us-east-1") == S3Address(host, "us-east-1", secure)
    with pytest.raises(ValueError, match="not the address"):
        S3Address.parse("https://user:secret@host/path", "us-east-1")


def test_credentials_come_from_a_file_and_show_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("access\nsecret key\n".replace(" ", "-"))
    read = S3Credentials.read(file)
    assert read == S3Credentials("access", "secret-key")
    assert "secret" not in repr(read)
