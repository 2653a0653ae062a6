"""What only an S3 server can do: lock, hide, answer late, refuse, and meet another writer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from storage.minio_store import Buckets, MinioStore
from storage.s3_writing import S3Address, S3Credentials
from storage.store import (
    Damaged,
    NotKept,
    StoreUnavailable,
    WorkingName,
)
from tests.faults import in_front_of
from tests.promises.stores import LATER, all_of, minio_store, name_of
from tests.servers import S3Server


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


CONFLICT, STANDS = (409, "ConditionalRequestConflict"), (412, "PreconditionFailed")


@pytest.mark.parametrize("first", [[CONFLICT], [CONFLICT, STANDS], [STANDS, CONFLICT, CONFLICT]])
async def test_a_write_that_met_another_is_done_again(
    minio_server: S3Server, tmp_path: Path, first: list[tuple[int, str]]
) -> None:
    """S3 says 409 while somebody else writes the name; 412 of what is gone a moment later is no success."""
    with in_front_of(minio_server) as front:
        store = minio_store(front.server, tmp_path)
        store.make_buckets()
        name, source = name_of(b"met another"), store.scratch() / "source"
        source.write_bytes(b"met another")
        front.refusals += first
        await store.kept.keep(name, source, retain_until=LATER)
        assert (front.refusals, (await store.kept.stat(name)).retain_until) == ([], LATER)
        front.refusals += [CONFLICT] * 9
        with pytest.raises(StoreUnavailable):
            await store.kept.keep(name_of(b"met another", uuid4()), source)
        store.close()


async def test_what_a_delete_marker_hides_is_not_there_and_can_be_kept_again(
    s3: tuple[MinioStore, Buckets],
) -> None:
    """An unversioned DELETE succeeds though the object is locked: the version stays, the name is gone."""
    store, buckets = s3
    store.make_buckets()
    name, source = name_of(b"hidden"), store.scratch() / "source"
    source.write_bytes(b"hidden")
    await store.kept.keep(name, source, retain_until=LATER)
    store._s3.client.remove_object(buckets.kept, str(name))
    with pytest.raises(NotKept):
        async with store.kept.fetch(name):
            pass
    for ask in (store.kept.stat(name), store.kept.retain(name, LATER)):
        with pytest.raises(NotKept):
            await ask
    assert name not in await all_of(store.kept.names())
    await store.kept.keep(name, source, retain_until=LATER)
    async with store.kept.fetch(name) as path:
        assert path.read_bytes() == b"hidden"


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
