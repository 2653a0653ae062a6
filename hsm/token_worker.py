"""The one thread that may touch the token: this file gives it its work and takes together what waits (T5).

- The queue is bounded by what its owner lets in; how much waits is known at any time.
- How long the thread has been at one question to the token is known too: a driver that hangs shows, a slow one does not
  seem to.
- What nobody foresaw ends the thread, never half of it: what was asked stands in the use log, and the process begins anew.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from hsm.token_keeper import Progress, SignJob, TokenKeeper

BATCH = 64  # orders recorded together: more would be spent for nothing when the token dies in the middle
IDLE_SECONDS = 0.2  # afterwards results are noted in the use log

_Result = TypeVar("_Result")
_Call = Callable[[TokenKeeper], None]

log = logging.getLogger(__name__)


class TokenWorker:
    def __init__(self, make_keeper: Callable[[Progress], TokenKeeper]) -> None:
        """`make_keeper` runs in the thread: what it opens belongs to that thread."""
        self._make_keeper = make_keeper
        self._queue: queue.SimpleQueue[SignJob | _Call | None] = queue.SimpleQueue()
        self._busy_since: float | None = time.monotonic()
        self.seconds_each = 0.005  # per order, learnt as it goes
        self.started: Future[None] = Future()
        self.failed = False  # the thread is gone, nobody serves the queue any more
        self._thread = threading.Thread(target=self._run, name="token", daemon=True)
        self._thread.start()

    def sign(self, job: SignJob) -> None:
        self._queue.put(job)

    def call(
        self, function: Callable[[TokenKeeper], _Result], answer: Callable[[_Result | Exception], None]
    ) -> None:
        """Runs the function with the keeper, in its turn; `answer` gets what it gives or raises."""

        def run(keeper: TokenKeeper) -> None:
            try:
                answer(function(keeper))
            except Exception as wrong:
                answer(wrong)

        self._queue.put(run)

    def busy_for(self) -> float:
        """Seconds since the token was last asked something, if it has not answered yet."""
        since = self._busy_since
        return time.monotonic() - since if since is not None else 0.0

    def stop(self, seconds: float) -> bool:
        """Finishes what waits; False if it did not end in time."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _progress(self, grace: float = 0.0) -> None:
        self._busy_since = time.monotonic() + grace

    def _run(self) -> None:
        try:
            keeper = self._make_keeper(self._progress)
        except Exception as wrong:
            self.started.set_exception(wrong)
            return
        self.started.set_result(None)
        self._busy_since = None
        try:
            self._work_until_stopped(keeper)
        except Exception:
            log.exception("our own fault")
            self.failed = True

    def _work_until_stopped(self, keeper: TokenKeeper) -> None:
        going = True
        while going:
            try:
                first = self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                keeper.idle()
                continue
            going = self._work(keeper, first)
        keeper.close()

    def _work(self, keeper: TokenKeeper, first: SignJob | _Call | None) -> bool:
        """The first piece and all that waits behind it; False at the end of all work."""
        jobs: list[SignJob] = []
        orders = 0
        piece: SignJob | _Call | None = first
        while isinstance(piece, SignJob):
            jobs.append(piece)
            orders += len(piece.orders)
            if orders >= BATCH:
                piece = _nothing
                break
            try:
                piece = self._queue.get_nowait()
            except queue.Empty:
                piece = _nothing
        if jobs:
            self._progress()
            began = time.monotonic()
            keeper.sign(jobs)
            each = (time.monotonic() - began) / max(orders, 1)
            self.seconds_each += 0.1 * (each - self.seconds_each)
        if piece is not None:
            self._progress()
            piece(keeper)
        self._busy_since = None
        return piece is not None


def _nothing(_: TokenKeeper) -> None:
    """No work."""
