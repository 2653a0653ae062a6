"""Storage that fails: this file lets the n-th call to a disk, a database or an S3 server fail, once or for good.

- SQLite's way: n = 1, 2, ... until a run meets no fault any more. What is asked of the disk is counted where the kernel is
  called, below one folder; the product knows nothing of it.
- A fault may come before the call is done, or after: then only its answer is lost.
"""

from __future__ import annotations

import builtins
import errno
import http.client
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from minio import Minio
from sqlalchemy.engine import Engine

from tests.servers import S3Server


@dataclass
class Fault:
    """Counts calls and says which fail. `heal` ends it."""

    at: int  # the n-th, from 1; 0: none
    for_good: bool = False
    done: bool = False  # the call is done, its answer is lost
    calls: list[str] = field(default_factory=list)
    met: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def comes(self, call: str) -> bool:
        with self._lock:
            self.calls.append(call)
            number = len(self.calls)
            if not self.at or not (number == self.at or (self.for_good and number > self.at)):
                return False
            self.met = self.met or call
            return True

    def heal(self) -> None:
        self.at = 0

    def run(self, call: str, really: Callable[[], Any], error: Callable[[], Exception]) -> Any:
        if not self.comes(call):
            return really()
        if self.done:
            really()
        raise error()


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


@contextmanager
def failing_disk(folder: Path, fault: Callable[[], Fault]) -> Iterator[None]:
    """Writes, fsyncs and names below `folder`, in this process."""
    kept = {
        name: getattr(os, name)
        for name in ("fsync", "link", "rename", "mkdir", "utime", "fchmod", "sendfile")
    }
    opened, place = builtins.open, f"{folder}{os.sep}"

    def below(path: Any) -> bool:
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        return f"{os.fspath(path)}{os.sep}".startswith(place)

    def failing(name: str, really: Callable[..., Any], which: int) -> Callable[..., Any]:
        error = _no_space if name in {"mkdir", "sendfile"} else _broken

        def call(*args: Any, **more: Any) -> Any:
            if not below(args[which]):
                return really(*args, **more)
            return fault().run(name, lambda: really(*args, **more), error)

        return call

    class Raw(io.FileIO):
        def write(self, data: Any, /) -> int:
            written: int = fault().run("write", lambda: super(Raw, self).write(data), _no_space)
            return written

    def open_(
        file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, *more: Any
    ) -> Any:
        if isinstance(file, int) or not set(mode) & set("wxa") or not below(file):
            return opened(file, mode, buffering, encoding, *more)
        buffer = io.BufferedWriter(Raw(file, mode.replace("b", "")))
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding)

    for name, really in kept.items():
        setattr(os, name, failing(name, really, 1 if name in {"link", "rename"} else 0))
    builtins.open = io.open = open_  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.open = io.open = opened
        for name, really in kept.items():
            setattr(os, name, really)


@contextmanager
def failing_commits(engine: Engine, fault: Callable[[], Fault], error: type[Exception] = sqlite3.OperationalError) -> Iterator[None]:  # fmt: skip
    """COMMITs of one engine, as a disk that fails under the database lets them end."""
    really = engine.dialect.do_commit

    def commit(connection: Any) -> None:
        fault().run("commit", lambda: really(connection), lambda: error("disk I/O error"))

    engine.dialect.do_commit = commit  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        engine.dialect.do_commit = really  # type: ignore[method-assign]


BUSY, CUT, LESS, SILENT = "503", "cut", "less", "silent"


class Front:
    """What stands between the service and its S3 server: `kind` says how what `fault` names fails."""

    def __init__(self, server: S3Server) -> None:
        self.server = server  # as the service reaches it
        self.fault = Fault(0)
        self.kind = BUSY
        self.methods = {"PUT", "POST"}
        self.spoilt: list[tuple[str, str]] = []  # bucket and key of what was kept as LESS
        self.refusals: list[tuple[int, str]] = []  # status and code that the next PUTs get instead
        self.released = threading.Event()  # what was SILENT ends

    def fails(self, method: str, path: str) -> bool:
        return method in self.methods and self.fault.comes(f"{method} {path.split('?')[0].split('/')[1]}")


@contextmanager
def in_front_of(server: S3Server) -> Iterator[Front]:
    front = Front(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "PUT" and front.refusals:
                self.refuse(*front.refusals.pop(0))
                return
            fails = front.fails(self.command, self.path)
            if fails and front.kind == BUSY:
                self.refuse(503, "SlowDown")
                return
            if fails and not front.fault.done and front.kind in {CUT, SILENT}:
                self.end()
                return
            if fails and front.kind == LESS:
                self.keep(body[: len(body) // 2])
                return
            behind = http.client.HTTPConnection(server.endpoint)
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            told = answer.read()
            behind.close()
            if fails and front.kind in {CUT, SILENT}:
                self.end()
                return
            self.answer(answer.status, told, answer.getheaders())

        def keep(self, content: bytes) -> None:
            bucket, key = self.path.split("?")[0].lstrip("/").split("/", 1)
            told = {
                name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")
            }
            client = Minio(server.endpoint, server.access_key, server.secret_key, secure=False)
            front.spoilt.append((bucket, key))
            client.put_object(bucket, key, io.BytesIO(content), len(content), metadata=dict(told))
            self.answer(200, b"", [("ETag", '"0"')])

        def refuse(self, status: int, code: str) -> None:
            told = f"<Error><Code>{code}</Code><Message/></Error>".encode()
            self.answer(status, told, [("Content-Type", "application/xml")])

        def answer(self, status: int, told: bytes, headers: list[tuple[str, str]]) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if self.command == "HEAD" or name.lower() not in {"content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def end(self) -> None:
            """The line is cut, or nothing comes for as long as somebody waits."""
            if front.kind == SILENT:
                front.released.wait(60)
            self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as between:
        threading.Thread(target=between.serve_forever, args=(0.05,), daemon=True).start()
        try:
            front.server = replace(server, endpoint=f"127.0.0.1:{between.server_port}")
            yield front
        finally:
            front.released.set()
            between.shutdown()
