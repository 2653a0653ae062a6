"""Servers that tests stand on: this file starts a MinIO and a PostgreSQL of its own on free ports, and ends them.

- Both run as long as the tests, on folders that vanish with them. PostgreSQL refuses to run as root: then it runs as
  `postgres`, or `nobody`.
- Another S3 server is taken by `ANTIN_TEST_S3` (http://ACCESS:SECRET@host:port), MinIO's program by `ANTIN_MINIO`.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 60.0


class Missing(RuntimeError):
    """The server's program is not on this machine."""


@dataclass(frozen=True)
class S3Server:
    endpoint: str  # host:port
    access_key: str
    secret_key: str
    secure: bool = False


@dataclass(frozen=True)
class PostgresqlServer:
    """`owner` may do everything; `service` is as little as the service should be, `keeper` owns its tables. `crash` kills
    every process of it and starts it again."""

    port: int
    password_file: Path
    crash: Callable[[], None]

    def url(self, database: str, role: str = "service") -> str:
        return f"postgresql+psycopg://{role}@127.0.0.1:{self.port}/{database}"


@contextmanager
def minio() -> Iterator[S3Server]:
    given = os.environ.get("ANTIN_TEST_S3")
    if given:
        parts = urlsplit(given)
        yield S3Server(
            f"{parts.hostname}:{parts.port}",
            parts.username or "",
            parts.password or "",
            parts.scheme == "https",
        )
        return
    port, server = free_port(), S3Server("", "antin-test", secrets.token_hex(16))
    with tempfile.TemporaryDirectory(prefix="antin-minio-") as folder:
        environment = {
            "MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key, "HOME": folder,
            "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "MINIO_CALLHOME_ENABLE": "off", "GOMAXPROCS": "2",
        }  # fmt: skip
        command = [_minio_program(), "server", "--quiet", "--address", f"127.0.0.1:{port}", f"{folder}/data"]
        with _running(command, environment, Path(folder)) as process:
            _wait(process, lambda: _answers(port))
            yield S3Server(f"127.0.0.1:{port}", server.access_key, server.secret_key)


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    programs = _postgresql_programs()
    user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="antin-pg-") as place:
        folder, password_file = Path(place), Path(place, "password")
        password_file.write_text(secrets.token_hex(16) + "\n")
        password_file.chmod(0o644)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        port, data = free_port(), folder / "data"
        initdb = [
            str(programs / "initdb"), "-D", str(data), "-U", "owner", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C.UTF-8", f"--pwfile={password_file}", "--no-sync",
        ]  # fmt: skip
        subprocess.run(_as(user, initdb), check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server = [
            str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={folder}", "-c", "shared_buffers=64MB", "-c", "max_connections=200",
        ]  # fmt: skip
        with ExitStack() as running:
            processes: list[subprocess.Popen[bytes]] = []

            def start() -> None:
                process = running.enter_context(_running(_as(user, server), {}, folder, stop=signal.SIGINT))
                processes[:] = [process]
                _wait(process, lambda: _accepts(made))

            def crash() -> None:
                (process,) = processes
                process.send_signal(signal.SIGSTOP)  # so that it starts no other meanwhile
                family = [*_children(process.pid), process.pid]
                for one in family:
                    with suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
                process.wait()
                while any(_lives(one) for one in family):  # they hold its memory
                    time.sleep(0.01)
                start()

            made = PostgresqlServer(port, password_file, crash)
            start()
            password = password_file.read_text().strip()
            run_sql(made, f"CREATE ROLE service LOGIN CREATEDB PASSWORD '{password}'")
            run_sql(made, f"CREATE ROLE keeper LOGIN PASSWORD '{password}'")
            yield made


@contextmanager
def new_database(server: PostgresqlServer) -> Iterator[str]:
    """The URL of an empty database of the role `service`'s own, dropped afterwards."""
    name = f"antin_{secrets.token_hex(6)}"
    run_sql(server, f"CREATE DATABASE {name} OWNER service")
    try:
        yield server.url(name)
    finally:
        run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def new_kept_database(server: PostgresqlServer) -> Iterator[str]:
    """The same as docs/operations.md has it for production: the role `keeper` owns it and has migrated it, `service` reads
    and writes rows and owns nothing."""
    name = f"antin_{secrets.token_hex(6)}"
    run_sql(server, f"CREATE DATABASE {name} OWNER keeper")
    try:
        rows = "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO service"
        run_sql(server, rows, role="keeper", database=name)
        yield server.url(name)
    finally:
        run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def free_port() -> int:
    """Below those that the kernel gives to connections, and of a part of its own for each process that tests: nobody else
    takes it before its server does."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + 2_000 * (worker % 10)
    while True:
        port = first + secrets.randbelow(2_000)
        with suppress(OSError), socket.socket() as held:
            held.bind(("127.0.0.1", port))
            return port


def run_sql(
    server: PostgresqlServer, statement: str, *, role: str = "owner", database: str = "postgres"
) -> None:
    import psycopg

    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=role, dbname=database, autocommit=True,
        password=server.password_file.read_text().strip(),
    ) as connection:  # fmt: skip
        connection.execute(statement.encode())


def _accepts(server: PostgresqlServer) -> bool:
    import psycopg

    try:
        run_sql(server, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _answers(port: int) -> bool:
    there = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        there.request("GET", "/minio/health/ready")
        return there.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        there.close()


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.05)


@contextmanager
def _running(
    command: Sequence[str], environment: dict[str, str], folder: Path, *, stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Ends with the block, and with the tests' process should that be killed."""
    with Path(folder, "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **environment}, preexec_fn=_end_with_parent
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    names = {one.pw_name: one for one in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(user: pwd.struct_passwd | None, command: list[str]) -> list[str]:
    if user is None:
        return command
    return [
        "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=KILL", *command
    ]  # fmt: skip


def _minio_program() -> str:
    # The last is where scripts/test builds it.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = sorted(str(one) for one in cache.glob("antin/minio-*"))
    for one in (os.environ.get("ANTIN_MINIO"), shutil.which("minio"), *built):
        if one and os.access(one, os.X_OK):
            return one
    raise Missing("MinIO's server is missing: scripts/test builds it, ANTIN_MINIO names it")


def _postgresql_programs() -> Path:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]), reverse=True
    )
    on_path = shutil.which("initdb")
    for one in [*found, *([Path(on_path)] if on_path else [])]:
        return one.parent
    raise Missing("PostgreSQL's server is missing: install the package postgresql")
