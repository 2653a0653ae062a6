"""What the tests of stores share: names, a time, and a keeper over a server."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from storage.minio_store import Buckets, MinioStore
from storage.s3_writing import S3Address, S3Credentials
from storage.store import (
    KeptName,
)
from tests.servers import S3Server

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


def minio_store(server: S3Server, folder: Path, buckets: Buckets | None = None) -> MinioStore:
    named = buckets or Buckets(f"kept-{secrets.token_hex(6)}", f"working-{secrets.token_hex(6)}")
    return MinioStore(
        S3Address(server.endpoint, secure=server.secure), S3Credentials(server.access_key, server.secret_key),
        buckets=named, scratch=folder / "scratch",
    )  # fmt: skip


def name_of(content: bytes, agency: UUID | None = None) -> KeptName:
    return KeptName(agency or uuid4(), hashlib.sha256(content).hexdigest())


async def all_of(names: AsyncIterator[KeptName]) -> set[KeptName]:
    return {one async for one in names}
