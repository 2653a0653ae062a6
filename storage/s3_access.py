"""How an S3 keeper reaches its server: this file sets its limits, turns its faults into one, and reads with a check."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import certifi
import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import MinioException, S3Error

from storage.s3_writing import S3Address, S3Credentials, S3Writer
from storage.store import StoreUnavailable

T = TypeVar("T")

THREADS = 8
TIMES = urllib3.Timeout(connect=5, read=30)  # seconds
PIECE = 1 << 20
MISSING = {"NoSuchKey", "NoSuchObject", "NoSuchVersion", "MethodNotAllowed"}  # the last: a delete marker


class S3Access:
    def __init__(self, address: S3Address, credentials: S3Credentials, scratch: Path) -> None:
        retries = urllib3.Retry(
            total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], allowed_methods=None,
            raise_on_status=False, respect_retry_after_header=False,
        )  # fmt: skip
        http = urllib3.PoolManager(
            timeout=TIMES, maxsize=THREADS, retries=retries, ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where()
        )  # fmt: skip
        self.client = Minio(
            address.host, credentials.access_key, credentials.secret_key, secure=address.secure,
            region=address.region, http_client=http,
        )  # fmt: skip
        self.writer = S3Writer(address, credentials, http)
        self.scratch = scratch
        self._http = http
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    async def run(self, work: Callable[[], T]) -> T:
        """Raises StoreUnavailable for every fault of the server and of the way to it."""

        def guarded() -> T:
            with faults():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    async def listed(self, bucket: str, prefix: str) -> AsyncIterator[Object]:
        found = await self.run(lambda: iter(self.client.list_objects(bucket, prefix, recursive=True)))
        while some := await self.run(lambda: list(islice(found, 1000))):
            for one in some:
                yield one

    def download(self, bucket: str, key: str, out: Path) -> str:
        """The SHA-256 of what came, in hexadecimal; a body cut short is a fault."""
        response = self.client.get_object(bucket, key)
        try:
            digest = hashlib.sha256()
            with out.open("xb") as file:
                for piece in response.stream(PIECE):
                    digest.update(piece)
                    file.write(piece)
            return digest.hexdigest()
        finally:
            response.close()
            response.release_conn()

    def close(self) -> None:
        self._threads.shutdown()
        self._http.clear()


@contextmanager
def faults() -> Iterator[None]:
    try:
        yield
    except S3Error as why:
        raise StoreUnavailable(f"{why.code}: {why.message}") from why
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as why:
        raise StoreUnavailable(f"{type(why).__name__}: {why}") from why
    except (ValueError, SyntaxError) as why:  # an answer that cannot be read (SyntaxError: not XML)
        raise StoreUnavailable(f"an answer that is none: {why}") from why


def missing(why: S3Error) -> bool:
    return why.code in MISSING
