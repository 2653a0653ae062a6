"""The rooms behind the API, as the tests of the door want them: this file puts real ones together on a folder and SQLite.

Keys lie in memory here: what a token does is tested in `tests/rooms/hsm/` and in the stories.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from documents.codes import Codes
from documents.document import Documents
from documents.evidence import EvidenceBundle, EvidenceKeeper
from documents.intake import Intake
from documents.judging import Judging
from documents.office import Agency, Office
from documents.once import Once
from documents.preview import Previews
from documents.progress import Progress
from documents.requests import Requests
from documents.results import Results
from documents.resumable import ResumableUploads
from documents.rooms import Limits, Rooms, Trouble
from documents.sign_document import SignDocument
from documents.signer_check import SignerCheck
from documents.signing_steps import SigningSteps, Timestamping, Tools
from documents.trail import Trail
from documents.trusted import Trusted
from documents.verify_document import Verifying
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from signing.timestamping.source import TimestampSource, TimestampUnavailable
from signing.trust.anchors import Anchor
from signing.trust.revocation import Revocation
from signing.workshop import Workshop
from storage.database import Database
from storage.folder_store import FolderStore
from storage.sealed import Sealer
from storage.store import ObjectStore

LIMITS = Limits(
    upload=300 * 1024 * 1024, verify=8 * 1024 * 1024, requests_per_minute=100_000, tsa_networks=("192.0.2.0/24",),
    trusted_proxies=("198.51.100.7/32",), signatures_at_once=4,
)  # fmt: skip
SCOPES = ("documents:write", "documents:read", "sign:*", "sign:certificate", "verify", "timestamp")


class NoAuthority:
    """Stands where a time-stamp authority would: it is away."""

    def resting(self) -> float:
        return 0.0

    async def stamp(self, request: bytes) -> bytes:
        raise TimestampUnavailable(("away",))


@dataclass
class Wishes:
    """How the rooms of a test are to be."""

    folder: Path
    address: str = "http://127.0.0.1:8000"
    production: bool = False
    limits: Limits = LIMITS
    authority: TimestampSource | None = None
    troubles: list[Trouble] = field(default_factory=list)
    store: ObjectStore | None = None  # a folder unless given
    database: str = ""  # a URL; SQLite in the folder unless given
    password_file: Path | None = None


def certificate_for(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Self-signed, DER: enough where no path is asked for."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2040, 1, 1))
    return made.sign(key, SHA256()).public_bytes(Encoding.DER)


@asynccontextmanager
async def open_rooms(wishes: Wishes) -> AsyncIterator[Rooms]:
    def clock() -> datetime:
        return datetime.now(UTC)

    folder = wishes.folder
    db = Database(
        wishes.database or f"sqlite:///{folder / 'antin.sqlite'}", password_file=wishes.password_file
    )
    db.migrate()
    store = wishes.store or FolderStore(folder / "store")
    seal = Sealer(folder / "seal.key")
    workshop = Workshop(1)
    codes = Codes(seal, wishes.address)
    trusted = Trusted(db, clock)
    await trusted.reload()
    documents = Documents(db, store)
    previews = Previews(documents, store, workshop, clock)
    revocation = Revocation(None, clock=clock)
    judging = Judging(workshop, revocation, trust=trusted.snapshot, clock=clock)
    results = Results(db, documents, codes=codes, judging=judging, previews=previews, clock=clock)
    progress = Progress(db, clock)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vault = UnsafeMemoryVault()

    async def later(*_: object) -> None:
        return None

    steps = SigningSteps(
        Tools(
            progress=progress, store=store, keys=vault, check=SignerCheck(revocation, trust=trusted.snapshot, clock=clock),
            workshop=workshop,
            timestamping=Timestamping(wishes.authority or NoAuthority(), 4096), trust=trusted.snapshot,
            evidence=EvidenceKeeper(store, clock), clock=clock, later=later,
        )
    )  # fmt: skip

    async def ready() -> Sequence[Trouble]:
        return wishes.troubles

    async def counts() -> dict[str, float]:
        return {"signing_requests_PREPARED": 0.0}

    intake = Intake(db, store, workshop, codes=codes, clock=clock, limit=wishes.limits.upload)
    try:
        yield Rooms(
            address=wishes.address, production=wishes.production, limits=wishes.limits, clock=clock,
            office=Office(db, clock, hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
            once=Once(db, clock, seal, started_at=clock()), documents=documents,
            intake=intake,
            uploads=ResumableUploads(db, store, intake, documents, clock=clock, limit=wishes.limits.upload),
            sign=SignDocument(Requests(db, clock, seal), progress, steps), results=results,
            verifying=Verifying(db, store, documents, judging, results, previews, clock, wishes.limits.verify),
            previews=previews, evidence=EvidenceBundle(db, store, documents, judging, clock, keys=vault), trusted=trusted,
            trail=Trail(db, clock, keys=vault, elsewhere=folder / "checkpoints"), keys=vault,
            authority=wishes.authority, seal=seal, ready=ready, counts=counts,
        )  # fmt: skip
    finally:
        await workshop.close()
        await db.close()


@dataclass
class People:
    """Two agencies, each with a program; the first has a key for its program to use."""

    agency: Agency
    key: str
    other_key: str
    private: ec.EllipticCurvePrivateKey


async def settle(rooms: Rooms) -> People:
    agency = await rooms.office.make_agency("Ủy ban nhân dân xã An Phước", "UBND xã An Phước", by="test")
    other = await rooms.office.make_agency("Ủy ban nhân dân xã Hòa Bình", "UBND xã Hòa Bình", by="test")
    client, key = await rooms.office.make_client(agency.id, "Quản lý văn bản", SCOPES, by="test")
    _, other_key = await rooms.office.make_client(other.id, "Quản lý văn bản", SCOPES, by="test")
    private = ec.generate_private_key(ec.SECP256R1())
    vault = rooms.keys
    assert isinstance(vault, UnsafeMemoryVault)
    description = KeyDescription(
        name="con-dau", agency=agency.id, purpose=Purpose.SEAL, holder=Holder(HolderKind.AGENCY, agency.id),
        granted=frozenset({client.id}), certificate=certificate_for(private, "UBND xã An Phước"), chain=(),
        mechanisms=(),
    )  # fmt: skip
    vault.add(description, private)
    # Believed for itself alone (V6): no path, and nobody who could revoke it.
    await rooms.trusted.add(Anchor(description.certificate), confirmed_by="test")
    vault.add(replace(description, name="dau-thoi-gian", purpose=Purpose.TIME_STAMPING), private)
    return People(agency, key, other_key, private)
