"""What is wished of a signature, and why it cannot be had: this file holds the plain values of `pades.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from hsm.key import Mechanism
from signing.appearance import Mark
from signing.profile import Level


class Unsignable(StrEnum):
    """Why a file, or a wish about it, cannot be signed. Each has its sentence in `web/problems.py`."""

    NOT_A_PDF = "not-a-pdf"
    BYTES_BEFORE_HEADER = "bytes-before-header"  # readers count offsets differently there
    DAMAGED = "damaged"
    DAMAGED_CROSS_REFERENCES = "damaged-cross-references"
    NO_PAGES = "no-pages"
    TOO_COMPLEX = "too-complex"  # one of our limits
    TOO_LARGE = "too-large"
    PASSWORD_NOT_GIVEN = "password-not-given"  # noqa: S105
    PASSWORD_WRONG = "password-wrong"  # noqa: S105
    ENCRYPTION_UNKNOWN = "encryption-unknown"  # by certificate, or by a method nobody knows
    XFA = "xfa"
    JAVASCRIPT = "javascript"
    EMBEDDED_FILES = "embedded-files"
    CERTIFIED_NO_CHANGES = "certified-no-changes"
    CERTIFICATION_NOT_FIRST = "certification-not-first"
    FIELD_LOCKED = "field-locked"  # by an earlier signature
    NO_SUCH_FIELD = "no-such-field"
    FIELD_NOT_FOR_SIGNATURES = "field-not-for-signatures"
    FIELD_ALREADY_SIGNED = "field-already-signed"
    SEED_VALUE = "seed-value"  # the field demands what we do not give
    NO_SUCH_PAGE = "no-such-page"
    MARK_OFF_PAGE = "mark-off-page"
    MARK_DOES_NOT_FIT = "mark-does-not-fit"
    MARK_IMAGE_REFUSED = "mark-image-refused"
    MARK_LETTER_UNKNOWN = "mark-letter-unknown"
    PDFA_TRANSPARENCY = "pdfa-transparency"  # PDF/A-1 knows no transparency (S5)
    WORDS_TOO_LONG = "words-too-long"


class CannotSign(Exception):
    """A fact of the file or of the wish. No key was touched."""

    def __init__(self, reason: Unsignable, detail: str = "", data: dict[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.data = reason, detail, data or {"detail": detail}

    def __reduce__(self) -> tuple[type[CannotSign], tuple[Unsignable, str, dict[str, str]]]:
        return CannotSign, (self.reason, self.detail, self.data)


@dataclass(frozen=True)
class Wish:
    """`field`: an existing empty field or the name of a new one. `certify`: DocMDP permission 1..3 makes it a
    certification signature. `claimed_time` becomes /M, and proves nothing."""

    level: Level
    field: str | None = None
    reason: str | None = None
    location: str | None = None
    claimed_time: datetime | None = None
    certify: int | None = None
    mark: Mark | None = None
    allow_javascript: bool = False
    allow_embedded_files: bool = True


@dataclass(frozen=True)
class Signer:
    """Who will sign, and on whose behalf. Certificates are DER, the chain from the issuer upwards."""

    certificate: bytes
    chain: tuple[bytes, ...]
    mechanism: Mechanism
    key: str
    agency: UUID
    person: UUID
    request: UUID
    expires: datetime
