"""What was read in a signed file, as plain data: this file holds the facts, no judgement of them.

The child process that reads the file sends them; whoever judges has nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from signing.timestamping.token import Token
from signing.verification.cms_form import SignedData
from signing.verification.pdf_changes import Event
from signing.verification.report import PDF, Coverage, Finding, SignatureKind

INSIDE = "/adbe.pkcs7.sha1"  # the SHA-1 of the document lies inside the CMS and is what is signed (ISO 32000-1 12.8.3.3.1)


class CannotRead(Exception):
    """There is nothing to be judged. `code` is of the closed list of findings."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Step:
    """What one revision changed in the one before it."""

    revision: int  # counted from 1
    end: int  # bytes of the file up to its end
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Lock:
    """FieldMDP: `names` are meant (Include), all others are (Exclude), or all fields (All)."""

    action: str
    names: tuple[str, ...]

    def covers(self, name: str | None) -> bool:
        if self.action == "/All" or name is None:
            return True
        among = any(name == one or name.startswith(one + ".") for one in self.names)
        return among if self.action == "/Include" else not among


@dataclass(frozen=True)
class FoundToken:
    """`digest`: of what the token should be over, by the token's own hash. Without a token: `fault` says why."""

    token: Token | None
    digest: bytes = b""
    fault: str = ""


@dataclass(frozen=True)
class FoundSignature:
    """One filled signature field. `fault`: why its form alone makes it fail; `broken`: ETSI name and reason why its
    bytes or its signature do. `unjudged`: a code of what cannot be judged here."""

    field: str
    kind: SignatureKind
    sub_filter: str
    fault: Finding | None = None
    broken: tuple[str, str] | None = None
    unjudged: Finding | None = None
    oddities: tuple[Finding, ...] = ()
    begin_hole: int = 0
    end_hole: int = 0
    end: int = 0  # of the byte range
    revision: int | None = None  # whose end that is
    coverage: Coverage = Coverage.PARTIAL
    permission: int | None = None  # DocMDP /P
    lock: Lock | None = None
    claimed_time: datetime | None = None
    cms: SignedData | None = None
    token: FoundToken | None = None  # of a document time-stamp
    timestamps: tuple[FoundToken, ...] = ()
    content_timestamps: tuple[FoundToken, ...] = ()
    sees_store: bool = False  # a security store with material stands in its revision
    signed_sha256: str | None = None  # of the bytes in the byte range
    revision_sha256: str | None = None  # of all bytes up to its end (C3)


@dataclass(frozen=True)
class Facts:
    size: int
    revisions: int
    signatures: tuple[FoundSignature, ...] = ()  # in the order of their byte ranges' ends
    steps: tuple[Step, ...] = ()
    doubts: tuple[Finding, ...] = ()  # of the file: never VALID with one of them
    remarks: tuple[Finding, ...] = ()
    certificates: tuple[bytes, ...] = ()  # of the security store
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    unknown_from: int | None = field(default=None)  # revisions from this end on could not be compared
    format: str = PDF
    content: str = ""  # the name of the file that lay beside a detached signature
