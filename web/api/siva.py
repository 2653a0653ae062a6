"""The report in the shape of SiVa 3 (Estonia's Signature Verification Service), for programs that know that one: this
file translates. The names are SiVa's, the judgement is ours.

- A signature is valid there if it is TOTAL-PASSED; whether the file is, stands beside it in `verdict`, which SiVa lacks:
  bytes behind the last signature are no signature's matter there.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from signing.verification.report import (
    CADES,
    CertificateFacts,
    Coverage,
    Finding,
    Indication,
    Report,
    Severity,
    SignatureKind,
    SignatureReport,
    Telling,
    rfc3339,
)

MEDIA_TYPE = "application/vnd.siva.v3+json"


def to_siva(report: Report, *, say: Telling) -> dict[str, Any]:
    signed = [one for one in report.signatures if one.kind is SignatureKind.SIGNATURE]
    stamps = [one for one in report.signatures if one.kind is SignatureKind.DOCUMENT_TIMESTAMP]
    conclusion: dict[str, Any] = {
        "policy": {"policyName": report.policy_name, "policyDescription": f"SHA-256 {report.policy_digest}"},
        "validationTime": rfc3339(report.validation_time),
        "signaturesCount": len(signed),
        "validSignaturesCount": sum(one.indication is Indication.TOTAL_PASSED for one in signed),
        "validationLevel": "ARCHIVAL_DATA",
        "validatedDocument": {
            "filename": report.file,
            "fileHash": base64.b64encode(bytes.fromhex(report.sha256)).decode(),
            "hashAlgo": "SHA256",
        },
        "validationWarnings": [{"content": said} for said in _said(report.findings, list(Severity), say)],
        "verdict": report.verdict.value,
        "signatures": [_signature(one, number, say, report.format) for number, one in enumerate(signed, 1)],
    }
    if stamps:
        conclusion["timeStampTokens"] = [_stamp(one, say) for one in stamps]
    return {"validationReport": {"validationConclusion": conclusion}}


def _signature(one: SignatureReport, number: int, say: Telling, kind: str) -> dict[str, Any]:
    whole = one.coverage is Coverage.WHOLE_DOCUMENT
    stamped = next((stamp.time for stamp in one.timestamps if stamp.type == "SIGNATURE" and stamp.time), None)
    said: dict[str, Any] = {
        "id": f"S{number}",
        "signatureFormat": _format(one.level or one.level_present, kind),
        "signedBy": one.chain[0].common_name if one.chain else (one.signer or ""),
        "indication": one.indication.value,
        "subIndication": one.sub_indication.value if one.sub_indication else "",
        "errors": [{"content": text} for text in _said(one.findings, [Severity.ERROR], say)],
        "warnings": [{"content": text} for text in _said(one.findings, [Severity.WARNING], say)],
        "signatureScopes": [
            {
                "name": one.field,
                "scope": "FullSignatureScope" if whole else "PartialSignatureScope",
                "content": "Full document" if whole else "The document as it was signed",
            }
        ],
        "claimedSigningTime": rfc3339(one.claimed_signing_time) or "",
        "info": {
            "bestSignatureTime": rfc3339(one.best_signature_time) or "",
            **({"timestampCreationTime": rfc3339(stamped)} if stamped else {}),
        },
        "certificates": [_certificate(each, at) for at, each in enumerate(one.chain)],
    }
    if one.chain:
        said["subjectDistinguishedName"] = {"commonName": one.chain[0].common_name, "serialNumber": ""}
    return said


def _stamp(one: SignatureReport, say: Telling) -> dict[str, Any]:
    return {
        "indication": one.indication.value,
        "signedBy": one.chain[0].common_name if one.chain else (one.signer or ""),
        "signedTime": next((rfc3339(stamp.time) for stamp in one.timestamps if stamp.time), ""),
        "error": [{"content": text} for text in _said(one.findings, [Severity.ERROR], say)],
    }


def _certificate(one: CertificateFacts, at: int) -> dict[str, str]:
    kind = "SIGNING" if at == 0 else "INTERMEDIATE"
    return {"commonName": one.common_name, "type": kind, "sha256": one.sha256}


def _format(level: str | None, kind: str) -> str:
    """`PAdES_BASELINE_LT`, `CAdES_BASELINE_B`; of a signature from before both `PKCS7_LT`."""
    family, _, reached = (level or "PKCS7-B").partition("-")
    baseline = "CAdES" if kind == CADES else "PAdES"
    return f"{baseline}_BASELINE_{reached}" if family == "B" else f"PKCS7_{reached}"


def _said(findings: Iterable[Finding], severities: list[Severity], say: Telling) -> list[str]:
    return [say(one)[0] for one in findings if one.severity in severities]
