"""A service under load: this file starts it in a process of its own, on a home made for the occasion, and has clients
sign by the API as a records system does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.papers import letter

ROOT = Path(__file__).parent.parent
START_SECONDS = 180.0  # a patience, no promise: the tests share the machine
SEAL = "con-dau"


@dataclass(frozen=True)
class Service:
    address: str
    home: Path
    api_key: str
    process: subprocess.Popen[bytes]

    def memory(self) -> int:
        """Bytes, of the service itself, at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@dataclass
class Load:
    """What many clients got."""

    seconds: float = 0.0
    signed: int = 0
    waits: list[float] = field(
        default_factory=list
    )  # seconds from the first byte of the upload to the signed answer
    refused: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.signed / self.seconds if self.seconds else 0.0


@contextmanager
def service(home: Path, **settings: str) -> Iterator[Service]:
    """`antin serve` on a demonstration home, with an API client that may use the seal."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ, "ANTIN_HOME": str(home), "ANTIN_PORT": str(port), "ANTIN_REQUESTS_PER_MINUTE": "10000000",
        **settings,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", "from service import antin; antin()", "serve"], env=environment, cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until_ready(process, port)
        yield Service(f"http://127.0.0.1:{port}", home, _client(environment), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def run_clients(service: Service, *, clients: int, signatures: int, weight: int, level: str = "B-T") -> Load:
    """`signatures` in all, of papers of about `weight` bytes."""
    return asyncio.run(_run(service, clients, signatures, weight, level))


async def _run(service: Service, clients: int, signatures: int, weight: int, level: str) -> Load:
    load, left = Load(), iter(range(signatures))
    papers = [letter(weight=weight) for _ in range(8)]
    headers = {"Authorization": f"Bearer {service.api_key}"}
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async with httpx.AsyncClient(
        base_url=service.address, headers=headers, timeout=60, limits=limits
    ) as http:

        async def client() -> None:
            for number in left:
                begun = time.perf_counter()
                status = await sign_one(http, papers[number % len(papers)], level)
                if status == 201:
                    load.signed += 1
                    load.waits.append(time.perf_counter() - begun)
                else:
                    load.refused[status] = load.refused.get(status, 0) + 1

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.perf_counter() - begun
    return load


async def sign_one(http: httpx.AsyncClient, paper: bytes, level: str) -> int:
    """The status of the last answer; a passing refusal is asked again by the same key."""
    once = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/pdf"}
    uploaded = await http.post("/api/v1/documents?name=a.pdf", content=paper, headers=once)
    if uploaded.status_code != 201:
        return uploaded.status_code
    address = f"/api/v1/documents/{uploaded.json()['id']}/signatures"
    once = {"Idempotency-Key": str(uuid.uuid4())}
    signed = await http.post(address, json={"mode": "sign", "key": SEAL, "level": level}, headers=once)
    return signed.status_code


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the service was not ready in time")


def _client(environment: dict[str, str]) -> str:
    def antin(*arguments: str) -> str:
        command = [sys.executable, "-c", "from service import antin; antin()", *arguments]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True, text=True)
        return done.stdout

    scopes = [
        f"--scope={one}" for one in ("documents:write", "documents:read", f"sign:{SEAL}", "sign:*", "verify")
    ]
    made = json.loads(antin("clients", "add", "Phần mềm thử tải", *scopes, "--json"))
    antin("keys", "grant", SEAL, made["id"])
    return str(made["key"])
