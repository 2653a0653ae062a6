"""The process that holds one token: this file runs it (`python -m hsm.token_process --folder DIR`), and starts it as a child
that ends with its parent.

- One process per folder, by a lock on it; who comes second joins the one that runs.
- A driver may crash or hang: only this process dies of it, and is started again, more and more patiently.
- Nothing secret stands in its arguments, environment or log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import startup
from hsm.key import KeyUnavailable
from hsm.token_client import reachable

SOCKET = "socket"
ANOTHER_RUNS, HUNG, FAULT, LOG_GONE, BROKEN = 75, 71, 70, 74, 78  # exit statuses, as in sysexits.h
START_SECONDS = 20.0
END_SECONDS = 10.0
BACK_OFF = (0.1, 10.0)  # seconds between two starts: first, most; who lived longer than the most was well

# What another start does not mend.
_HOPELESS = {BROKEN: "token-process-broken", LOG_GONE: "log-unavailable"}

log = logging.getLogger(__name__)


@dataclass
class TokenProcess:
    """A running token process: our child, or another's that we joined."""

    folder: Path
    socket: Path
    environment: Mapping[str, str]
    queue_limit: int
    child: subprocess.Popen[bytes] | None = None
    _delay: float = field(default=BACK_OFF[0])
    _born: float = 0.0  # of the child, by the monotonic clock

    @staticmethod
    @contextlib.asynccontextmanager
    async def start(
        folder: Path,
        socket: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        queue_limit: int = 256,
    ) -> AsyncIterator[TokenProcess]:
        """Joins the process of this folder, or starts it; keeps it running until the block ends. `environment` is
        added to ours, for the driver. Raises KeyUnavailable when it cannot be started."""
        process = TokenProcess(folder, socket or folder / SOCKET, environment or {}, queue_limit)
        try:
            await process._until_reachable()
            watch = asyncio.create_task(process._watch())
            try:
                yield process
            finally:
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch
        finally:
            await process._end()

    @property
    def pid(self) -> int | None:
        """Of our child; None while we use another's."""
        return self.child.pid if self.child is not None and self.child.poll() is None else None

    async def _until_reachable(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not await answers(self.socket):
            if self.child is None:
                self._spawn()
            elif self.child.poll() is not None:
                if why := _HOPELESS.get(self.child.returncode):
                    raise KeyUnavailable("token", why=why, retry_after=60)
                await asyncio.sleep(self._patience())
                self._spawn()
            if time.monotonic() > until:
                raise KeyUnavailable("token", why="token-process-away", retry_after=5)
            await asyncio.sleep(0.03)

    async def _watch(self) -> None:
        """Starts it again when it is gone, ours or another's."""
        while True:
            await asyncio.sleep(self._delay)
            if self.child is not None and self.child.poll() is None:
                if time.monotonic() - self._born > BACK_OFF[1]:
                    self._delay = BACK_OFF[0]
            elif not await answers(self.socket):
                status = self.child.returncode if self.child is not None else None
                log.warning("the token process is gone (%s), it is started again", status)
                self._patience()
                try:
                    self._spawn()
                except OSError as wrong:
                    log.error("the token process cannot be started: %s", wrong)

    def _patience(self) -> float:
        """Seconds to wait now, and twice as many the next time."""
        now, self._delay = self._delay, min(self._delay * 2, BACK_OFF[1])
        return now

    def _spawn(self) -> None:
        startup.end_child(self.child, 0)
        self._born = time.monotonic()
        self.child = startup.start_child(
            "hsm.token_process", "--folder", str(self.folder), "--socket", str(self.socket),
            "--queue-limit", str(self.queue_limit), environment=self.environment,
        )  # fmt: skip

    async def _end(self) -> None:
        await asyncio.to_thread(startup.end_child, self.child, END_SECONDS)


async def answers(socket: Path) -> bool:
    """Whether somebody listens there."""
    try:
        with reachable(socket) as address:
            _, writer = await asyncio.open_unix_connection(address)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def main() -> int:
    """Exit status: 0 ended, 70 our own fault, 71 the driver hung, 74 the use log cannot be used, 75 another process holds
    the folder, 78 the folder is not in order."""
    parser = argparse.ArgumentParser(prog="python -m hsm.token_process")
    parser.add_argument("--folder", type=Path, required=True, help="key book, use log and PIN of the token")
    parser.add_argument("--socket", type=Path, help="default: `socket` in the folder")
    parser.add_argument(
        "--pin-file", type=Path, help="default: systemd credential `pin`, then `pin` in the folder"
    )
    parser.add_argument("--ask-pin", action="store_true", help="ask for the PIN on the terminal")
    parser.add_argument(
        "--begin", metavar="PKCS11_URI", help="make the folder's book and use log for this token, and end"
    )
    parser.add_argument(
        "--user", action="append", default=[], help="with --begin: who may ask for signatures"
    )
    parser.add_argument("--queue-limit", type=int, default=256, help="orders that may wait")
    parser.add_argument(
        "--hang-seconds", type=float, default=60.0, help="the token may take so long for one answer"
    )
    parser.add_argument("--child", action="store_true", help="end when standard input ends")
    given = parser.parse_args()
    # Beside somebody's terminal only what is wrong is worth a line; as a service of its own also what it does.
    startup.begin_log("token process", "warning" if given.child else "info")

    from hsm.pin import pin_file, prompted
    from hsm.token_run import Run, begin, run

    if given.begin is not None:
        try:
            begin(given.folder, given.begin, given.user)
        except ValueError as wrong:
            parser.error(str(wrong))
        return 0
    source = prompted(getpass.getpass("PIN: ")) if given.ask_pin else pin_file(given.folder, given.pin_file)
    return run(
        Run(
            folder=given.folder.absolute(),
            socket=given.socket or given.folder / SOCKET,
            pin=source,
            queue_limit=given.queue_limit,
            hang_seconds=given.hang_seconds,
            child=given.child,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
