"""Bytes made durable and read back, against the physical limit and against minio-py: this file measures both keepers.

- The folder's limit is plain system calls: write, fsync, rename, fsync of the folder; and a read with its SHA-256.
  `kept` also hashes what it copies, and refuses what is not its name.
- S3 stands beside minio-py over the same MinIO, which neither holds the write to a condition nor checks what it reads.
  Where there is no MinIO (`ANTIN_MINIO`, or what scripts/test built), these rows are missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from minio import Minio

from bench.table import Row, interleaved_async, show
from storage.folder_store import FolderStore
from storage.minio_store import Buckets, MinioStore
from storage.s3_writing import PART, S3Address, S3Credentials
from storage.store import KeptName, WorkingName
from tests import servers

WEIGHTS = {"80 KB": (80_000, 40), "1 MB": (1_000_000, 30), "64 MB": (64_000_000, 5)}  # bytes, rounds
AGENCY = UUID(int=0xA0)
PIECE = 1 << 20
PLAIN, MINIO_PY = "write, fsync, rename, fsync of the folder", "minio-py"


def main(weights: dict[str, tuple[int, int]] = WEIGHTS) -> None:
    rows = asyncio.run(_measured(weights))
    show(rows)


async def _measured(weights: dict[str, tuple[int, int]]) -> list[Row]:
    rows = []
    for label, (weight, rounds) in weights.items():
        with tempfile.TemporaryDirectory() as folder:
            rows += await _folder(Path(folder), label, weight, rounds)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        try:
            server = stack.enter_context(servers.minio())
        except servers.Missing as why:
            print(f"S3 is not measured: {why}", file=sys.stderr)
        else:
            rows += await _s3(Path(folder), server, weights)
    return rows


# -- a folder


async def _folder(folder: Path, label: str, weight: int, rounds: int) -> list[Row]:
    content, plain = os.urandom(weight), folder / "plain"
    source, landed = folder / "source", plain / "landed"
    source.write_bytes(content)
    plain.mkdir()
    name = KeptName(AGENCY, hashlib.sha256(content).hexdigest())
    later = datetime.now(UTC) + timedelta(days=1)
    with closing(FolderStore(folder / "store")) as store:

        def cleared() -> None:
            """The next call writes a new name again; what the deletion left to the disk is not its to pay."""
            for file in (*(folder / "store").rglob("*"), landed):
                if file.is_file():
                    file.unlink()
                    _sync(file.parent)

        async def kept() -> None:
            await store.kept.keep(name, source)

        async def put() -> None:
            upload = store.scratch() / "upload"
            upload.write_bytes(content)
            await store.working.put(WorkingName(AGENCY, uuid4()), upload, expires=later)

        async def plainly() -> None:
            _write_durably(content, plain / "new", landed)

        async def fetched() -> None:
            async with store.kept.fetch(name):
                pass

        async def read() -> None:
            if _sha256(source) != name.sha256:
                raise SystemExit("what was read is something else")

        keep, put_ms, limit = await interleaved_async(rounds, kept, put, plainly, between=cleared)
        await store.kept.keep(name, source)
        fetch, read_ms = await interleaved_async(rounds, fetched, read)
    return [
        Row("store", f"folder: keep {label}", keep, limit, PLAIN, "ms"),
        Row("store", f"folder: write an upload and put it, {label}", put_ms, limit, PLAIN, "ms"),
        Row("store", f"folder: fetch {label}", fetch, read_ms, "read, SHA-256", "ms"),
    ]


def _write_durably(content: bytes, new: Path, landed: Path) -> None:
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    new.rename(landed)
    _sync(landed.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb", buffering=0) as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


# -- S3


async def _s3(folder: Path, server: servers.S3Server, weights: dict[str, tuple[int, int]]) -> list[Row]:
    address = S3Address(server.endpoint, secure=server.secure)
    credentials = S3Credentials(server.access_key, server.secret_key)
    buckets = Buckets(f"kept-{uuid4()}", f"working-{uuid4()}")
    client = Minio(server.endpoint, server.access_key, server.secret_key, secure=server.secure)
    rows = []
    with closing(MinioStore(address, credentials, buckets=buckets, scratch=folder / "scratch")) as store:
        store.make_buckets()
        for label, (weight, rounds) in weights.items():
            rows += await _s3_of(store, client, (buckets.kept, folder / label), (label, weight, rounds))
    return rows


async def _s3_of(
    store: MinioStore, client: Minio, where: tuple[str, Path], what: tuple[str, int, int]
) -> list[Row]:
    (bucket, source), (label, weight, rounds) = where, what
    content = os.urandom(weight)
    source.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    name, copy = KeptName(uuid4(), sha256), source.with_name("copy")
    await store.kept.keep(name, source)

    async def kept() -> None:
        await store.kept.keep(KeptName(uuid4(), sha256), source)

    async def put() -> None:
        with source.open("rb") as opened:
            client.put_object(bucket, f"{uuid4()}/{sha256}", opened, weight, part_size=PART)

    async def fetched() -> None:
        async with store.kept.fetch(name):
            pass

    async def got() -> None:
        client.fget_object(bucket, str(name), str(copy))

    keep, put_ms = await interleaved_async(rounds, kept, put)
    fetch, get = await interleaved_async(rounds, fetched, got)
    return [
        Row("store", f"S3: keep {label}", keep, put_ms, f"{MINIO_PY} put_object", "ms"),
        Row("store", f"S3: fetch {label}", fetch, get, f"{MINIO_PY} fget_object", "ms"),
    ]


if __name__ == "__main__":
    main()
