"""Production as docs/operations.md has it set up: the service and the token process each as a user of its own. It starts,
signs, and what somebody who took the service over does with the seal stays visible (K3, K6, P4)."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from hsm import key_book
from hsm.frames import plain_orders
from hsm.key import HolderKind, Purpose, SigningOrder
from hsm.use_log import read_uses
from production import SOFTHSM_ACCEPTED
from tests import servers
from tests.house import SEAL_KEY, World
from tests.machine import Machine, Ran, machine
from tests.papers import letter
from tests.rooms.hsm.tokens import copy_token, order_for
from tests.rooms.signing.listening import TimeServer, time_servers

ROOT_USER, TOKEN_USER, SERVICE_USER = 0, 65533, 65534
# What the web server in front tells.
BY_PROXY = {"Host": "kyso.anphuoc.gov.vn", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
SECONDS = 60.0  # a start, on a busy machine
ANTIN = (sys.executable, "-c", "from service import antin; antin()")

# What who took the service over has: its user, its database, the token's socket. An intent is written as the service would,
# served, and taken away again.
BURGLAR = """
import json, socket, sqlite3, sys
from hsm.frames import FrameReader, pack
asked = json.load(sys.stdin)
facts = sqlite3.connect(asked["database"], timeout=30)
facts.row_factory = sqlite3.Row
row = dict(facts.execute("SELECT * FROM intents LIMIT 1").fetchone())
row |= {"id": asked["intent"], "state": "OPEN", "ordinal": 99, "signature": None}
names = ", ".join(row)
facts.execute("INSERT INTO intents (%s) VALUES (%s)" % (names, ", ".join("?" * len(row))), tuple(row.values()))
facts.commit()
line, reader, heard = socket.socket(socket.AF_UNIX), FrameReader(), []
line.settimeout(30)
line.connect(asked["socket"])
line.sendall(pack(asked["message"]))
while not heard:
    heard = [one for one in reader.feed(line.recv(65536)) if one["id"] == asked["message"]["id"]]
facts.execute("DELETE FROM intents WHERE id = ?", (asked["intent"],))
facts.commit()
print(json.dumps(heard[0]))
"""


@dataclass
class Installed:
    """A host as docs/operations.md has it, while its token process runs."""

    place: Path
    host: Machine
    settings: dict[str, str]
    clerk: UUID
    program: UUID
    api_key: str

    @property
    def home(self) -> Path:
        return self.place / "home"

    @property
    def token(self) -> Path:
        return self.place / "token"

    @property
    def log(self) -> Path:
        return self.place / "log"

    async def antin(self, *words: str, user: int = SERVICE_USER) -> Ran:
        """While the time servers go on answering."""
        return await asyncio.to_thread(self.host.run, user, *ANTIN, *words, **self.settings)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[httpx.AsyncClient]:
        number = self.host.start(SERVICE_USER, self.log, *ANTIN, "serve", **self.settings)
        headers, base = (
            BY_PROXY | {"Authorization": f"Bearer {self.api_key}"},
            f"http://127.0.0.1:{self.settings['ANTIN_PORT']}",
        )
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as http:
            await self._ready(http)
            yield http
        assert self.host.end(number) == 0, self.log.read_text()

    async def _ready(self, http: httpx.AsyncClient) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
        raise AssertionError(self.log.read_text())


def _other_address() -> str:
    """Of this host on its network: a time server there is another machine's, as far as addresses tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:  # no way leads out; the host has its name all the same
            return socket.gethostbyname(socket.gethostname())
        return str(asked.getsockname()[0])


@pytest.fixture
def place() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def installed(world: World, place: Path) -> AsyncIterator[Installed]:
    world.clock.reset()
    shutil.copytree(
        world.made, place / "home", ignore=shutil.ignore_patterns("token", "socket", "*.lock", "scratch")
    )
    token, run = copy_token(world.made / "token", place / "token"), place / "run"
    book = key_book.load(token)
    kept = tuple(one for one in book.keys if one.holder.kind is not HolderKind.PERSON)
    key_book.save(token, replace(book, keys=kept, persons=False, uids=frozenset({SERVICE_USER})))
    for folder in (run, place / "checkpoints"):
        folder.mkdir()
    async with time_servers(
        TimeServer(world.clock), TimeServer(world.clock), at=["127.0.0.1", _other_address()]
    ) as clocks:
        settings = {
            "ANTIN_HOME": str(place / "home"), "ANTIN_MODE": "production", "ANTIN_PORT": str(servers.free_port()),
            "ANTIN_PUBLIC_URL": "https://kyso.anphuoc.gov.vn", "ANTIN_TRUSTED_PROXIES": json.dumps(["127.0.0.1"]), "ANTIN_CHECKPOINT_FOLDER": str(place / "checkpoints"),
            "ANTIN_TOKEN_FOLDER": str(token), "ANTIN_TOKEN_SOCKET": str(run / "socket"),
            "ANTIN_SOFTHSM_IN_PRODUCTION": SOFTHSM_ACCEPTED, "ANTIN_TSA_URLS": json.dumps([world.pki.tsa_url]),
            "ANTIN_TSA_POLICY_OID": "1.3.6.1.4.1.4146.1", "ANTIN_CLOCK_SOURCES": json.dumps(clocks),
            "ANTIN_REVOCATION_NETWORKS": json.dumps(["127.0.0.0/8"]), "ANTIN_WORKERS": "1",
        }  # fmt: skip
        with machine() as host:
            for user, folder in (
                (SERVICE_USER, place / "home"), (SERVICE_USER, place / "checkpoints"), (TOKEN_USER, token), (TOKEN_USER, run)
            ):  # fmt: skip
                host.run(ROOT_USER, "chown", "-R", f"{user}:{user}", folder)
                host.run(ROOT_USER, "chmod", "755" if folder == run else "700", folder)
            host.start(
                TOKEN_USER, place / "token.log", sys.executable, "-m", "hsm.token_process", "--folder", token, "--socket", run / "socket"
            )  # fmt: skip
            yield Installed(place, host, settings, world.clerk.caller.id, world.program.id, world.api_key)


