"""This file names all that a door is handed by the roof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from documents.document import Documents
from documents.evidence import EvidenceBundle
from documents.intake import Intake
from documents.office import Office
from documents.once import Once
from documents.preview import Previews
from documents.results import Results
from documents.resumable import ResumableUploads
from documents.sign_document import SignDocument
from documents.trail import Trail
from documents.trusted import Trusted
from documents.verify_document import Verifying
from hsm.key import KeyVault
from signing.timestamping.source import TimestampSource
from storage.sealed import Sealer


@dataclass(frozen=True)
class Trouble:
    """Something that keeps a part from its work. `part` and `code` are of closed lists; `detail` holds no secret."""

    part: str  # token, store, database, audit, clock, certificates, authority, jobs, settings
    code: str
    detail: str
    stops: bool = True  # whether signing stops for it


@dataclass(frozen=True)
class Limits:
    upload: int  # bytes
    verify: int  # bytes
    requests_per_minute: int
    tsa_networks: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    signatures_at_once: int


@dataclass(frozen=True)
class Rooms:
    address: str  # the public one, without a slash at its end
    production: bool
    limits: Limits
    clock: Callable[[], datetime]
    office: Office
    once: Once
    documents: Documents
    intake: Intake
    uploads: ResumableUploads
    sign: SignDocument
    results: Results
    verifying: Verifying
    previews: Previews
    evidence: EvidenceBundle
    trusted: Trusted
    trail: Trail
    keys: KeyVault
    authority: TimestampSource | None
    seal: Sealer
    ready: Callable[[], Awaitable[Sequence[Trouble]]]
    counts: Callable[[], Awaitable[Mapping[str, float]]]  # gauges for /metrics, by name

    @property
    def demonstration(self) -> bool:
        return self.trusted.snapshot().demonstration
