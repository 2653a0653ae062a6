"""The pages as people meet them: this file serves a furnished home, and looks at it with a real browser.

Every page that is fetched is checked too: valid HTML, its title, labels, identifiers, headers, contrast and the rest of
WCAG AA by axe, nothing asked of another host, nothing wrong in the console.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import html5lib
import uvicorn
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, BrowserContext, Page, Response

from documents.document import Disclosure, Document
from documents.intake import Arrival
from documents.office import Caller
from documents.rooms import Rooms
from documents.wish import SignWish
from signing.profile import Level
from storage.identifiers import uuid7
from tests.house import PASSWORD, House, World, open_world_house
from tests.papers import letter
from web.app import SERVER, build

Something = TypeVar("Something")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
AXE = AXE_FILE_PATH.read_text()
AXE_RULES = '{runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}'
NEEDED = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass
class Site:
    """A served home. What is done in its rooms is done in its own loop."""

    address: str
    world: World
    house: House
    _loop: asyncio.AbstractEventLoop

    @property
    def rooms(self) -> Rooms:
        return self.house.rooms

    def run(self, work: Coroutine[Any, Any, Something]) -> Something:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def upload(
        self,
        content: bytes | None = None,
        *,
        who: Caller | None = None,
        name: str = "quyet-dinh.pdf",
        **more: Any,
    ) -> Document:
        body = letter() if content is None else content

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        arrival = Arrival(name, **more)
        caller = who or self.world.chairman.caller
        return self.run(self.rooms.intake.receive(caller, uuid7(self.rooms.clock()), chunks(), arrival))

    def sign(self, document: Document, *, key: str = "chu-tich", level: Level = Level.B_T) -> Document:
        caller = self.world.chairman.caller
        wish = SignWish(level=level, key=key)
        self.run(self.rooms.sign.sign(caller, document.id, uuid7(self.rooms.clock()), wish))
        return self.get(document.id)

    def signed(self, disclosure: Disclosure = Disclosure.PUBLIC, **more: Any) -> Document:
        facts = {"subject": "Về việc ban hành danh mục hồ sơ năm 2026", "number": "15/QĐ-UBND"} | more
        return self.sign(self.upload(disclosure=disclosure, **facts))

    def get(self, document: UUID) -> Document:
        return self.run(self.rooms.documents.get(self.world.chairman.caller, document))

    def bytes_of(self, document: Document) -> bytes:
        async def read() -> bytes:
            async with self.rooms.documents.open(self.world.chairman.caller, document) as path:
                return path.read_bytes()

        return self.run(read())

    def code(self, document: Document) -> str:
        code = self.run(self.rooms.results.code_for(self.world.chairman.caller, document))
        assert code is not None
        return code.text


def brought(site: Site, content: bytes) -> str:
    """Where the answer to a file stands that somebody has brought."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    found = site.run(site.rooms.verifying.bring(chunks(), name="van-ban.pdf", declared_size=None))
    return f"/v/tep/{found.token}"


def drop(page: Page, name: str, content: bytes, *, kind: str = "application/pdf") -> None:
    """A file out of the desktop, let go over the frame."""
    page.evaluate(
        """([name, content, kind]) => {
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
            const held = new DataTransfer();
            held.items.add(new File([bytes], name, {type: kind}));
            const frame = document.querySelector("[data-drop]");
            for (const what of ["dragenter", "dragover", "drop"]) {
                frame.dispatchEvent(new DragEvent(what, {dataTransfer: held, bubbles: true, cancelable: true}));
            }
        }""",
        [name, base64.b64encode(content).decode(), kind],
    )


@contextmanager
def serve(world: World, home: Path) -> Iterator[Site]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    started, sites, servers = threading.Event(), list[Site](), list[uvicorn.Server]()

    async def main() -> None:
        houses: list[House] = []

        @asynccontextmanager
        async def rooms() -> AsyncIterator[Rooms]:
            async with open_world_house(
                world,
                home,
                port=port,
                requests_per_minute=1_000_000,
                verify_limit=4 << 20,
                upload_limit=8 << 20,
            ) as house:
                houses.append(house)
                yield house.rooms

        server = uvicorn.Server(
            uvicorn.Config(
                build(rooms, write_log=lambda _: None), log_level="critical", lifespan="on", **SERVER
            )
        )
        servers.append(server)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if houses:
            sites.append(Site(address, world, houses[0], asyncio.get_running_loop()))
        started.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(60) and sites, "the site did not start"
    try:
        yield sites[0]
    finally:
        servers[0].should_exit = servers[0].force_exit = True
        thread.join(30)
        assert not thread.is_alive()


