"""What a process says is lines of JSON, whatever it says; and no value of a fault is among them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SPEAKS = """
import logging, resource, sys, threading, warnings
import startup
for name in ("uvicorn", "uvicorn.access"):  # as `uvicorn service:app` sets them up
    logging.getLogger(name).addHandler(logging.StreamHandler())
    logging.getLogger(name).setLevel("INFO")
    logging.getLogger(name).propagate = False
startup.leave_no_core()
startup.begin_log("the test", "debug")
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
ours = logging.getLogger("storage.x")
ours.debug("one\\r\\ntwo \\x1b[31m đỏ \\u2028")
logging.getLogger("sqlalchemy.engine").info("SELECT 'mat-khau'")
logging.getLogger("uvicorn.access").info("GET /v/mat-khau")
logging.getLogger("uvicorn.error").warning("first\\nmat-khau")
ours.warning("%d", "mat-khau", "too many")
def fails(password):
    try:
        raise FileNotFoundError(2, password, password)
    except OSError as gone:
        raise ValueError(password) from gone
try:
    fails("mat-khau")
except ValueError:
    ours.exception("it failed")
thread = threading.Thread(target=fails, args=("mat-khau",))
thread.start()
thread.join()
warnings.warn("old", UserWarning)
fails("mat-khau")
"""


def test_each_record_is_one_line_and_shows_no_value() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAKS], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"mat-khau" not in done.stderr
    assert all(32 <= one < 127 or one == 10 for one in done.stderr)
    lines: list[dict[str, Any]] = [json.loads(one) for one in done.stderr.splitlines()]
    said = [(one["level"], one["event"].partition(":")[0]) for one in lines]
    assert said == [
        ("debug", "one\r\ntwo \x1b[31m đỏ \u2028"), ("warning", "first"), ("warning", "%d"), ("error", "it failed"),
        ("critical", "a thread ended"), ("warning", "<string>"), ("critical", "the process ended"),
    ]  # fmt: skip
    assert {one["process"] for one in lines} == {"the test"}
    for fault in (lines[3], lines[4], lines[6]):
        assert fault["kind"] == "ValueError" and fault["where"][-1].endswith(" fails")
        assert (fault["because"]["kind"], fault["because"]["errno"]) == ("FileNotFoundError", "ENOENT")


def test_on_a_terminal_it_is_a_short_line_of_words() -> None:
    ours, theirs = pty.openpty()
    says = (
        "import logging, startup; startup.begin_log('the test', 'info')\n"
        "logging.getLogger('antin').warning('đỏ\\x1b[31m\\r\\nhai')"
    )
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 (a descriptor)
        subprocess.run([sys.executable, "-c", says], cwd=ROOT, stderr=theirs, check=True)
        os.close(theirs)
        assert terminal.read(1000).decode() == "the test: warning: đỏ�[31m��hai\r\n"
