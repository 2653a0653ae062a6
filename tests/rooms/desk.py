"""Where a test runs the command: this file calls it in process, and keeps what it printed and how it ended."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import cli
from cli import Roof, main
from documents.rooms import Rooms, Trouble
from documents.trail import Trail
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from settings import Settings
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.trust.revocation import Revocation
from tests.rooms.web.rooms import Wishes, certificate_for, open_rooms


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """An operator at a host with one agency, its seal and a clerk's key."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.wishes = Wishes(folder)
        self.troubles: list[Trouble] = []
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.keys: list[KeyDescription] = []
        asyncio.run(self._settle())

    def antin(self, *arguments: str | Path, given: bytes = b"") -> Ran:
        """`given`: on standard input."""
        self._capsys.readouterr()
        cli.words.language = "vi"
        with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(given))):
            code = main(self.roof(), [str(one) for one in arguments])
        printed = self._capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    def roof(self) -> Roof:
        @asynccontextmanager
        async def revocation(_: bool) -> AsyncIterator[Revocation]:
            yield Revocation(None, clock=lambda: datetime.now(UTC))

        @asynccontextmanager
        async def trail() -> AsyncIterator[Trail]:
            async with self.rooms() as rooms:
                yield rooms.trail

        async def trust() -> TrustSnapshot:
            async with self.rooms() as rooms:
                return rooms.trusted.snapshot()

        async def troubles() -> Sequence[Trouble]:
            return self.troubles

        return Roof(
            settings=Settings(home=self.folder), open_rooms=self.rooms, trust=trust, revocation=revocation, trail=trail,
            troubles=troubles, serve=lambda _: 0,
        )  # fmt: skip

    @asynccontextmanager
    async def rooms(self) -> AsyncIterator[Rooms]:
        async with open_rooms(self.wishes) as rooms:
            assert isinstance(rooms.keys, UnsafeMemoryVault)
            for one in self.keys:
                rooms.keys.add(one, self.private)
            yield rooms

    async def _settle(self) -> None:
        async with self.rooms() as rooms:
            agency = await rooms.office.make_agency(
                "Ủy ban nhân dân xã An Phước", "UBND xã An Phước", by="test"
            )
            person, _ = await rooms.office.make_person(
                agency.id, "binh", name="Trần Thị Bình", title="Văn thư", by="test"
            )
            seal = KeyDescription(
                name="con-dau", agency=agency.id, purpose=Purpose.SEAL, holder=Holder(HolderKind.AGENCY, agency.id),
                granted=frozenset({person.id}), certificate=certificate_for(self.private, "UBND xã An Phước"), chain=(),
                mechanisms=(),
            )  # fmt: skip
            await rooms.trusted.add(Anchor(seal.certificate), confirmed_by="test")
        own = replace(seal, name="binh", purpose=Purpose.SIGNING, holder=Holder(HolderKind.PERSON, person.id))
        self.keys = [seal, own, replace(seal, name="tsa", purpose=Purpose.TIME_STAMPING)]
