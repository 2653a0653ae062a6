"""Verification over HTTP by SiVa's load plan: this file asks a service 5, 10, 20, 30, 40 and 50 times a second for the report on
200 KB with two signatures, and holds the slowest of a hundred against 50 ms.

- Asked on time, whether the one before was answered or not: whoever waits for answers would hide the queue.
- The one who asks runs on the same machine, as the authority does that the service asks for revocation.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.table import Row, show
from tests.load import SEAL, Service, service
from tests.papers import letter

STEPS = (5, 10, 20, 30, 40, 50)  # requests a second
SECONDS = 20.0  # of each step; SiVa's plan has 60: --large
PROMISED_MS = 50.0  # of the slowest of a hundred


def main(*, seconds: float = SECONDS) -> None:
    with tempfile.TemporaryDirectory() as folder, service(Path(folder) / "home") as running:
        show(asyncio.run(_measured(running, seconds)))


async def _measured(running: Service, seconds: float) -> list[Row]:
    headers = {"Authorization": f"Bearer {running.api_key}"}
    async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=60) as http:
        paper = await _signed_twice(http)
        await _step(http, paper, rate=10, seconds=3)  # everybody is awake
        rows = []
        for rate in STEPS:
            waits = await _step(http, paper, rate=rate, seconds=seconds)
            slowest = statistics.quantiles(waits, n=100)[98]
            median = statistics.median(waits)
            case = f"{rate} requests/s, p99 (median {median:.1f} ms), {len(waits)} answers, no errors"
            rows.append(Row("siva", case, slowest, PROMISED_MS, "the bound", "ms"))
        return rows


async def _signed_twice(http: httpx.AsyncClient) -> bytes:
    made = await http.post(
        "/api/v1/documents?name=a.pdf", content=letter(weight=200_000), headers=_once("paper")
    )
    address = f"/api/v1/documents/{made.raise_for_status().json()['id']}"
    for number in range(2):
        wish = {"mode": "sign", "key": SEAL, "level": "B-T"}
        signed = await http.post(f"{address}/signatures", json=wish, headers=_once(f"signature-{number}", ""))
        signed.raise_for_status()
    return (await http.get(f"{address}/content")).raise_for_status().content


def _once(key: str, kind: str = "application/pdf") -> dict[str, str]:
    return {"Idempotency-Key": key} | ({"Content-Type": kind} if kind else {})


async def _step(http: httpx.AsyncClient, paper: bytes, *, rate: int, seconds: float) -> list[float]:
    """Milliseconds of each answer. What is no VALID ends the bench."""
    waits: list[float] = []

    async def ask() -> None:
        begun = time.perf_counter()
        answer = await http.post(
            "/api/v1/verifications", content=paper, headers={"Content-Type": "application/pdf"}
        )
        waits.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != 200 or answer.json()["verdict"] != "VALID":
            raise SystemExit(f"what was measured is no answer: {answer.status_code} {answer.text[:200]}")

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as asked:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            asked.create_task(ask())
    return waits


if __name__ == "__main__":
    main(seconds=60.0 if "--large" in sys.argv[1:] else SECONDS)