async def test_it_starts_and_signs_and_what_a_burglar_signs_is_seen(installed: Installed) -> None:
    async with installed.serving() as http:
        # Only what is smaller here than it should be, and that stops nothing.
        doctor = await installed.antin("doctor", "--json")
        assert doctor.status == 1, doctor.err
        assert {one["code"] for one in doctor.lines} == {"sqlite-in-production", "folder-in-production"}
        document = await _signed(http)
        verified = await http.get(f"/api/v1/documents/{document}/content")
        (installed.place / "signed.pdf").write_bytes(verified.content)
        said = await installed.antin("verify", "--json", str(installed.place / "signed.pdf"))
        assert (said.status, said.lines[0]["verdict"], said.lines[0]["trust"]["demonstration"]) == (
            0, "VALID", False
        )  # fmt: skip
        whole = await installed.antin("audit", "check", "--json", "--all", user=ROOT_USER)
        assert (whole.status, whole.lines) == (0, []), whole.err
        # Who took the service over signs something.
        order = _order(installed)
        asked = {
            "socket": installed.settings["ANTIN_TOKEN_SOCKET"], "database": str(installed.home / "antin.sqlite"),
            "intent": order.intent.hex,
            "message": {"id": 1, "verb": "sign", "name": SEAL_KEY, "orders": plain_orders([order]), "within": 20.0},
        }  # fmt: skip
        burgled = installed.host.run(SERVICE_USER, sys.executable, "-c", BURGLAR, given=json.dumps(asked))
        assert burgled.status == 0, burgled.err
        assert "signed" in json.loads(burgled.out)["result"][0], burgled.out
    # The service's own user does not see into the use log; the auditor does.
    blind = await installed.antin("audit", "check", "--json")
    assert (blind.status, blind.lines) == (0, [])
    found = await installed.antin("audit", "check", "--json", user=ROOT_USER)
    assert found.status == 1, found.err
    (named,) = found.lines
    assert named["fault"] == "use-unrecorded"
    assert str(order.intent) in named["detail"] and SEAL_KEY in named["detail"]
    assert order.intent in {one.intent for one in read_uses(installed.token)}


async def test_who_may_use_a_key_is_as_it_was_recorded(installed: Installed) -> None:
    """The token's book of keys against the record: an operator's commands, and an edit by hand."""
    async with installed.serving():
        pass  # counts what is there

    async def named() -> set[tuple[str, str]]:
        found = await installed.antin("audit", "check", "--json", user=ROOT_USER)
        assert found.status == (1 if found.lines else 0), found.err
        return {(one["fault"], one["detail"]) for one in found.lines}

    for words in (
        ("keys", "grant", SEAL_KEY, "binh"), ("keys", "make", "con-dau-2", "--purpose", "seal"),
        ("keys", "revoke", SEAL_KEY, "an"),
    ):  # fmt: skip
        done = await installed.antin(*words, user=ROOT_USER)
        assert done.status == 0, done.err
        assert await named() == set(), words
    book, stranger = key_book.load(installed.token), uuid4()
    seal, second = book.find(SEAL_KEY), book.find("con-dau-2")
    assert seal is not None and second is not None
    edits = {
        f"keys {SEAL_KEY}: granted {stranger}": replace(seal, granted=seal.granted | {stranger}),
        f"keys {SEAL_KEY}: certificate": replace(seal, certificate=seal.chain[0]),
        f"keys {SEAL_KEY}: holder": replace(seal, holder=replace(seal.holder, id=stranger)),
        f"keys {SEAL_KEY}: purpose": replace(seal, purpose=Purpose.REPORTS),
        f"keys {SEAL_KEY}: agency": replace(seal, agency=stranger),
        "keys con-dau-3": replace(second, name="con-dau-3"),
    }
    for detail, entry in edits.items():
        key_book.save(installed.token, book.with_key(entry))
        kind = "fact-unrecorded" if "granted" in detail or ":" not in detail else "fact-differs"
        assert await named() == {(kind, detail)}
    # Whoever was recorded as no longer allowed is not let in again by hand; nor does another start count anew.
    key_book.save(installed.token, book.with_key(replace(seal, granted=seal.granted | {installed.clerk})))
    async with installed.serving():
        assert await named() == {("fact-unrecorded", f"keys {SEAL_KEY}: granted {installed.clerk}")}


async def _signed(http: httpx.AsyncClient) -> str:
    """A document with the agency's seal, by the API."""
    paper = {"Content-Type": "application/pdf", "Idempotency-Key": str(uuid4())}
    arrived = await http.post("/api/v1/documents?name=a.pdf", content=letter(), headers=paper)
    assert arrived.status_code == 201, arrived.text
    document: str = arrived.json()["id"]
    wish: dict[str, Any] = {"mode": "sign", "key": SEAL_KEY, "level": "B-T"}
    signed = await http.post(
        f"/api/v1/documents/{document}/signatures", json=wish, headers={"Idempotency-Key": str(uuid4())}
    )
    assert signed.status_code == 201, signed.text
    return document


def _order(installed: Installed) -> SigningOrder:
    """As the service makes them, for whom the key is granted to."""
    entry = key_book.load(installed.token).find(SEAL_KEY)
    assert entry is not None
    return order_for(entry.describe(), person=installed.program)
