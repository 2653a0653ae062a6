"""The ground and what else settings choose: this file opens token, database, store and clock as the settings say."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalogue import N_
from documents.rooms import Limits
from settings import Settings
from signing.timestamping.clock import ClockGuard, steady_clock
from signing.trust.fetcher import Fetcher, Reach
from signing.trust.revocation import Revocation
from storage.database import Database
from storage.folder_store import FolderStore
from storage.jobs import Jobs, look
from storage.problem import Problem
from storage.store import StoreUnavailable

if TYPE_CHECKING:
    from storage.minio_store import MinioStore

SERVING = "serving.lock"
LOOPBACK = ("127.0.0.0/8", "::1/128")
HALF_RESTORED = "half-restored"  # its mark in a home
# Names the form of the stored work, and the older ones that are read besides (P6).
JOB_VERSION, OLDER_JOBS = "2", ("1",)


@dataclass(frozen=True)
class Times:
    """The clock, steered in tests."""

    wall: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    monotonic: Callable[[], float] = steady_clock


class HalfRestored(Exception):
    """A restore into this home did not come to its end."""

    sentence = N_(
        "Việc khôi phục bản sao lưu %(name)s vào đây chưa xong: hãy xóa thư mục này và cơ sở dữ liệu, rồi khôi phục lại."
    )

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def refuse_half_restored(home: Path) -> None:
    """Its facts would go on where they ended, and use numbers again. Raises HalfRestored."""
    if (home / HALF_RESTORED).exists():
        raise HalfRestored((home / HALF_RESTORED).read_text().strip())


@contextmanager
def presence(home: Path, *, serving: bool) -> Iterator[bool]:
    """Whether nobody else is at home: then what is held is a dead one's."""
    with (home / "present.lock").open("a+") as file:
        alone = serving and _locks(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)
        with (home / SERVING).open("a") as ours:
            if serving:
                fcntl.flock(ours.fileno(), fcntl.LOCK_SH)
            yield alone


@contextmanager
def sole(settings: Settings, *, serving: bool) -> Iterator[bool]:
    """Whether no other process serves from the same SQLite, of whatever home; held until the end."""
    if not (serving and settings.database.startswith("sqlite")):
        yield True
        return
    file = Path(urlsplit(settings.database).path.removeprefix("/"))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.serving.lock").open("a") as lock:
        yield _locks(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locks(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        return False
    return True


async def token_process(settings: Settings, stack: AsyncExitStack) -> None:
    """Production has it started by somebody else, as a user of its own (K3)."""
    if settings.production:
        return
    from hsm import soft_token
    from hsm.token_process import TokenProcess

    module = Path(settings.token_module) if settings.token_module else None
    await asyncio.to_thread(soft_token.make, settings.token, module=module)
    await stack.enter_async_context(
        TokenProcess.start(settings.token, settings.socket, queue_limit=settings.queue_limit)
    )


def database(settings: Settings) -> Database:
    return Database(settings.database, password_file=settings.database_password_file)


def jobs(settings: Settings, clock: Callable[[], datetime]) -> Jobs:
    return Jobs(
        settings.jobs_database, JOB_VERSION, clock=clock, host=socket.gethostname(),
        password_file=settings.database_password_file, older=OLDER_JOBS,
    )  # fmt: skip


def served(home: Path) -> bool:
    """Whether a service runs at home."""
    with (home / SERVING).open("a") as file:
        return not _locks(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def jobs_from_outside(settings: Settings) -> list[Problem]:
    """What the jobs' database tells of a service that runs at this home; nothing where none does. Blocks."""
    if not served(settings.home):
        return []
    forms = (JOB_VERSION, *OLDER_JOBS)
    return look(settings.jobs_database, forms, password_file=settings.database_password_file)


def store(settings: Settings) -> FolderStore | MinioStore:
    if not settings.s3_endpoint:
        return FolderStore(settings.home / "store")
    from storage.minio_store import Buckets, MinioStore
    from storage.s3_writing import S3Address, S3Credentials

    if settings.s3_credentials_file is None:
        raise StoreUnavailable("ANTIN_S3_CREDENTIALS_FILE names no file")
    lines = settings.s3_credentials_file.read_text().split()
    if len(lines) != 2:
        raise StoreUnavailable("the file of the S3 credentials does not hold two lines")
    store = MinioStore(
        S3Address.parse(settings.s3_endpoint, settings.s3_region), S3Credentials(*lines),
        buckets=Buckets(settings.s3_kept_bucket, settings.s3_working_bucket), scratch=settings.home / "scratch",
    )  # fmt: skip
    if not settings.production:
        store.make_buckets()
    return store


def guard(settings: Settings, times: Times) -> ClockGuard:
    bound = timedelta(milliseconds=settings.clock_bound_ms)
    return ClockGuard(settings.clock_sources, bound=bound, wall=times.wall, monotonic=times.monotonic)


@asynccontextmanager
async def revocation(settings: Settings, clock: Callable[[], datetime]) -> AsyncIterator[Revocation]:
    networks = settings.revocation_networks + ([] if settings.production else list(LOOPBACK))
    async with Fetcher(Reach.allowing(networks, settings.revocation_hosts)) as fetcher:
        yield Revocation(fetcher, clock=clock)


def limits(settings: Settings) -> Limits:
    return Limits(
        upload=settings.upload_limit, verify=settings.verify_limit,
        requests_per_minute=settings.requests_per_minute, tsa_networks=tuple(settings.tsa_networks),
        trusted_proxies=tuple(settings.trusted_proxies), signatures_at_once=settings.queue_limit,
    )  # fmt: skip
