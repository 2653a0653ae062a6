"""Signs a file at any level with the parts of the house and no service around them: this file is what tests of files use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa

from documents import finishing
from documents.finishing import Answer, Finished
from documents.signer_check import Checked, SignerCheck
from hsm.key import Mechanism
from signing import pades
from signing.longterm import Material
from signing.pades import Signer, Wish
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.timestamping.remote import RemoteAuthorities
from signing.timestamping.source import Token, obtain
from signing.trust.anchors import TrustSnapshot
from signing.trust.fetcher import Fetcher, Reach
from signing.trust.revocation import Revocation
from tests.pki import Pki
from tests.rooms.signing.pens import signature

ROOM = 6000  # bytes for a time-stamp


@dataclass
class Hand:
    """A person of the world who signs files: the parts of one signature, each to be called by itself."""

    pki: Pki
    clock: Callable[[], datetime]
    key: Any  # of the mechanism's kind
    certificate: bytes
    source: RemoteAuthorities
    fetcher: Fetcher
    mechanism: Mechanism = Mechanism.RSA_PKCS1_SHA256

    @staticmethod
    def of(pki: Pki, clock: Callable[[], datetime], key: rsa.RSAPrivateKey, label: str = "binh") -> Hand:
        """`key` is of `pki.person(label)`."""
        source = RemoteAuthorities([pki.tsa_url], clock=clock, trust=lambda: pki.trust)
        return Hand(pki, clock, key, pki.certificate(label), source, Fetcher(Reach.allowing(["127.0.0.0/8"])))

    async def __aenter__(self) -> Hand:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        await self.fetcher.close()

    @property
    def trust(self) -> TrustSnapshot:
        return self.pki.trust

    def check(self) -> SignerCheck:
        revocation = Revocation(self.fetcher, clock=self.clock)
        return SignerCheck(revocation, trust=lambda: self.trust, clock=self.clock)

    async def known(self) -> Checked:
        return await self.check().known(self.certificate, self.pki.chain)

    async def token(self, digest: bytes) -> Token:
        return await obtain(self.source, digest, hash_name="sha256", trust=self.trust, now=self.clock())

    async def material(self, token: bytes | None = None) -> Material:
        return await self.check().material(await self.known(), token)

    def prepare(self, original: Path, file: Path, level: Level, password: str | None = None, **wish: Any) -> PreparedSignature:  # fmt: skip
        signer = Signer(
            certificate=self.certificate, chain=self.pki.chain[:1], mechanism=self.mechanism, key="binh",
            agency=UUID(int=1), person=UUID(int=2), request=UUID(int=3), expires=self.clock() + timedelta(minutes=15),
        )  # fmt: skip
        room = ROOM if level >= Level.B_T else 0
        asked = Wish(level=level, claimed_time=self.clock(), **wish)
        return pades.prepare(
            original, file, wish=asked, signer=signer, password=password, timestamp_room=room
        )

    async def sign(self, original: Path, file: Path, level: Level, password: str | None = None, **wish: Any) -> PreparedSignature:  # fmt: skip
        """As step 3 of the story does it, by `documents/finishing.py`."""
        prepared = self.prepare(original, file, level, password, **wish)
        made = signature(self.key, prepared)
        stamp = await self.token(hashlib.sha256(made).digest()) if level >= Level.B_T else None
        material = await self.material(stamp.der if stamp else None) if level >= Level.B_LT else None
        answer = Answer(made, stamp.der if stamp else None, material)
        finishing.fill(prepared, file, answer, password=password)
        if level >= Level.B_LTA:
            await self.archive(file, password)
        return prepared

    async def archive(self, file: Path, password: str | None = None) -> None:
        hole = finishing.archive(file, room=ROOM, password=password)
        finishing.seal_archive(file, hole, (await self.token(hole.digest)).der)

    def judge(self, original: Path, file: Path, prepared: PreparedSignature, password: str | None = None) -> tuple[dict[str, Any], Finished]:  # fmt: skip
        return finishing.judge_and_name(
            original, file, prepared, trust=self.trust, password=password,
            timestamped=prepared.level >= Level.B_T,
        )  # fmt: skip
