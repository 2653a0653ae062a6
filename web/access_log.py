"""This file writes a line of JSON for each request, and one for each fault of our own.

- A path stands there as the pattern of its route: no code, token or identifier of a document, and never a query string.
- Everything outside printable ASCII is escaped, so that nobody writes lines of his own (ASVS 16.4.1). Times are UTC.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from startup import told_of

Write = Callable[[str], Any]


@dataclass(frozen=True)
class Visit:
    request: str
    method: str
    route: str
    status: int
    seconds: float
    received: int  # bytes
    sent: int  # bytes
    client: str  # address
    caller: str | None  # identifier of the person or program


class AccessLog:
    def __init__(self, write: Write | None = None) -> None:
        self._log = structlog.wrap_logger(
            _Lines(write or _to_stdout),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
            wrapper_class=structlog.BoundLogger,
        )

    def visit(self, visit: Visit) -> None:
        self._log.info("request", **(asdict(visit) | {"seconds": round(visit.seconds, 4)}))

    def fault(self, request: str, fault: BaseException) -> None:
        self._log.error("fault", request=request, **told_of(fault))


class _Lines:
    """What structlog writes to: one line for each call."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def msg(self, line: str) -> None:
        self._write(line)

    info = error = warning = msg


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
