"""Work that waits and survives (docs/decisions/dbos.md): this file alone imports its engine, DBOS.

- A job is a name, an identifier and a few words; its handler is asked until it says that it is done, each time at the time
  it gave. What waits is a row that costs nothing; each attempt is a workflow of its own, so that no history grows.
- Handlers run on the event loop that called `start`, at least once an attempt: after a crash an attempt is made again, by
  any living process of the same database. A handler that raises is asked again, later and later; one that does so for
  an hour, or at which the process dies again and again, is set aside with its reason.
- The application version names the form of the stored work, and older forms are taken over: what waits survives an
  upgrade (P6). Inputs are JSON, never pickles.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from storage.database import DatabaseUnavailable
from storage.intervals import Intervals, Work
from storage.jobs_database import BEAT, FURTHEST, JobsDatabase
from storage.jobs_database import Work as Kind
from storage.problem import Problem

if TYPE_CHECKING:
    from dbos import DBOS

log = logging.getLogger("antin.jobs")
_ENGINE = threading.Lock()  # DBOS is one per process

Handler = Callable[[dict[str, str]], Awaitable[datetime | None]]

WORKFLOW = "antin.job"
QUEUE = "antin"
AT_ONCE = 8
ENGINE_AGAIN = 60.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 3600.0  # seconds, after a handler that raised
SET_ASIDE_AFTER = 10  # failures one after the other: a good hour
DEATHS = 3  # how often a job is begun again whose process died
STARTS_WITHIN = 60.0  # seconds
GRACE = 5.0  # seconds that running handlers have when the service stops
FORGETS, AT_A_TIME = 3600.0, 500  # seconds between two times, rows at once
REMEMBERED = timedelta(days=7)  # for as long a finished job is not begun again by its identifier


class SetAside(Exception):
    """Why a job is not asked any more."""

    def __repr__(self) -> str:  # as the engine keeps it
        return str(self)


class Jobs:
    """`version` names the form of the stored work, not of the program; `older` are the forms that its handlers read
    besides. `host` is for whoever reads the table of the living."""

    def __init__(
        self, database_url: str, version: str, *, clock: Callable[[], datetime], host: str = "local",
        password_file: Path | None = None, older: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._url, self._password_file = make_url(database_url), password_file
        self._version, self._host, self._clock = version, host, clock
        self._kind = Kind(WORKFLOW, QUEUE, (version, *older))
        # Of this start: two processes of one host are two, and what the one before left is a dead one's.
        self._executor = f"{host}/{uuid4().hex}"
        self._began, self._why_not = time.monotonic(), ""
        self._handlers: dict[str, Handler] = {}
        self._intervals = Intervals()
        self._running: set[concurrent.futures.Future[datetime | None]] = set()
        self._lock, self._stopping, self._failures = threading.Lock(), False, 0
        self._starting = threading.RLock()
        self._database: JobsDatabase | None = None
        self._engine: type[DBOS] | None = None
        self._owns_engine = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle(self, name: str, handler: Handler) -> None:
        """Before `start`. The handler gives None when the job is done, or the time at which to ask it again."""
        self._handlers[name] = handler

    def every(self, seconds: float, name: str, work: Work) -> None:
        """Before `start`: work that is done at the start and then again and again; not durable."""
        self._intervals.every(seconds, name, work)

    async def start(self) -> None:
        """Takes up what waits. About a second and a half: the engine is imported here. Raises what keeps the engine from
        starting; work of every minute is done all the same, and the engine is tried again every minute."""
        self._loop, self._stopping = asyncio.get_running_loop(), False
        self._began = time.monotonic()
        self._intervals.every(BEAT, "jobs.beat", self._beat)
        self._intervals.every(ENGINE_AGAIN, "jobs.engine", self._try)
        self._intervals.every(FORGETS, "jobs.forget", self._forget)
        self._intervals.start()
        await self._try()

    @property
    def started(self) -> bool:
        """Whether work can be put down."""
        return self._engine is not None

    async def enqueue(self, name: str, id: UUID, input: dict[str, str], *, agency: UUID) -> None:
        """Durable when it returns. The same name and identifier again is the same job, done or not. The handler is given
        whose it is as `agency` (P3); the service's own is storage.schema.SERVICE's."""
        if name not in self._handlers:
            raise ValueError(f"nobody handles {name}")
        words = {"agency": str(agency)} | input
        await asyncio.to_thread(self._put, name, str(id), 1, self._clock(), words)

    async def hurry(self) -> None:
        """Asks at once for what is due by the clock: where the clock was moved."""
        await asyncio.to_thread(self._hurry)

    async def counts(self) -> dict[str, float]:
        """Gauges by name: jobs that wait (a due or a later time), run, failed for good, and attempts that failed since
        the start."""
        database = self._database if self.started else None  # before, the engine's tables may not be there
        found = await asyncio.to_thread(database.counts) if database else {}
        return {
            "jobs_started": float(self.started),
            "jobs_waiting": float(found.get("ENQUEUED", 0) + found.get("DELAYED", 0)),
            "jobs_running": float(found.get("PENDING", 0)),
            "jobs_failed": float(found.get("ERROR", 0) + found.get("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 0)),
            "jobs_failures": float(self._failures + self._intervals.failures),
        }

    async def problems(self) -> list[Problem]:
        """What the service would not say by itself: `jobs-away` (the engine does not run, sweeps do its work), and as
        `look`; `sweep-slow`, `sweep-fails`. None of them stops signing."""
        found = []
        if not self.started and (self._why_not or time.monotonic() - self._began > STARTS_WITHIN):
            found.append(Problem("jobs-away", self._why_not or "it does not start", stops=False))
        found += [Problem("sweep-slow", name, stops=False) for name in self._intervals.slow()]
        found += [
            Problem("sweep-fails", f"{name}: {why}", stops=False)
            for name, why in sorted(self._intervals.failing.items())
            if name != "jobs.engine"
        ]
        database = self._database if self.started else None
        return found + (await asyncio.to_thread(_problems, database, self._kind) if database else [])

    async def beat(self) -> None:
        """Says that this process lives and takes over what a dead one left; done every ten seconds by itself."""
        database = self._database
        if database is not None and self.started:
            taken = await asyncio.to_thread(database.beat, self._executor, self._host, self._kind)
            if taken:
                log.warning("%d jobs that another process left are taken over", taken)

    async def stop(self) -> None:
        """Running handlers have a few seconds to end; what does not is done again at the next start."""
        self._stopping = True
        await self._intervals.stop()
        await asyncio.to_thread(self._wait)
        await asyncio.to_thread(self._end)

    async def _try(self) -> None:
        if self.started:
            return
        try:
            await asyncio.to_thread(self._launch)
        except Exception as why:
            self._why_not = f"{type(why).__name__}: {why}"[:200]
            raise

    async def _beat(self) -> None:
        await self.beat()

    # -- in threads

    def _launch(self) -> None:
        with self._starting:  # a stop waits for an engine that is just being started
            if self.started or self._stopping:
                return
            if not _ENGINE.acquire(blocking=False):
                raise DatabaseUnavailable("this process does other jobs already: its engine is one")
            self._owns_engine = True
            try:
                self._database = JobsDatabase(self._url, self._password_file)
                engine = self._launch_engine(self._database)
                self._database.prepare()
                self._database.beat(self._executor, self._host, self._kind)
                self._engine, self._why_not = engine, ""
            except BaseException:
                self._end()
                raise

    def _launch_engine(self, database: JobsDatabase) -> type[DBOS]:
        from dbos import DBOS

        DBOS(
            config={
                "name": "antin", "application_version": self._version, "executor_id": self._executor,
                "system_database_url": self._url.render_as_string(), "system_database_engine": database.engine,
                "serializer": _Json(), "log_level": "WARNING", "use_listen_notify": False,  # type: ignore[typeddict-item]
                "max_executor_threads": AT_ONCE * 4, "notification_listener_polling_interval_sec": 0.25,
            }
        )  # fmt: skip
        _quiet(logging.getLogger("dbos"))

        def attempt(
            name: str, id: str, attempt: int, due: str, input: dict[str, str], failures: int = 0
        ) -> None:  # failures: since form 2
            self._attempt(name, id, attempt, input, failures)

        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=DEATHS)(attempt)
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=AT_ONCE, on_conflict="always_update")
        return DBOS

    def _put(
        self, name: str, id: str, attempt: int, due: datetime, input: dict[str, str], failures: int = 0
    ) -> None:
        if self._engine is None:
            raise RuntimeError("the jobs are not started")
        wait = min((due - self._clock()).total_seconds(), FURTHEST)
        options: Any = {
            "workflow_name": WORKFLOW, "queue_name": QUEUE, "workflow_id": f"{name}/{id}/{attempt}",
            "app_version": self._version, **({"delay_seconds": wait} if wait > 0 else {}),
        }  # fmt: skip
        self._engine.enqueue_workflow_with_options(
            options, name, id, attempt, due.isoformat(), input, failures
        )

    def _attempt(self, name: str, id: str, attempt: int, input: dict[str, str], failures: int) -> None:
        """One workflow: asks the handler, and puts the next attempt down before it ends. The engine refuses that to an
        execution that was taken over meanwhile."""
        again, failures = self._ask(name, input, failures)
        if again is not None:
            self._put(name, id, attempt + 1, again, input, failures)

    def _ask(self, name: str, input: dict[str, str], failures: int) -> tuple[datetime | None, int]:
        """When to ask again, and how often it failed by then."""
        handler, loop = self._handlers.get(name), self._loop
        if handler is None or loop is None:
            log.error("nobody handles the job %s", name)
            return self._clock() + timedelta(seconds=LONGEST_PAUSE), failures
        with self._lock:
            if self._stopping:
                return self._clock(), failures
            asked = asyncio.run_coroutine_threadsafe(_call(handler, dict(input)), loop)
            self._running.add(asked)
        try:
            return asked.result(), 0
        except concurrent.futures.CancelledError:  # the service stops
            return self._clock(), failures
        except Exception as why:
            self._failures, failures = self._failures + 1, failures + 1
            log.warning("job %s failed, %d times now", name, failures, exc_info=True)
            if failures >= SET_ASIDE_AFTER:
                raise SetAside(f"{type(why).__name__}: {why}"[:200]) from why
            pause = min(FIRST_PAUSE * 2.0**failures, LONGEST_PAUSE)
            return self._clock() + timedelta(seconds=pause), failures
        finally:
            with self._lock:
                self._running.discard(asked)

    def _wait(self) -> None:
        until = time.monotonic() + GRACE
        while self._running and time.monotonic() < until:
            time.sleep(0.01)
        with self._lock:
            left = list(self._running)
        for one in left:
            one.cancel()
        until = time.monotonic() + GRACE
        while self._running and time.monotonic() < until:
            time.sleep(0.01)

    def _end(self) -> None:
        with self._starting:
            if not self._owns_engine:
                return
            from dbos import DBOS

            self._engine = None
            DBOS.destroy(destroy_registry=True)
            if self._database is not None:
                with suppress(SQLAlchemyError):  # else it is found to be silent
                    self._database.gone(self._executor)
                self._database.close()
                self._database = None
            self._owns_engine = False
            _ENGINE.release()

    def _hurry(self) -> None:
        engine = self._engine
        if engine is None:
            return
        now = self._clock()
        for one in engine.list_workflows(status="DELAYED", name=WORKFLOW, load_output=False):
            due = datetime.fromisoformat(one.input["args"][3]) if one.input else now
            if due <= now:
                engine.set_workflow_delay(one.workflow_id, delay_seconds=0)

    async def _forget(self) -> None:
        await asyncio.to_thread(self._forget_now)

    def _forget_now(self) -> None:
        engine = self._engine
        before = (datetime.now(UTC) - REMEMBERED).isoformat()  # the engine's own times, not the clock's
        while engine is not None:
            old = engine.list_workflows(
                status="SUCCESS", end_time=before, limit=AT_A_TIME, load_input=False, load_output=False
            )
            if not old:
                break
            engine.delete_workflows([one.workflow_id for one in old])
        # Each attempt is a row: a job that is asked every half minute for a day would leave thousands.
        while engine is not None and self._database is not None:
            ended = self._database.superseded(self._kind, AT_A_TIME)
            if not ended:
                return
            engine.delete_workflows(ended)


def look(database_url: str, versions: Sequence[str], *, password_file: Path | None) -> list[Problem]:
    """From beside the service: `jobs-away` where nobody does the waiting work, `jobs-set-aside` with the
    reason, `jobs-late`, `jobs-of-another-form`. Blocks; raises nothing."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return [Problem("jobs-away", "no process has begun it", stops=False)]
    try:
        database = JobsDatabase(url, password_file, looking=True)
    except (DatabaseUnavailable, OSError) as why:
        return [Problem("jobs-away", str(why)[:200], stops=False)]
    try:
        return _problems(database, Kind(WORKFLOW, QUEUE, tuple(versions)))
    finally:
        database.close()


def _problems(database: JobsDatabase, kind: Kind) -> list[Problem]:
    try:
        seen = database.look(kind)
    except (SQLAlchemyError, DatabaseUnavailable, OSError) as why:
        return [Problem("jobs-away", f"{type(why).__name__}: {getattr(why, 'orig', why)}"[:200], stops=False)]
    found = [] if seen.living else [Problem("jobs-away", "no process is at it", stops=False)]
    found += [Problem("jobs-set-aside", f"{job}: {why}"[:300], stops=False) for job, why in seen.set_aside]
    if seen.late:
        found.append(Problem("jobs-late", str(seen.late), stops=False))
    if seen.of_unknown_form:
        found.append(Problem("jobs-of-another-form", str(seen.of_unknown_form), stops=False))
    return found


class _Json:
    """How the engine stores what it is given; its own way is pickle, which would run what stands in the database."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=repr)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "antin_json"


async def _call(handler: Handler, input: dict[str, str]) -> datetime | None:
    return await handler(input)


def _quiet(engine_log: logging.Logger) -> None:
    """The engine's log goes where ours goes."""
    for handler in list(engine_log.handlers):
        engine_log.removeHandler(handler)
    engine_log.propagate = True
