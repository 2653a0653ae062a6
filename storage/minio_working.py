"""What lies in a bucket for a while: this file keeps the promise `WorkingSpace` over S3.

- `<agency>/<UUID>`; when it expires stands in its metadata. The sweep asks for it once per object and remembers.
- The digest stands in the metadata too: what comes back is held against it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Object
from minio.error import S3Error

from storage.digests import sha256_of
from storage.s3_access import S3Access, missing
from storage.store import NotKept, StoreUnavailable, WorkingName

EXPIRES = "x-amz-meta-expires"
DIGEST = "x-amz-meta-sha256"
NEVER = datetime.max.replace(tzinfo=UTC)


class MinioWorking:
    def __init__(self, access: S3Access, bucket: str) -> None:
        self._s3, self._bucket = access, bucket
        self._known: dict[tuple[str | None, str | None, datetime | None], datetime] = {}

    async def put(self, name: WorkingName, source: Path, *, expires: datetime) -> None:
        def work() -> None:
            told = {EXPIRES: expires.astimezone(UTC).isoformat(), DIGEST: sha256_of(source)}
            self._s3.writer.put(self._bucket, str(name), source, sha256=None, headers=told)
            # An intent may name it: a server that answered and kept something else is found out before.
            head, size = self._head(name), source.stat().st_size
            if (head.size, (head.metadata or {}).get(DIGEST)) != (size, told[DIGEST]):
                raise StoreUnavailable(f"{name}: {head.size} bytes are there of {size}")

        await self._s3.run(work)

    def fetch(self, name: WorkingName) -> AbstractAsyncContextManager[Path]:
        return self._fetch(name)

    @asynccontextmanager
    async def _fetch(self, name: WorkingName) -> AsyncIterator[Path]:
        file = self._s3.scratch / secrets.token_hex(12)
        try:
            await self._s3.run(lambda: self._download(name, file))
            yield file
        finally:
            file.unlink(missing_ok=True)

    async def delete(self, name: WorkingName) -> None:
        await self._s3.run(lambda: self._s3.client.remove_object(self._bucket, str(name)))

    async def extend(self, name: WorkingName, *, expires: datetime) -> None:
        def work() -> None:
            told = {
                "expires": expires.astimezone(UTC).isoformat(),
                "sha256": (self._head(name).metadata or {}).get(DIGEST, ""),
            }
            source = CopySource(self._bucket, str(name))
            self._s3.client.copy_object(
                self._bucket, str(name), source, metadata=dict(told), metadata_directive=REPLACE
            )

        await self._s3.run(work)

    async def expired(self, now: datetime) -> AsyncIterator[WorkingName]:
        seen: dict[tuple[str | None, str | None, datetime | None], datetime] = {}
        async for one in self._s3.listed(self._bucket, ""):
            version = (one.object_name, one.etag, one.last_modified)
            try:
                name = _name(one)
                expires = self._known.get(version, NEVER)
                if version not in self._known:
                    expires = await self._s3.run(partial(self._expires, name))
            except (ValueError, NotKept):
                continue  # not of ours, or deleted meanwhile
            seen[version] = expires
            if expires <= now:
                yield name
        self._known = seen

    def _download(self, name: WorkingName, file: Path) -> None:
        told = (self._head(name).metadata or {}).get(DIGEST)
        try:
            found = self._s3.download(self._bucket, str(name), file)
        except S3Error as why:
            raise NotKept(str(name)) if missing(why) else why from why
        if told and told != found:
            raise StoreUnavailable(f"{name} came back changed")

    def _head(self, name: WorkingName) -> Object:
        try:
            return self._s3.client.stat_object(self._bucket, str(name))
        except S3Error as why:
            raise NotKept(str(name)) if missing(why) else why from why

    def _expires(self, name: WorkingName) -> datetime:
        told = (self._head(name).metadata or {}).get(EXPIRES)
        return datetime.fromisoformat(told) if told else NEVER


def _name(one: Object) -> WorkingName:
    """Raises ValueError."""
    agency, id = (one.object_name or "").split("/")
    return WorkingName(UUID(agency), UUID(id))
