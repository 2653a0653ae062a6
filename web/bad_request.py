"""What is wrong with a request before any room is asked: this file names it; `problems.py` has the words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    INVALID = "invalid"
    BAD_HOST = "bad-host"
    BAD_LENGTH = "bad-length"
    HEADERS_TOO_LARGE = "headers-too-large"
    BODY_TOO_LARGE = "body-too-large"
    TOO_SLOW = "too-slow"
    CLIENT_GONE = "client-gone"
    MEDIA_TYPE = "media-type"
    BAD_FORM = "bad-form"
    TOO_MANY_FIELDS = "too-many-fields"
    NO_FILE = "no-file"
    BAD_DISPOSITION = "bad-disposition"
    BAD_KEY = "bad-idempotency-key"
    CHANGED = "changed"
    UPLOAD_VERSION = "upload-version"
    BAD_CHECKSUM = "bad-checksum"
    BAD_RANGE = "bad-range"
    TOO_MANY_REQUESTS = "too-many-requests"
    TOO_MANY_OF_YOURS = "too-many-of-yours"
    TOO_MANY_AT_ONCE = "too-many-at-once"
    NO_AUTHORITY = "no-authority"
    NO_REPORT_KEY = "no-report-key"


class BadRequest(Exception):
    """`data` fills the sentence, `members` stand in the answer, `headers` go with it; `retry_after` in seconds."""

    def __init__(
        self,
        reason: Fault,
        *,
        data: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.data, self.members = reason, data or {}, members or {}
        self.headers, self.retry_after = headers or {}, retry_after
