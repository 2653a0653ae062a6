"""Callers while the service is killed again and again: this file has each bring a document and ask for one signature, as
records systems do, until it has its answer.

- A call that breaks, or is refused for a passing reason, is asked again by the same Idempotency-Key, of another process where
  there is one. A few never ask again; a few hang up in the middle and then ask again.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.counted import SEAL
from tests.papers import letter

IMPATIENT, HURRIED = 0.1, 0.1  # of the callers: who never asks again; who hangs up
MOST_STORIES = 48  # at once
ANSWERED_WITHIN = 240.0  # seconds, once nobody is killed any more
ENDED = {"DONE", "REFUSED", "EXPIRED", "FAILED"}


@dataclass
class Story:
    """One caller, one document, one signature."""

    patient: bool
    hurried: bool
    paper: bytes = field(default_factory=letter)
    keys: tuple[str, ...] = field(default_factory=lambda: tuple(str(uuid.uuid4()) for _ in range(3)))
    document: str = ""
    signing: tuple[str, dict[str, Any]] = ("", {})  # path and body of the call that signs
    answer: bytes = b""
    request: str = ""
    sha256: str = ""
    broken_at: float | None = None  # the last call that broke
    recovered_after: float | None = None
    strange: list[str] = field(default_factory=list)


class GaveUp(Exception):
    """The caller does not ask again."""


class Crowd:
    """Callers, as records systems are."""

    def __init__(
        self, addresses: Sequence[str], api_key: str, chance: random.Random, *, ways: Sequence[Way] | None = None,
        most: int = MOST_STORIES,
    ) -> None:  # fmt: skip
        """`ways`: what somebody may come for, by default one signature; `most`: of them at once."""
        self.addresses, self.chance, self.ways, self.most = addresses, chance, ways or [by_seal], most
        self.stories: list[Story] = []
        self.refused: Counter[str] = Counter()  # answers to be asked again, and calls that broke
        self._tasks: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"}, timeout=90, limits=limits, verify=False
        )

    async def come(self, every: float) -> None:
        while True:
            if len(self._tasks) < self.most:
                story = Story(self.chance.random() >= IMPATIENT, self.chance.random() < HURRIED)
                self.stories.append(story)
                task = asyncio.create_task(self._live(story))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(self.chance.expovariate(1 / every))

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answered(self) -> None:
        async with asyncio.timeout(ANSWERED_WITHIN):
            while self._tasks:
                for task in (await asyncio.wait(set(self._tasks)))[0]:
                    task.result()

    async def _live(self, story: Story) -> None:
        with suppress(GaveUp):
            await self.chance.choice(self.ways)(self, story)
            if story.broken_at is not None:
                story.recovered_after = time.monotonic() - story.broken_at

    async def upload(self, story: Story) -> None:
        headers = {"Content-Type": "application/pdf"}
        path = "/api/v1/documents?name=a.pdf"
        uploaded = await self.ask(story, path, story.keys[0], content=story.paper, headers=headers)
        story.document = uploaded.json()["id"]

    async def signed(self, story: Story) -> None:
        """Until it has the signed bytes."""
        signed = await self.sign(story)
        story.answer, story.request = signed.content, signed.json()["id"]
        while signed.json()["state"] not in ENDED:
            await asyncio.sleep(0.5)
            signed = await self.ask(story, f"/api/v1/signatures/{story.request}")
        if signed.json()["state"] != "DONE":
            story.strange.append(f"ended {signed.text}")
        story.sha256 = await self.bytes_of(story)

    async def sign(self, story: Story) -> httpx.Response:
        path, body = story.signing
        return await self.ask(story, path, story.keys[1], json=body)

    async def bytes_of(self, story: Story) -> str:
        found = await self.ask(story, f"/api/v1/documents/{story.document}/content")
        return hashlib.sha256(found.content).hexdigest()

    async def ask(
        self,
        story: Story,
        path: str,
        key: str = "",
        *,
        method: str = "",
        also: Container[int] = (),
        **more: Any,
    ) -> httpx.Response:
        """The answer that stands, of success or one of `also`. Raises GaveUp."""
        headers = more.pop("headers", {}) | ({"Idempotency-Key": key} if key else {})
        at, hangs_up = self.chance.randrange(len(self.addresses)), story.hurried and bool(key)
        while True:
            try:
                async with asyncio.timeout(self.chance.uniform(0.0, 0.3) if hangs_up else None):
                    url = self.addresses[at % len(self.addresses)] + path
                    verb = method or ("POST" if key else "GET")
                    said = await self.http.request(verb, url, headers=headers, **more)
            except TimeoutError:
                hangs_up = False
                continue
            except httpx.TransportError as why:
                self.refused["no answer"] += 1
                if not story.patient:
                    raise GaveUp from why
                if story.broken_at is None or not isinstance(why, httpx.ConnectError):
                    story.broken_at = time.monotonic()
                at, wait = at + 1, 0.1
            else:
                if said.is_success or said.status_code in also:
                    return said
                problem = said.json() if "json" in said.headers.get("content-type", "") else {}
                self.refused[f"{said.status_code} {problem.get('code')}"] += 1
                if not problem.get("retryable"):
                    story.strange.append(f"{said.status_code} {problem.get('code')} {path}")
                if not story.patient or len(story.strange) > 5:
                    raise GaveUp
                story.broken_at = story.broken_at or time.monotonic()
                at, wait = at + 1, min(float(said.headers.get("retry-after", 1)), 2.0)
            await asyncio.sleep(wait)


Way = Callable[[Crowd, Story], Awaitable[None]]


async def by_seal(crowd: Crowd, story: Story, level: str = "B-T") -> None:
    """A document is brought, and signed in one call."""
    await crowd.upload(story)
    sign_with_seal(story, level)
    await crowd.signed(story)


def sign_with_seal(story: Story, level: str) -> None:
    address = f"/api/v1/documents/{story.document}/signatures"
    story.signing = (address, {"mode": "sign", "key": SEAL, "level": level})