@dataclass(frozen=True)
class Kind:
    """Who looks: how wide, in which language, with script or without, by day or by night."""

    width: int = 1280
    language: str = "vi"
    script: bool = True
    dark: bool = False

    def __str__(self) -> str:
        return f"{self.width}-{self.language}-{'script' if self.script else 'bare'}-{'dark' if self.dark else 'light'}"


@dataclass
class Visitor:
    """A browser of somebody. Whatever page is looked at is checked."""

    site: Site
    kind: Kind
    context: BrowserContext
    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def go(self, path: str, *, status: int = 200) -> Page:
        self.page.goto(self.site.address + path)
        return self.look(status=status)

    def press(self, name: str, *, status: int = 200) -> Page:
        """A button or a link, and the page behind it."""
        found = self.page.get_by_role("button", name=name, exact=True).or_(
            self.page.get_by_role("link", name=name, exact=True)
        )
        before = len(self.answers)
        found.first.click()
        self._arrived(before)
        return self.look(status=status)

    def _arrived(self, before: int) -> None:
        """Waits for the next page that answers by itself and not by sending elsewhere."""
        for _ in range(400):
            # What a script was answered is shown by itself only where it was refused; else it leads to the page.
            if any(
                one.status >= 400 or (one.status < 300 and one.request.is_navigation_request())
                for one in self.answers[before:]
            ):
                break
            self.page.wait_for_timeout(25)
        self.page.wait_for_load_state()

    def log_in(self, who: str = "binh") -> Page:
        self.go("/dang-nhap")
        self.page.locator("#login").fill(who)
        self.page.locator("#password").fill(PASSWORD)
        before = len(self.answers)
        self.page.locator("main form button").click()
        self._arrived(before)
        return self.look()

    def look(self, *, status: int = 200) -> Page:
        answer = self.answers[-1]
        assert answer.status == status, (answer.status, self.page.url)
        check_headers(answer)
        if answer.request.is_navigation_request():
            check_html(answer.text())
        if self.kind.script:  # where no script runs, axe does not run either
            check_page(self.page)
        assert self.page.locator("html").get_attribute("lang") == self.kind.language
        assert not self.complaints, self.complaints
        outside = [one for one in self.asked if not one.startswith((self.site.address, "data:", "blob:"))]
        assert not outside, outside
        return self.page


def check_headers(answer: Response) -> None:
    headers = answer.headers
    for name, value in NEEDED.items():
        assert headers.get(name) == value, (name, headers.get(name))
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def check_html(text: str) -> None:
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    headings = ["".join(one.itertext()).strip() for one in tree.iter("h1")]
    assert headings == ["".join(tree.find("head/title").itertext()).strip()], headings
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(set(ids)) == len(ids), sorted(ids)
    assert not re.search(r"\sstyle=|\son\w+=|<style", text), "inline style or script"


def check_page(page: Page) -> None:
    facts = page.evaluate(
        """() => ({
            title: document.title,
            headings: [...document.querySelectorAll("h1")].map((one) => one.textContent.trim()),
            ids: [...document.querySelectorAll("[id]")].map((one) => one.id),
            unlabelled: [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
                .filter((one) => !one.labels.length).map((one) => one.outerHTML),
            wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        })"""
    )
    assert facts["headings"] == [facts["title"].strip()], facts
    assert len(set(facts["ids"])) == len(facts["ids"]), sorted(facts["ids"])
    assert facts["unlabelled"] == []
    assert facts["wide"] <= 0, f"the page scrolls sideways by {facts['wide']} px"
    page.evaluate(AXE)
    found = page.evaluate(f"() => axe.run(document, {AXE_RULES})")
    said = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
    assert not said, said


@contextmanager
def visit(site: Site, browser: Browser, kind: Kind) -> Iterator[Visitor]:
    context = browser.new_context(
        viewport={"width": kind.width, "height": 740 if kind.width < 600 else 900},
        locale="vi-VN" if kind.language == "vi" else "en-GB",
        java_script_enabled=kind.script,
        color_scheme="dark" if kind.dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    visitor = Visitor(site, kind, context, page)
    context.on("request", lambda request: visitor.asked.append(request.url))
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on("console", lambda said: _listen(visitor, said.type, said.text))
    page.on("response", lambda answer: _note(visitor, answer))
    try:
        yield visitor
    finally:
        context.close()


def _listen(visitor: Visitor, kind: str, text: str) -> None:
    # A refused page is noted by the browser too; its status is checked where it is expected.
    if kind in {"error", "warning"} and "the server responded with a status of" not in text:
        visitor.complaints.append(text)


def _note(visitor: Visitor, answer: Response) -> None:
    kind = answer.headers.get("content-type", "")
    if answer.request.is_navigation_request() or (answer.request.resource_type == "xhr" and "html" in kind):
        visitor.answers.append(answer)
