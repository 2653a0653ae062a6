"""A line of the countryside: this file stands between a client and a server, lets 64 kbit/s through, and breaks."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

RATE = 8000  # bytes a second, each way
PIECE = 400  # bytes


@dataclass(frozen=True)
class Break:
    """Of one connection: after so many bytes towards the server, or towards the client; None: not there."""

    up: int | None = None
    down: int | None = None


@dataclass
class SlowLine:
    """`breaks` are used up by the connections in their order; `broken` counts those that came to pass, `sent` the
    bytes that went towards the server."""

    port: int
    breaks: deque[Break]
    broken: int = 0
    sent: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def _serve(self, listening: socket.socket, server: int) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", server))
            self._open += [client, far]
            plan = self.breaks.popleft() if self.breaks else Break()
            for source, target, after, up in ((client, far, plan.up, True), (far, client, plan.down, False)):
                threading.Thread(target=self._carry, args=(source, target, after, up), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, after: int | None, up: bool) -> None:
        carried = 0
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if after is not None and carried + len(piece) > after:
                    target.sendall(piece[: after - carried])
                    self.broken += 1
                    break
                target.sendall(piece)
                carried += len(piece)
                if up:
                    self.sent += len(piece)
                time.sleep(len(piece) / RATE)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_line(server: int, breaks: Iterable[Break]) -> Iterator[SlowLine]:
    """Between a port of its own and the `server`'s, both of the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = SlowLine(listening.getsockname()[1], deque(breaks))
        serving = threading.Thread(target=line._serve, args=(listening, server))
        serving.start()
        try:
            yield line
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join()
            for one in line._open:
                one.close()
