"""Work that waits and survives (docs/decisions/dbos.md): this file alone imports its engine, DBOS.

- A job is a name, an identifier and a few words; its handler is asked until it says that it is done, each time at the time
  it gave. What waits is a row that costs nothing; each attempt is a workflow of its own, so that no history grows.
- Handlers run on the event loop that called `start`, at least once an attempt: after a crash an attempt is made again. A
  handler that raises is asked again, later and later.
- The application version is pinned: work that waits survives an upgrade (P6). Inputs are JSON, never pickles.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.engine import make_url

from storage.database import DatabaseUnavailable
from storage.intervals import Intervals, Work
from storage.jobs_database import JobsDatabase

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
GRACE = 5.0  # seconds that running handlers have when the service stops
REMEMBERED = timedelta(days=7)  # for as long a finished job is not begun again by its identifier


class Jobs:
    """`version` names the form of the stored work, not of the program. `host` is the same at each start on a host."""

    def __init__(
        self, database_url: str, version: str, *, clock: Callable[[], datetime], host: str = "local",
        password_file: Path | None = None,
    ) -> None:  # fmt: skip
        self._url, self._password_file = make_url(database_url), password_file
        self._version, self._host, self._clock = version, host, clock
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
        self._intervals.every(ENGINE_AGAIN, "jobs.engine", self._try)
        self._intervals.every(REMEMBERED.total_seconds() / 24, "jobs.forget", self._forget)
        self._intervals.start()
        await self._try()

    @property
    def started(self) -> bool:
        """Whether work can be put down."""
        return self._engine is not None

    async def enqueue(self, name: str, id: UUID, input: dict[str, str]) -> None:
        """Durable when it returns. The same name and identifier again is the same job, done or not."""
        if name not in self._handlers:
            raise ValueError(f"nobody handles {name}")
        await asyncio.to_thread(self._put, name, str(id), 1, self._clock(), input)

    async def hurry(self) -> None:
        """Asks at once for what is due by the clock: where the clock was moved."""
        await asyncio.to_thread(self._hurry)

    async def counts(self) -> dict[str, float]:
        """Gauges by name: jobs that wait (a due or a later time), run, failed for good, and attempts that failed since
        the start."""
        found = await asyncio.to_thread(self._database.counts) if self._database else {}
        return {
            "jobs_waiting": float(found.get("ENQUEUED", 0) + found.get("DELAYED", 0)),
            "jobs_running": float(found.get("PENDING", 0)),
            "jobs_failed": float(found.get("ERROR", 0) + found.get("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 0)),
            "jobs_failures": float(self._failures + self._intervals.failures),
        }

    async def stop(self) -> None:
        """Running handlers have a few seconds to end; what does not is done again at the next start."""
        self._stopping = True
        await self._intervals.stop()
        await asyncio.to_thread(self._wait)
        await asyncio.to_thread(self._end)

    async def _try(self) -> None:
        if not self.started:
            await asyncio.to_thread(self._launch)

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
                self._engine = self._launch_engine(self._database)
            except BaseException:
                self._end()
                raise

    def _launch_engine(self, database: JobsDatabase) -> type[DBOS]:
        from dbos import DBOS

        DBOS(
            config={
                "name": "antin", "application_version": self._version, "executor_id": self._host,
                "system_database_url": self._url.render_as_string(), "system_database_engine": database.engine,
                "serializer": _Json(), "log_level": "WARNING", "use_listen_notify": False,  # type: ignore[typeddict-item]
                "max_executor_threads": AT_ONCE * 4, "notification_listener_polling_interval_sec": 0.25,
            }
        )  # fmt: skip
        _quiet(logging.getLogger("dbos"))

        def attempt(name: str, id: str, attempt: int, due: str, input: dict[str, str]) -> None:
            self._attempt(name, id, attempt, input)

        DBOS.workflow(name=WORKFLOW)(attempt)
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=AT_ONCE, on_conflict="always_update")
        return DBOS

    def _put(self, name: str, id: str, attempt: int, due: datetime, input: dict[str, str]) -> None:
        if self._engine is None:
            raise RuntimeError("the jobs are not started")
        wait = (due - self._clock()).total_seconds()
        options: Any = {
            "workflow_name": WORKFLOW, "queue_name": QUEUE, "workflow_id": f"{name}/{id}/{attempt}",
            "app_version": self._version, **({"delay_seconds": wait} if wait > 0 else {}),
        }  # fmt: skip
        self._engine.enqueue_workflow_with_options(options, name, id, attempt, due.isoformat(), input)

    def _attempt(self, name: str, id: str, attempt: int, input: dict[str, str]) -> None:
        """One workflow: asks the handler, and puts the next attempt down before it ends."""
        again = self._ask(name, attempt, input)
        if again is not None:
            self._put(name, id, attempt + 1, again, input)

    def _ask(self, name: str, attempt: int, input: dict[str, str]) -> datetime | None:
        handler, loop = self._handlers.get(name), self._loop
        if handler is None or loop is None:
            log.error("nobody handles the job %s", name)
            return self._clock() + timedelta(seconds=LONGEST_PAUSE)
        with self._lock:
            if self._stopping:
                return self._clock()
            asked = asyncio.run_coroutine_threadsafe(_call(handler, dict(input)), loop)
            self._running.add(asked)
        try:
            return asked.result()
        except concurrent.futures.CancelledError:  # the service stops
            return self._clock()
        except Exception:
            self._failures += 1
            log.warning("job %s failed, attempt %d", name, attempt, exc_info=True)
            return self._clock() + timedelta(
                seconds=min(FIRST_PAUSE * 2.0 ** min(attempt, 20), LONGEST_PAUSE)
            )
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
                status="SUCCESS", end_time=before, limit=500, load_input=False, load_output=False
            )
            if not old:
                return
            engine.delete_workflows([one.workflow_id for one in old])


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
