"""The demonstration authority's server: this file gives out lists, answers and certificates on this host
(`python -m demonstration.server --folder DIR --port N`), and starts it as a child that ends with its parent.

- Its address stands in certificates, so it is chosen once per home and kept in the folder.
- Who comes second joins the server that runs; when that one goes, the other's watch starts it again.
- Requests are small and few at a time; whatever else is sent is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import startup
from catalogue import N_
from demonstration.authority import MADE, DemonstrationAuthority
from demonstration.certificates import CERTIFICATE_PATHS, CRL_PATHS, OCSP_PATH

HOST = "127.0.0.1"
PORT = "port"  # the file in the folder
ALIVE_PATH = "/alive"
TAKEN = 75  # exit status: somebody else listens there
START_SECONDS, END_SECONDS, WATCH_SECONDS = 15.0, 5.0, 1.0
ALIVE_SECONDS = 2.0  # in which a living server says so
REQUEST_LIMIT = 16 * 1024  # bytes of an OCSP request
AT_ONCE = 32  # requests
SLOWEST = 3.0  # seconds that a caller may let us wait
FIRST_TRIES = 5


class AddressTaken(Exception):
    """The port that stands in this home's certificates is somebody else's now. `sentence` is said with `port`."""

    sentence = N_(
        "Cổng %(port)d dành cho máy chủ chứng thư thử nghiệm đang bị chương trình khác dùng. "
        "Hãy dừng chương trình đó rồi khởi động lại, hoặc dùng một thư mục ANTIN_HOME mới."
    )

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken")
        self.port = port


class ServerAway(Exception):
    """The server did not come up."""


@dataclass
class DemonstrationServer:
    """A running server: our child, or another's that we joined. `address` without a slash at its end."""

    folder: Path
    port: int
    child: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @staticmethod
    @contextlib.asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[DemonstrationServer]:
        """Runs until the block ends; the authority is made with it. Raises AddressTaken, ServerAway."""
        server = await _started(folder)
        watch = asyncio.create_task(server._watch())
        try:
            yield server
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await server._end()

    async def _until_alive(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not await self._alive():
            if self.child is None:
                self._spawn()
            elif self.child.poll() == TAKEN:
                # Another of ours may have been quicker.
                if not await self._alive():
                    raise AddressTaken(self.port)
                return
            elif self.child.poll() is not None or time.monotonic() > until:
                raise ServerAway(f"exit status {self.child.poll()}")
            await asyncio.sleep(0.02)

    async def _alive(self) -> bool:
        """Whether the server of this very home answers. Raises AddressTaken when another one does."""
        try:
            # Not wait_for: until Python 3.12 it loses a cancellation that comes together with the answer.
            async with asyncio.timeout(ALIVE_SECONDS):
                said = await _get(self.port, ALIVE_PATH)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        if said and said != mark_of(self.folder):
            raise AddressTaken(self.port)
        return bool(said)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self.child is not None and self.child.poll() is None:
                continue
            with contextlib.suppress(AddressTaken):
                if not await self._alive():
                    startup.end_child(self.child, 0)
                    self._spawn()

    def _spawn(self) -> None:
        folder, port = str(self.folder.absolute()), str(self.port)
        self.child = startup.start_child("demonstration.server", "--folder", folder, "--port", port)

    async def _end(self) -> None:
        await asyncio.to_thread(startup.end_child, self.child, END_SECONDS)


async def _started(folder: Path) -> DemonstrationServer:
    for left in reversed(range(FIRST_TRIES)):
        server = DemonstrationServer(folder, _port_of(folder))
        try:
            await server._until_alive()
        except AddressTaken:
            await server._end()
            # As long as no certificate names the port, another one does as well.
            if (folder / MADE).exists() or not left:
                raise
            (folder / PORT).unlink(missing_ok=True)
        except BaseException:
            await server._end()
            raise
        else:
            return server
    raise AssertionError("the last try returns or raises")


def _port_of(folder: Path) -> int:
    """The home's port, chosen on its first start."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        return int((folder / PORT).read_text())
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = int(free.getsockname()[1])
    new = folder / f"{PORT}.{os.getpid()}"
    new.write_text(f"{port}\n")
    try:
        # Whoever is second takes the first one's.
        os.link(new, folder / PORT)
    except FileExistsError:
        return int((folder / PORT).read_text())
    finally:
        new.unlink()
    return port


def mark_of(folder: Path) -> bytes:
    """By which a home knows its own server; nothing before the authority is made."""
    try:
        root = (folder / MADE / "root.cer").read_bytes()
    except FileNotFoundError:
        return b""
    return hashlib.sha256(root).hexdigest().encode()


async def _get(port: int, path: str) -> bytes:
    """The body of a short answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        whole = await reader.read(4096)
        while piece := await reader.read(4096):
            whole += piece
            if len(whole) > REQUEST_LIMIT:
                break
        return whole.partition(b"\r\n\r\n")[2]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# -- the child


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    authority: DemonstrationAuthority

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def server_bind(self) -> None:
        # Without asking for the name of the host, which may be long in coming.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SLOWEST
    server_version, sys_version = "antin-demonstration", ""

    def do_GET(self) -> None:
        authority = self.server.authority
        if self.path == ALIVE_PATH:
            self._answer(mark_of(authority.folder), "text/plain")
        elif self.path == CRL_PATHS["root"]:
            self._answer(authority.crl("root"), "application/pkix-crl")
        elif self.path == CRL_PATHS["issuing"]:
            self._answer(authority.crl(), "application/pkix-crl")
        elif self.path == CERTIFICATE_PATHS["root"]:
            self._answer(authority.root, "application/pkix-cert")
        elif self.path == CERTIFICATE_PATHS["issuing"]:
            self._answer(authority.chain[0], "application/pkix-cert")
        elif self.path.startswith(f"{OCSP_PATH}/"):
            self._ocsp(_from_path(self.path.removeprefix(f"{OCSP_PATH}/")))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path.rstrip("/") != OCSP_PATH:
            self.send_error(404)
        elif not (length.isascii() and length.isdigit()):
            self.send_error(411)
        elif len(length) > 9 or int(length) > REQUEST_LIMIT:
            self.send_error(413)
        else:
            self._ocsp(self.rfile.read(int(length)))

    def _ocsp(self, request: bytes) -> None:
        self._answer(self.server.authority.ocsp(request), "application/ocsp-response")

    def _answer(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def _from_path(text: str) -> bytes:
    """A request in the path (RFC 6960 A.1); what is none becomes an answer that says so."""
    try:
        return base64.b64decode(unquote(text)[:REQUEST_LIMIT], validate=True)
    except (binascii.Error, ValueError):
        return b""


def main() -> int:
    """Exit status: 0 ended, 75 the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m demonstration.server")
    parser.add_argument("--folder", type=Path, required=True, help="keys, certificates and revocations")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--child", action="store_true", help="end when standard input ends")
    given = parser.parse_args()
    startup.leave_no_core()
    startup.begin_log("demonstration server", "warning")
    try:
        server = _Server(given.port)
    except OSError:
        return TAKEN
    with server:
        # Only who has the port makes an authority with this address.
        server.authority = DemonstrationAuthority.open(given.folder, f"http://{HOST}:{given.port}")
        if given.child:
            threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(0.05)
    return 0


def _end_with_parent(server: _Server) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
