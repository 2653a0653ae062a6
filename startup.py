"""What a process of ours does before anything else: this file has its log be lines of JSON, has it leave no core, and has
one that we start end with us.

- One line for each record, whatever stands in it: everything outside printable ASCII is escaped, so that nobody writes lines
  of his own (ASVS 16.4.1). On somebody's terminal the same is a short line of words.
- Of a fault its kind and where it happened, never its message nor values: they may be somebody's.
- A library speaks from a warning on, and in one line: what it says below tells of values (SQL's, headers', a form's).
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import resource
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

OURS = ("antin", "documents", "hsm", "signing", "storage", "web")  # loggers
FRAMES, CAUSES = 12, 4  # of a fault, from its end
PR_SET_DUMPABLE = 4

log = logging.getLogger("antin")


def begin_log(name: str, level: str) -> None:
    """`name` of the process; `level` of our own loggers, as logging names it. What others have set up is taken over."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Words(name) if sys.stderr.isatty() else _Lines(name))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for one in OURS:
        logging.getLogger(one).setLevel(level.upper())
    for one in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(one)
        logger.handlers.clear()
        logger.propagate = one != "uvicorn.access"  # paths with codes and tokens; ours is web/access_log.py
    logging.captureWarnings(capture=True)
    sys.excepthook = _ended
    threading.excepthook = lambda told: log.critical("a thread ended", exc_info=told.exc_value)
    sys.unraisablehook = lambda told: log.error("a fault that nobody hears", exc_info=told.exc_value)


def leave_no_core() -> None:
    """A crash would write PIN, passwords and keys to disk. Nobody of the same user reads our memory either (prctl(2),
    PR_SET_DUMPABLE)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def start_child(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """`python -m MODULE ARGUMENTS --child`. It reads our end of a pipe: when we are gone, however, it reads the end and goes
    too. `environment` is added to ours. Raises OSError."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments, "--child"],
        stdin=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd=Path(__file__).parent,
        start_new_session=True,
    )


def end_child(child: subprocess.Popen[bytes] | None, within: float) -> None:
    """Has it end, and waits so many seconds before it is killed; with 0 nobody waits."""
    if child is None or child.stdin is None:
        return
    child.stdin.close()
    if not within:
        return
    try:
        child.wait(within)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def told_of(fault: BaseException, causes: int = CAUSES) -> dict[str, Any]:
    """JSON values: `kind`, `where` (the innermost last), and `because` of what."""
    frames = traceback.extract_tb(fault.__traceback__)[-FRAMES:]
    told: dict[str, Any] = {
        "kind": type(fault).__name__,
        "where": [f"{one.filename.rsplit('/', 2)[-1]}:{one.lineno} {one.name}" for one in frames],
    }
    if isinstance(fault, OSError) and fault.errno is not None:
        told["errno"] = errno.errorcode.get(fault.errno, str(fault.errno))
    cause = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    if cause is not None and causes:
        told["because"] = told_of(cause, causes - 1)
    return told


class _Lines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self._told(record), sort_keys=True)

    def _told(self, record: logging.LogRecord) -> dict[str, Any]:
        try:
            said = record.getMessage()
        except Exception:
            said = str(record.msg)  # without its values: they do not fit
        if record.name.split(".", 1)[0] not in OURS:
            said = said.partition("\n")[0]
        told = {
            "event": said, "level": record.levelname.lower(), "logger": record.name, "process": self._process,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }  # fmt: skip
        fault = record.exc_info[1] if record.exc_info else None
        return told | (told_of(fault) if fault is not None else {})


class _Words(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        told = self._told(record)
        said = "".join(one if one.isprintable() else "�" for one in told["event"])
        at = f" ({told['kind']}, {told['where'][-1]})" if told.get("where") else ""
        return f"{told['process']}: {told['level']}: {said}{at}"


def _ended(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, fault, trace)
    else:
        log.critical("the process ended", exc_info=fault)
