"""What goes over the wire: this file gives each value of the rooms its JSON shape, and reads the wishes of callers.

- A shape only grows; what is unknown in a wish is refused, so that a misspelt wish is never silently not done.
- Bytes are base64 (RFC 4648 4), times RFC 3339 in UTC.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from documents.document import (
    Disclosure,
    Document,
    DocumentState,
    Rendition,
    RenditionKind,
    RequestState,
    SigningRequest,
)
from documents.wish import SignWish
from hsm.key import KeyDescription, Mechanism
from signing.pades import Mark
from signing.profile import Level
from signing.verification.report import rfc3339

Moment = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json-unless-none")]
PLAIN = r"^[^\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"  # no controls, nothing that turns text around
Words = Annotated[str, StringConstraints(max_length=1000, pattern=PLAIN)]
Line = Annotated[str, StringConstraints(max_length=300, pattern=PLAIN)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f]*$")]
Password = Annotated[
    str, StringConstraints(max_length=256, pattern=r"^[^\x00]*$")
]  # no reader of PDF takes a NUL
Points = Annotated[float, Field(ge=-20_000, le=20_000, allow_inf_nan=False)]
Size = Annotated[float, Field(gt=0, le=500, allow_inf_nan=False)]


def read_base64(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("base64 is wanted")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as wrong:
        raise ValueError("not base64") from wrong


def read_certificate(value: object) -> bytes:
    """DER, from PEM or from base64 of DER."""
    try:
        if isinstance(value, str) and "-----BEGIN" in value:
            return x509.load_pem_x509_certificate(value.encode()).public_bytes(Encoding.DER)
        return x509.load_der_x509_certificate(read_base64(value)).public_bytes(Encoding.DER)
    except ValueError as wrong:
        raise ValueError("not a certificate") from wrong


def _not_empty(value: bytes) -> bytes:
    if not value:
        raise ValueError("empty")
    return value


_AS_BASE64 = PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str)
Base64 = Annotated[bytes, BeforeValidator(read_base64, json_schema_input_type=str), _AS_BASE64]
Certificate = Annotated[bytes, BeforeValidator(read_certificate, json_schema_input_type=str), _AS_BASE64]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)


# -- wishes


class DocumentFacts(Shape):
    """What may be said of a document when it is uploaded."""

    disclosure: Disclosure = Disclosure.RESTRICTED
    subject: Words | None = None
    number: Line | None = None
    issuer: Line | None = None


class MarkWish(Shape):
    """The visible mark. `box`: left, bottom, right, top in points from the page's lower left corner."""

    page: int = Field(1, ge=1, le=100_000)
    box: tuple[Points, Points, Points, Points] | None = None
    text: Text | None = None
    image: Base64 | None = None
    image_width_mm: Size | None = None
    qr: Words | None = None
    code: bool = Field(False, description="Draw a QR code of the address where the document is verified")
    text_size: Size | None = None


class SignatureWish(Shape):
    """`sign` uses a key that the service holds; `prepare` gives the bytes to be signed to whoever holds the key of
    `certificate`."""

    mode: Literal["sign", "prepare"] = "sign"
    key: Name | None = None
    certificate: Certificate | None = None
    chain: tuple[Certificate, ...] = Field((), max_length=10)
    level: Level = Level.B_T
    mechanism: Mechanism | None = None
    field: Name | None = None
    reason: Words | None = None
    location: Words | None = None
    certify: int | None = Field(None, ge=1, le=3)
    mark: MarkWish | None = None
    password: Password | None = None

    def wish(self, code_url: str | None) -> SignWish:
        prepare = self.mode == "prepare"
        return SignWish(
            level=self.level,
            key=None if prepare else self.key,
            certificate=self.certificate if prepare else None,
            chain=self.chain if prepare else (),
            mechanism=self.mechanism,
            field=self.field,
            reason=self.reason,
            location=self.location,
            certify=self.certify,
            mark=_mark(self.mark, code_url) if self.mark else None,
            password=self.password,
        )


def _mark(wish: MarkWish, code_url: str | None) -> Mark:
    return Mark(
        page=wish.page,
        box=wish.box,
        text=wish.text,
        image=wish.image,
        image_width_mm=wish.image_width_mm,
        qr=code_url if wish.code else wish.qr,
        text_size=wish.text_size,
    )


class Completion(Shape):
    """PKCS#1 octets, or DER Ecdsa-Sig-Value, over `to_sign`."""

    signature: Annotated[Base64, AfterValidator(_not_empty)]


class BroughtQuestion(Shape):
    """What may be said of a file that is brought to be verified."""

    password: Password | None = None


