"""Any S3 keeps the bytes: this file keeps the promise `ObjectStore` by two buckets.

- `kept` has versions and object lock, `working` has neither. Production refuses to start where that is not so, or where
  the server does not hold a write to its condition (`check`).
- minio-py blocks: every call runs in a thread here, with limits to its time.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from minio.error import S3Error

from storage.minio_kept import MinioKept
from storage.minio_working import MinioWorking
from storage.problem import Problem
from storage.s3_access import S3Access, faults
from storage.s3_writing import S3Address, S3Credentials
from storage.scratch import Scratch
from storage.store import StoreUnavailable

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True)
class Buckets:
    kept: str
    working: str


class MinioStore:
    """`scratch` is a local folder. Raises StoreUnavailable where it cannot be made."""

    def __init__(
        self, address: S3Address, credentials: S3Credentials, *, buckets: Buckets, scratch: Path
    ) -> None:
        with faults():
            self._scratch = Scratch(scratch)
        self._buckets = buckets
        self._s3 = S3Access(address, credentials, self._scratch.folder)
        self.kept = MinioKept(self._s3, buckets.kept)
        self.working = MinioWorking(self._s3, buckets.working)

    def scratch(self) -> Path:
        return self._scratch.folder

    def make_buckets(self) -> None:
        """For development: makes what is absent. Raises StoreUnavailable."""
        with faults():
            for bucket, lock in ((self._buckets.kept, True), (self._buckets.working, False)):
                if not self._s3.client.bucket_exists(bucket):
                    self._s3.client.make_bucket(bucket, object_lock=lock)

    def check(self) -> list[Problem]:
        """Blocks. `store-away`, `no-bucket`, `no-versions`, `no-object-lock`, `compliance-default` (everything kept
        would be locked for good), `no-conditional-writes`, `working-has-versions`."""
        try:
            with faults():
                absent = [b for b in (self._buckets.kept, self._buckets.working) if not self._exists(b)]
                if absent:
                    return [Problem("no-bucket", one) for one in absent]
                return [*self._about_kept(), *self._about_working()]
        except StoreUnavailable as why:
            return [Problem("store-away", str(why))]

    def close(self) -> None:
        self._s3.close()
        self._scratch.close()

    def _exists(self, bucket: str) -> bool:
        return self._s3.client.bucket_exists(bucket)

    def _about_kept(self) -> list[Problem]:
        bucket, found = self._buckets.kept, []
        if self._s3.client.get_bucket_versioning(bucket).status != "Enabled":
            found.append(Problem("no-versions", bucket))
        try:
            lock = self._s3.client.get_object_lock_config(bucket)
        except S3Error as why:
            if why.code not in ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"):
                raise
            found.append(Problem("no-object-lock", bucket))
        else:
            if lock.mode == "COMPLIANCE":
                found.append(Problem("compliance-default", bucket, stops=False))
        return found

    def _about_working(self) -> list[Problem]:
        bucket, found = self._buckets.working, []
        if self._s3.client.get_bucket_versioning(bucket).status == "Enabled":
            found.append(Problem("working-has-versions", bucket, stops=False))
        if not self._holds_conditions(bucket):
            found.append(Problem("no-conditional-writes", bucket))
        return found

    def _holds_conditions(self, bucket: str) -> bool:
        """Whether a second write under one name is refused."""
        key, empty = f"probe/{secrets.token_hex(12)}", self._scratch.folder / secrets.token_hex(12)
        empty.touch()
        try:
            for _ in range(2):
                self._s3.writer.put(bucket, key, empty, sha256=EMPTY_SHA256, headers={})
        except S3Error as why:
            if why.code != "PreconditionFailed":
                raise
            return True
        finally:
            empty.unlink()
            self._s3.client.remove_object(bucket, key)
        return False
