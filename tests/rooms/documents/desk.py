"""One agency's desk on real parts: this file puts SQLite, a folder store, a workshop, live CRL, OCSP and a foreign
time-stamp authority together; keys lie in memory, for what a token does is tested elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from documents.codes import Codes
from documents.document import Document, Documents, SigningRequest
from documents.evidence import EvidenceBundle, EvidenceKeeper
from documents.intake import Arrival, Intake
from documents.judging import Judging
from documents.log_keeper import LogKeeper
from documents.office import Caller, Office
from documents.preview import Previews
from documents.progress import Progress
from documents.requests import Requests
from documents.sign_document import SignDocument
from documents.signer_check import SignerCheck
from documents.signing_steps import SigningSteps, Timestamping, Tools
from documents.trusted import Trusted
from documents.wish import SignWish
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from signing.profile import Level
from signing.timestamping.remote import RemoteAuthorities
from signing.trust.anchors import Anchor
from signing.trust.fetcher import Fetcher, Reach
from signing.trust.revocation import Revocation
from signing.workshop import Workshop
from storage.database import WHOLE_SERVICE, Database
from storage.folder_store import FolderStore
from storage.identifiers import uuid7
from storage.log.second_place import SecondPlace
from storage.schema import IntentRow
from storage.sealed import Sealer
from tests.papers import letter
from tests.pki import Pki
from tests.steering import SteerableClock

LIMIT = 8 << 20
SCOPES = ("documents:write", "documents:read", "sign:*", "sign:certificate", "verify")


@dataclass
class Desk:
    folder: Path
    clock: SteerableClock
    pki: Pki
    db: Database
    store: FolderStore
    vault: UnsafeMemoryVault
    office: Office
    documents: Documents
    intake: Intake
    previews: Previews
    requests: Requests
    progress: Progress
    check: SignerCheck
    sign: SignDocument
    evidence: EvidenceBundle
    caller: Caller
    other: Caller
    later: list[UUID] = field(default_factory=list)

    def id(self) -> UUID:
        return uuid7(self.clock())

    async def receive(self, content: bytes | None = None, **more: Any) -> Document:
        arrival = Arrival(more.pop("name", "cong-van.pdf"), **more)
        return await self.intake.receive(self.caller, self.id(), pieces(content or letter()), arrival)

    async def make_key(
        self, name: str, *, years: tuple[int, int] = (2020, 2040), **more: Any
    ) -> ec.EllipticCurvePrivateKey:
        """A seal of the agency with a certificate of the world's authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        terms: dict[str, Any] = {
            "purpose": Purpose.SEAL, "agency": self.caller.agency, "granted": frozenset({self.caller.id}),
            "holder": Holder(HolderKind.AGENCY, self.caller.agency),
        } | more  # fmt: skip
        purposes = {"purposes": terms.pop("purposes")} if "purposes" in terms else {}
        label = f"{name}-{self.id().hex}"
        certificate = self.pki.issue(label, request_for(key, name), years=years, **purposes)
        self.vault.add(
            KeyDescription(name=name, certificate=certificate, chain=self.pki.chain, mechanisms=(), **terms),
            key,
        )
        self.labels[name] = label
        return key

    labels: dict[str, str] = field(default_factory=dict)

    async def ask(self, document: UUID, key: str = "con-dau", *, level: Level = Level.B_T, request: UUID | None = None, **more: Any) -> SigningRequest:  # fmt: skip
        wish = SignWish(level=level, key=key, **more)
        return await self.sign.sign(self.caller, document, request or self.id(), wish)

    async def request(self, request: UUID) -> SigningRequest:
        return await self.documents.request(self.caller, request)

    async def intents(self, request: UUID) -> list[str]:
        query = select(IntentRow.state).where(IntentRow.request == request).order_by(IntentRow.ordinal)
        return await self.db.read(WHOLE_SERVICE, lambda s: [str(one) for one in s.scalars(query)])

    def left_behind(self) -> list[str]:
        files = [path for path in (self.folder / "store").rglob("*") if path.is_file()]
        return sorted(str(one) for one in files if one.suffix != ".lock")

    @contextmanager
    def everything_away(self) -> Any:
        with self.pki.answering("ocsp"), self.pki.answering("crls"):
            yield


async def pieces(content: bytes, size: int = 64 << 10) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


def request_for(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder(subject).sign(key, SHA256())
    return made.public_bytes(Encoding.DER)


@asynccontextmanager
async def open_desk(folder: Path, pki: Pki, clock: SteerableClock) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        db = Database(f"sqlite:///{folder / 'antin.sqlite'}")
        stack.push_async_callback(db.close)
        db.migrate()
        store, seal = FolderStore(folder / "store"), Sealer(folder / "seal.key")
        workshop = Workshop(1)
        stack.push_async_callback(workshop.close)
        codes, documents, trusted = (
            Codes(seal, "http://127.0.0.1:8000"),
            Documents(db, store),
            Trusted(db, clock),
        )
        await trusted.reload()
        await trusted.add(Anchor(pki.certificate("root"), provenance="the test world"), confirmed_by="test")
        fetcher = await stack.enter_async_context(Fetcher(Reach.allowing(["127.0.0.0/8"]), seconds=3))
        revocation = Revocation(fetcher, clock=clock)
        judging = Judging(workshop, revocation, trust=trusted.snapshot, clock=clock)
        stamps = RemoteAuthorities(
            [pki.tsa_url], clock=clock, trust=trusted.snapshot, monotonic=clock.monotonic
        )
        stack.push_async_callback(stamps.close)
        progress, requests = Progress(db, clock), Requests(db, clock, seal)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vault = UnsafeMemoryVault()
        check = SignerCheck(revocation, trust=trusted.snapshot, clock=clock)
        later: list[UUID] = []

        async def note(_agency: UUID, request: UUID) -> None:
            later.append(request)

        tools = Tools(
            progress=progress, store=store, keys=vault, check=check, workshop=workshop,
            timestamping=Timestamping(stamps, 4096), trust=trusted.snapshot,
            evidence=EvidenceKeeper(store, clock), clock=clock, later=note,
        )  # fmt: skip
        office = Office(db, clock, hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        callers = []
        for name in ("An Phước", "Hòa Bình"):
            agency = await office.make_agency(f"Ủy ban nhân dân xã {name}", f"UBND xã {name}", by="test")
            _, key = await office.make_client(agency.id, "Quản lý văn bản", SCOPES, by="test")
            caller = await office.by_api_key(key)
            assert caller is not None
            callers.append(caller)
        log_keeper = LogKeeper(db, store, vault, SecondPlace(folder / "checkpoints"), clock)
        desk = Desk(
            folder, clock, pki, db, store, vault, office, documents,
            Intake(db, store, workshop, codes=codes, clock=clock, limit=LIMIT),
            Previews(documents, store, workshop, clock), requests, progress, check,
            SignDocument(requests, progress, SigningSteps(tools)),
            EvidenceBundle(db, store, documents, judging, clock, keys=vault, cover=log_keeper.cover), callers[0],
            callers[1], later,
        )  # fmt: skip
        await desk.make_key("con-dau")
        yield desk


SOON = timedelta(minutes=2)