class KeptQuestion(Shape):
    """Verify a rendition of a kept document, the newest without `rendition`; or what a verification code stands for."""

    document: UUID | None = None
    rendition: int | None = Field(None, ge=1, le=1_000_000)
    code: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="As it is printed; spaces, hyphens and case do not count"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> KeptQuestion:
        if (self.document is None) == (self.code is None) or (
            self.code is not None and self.rendition is not None
        ):
            raise ValueError("either a document, or a code")
        return self


# -- answers


class RenditionShape(Shape):
    rendition: int
    kind: RenditionKind
    sha256: str
    size: int
    created_at: Moment

    @staticmethod
    def of(one: Rendition) -> RenditionShape:
        return RenditionShape(
            rendition=one.ordinal, kind=one.kind, sha256=one.sha256, size=one.size, created_at=one.created_at
        )


class SignatureShape(Shape):
    id: UUID
    document: UUID
    key: str | None
    level: Level
    reached: Level | None
    state: RequestState
    problem: dict[str, Any] | None
    created_at: Moment
    ended_at: Moment | None
    to_sign: Base64 | None
    expires_at: Moment | None

    @staticmethod
    def of(one: SigningRequest) -> SignatureShape:
        return SignatureShape(
            id=one.id, document=one.document, key=one.key or None, level=one.level, reached=one.reached,
            state=one.state, problem=one.problem, created_at=one.created_at, ended_at=one.ended_at,
            to_sign=one.to_sign, expires_at=one.expires,
        )  # fmt: skip


class UploadShape(Shape):
    """`received` bytes of `length` are durable; `document` is there once it was asked for."""

    id: UUID
    length: int
    received: int
    finished: bool
    expires_at: Moment
    document: str


class DocumentShape(Shape):
    id: UUID
    name: str
    subject: str | None
    number: str | None
    issuer: str | None
    disclosure: Disclosure
    state: DocumentState
    pages: int | None
    size: int
    sha256: str | None
    version: int
    created_at: Moment
    changed_at: Moment
    renditions: list[RenditionShape] = []
    signatures: list[SignatureShape] = []
    code: str | None = Field(None, description="Verification code, where the document has one")
    verify_at: str | None = Field(None, description="The address printed in the QR code")
    duplicates: list[UUID] = Field([], description="Other documents of the agency with the same bytes")

    @staticmethod
    def of(one: Document, **more: Any) -> DocumentShape:
        return DocumentShape(
            id=one.id, name=one.name, subject=one.subject, number=one.number, issuer=one.issuer,
            disclosure=one.disclosure, state=one.state, pages=one.pages, size=one.size, sha256=one.sha256,
            version=one.version, created_at=one.created_at, changed_at=one.changed_at,
            renditions=[RenditionShape.of(r) for r in one.renditions],
            signatures=[SignatureShape.of(r) for r in one.requests], **more,
        )  # fmt: skip


class DocumentList(Shape):
    documents: list[DocumentShape]
    next: str | None = Field(description="Cursor of the next page; null on the last")


class KeyShape(Shape):
    name: str
    purpose: str
    holder: str
    subject: str
    mechanisms: list[Mechanism]
    not_before: Moment
    not_after: Moment
    sha256: str = Field(description="Fingerprint of the certificate")

    @staticmethod
    def of(one: KeyDescription) -> KeyShape:
        certificate = x509.load_der_x509_certificate(one.certificate)
        return KeyShape(
            name=one.name, purpose=one.purpose.value, holder=one.holder.kind.value,
            subject=certificate.subject.rfc4514_string(), mechanisms=list(one.mechanisms),
            not_before=certificate.not_valid_before_utc, not_after=certificate.not_valid_after_utc,
            sha256=certificate.fingerprint(SHA256()).hex(),
        )  # fmt: skip


class KeyList(Shape):
    keys: list[KeyShape]


class ReportShape(BaseModel):
    """The object of `antin verify --json`; it only grows."""

    model_config = ConfigDict(extra="allow")

    file: str
    sha256: str
    format: str
    verdict: Literal["VALID", "INVALID", "INDETERMINATE", "NO_SIGNATURE", "UNREADABLE"]
    whole_document: bool
    policy: dict[str, str]
    validation_time: str
    time_source: str
    trust: dict[str, Any]
    findings: list[dict[str, Any]]
    signatures: list[dict[str, Any]]


class ReportList(Shape):
    """Of many files: a report for each, in their order."""

    verifications: list[ReportShape]


class ProblemShape(BaseModel):
    """RFC 9457. Programs decide by `code` and `retryable`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    messages: dict[str, str]
    saved: dict[str, str]
    next: dict[str, str]
    retryable: bool
