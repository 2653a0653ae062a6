"""What the judge of our own work says: this file holds its acceptance, as a request keeps it, and its refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

POLICY = "integrity"
REASONS = frozenset({
    "unreadable",  # the update is not as our writer writes
    "second-reader",  # qpdf does not see the file as it should
    "not-found",  # no signature in the prepared field
    "byte-range",
    "other-bytes",  # the document as it came is not the begin
    "digest",
    "padding",  # behind the CMS stands more than zeros
    "cms",  # form, attributes or certificates are not those that were prepared
    "signature",  # the value does not hold
    "timestamp",
    "path",
    "changes",  # something was redefined that no signature needs to change
    "following",  # what stands after the signature is more than material and document time-stamps
})  # fmt: skip


class NotAccepted(Exception):
    """Our own work is not released. `reason` is of REASONS; `detail` is for those who run the service."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class Dated:
    """A time-stamp that was checked. `kind`: SIGNATURE or ARCHIVE."""

    kind: str
    time: datetime
    authority: str
    hash_name: str


@dataclass(frozen=True)
class Judgement:
    """What was looked at and accepted. `path`: SHA-256 of each certificate from the signer's to the anchor's."""

    field: str
    certificate: str  # SHA-256
    digest: str
    hash_name: str
    algorithm: str
    path: tuple[str, ...]
    at: datetime  # the time at which the path was judged
    trust: str
    demonstration: bool
    timestamps: tuple[Dated, ...]
    revisions: int  # that we added

    def to_stored(self) -> dict[str, Any]:
        return {
            "accepted": True,
            "policy": POLICY,
            "field": self.field,
            "certificate": self.certificate,
            "digest": self.digest,
            "hash": self.hash_name,
            "algorithm": self.algorithm,
            "path": list(self.path),
            "at": self.at.isoformat(),
            "trust": self.trust,
            "demonstration": self.demonstration,
            "timestamps": [
                {
                    "kind": one.kind,
                    "time": one.time.isoformat(),
                    "authority": one.authority,
                    "hash": one.hash_name,
                }
                for one in self.timestamps
            ],
            "revisions": self.revisions,
        }
