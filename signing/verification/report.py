"""What a verification says, by its ETSI names (EN 319 102-1 clause 5), as plain data. Programs decide by `verdict`.

`to_json` of a report is the line that `antin verify --json` promises to other programs: it only grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

PDF, CADES, TST = "PDF", "CAdES", "TST"  # formats


class Verdict(StrEnum):
    """V1: the first that applies."""

    UNREADABLE = "UNREADABLE"
    NO_SIGNATURE = "NO_SIGNATURE"
    INVALID = "INVALID"
    INDETERMINATE = "INDETERMINATE"
    VALID = "VALID"


class Indication(StrEnum):
    TOTAL_PASSED = "TOTAL-PASSED"
    TOTAL_FAILED = "TOTAL-FAILED"
    INDETERMINATE = "INDETERMINATE"


class SubIndication(StrEnum):
    """EN 319 102-1 table 5, as far as it can occur here."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    REVOKED_CA_NO_POE = "REVOKED_CA_NO_POE"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    OUT_OF_BOUNDS_NOT_REVOKED = "OUT_OF_BOUNDS_NOT_REVOKED"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    TRY_LATER = "TRY_LATER"
    NO_POE = "NO_POE"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"


class Severity(StrEnum):
    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"


class TimeSource(StrEnum):
    NOW = "NOW"
    GIVEN = "GIVEN"
    CLAIMED = "CLAIMED"


class SignatureKind(StrEnum):
    SIGNATURE = "SIGNATURE"
    DOCUMENT_TIMESTAMP = "DOCUMENT_TIMESTAMP"


class Coverage(StrEnum):
    WHOLE_DOCUMENT = "WHOLE_DOCUMENT"
    REVISION = "REVISION"
    PARTIAL = "PARTIAL"


@dataclass(frozen=True)
class Finding:
    """One thing worth saying. `code` is of the closed list in `wording.py`; `data` fills its sentence."""

    code: str
    severity: Severity
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TimestampReport:
    type: str  # SIGNATURE | CONTENT | ARCHIVE
    indication: Indication
    sub_indication: SubIndication | None
    time: datetime | None
    authority: str | None  # subject, RFC 4514


@dataclass(frozen=True)
class Change:
    """What a later revision did to what was signed (V1)."""

    revision: int  # counted from 1, the first revision of the file
    kind: str
    allowed: bool
    page: int | None = None  # counted from 1


@dataclass(frozen=True)
class CertificateFacts:
    """What a clerk must be shown of a certificate (Circular 15/2025 article 6)."""

    subject: str  # RFC 4514
    issuer: str
    common_name: str
    organization: str | None
    title: str | None
    serial: str  # hexadecimal
    not_before: datetime
    not_after: datetime
    sha256: str


@dataclass(frozen=True)
class SignatureReport:
    field: str
    kind: SignatureKind
    indication: Indication
    sub_indication: SubIndication | None
    level: str | None  # the level whose material passed (V7)
    level_present: str | None  # what stands in the file
    signer: str | None  # RFC 4514
    claimed_signing_time: datetime | None
    best_signature_time: datetime | None
    coverage: Coverage
    timestamps: tuple[TimestampReport, ...] = ()
    signed_objects: tuple[dict[str, str], ...] = ()
    changes_after: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    chain: tuple[CertificateFacts, ...] = ()  # the signer's first
    signed_revision: str | None = None  # SHA-256 of the bytes up to the end of the byte range (C3)
    signed_size: int | None = None  # how many bytes that are


@dataclass(frozen=True)
class Report:
    file: str
    sha256: str
    format: str
    verdict: Verdict
    whole_document: bool
    policy_name: str
    policy_digest: str
    validation_time: datetime
    time_source: TimeSource
    trust_digest: str
    demonstration: bool
    signatures: tuple[SignatureReport, ...] = ()
    findings: tuple[Finding, ...] = ()  # of the file as a whole


def rfc3339(time: datetime | None) -> str | None:
    """UTC with `Z`, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


Telling = Callable[[Finding], tuple[str, str, str]]
"""A finding's three sentences in the reader's language: what it is, what it means, and what to do."""


def to_json(report: Report, *, say: Telling) -> dict[str, Any]:
    """The promised object."""

    def findings(them: tuple[Finding, ...]) -> list[dict[str, Any]]:
        return [
            {"code": one.code, "severity": one.severity.value, "text": text, "means": means, "todo": todo}
            for one in them
            for text, means, todo in [say(one)]
        ]

    return {
        "file": report.file,
        "sha256": report.sha256,
        "format": report.format,
        "verdict": report.verdict.value,
        "whole_document": report.whole_document,
        "policy": {"name": report.policy_name, "digest": report.policy_digest},
        "validation_time": rfc3339(report.validation_time),
        "time_source": report.time_source.value,
        "trust": {"digest": report.trust_digest, "demonstration": report.demonstration},
        "findings": findings(report.findings),
        "signatures": [
            {
                "field": one.field,
                "kind": one.kind.value,
                "indication": one.indication.value,
                "sub_indication": one.sub_indication.value if one.sub_indication else None,
                "level": one.level,
                "level_present": one.level_present,
                "signer": one.signer,
                "claimed_signing_time": rfc3339(one.claimed_signing_time),
                "best_signature_time": rfc3339(one.best_signature_time),
                "timestamps": [
                    {
                        "type": stamp.type,
                        "indication": stamp.indication.value,
                        "sub_indication": stamp.sub_indication.value if stamp.sub_indication else None,
                        "time": rfc3339(stamp.time),
                        "authority": stamp.authority,
                    }
                    for stamp in one.timestamps
                ],
                "coverage": one.coverage.value,
                "signed_objects": list(one.signed_objects),
                "changes_after": [
                    {"revision": c.revision, "kind": c.kind, "allowed": c.allowed, "page": c.page}
                    for c in one.changes_after
                ],
                "findings": findings(one.findings),
                "certificates": [
                    {
                        "subject": c.subject,
                        "issuer": c.issuer,
                        "serial": c.serial,
                        "not_before": rfc3339(c.not_before),
                        "not_after": rfc3339(c.not_after),
                        "sha256": c.sha256,
                    }
                    for c in one.chain
                ],
                "signed_revision": one.signed_revision,
            }
            for one in report.signatures
        ],
    }
