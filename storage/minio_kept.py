"""What is kept in a bucket with versions and object lock: this file keeps the promise `KeptSpace` over S3.

- `<agency>/<SHA-256>`, written only where nothing stands. Once written, or where it stood already, size and the server's own
  checksum are asked for; where it has none (an object of several parts) the bytes are read.
- Retention is GOVERNANCE: an administrator with the bypass right can end it, and the scrub names that. COMPLIANCE is never
  set here; where somebody set it, it stays.
"""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from minio.commonconfig import GOVERNANCE
from minio.datatypes import Object
from minio.error import S3Error
from minio.retention import Retention

from storage.s3_access import S3Access, missing
from storage.s3_writing import OtherDigest
from storage.store import AlreadyKept, Damaged, Kept, KeptName, NotKept, StoreUnavailable

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
STANDS, AT_THIS_MOMENT = "PreconditionFailed", "ConditionalRequestConflict"
TRIES, PAUSE = 4, 0.1  # seconds, longer each time


class MinioKept:
    def __init__(self, access: S3Access, bucket: str) -> None:
        self._s3, self._bucket = access, bucket

    async def keep(self, name: KeptName, source: Path, *, retain_until: datetime | None = None) -> None:
        await self._s3.run(lambda: self._keep(name, source, retain_until))

    def fetch(self, name: KeptName) -> AbstractAsyncContextManager[Path]:
        return self._fetch(name)

    @asynccontextmanager
    async def _fetch(self, name: KeptName) -> AsyncIterator[Path]:
        file = self._s3.scratch / secrets.token_hex(12)
        try:
            await self._s3.run(lambda: self._download(name, file))
            yield file
        finally:
            file.unlink(missing_ok=True)

    async def stat(self, name: KeptName) -> Kept:
        return await self._s3.run(lambda: _kept(self._head(name)))

    async def retain(self, name: KeptName, until: datetime) -> None:
        await self._s3.run(lambda: self._retain(name, until))

    async def names(self, agency: UUID | None = None) -> AsyncIterator[KeptName]:
        async for one in self._s3.listed(self._bucket, f"{agency}/" if agency else ""):
            try:
                of, sha256 = (one.object_name or "").split("/")
                yield KeptName(UUID(of), sha256)
            except ValueError:
                continue  # not of ours

    def _keep(self, name: KeptName, source: Path, retain_until: datetime | None) -> None:
        lock = {MODE: GOVERNANCE, UNTIL: _zulu(retain_until)} if retain_until else {}
        for attempt in range(TRIES):
            try:
                self._put(name, source, lock)
                self._verify(name, source.stat().st_size)  # an answer is none: what stands there is
                return
            except OtherDigest:
                raise AlreadyKept(str(name)) from None
            except S3Error as why:
                if why.code not in {STANDS, AT_THIS_MOMENT}:
                    raise
                if why.code == STANDS and self._stands(name, source, retain_until):
                    return
            except NotKept:
                pass
            time.sleep(PAUSE * 2**attempt)  # somebody else writes it, or takes it away, at this moment
        raise StoreUnavailable(f"{name}: others were in the way {TRIES} times")

    def _stands(self, name: KeptName, source: Path, retain_until: datetime | None) -> bool:
        """Whether these very bytes stand there, held as long as they must be. Raises Damaged."""
        try:
            self._verify(name, source.stat().st_size)
            if retain_until:
                self._retain(name, retain_until)
        except NotKept:
            return False
        return True

    def _put(self, name: KeptName, source: Path, lock: dict[str, str]) -> None:
        try:
            self._s3.writer.put(self._bucket, str(name), source, sha256=name.sha256, headers=lock)
        except S3Error as why:
            if not lock or not _over(why):
                raise
            self._s3.writer.put(self._bucket, str(name), source, sha256=name.sha256, headers={})

    def _verify(self, name: KeptName, size: int) -> None:
        """Raises NotKept, Damaged."""
        head = self._head(name)
        if head.size != size:
            raise Damaged(f"{name}: {head.size} bytes of {size}")
        told = (head.metadata or {}).get("x-amz-checksum-sha256")
        if told == b64encode(bytes.fromhex(name.sha256)).decode():
            return
        file = self._s3.scratch / secrets.token_hex(12)
        try:
            self._download(name, file)
        finally:
            file.unlink(missing_ok=True)

    def _download(self, name: KeptName, file: Path) -> None:
        try:
            found = self._s3.download(self._bucket, str(name), file)
        except S3Error as why:
            raise NotKept(str(name)) if missing(why) else why from why
        if found != name.sha256:
            raise Damaged(str(name))

    def _head(self, name: KeptName) -> Object:
        try:
            return self._s3.client.stat_object(
                self._bucket, str(name), extra_headers={"x-amz-checksum-mode": "ENABLED"}
            )
        except S3Error as why:
            raise NotKept(str(name)) if missing(why) else why from why

    def _retain(self, name: KeptName, until: datetime) -> None:
        head = self._head(name)
        standing = _kept(head).retain_until
        if standing is not None and standing >= until:
            return
        mode = (head.metadata or {}).get(MODE) or GOVERNANCE
        try:
            self._s3.client.set_object_retention(
                self._bucket, str(name), Retention(mode, _second(until)), head.version_id
            )
        except S3Error as why:
            if not _over(why):
                raise


def _kept(head: Object) -> Kept:
    until = (head.metadata or {}).get(UNTIL)
    return Kept(head.size or 0, datetime.fromisoformat(until).astimezone(UTC) if until else None)


def _over(why: S3Error) -> bool:
    """Whether the server refused a retention whose time is over by its clock; the codes differ between servers."""
    return "must be in the future" in (why.message or "")


def _second(until: datetime) -> datetime:
    """The next whole second, never the one before."""
    at = until.astimezone(UTC)
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)


def _zulu(until: datetime) -> str:
    return f"{_second(until):%Y-%m-%dT%H:%M:%SZ}"
