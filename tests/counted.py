"""Held against each other: what the token was really asked (OpenSC's pkcs11-spy), its use log, the intents and the answers.
This file furnishes a home for the purpose, on SQLite or on servers, and counts in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

import ground as foundations
from documents.document import RenditionKind
from documents.requests import OPEN
from hsm import enrolment, key_book
from hsm.key import Purpose
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.use_log import Use, last_use, read_uses
from service import open_house
from settings import Settings
from signing.trust.anchors import Anchor
from storage.database import WHOLE_SERVICE, Database
from storage.schema import IntentRow, RenditionRow, SigningRequestRow
from tests import servers
from tests.faults import Front, in_front_of
from tests.house import check_home
from tests.mortal import SharedClock
from tests.rooms.hsm.tokens import through_spy

SEAL = "con-dau"
SCOPES = ("documents:write", "documents:read", f"sign:{SEAL}")
SHAPES = {"sqlite": (1, 1), "servers": (4, 2)}  # processes, and how many of them are asked


@dataclass(frozen=True)
class Ground:
    shape: str
    folder: Path
    settings: Settings
    ports: tuple[int, ...]
    asked: int
    environment: dict[str, str]
    api_key: str
    spied: Path
    book: key_book.KeyBook  # without the spy
    uses_before: int
    clock: SharedClock
    db: Database
    postgresql: servers.PostgresqlServer | None
    front: Front | None  # of the S3 server, where somebody asked for it

    @property
    def home(self) -> Path:
        return self.settings.home

    def authority(self) -> AbstractAsyncContextManager[Any]:
        """The demonstration authority answers all the time: it is the world, and is not killed."""
        from demonstration.server import DemonstrationServer

        return DemonstrationServer.start(self.home / "demonstration")

    async def open_requests(self) -> int:
        query = select(func.count()).where(SigningRequestRow.state.in_(OPEN))
        return await self.db.read(WHOLE_SERVICE, lambda s: s.scalar(query)) or 0


@dataclass
class Counts:
    signs: int = 0  # C_SignInit with a key of documents
    uses: int = 0
    intents: Counter[str] = field(default_factory=Counter)
    lost_in_log: int = 0  # LOST intents that stand in the use log
    lost_unsigned: int = 0  # lines without an operation
    documents: int = 0

    def told(self) -> dict[str, int]:
        return {
            "C_SignInit": self.signs, "lines of the use log": self.uses,
            **{f"intents {state}": number for state, number in sorted(self.intents.items())},
            "LOST that stand in the use log": self.lost_in_log, "lines without C_SignInit, each LOST": self.lost_unsigned,
            "signed documents, each looked at": self.documents,
        }  # fmt: skip


@asynccontextmanager
async def ground(
    shape: str, folder: Path, *, scopes: Sequence[str] = SCOPES, anchors: Sequence[bytes] = (), fronted: bool = False,
    **more: Any,
) -> AsyncIterator[Ground]:  # fmt: skip
    """`scopes` of the program that asks; `anchors` are believed besides; `more` settings; `fronted`: see `Ground.front`."""
    home, (processes, asked) = folder / "home", SHAPES[shape]
    with ExitStack() as stack:
        ports = tuple(servers.free_port() for _ in range(processes))
        chosen: dict[str, Any] = {
            "home": home, "public_url": f"http://127.0.0.1:{ports[0]}", "workers": 1, "log_level": "warning",
            "requests_per_minute": 10_000_000, **more,
        }  # fmt: skip
        postgresql = front = None
        if shape == "servers":
            postgresql, s3 = stack.enter_context(servers.postgresql()), stack.enter_context(servers.minio())
            if fronted:
                front = stack.enter_context(in_front_of(s3))
                s3 = front.server
            credentials = folder / "credentials"
            credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")
            chosen |= {
                "database_url": stack.enter_context(servers.new_database(postgresql)),
                "database_password_file": postgresql.password_file,
                "jobs_database_url": stack.enter_context(servers.new_database(postgresql)),
                "s3_endpoint": f"{'https' if s3.secure else 'http'}://{s3.endpoint}",
                "s3_credentials_file": credentials,
            }  # fmt: skip
        settings = Settings(**chosen)
        async with open_house(settings) as house:
            office = house.rooms.office
            (agency,) = await office.agencies()
            client, api_key = await office.make_client(agency.id, "Phần mềm bị giết", scopes, by="test")
            await enrolment.grant(settings.socket, SEAL, client.id)
            for one in anchors:
                await house.rooms.trusted.add(Anchor(one, provenance="the test world"), confirmed_by="test")
        environment = {f"ANTIN_{name.upper()}": _written(value) for name, value in chosen.items()}
        book, spied = key_book.load(settings.token), folder / "spied"
        environment |= through_spy(settings.token, spied)
        moved = folder / "clock"
        moved.write_bytes(bytes(8))
        db = foundations.database(settings)
        try:
            yield Ground(
                shape, folder, settings, ports, asked, environment, api_key, spied, book, last_use(settings.token),
                SharedClock(moved), db, postgresql, front,
            )  # fmt: skip
        finally:
            await db.close()


def _written(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)


async def check(ground: Ground, answered: Collection[str]) -> Counts:
    """K5, after everything was recovered. `answered`: the requests whose callers asked until they had an answer. Raises
    AssertionError."""
    key_book.save(ground.settings.token, ground.book)
    async with open_house(ground.settings, times=ground.clock.times()) as house:
        await check_home(ground.settings, house, recovered=True)
    uses = [
        one for one in read_uses(ground.settings.token, after=ground.uses_before) if one.key in of_documents(ground)
    ]  # fmt: skip
    intents, signed = await ground.db.read(
        WHOLE_SERVICE,
        lambda s: (
            {one.id: (one.request, one.state, one.digest) for one in s.scalars(select(IntentRow))},
            Counter(
                s.scalars(select(RenditionRow.request).where(RenditionRow.kind == RenditionKind.SIGNED.value))
            ),
        ),
    )
    assert {state for _, state, _ in intents.values()} <= {"DELIVERED", "VOID", "LOST"}
    released = Counter(request for request, state, _ in intents.values() if state == "DELIVERED")
    assert set(released.values()) | set(signed.values()) <= {1}, "released twice"
    assert {str(one) for one in released} >= set(answered), "answered, and not released"
    operations = operations_in(ground.spied, ground.book)
    counts = Counts(
        signs=sum(number for (key, _), number in operations.items() if key in of_documents(ground)),
        uses=len(uses), documents=len(signed),
        intents=Counter(state for _, state, _ in intents.values()),
    )  # fmt: skip
    _hold(uses, operations, intents, counts)
    return counts


def _hold(
    uses: list[Use], operations: Counter[tuple[str, bytes]], intents: dict[Any, Any], counts: Counts
) -> None:
    """Operations <= use log = intents served; what stands in the log and was not done belongs to a LOST intent."""
    assert counts.signs <= len(uses) == len({one.intent for one in uses})
    states = {one.intent: intents[one.intent][1] for one in uses}
    assert set(states.values()) <= {"DELIVERED", "LOST"}, (
        "the key was asked for an intent that says it was not"
    )
    counts.lost_in_log = sum(state == "LOST" for state in states.values())
    for digest in {one.to_sign_sha256 for one in uses}:
        lines = [one for one in uses if one.to_sign_sha256 == digest]
        done = sum(number for (_, what), number in operations.items() if what == digest)
        lost = sum(states[one.intent] == "LOST" for one in lines)
        assert done <= len(lines), "the token signed what no line says"
        assert len(lines) - done <= lost, "a line without an operation whose intent is not LOST"
        counts.lost_unsigned += len(lines) - done


def of_documents(ground: Ground) -> set[str]:
    return {one.name for one in ground.book.keys if one.purpose in {Purpose.SIGNING, Purpose.SEAL}}


def operations_in(spied: Path, book: key_book.KeyBook) -> Counter[tuple[str, bytes]]:
    """C_SignInit by key and by what was then given to C_Sign (b"" where the process died between them)."""
    names = {Pkcs11Uri.parse(one.uri).id: one.name for one in book.keys}
    handles: dict[str, str] = {}
    found: Counter[tuple[str, bytes]] = Counter()
    sought = key = ""
    data = b""
    for call in _calls(spied):
        name, text = call[0].split(": ")[1], "\n".join(call)
        if name in {"C_Initialize", "C_Finalize"}:
            handles.clear()
        elif name == "C_FindObjectsInit":
            sought = names.get(_dump(call, "CKA_ID"), "") if "CKO_PRIVATE_KEY" in text else ""
        elif name == "C_FindObjects" and sought:
            handles |= {
                one: sought for one in re.findall(r"^Object (0x[0-9a-f]+) matches$", text, re.MULTILINE)
            }
        elif name == "C_SignInit":
            if key:
                found[key, b""] += 1  # it died there, or the token would not
            (handle,) = re.findall(r"hKey = (0x[0-9a-f]+)", text)
            key, data = handles[handle], b""
        elif name == "C_Sign" and key:
            data = _dump(call, "pData")
            found[key, data] += 1
            key = ""
    if key:
        found[key, b""] += 1
    return found


def _calls(spied: Path) -> Any:
    call: list[str] = []
    with spied.open(errors="replace") as lines:
        for line in lines:
            if re.match(r"\d+: C_\w+$", line):
                if call:
                    yield call
                call = []
            if call or re.match(r"\d+: C_\w+$", line):
                call.append(line.rstrip("\n"))
    if call:
        yield call


def _dump(call: list[str], after: str) -> bytes:
    """The octets below the line that names them."""
    at = next((number for number, line in enumerate(call) if after in line), None)
    octets = b""
    for line in call[at + 1 :] if at is not None else ():
        if not (shown := re.match(r"\s+[0-9A-Fa-f]{8}  ((?:[0-9A-F]{2} )+)", line)):
            break
        octets += bytes.fromhex(shown[1])
    return octets
