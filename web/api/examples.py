"""An example for every answer and every question of the API: this file holds them, and a test holds them to the shapes."""

from __future__ import annotations

from typing import Any

DOCUMENT_ID = "0198c2a4-7b1e-7c3a-9f52-3f1f0c9a7d11"
REQUEST_ID = "0198c2a5-02aa-7d10-8a4b-5a0e7b6b2f40"
SHA256 = "5b0c2f6c1d8f0f7a3b1d9d3f8b6a4e2c7d5f1a9e8c6b4d2f0a1b3c5d7e9f8a6b"

RENDITION: dict[str, Any] = {
    "rendition": 1,
    "kind": "received",
    "sha256": SHA256,
    "size": 83412,
    "created_at": "2026-11-24T03:20:11Z",
}
SIGNATURE: dict[str, Any] = {
    "id": REQUEST_ID,
    "document": DOCUMENT_ID,
    "key": "chu-tich",
    "level": "B-T",
    "reached": "B-T",
    "state": "DONE",
    "problem": None,
    "created_at": "2026-11-24T03:20:12Z",
    "ended_at": "2026-11-24T03:20:12Z",
    "to_sign": None,
    "expires_at": None,
}
PREPARED: dict[str, Any] = SIGNATURE | {
    "key": None,
    "reached": None,
    "state": "PREPARED",
    "ended_at": None,
    "to_sign": "MWkwGAYJKoZIhvcNAQkDMQsGCSqGSIb3DQEHATAvBgkqhkiG9w0BCQQxIgQg",
    "expires_at": "2026-11-24T04:20:12Z",
}
WAITING: dict[str, Any] = SIGNATURE | {
    "reached": None,
    "state": "TIMESTAMP_PENDING",
    "problem": {"code": "timestamp-unavailable"},
    "ended_at": None,
}
CANCELLED: dict[str, Any] = SIGNATURE | {
    "key": None,
    "reached": None,
    "state": "REFUSED",
    "problem": {"code": "cancelled"},
}
UPLOADED: dict[str, Any] = {
    "id": DOCUMENT_ID,
    "name": "quyet-dinh-15.pdf",
    "subject": "Về việc cấp giấy phép xây dựng",
    "number": "15/QĐ-UBND",
    "issuer": "UBND xã An Phước",
    "disclosure": "restricted",
    "state": "UPLOADED",
    "pages": 2,
    "size": 83412,
    "sha256": SHA256,
    "version": 1,
    "created_at": "2026-11-24T03:20:11Z",
    "changed_at": "2026-11-24T03:20:11Z",
    "renditions": [],
    "signatures": [],
    "code": "K7MQ-2XRA-9TPC-4WHD-6ZNE",
    "verify_at": "https://kyso.example.gov.vn/v/K7MQ-2XRA-9TPC-4WHD-6ZNE",
    "duplicates": [],
}
DOCUMENT: dict[str, Any] = UPLOADED | {
    "state": "SIGNED",
    "version": 3,
    "renditions": [RENDITION, RENDITION | {"rendition": 2, "kind": "signed", "size": 96120}],
    "signatures": [SIGNATURE],
}
DOCUMENTS: dict[str, Any] = {
    "documents": [UPLOADED | {"code": None, "verify_at": None}],
    "next": "AZjCpHseBzqfUj8fDJp9EQ",
}
UPLOAD: dict[str, Any] = {
    "id": DOCUMENT_ID,
    "length": 83412,
    "received": 0,
    "finished": False,
    "expires_at": "2026-11-25T03:20:11Z",
    "document": f"/api/v1/documents/{DOCUMENT_ID}",
}
KEYS: dict[str, Any] = {
    "keys": [
        {
            "name": "chu-tich",
            "purpose": "signing",
            "holder": "person",
            "subject": "CN=Nguyễn Văn A,O=UBND xã An Phước,C=VN",
            "mechanisms": ["ecdsa-sha256"],
            "not_before": "2026-01-05T00:00:00Z",
            "not_after": "2029-01-05T00:00:00Z",
            "sha256": SHA256,
        }
    ]
}
REPORT: dict[str, Any] = {
    "file": "quyet-dinh-15.pdf",
    "sha256": SHA256,
    "format": "PDF",
    "verdict": "VALID",
    "whole_document": True,
    "policy": {"name": "vn-official", "digest": SHA256},
    "validation_time": "2026-11-24T03:25:00Z",
    "time_source": "NOW",
    "trust": {"digest": SHA256, "demonstration": False},
    "findings": [],
    "signatures": [
        {
            "field": "Signature1",
            "kind": "SIGNATURE",
            "indication": "TOTAL-PASSED",
            "sub_indication": None,
            "level": "B-T",
            "level_present": "B-T",
            "signer": "CN=Nguyễn Văn A,O=UBND xã An Phước,C=VN",
            "claimed_signing_time": "2026-11-24T03:20:12Z",
            "best_signature_time": "2026-11-24T03:20:12Z",
            "timestamps": [],
            "coverage": "WHOLE_DOCUMENT",
            "signed_objects": [],
            "changes_after": [],
            "findings": [],
        }
    ],
}
REPORTS: dict[str, Any] = {
    "verifications": [REPORT, REPORT | {"file": "thu-moi.pdf", "verdict": "NO_SIGNATURE"}]
}
SIVA: dict[str, Any] = {
    "validationReport": {
        "validationConclusion": {
            "policy": {"policyName": "vn-official", "policyDescription": f"SHA-256 {SHA256}"},
            "validationTime": "2026-11-24T03:25:00Z",
            "signaturesCount": 1,
            "validSignaturesCount": 1,
            "validationLevel": "ARCHIVAL_DATA",
            "validatedDocument": {
                "filename": "quyet-dinh-15.pdf",
                "fileHash": "WwwvbB2PD3o=",
                "hashAlgo": "SHA256",
            },
            "validationWarnings": [],
            "verdict": "VALID",
            "signatures": [
                {
                    "id": "S1",
                    "signatureFormat": "PAdES_BASELINE_T",
                    "signedBy": "Nguyễn Văn A",
                    "indication": "TOTAL-PASSED",
                    "subIndication": "",
                    "errors": [],
                    "warnings": [],
                    "claimedSigningTime": "2026-11-24T03:20:12Z",
                    "info": {"bestSignatureTime": "2026-11-24T03:20:12Z"},
                }
            ],
        }
    }
}
PROBLEM: dict[str, Any] = {
    "type": "/problems/not-a-pdf",
    "title": "Không nhận tệp này",
    "status": 422,
    "detail": "Tệp tải lên không phải là PDF.",
    "instance": "urn:uuid:3b0c6a52-58c1-4a0b-8a7c-0f7f6d1f2a90",
    "code": "not-a-pdf",
    "messages": {"vi": "Tệp tải lên không phải là PDF.", "en": "The uploaded file is not a PDF."},
    "saved": {"state": "nothing", "vi": "Không có gì được lưu lại.", "en": "Nothing was saved."},
    "next": {"vi": "Hãy chọn một tệp PDF khác.", "en": "Choose another PDF file."},
    "retryable": False,
}
READY: dict[str, Any] = {"ready": True, "troubles": []}
NOT_READY: dict[str, Any] = {
    "ready": False,
    "troubles": [{"part": "token", "code": "token-away", "stops": True}],
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"

SIGN_WISH: dict[str, Any] = {
    "key": "chu-tich",
    "level": "B-T",
    "reason": "Phê duyệt",
    "mark": {"page": 1, "box": [330, 90, 520, 170], "text": "Nguyễn Văn A", "code": True},
}
PREPARE_WISH: dict[str, Any] = {
    "mode": "prepare",
    "certificate": ("MIIBVTCB/KADAgECAhQVQkdvQ2WvQp8cA2b8mQ7Rz1VxXjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARERU1P"),
    "level": "B-T",
}
COMPLETION: dict[str, Any] = {"signature": "MEUCIQDc5d1V1bYyqf1fP6lQk7qH1yVh2c3JwQ4bO4m8vE0mJwIgQ1pKx0kC3g=="}
KEPT_QUESTION: dict[str, Any] = {"document": DOCUMENT_ID, "rendition": 2}
CODE_QUESTION: dict[str, Any] = {"code": "K7MQ-2XRA-9TPC-4WHD-6ZNE"}
