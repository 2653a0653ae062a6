"""What is asked about a PDF: this file holds the question, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from signing.trust.anchors import TrustSnapshot
from signing.verification.policy import Policy
from signing.verification.report import TimeSource


@dataclass(frozen=True)
class Question:
    """`at` is the validation time. Where `time_source` is CLAIMED each signature is judged at the time that it claims,
    and at `at` where it claims none. `crls`: DER or PEM that somebody named by hand."""

    name: str
    sha256: str
    trust: TrustSnapshot
    policy: Policy
    at: datetime
    time_source: TimeSource
    password: str | None = None
    crls: tuple[bytes, ...] = ()
