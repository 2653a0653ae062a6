"""The facts we keep, as tables; rows only, no rules.

- Every row carries its agency (P3); what belongs to the service as a whole carries `SERVICE`.
- Identifiers are UUIDv7. Times are UTC.
- Nothing secret stands here in clear: passwords are argon2id, keys and codes are hashes, what must be shown again is
  sealed under a key outside the database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SERVICE = UUID(int=0)  # the agency of rows that belong to no agency


class Utc(TypeDecorator[datetime]):
    """A time in UTC on every database; refuses a time without zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(DeclarativeBase):
    # Every constraint has a name, so that a later migration can speak of it.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,  # a file may be larger than 2 GiB
        datetime: Utc,
        UUID: Uuid,
        bytes: LargeBinary,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }

    agency: Mapped[UUID] = mapped_column()  # every table has it: the door asks for it by this name


class AgencyRow(Row):
    __tablename__ = "agencies"
    agency: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]  # "Ủy ban nhân dân xã An Phước"
    short_name: Mapped[str]  # "UBND xã An Phước"
    created_at: Mapped[datetime]


class PersonRow(Row):
    __tablename__ = "people"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID] = mapped_column(index=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str]
    title: Mapped[str]
    password_hash: Mapped[str | None]
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SessionRow(Row):
    __tablename__ = "sessions"
    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    person: Mapped[UUID] = mapped_column(ForeignKey("people.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ClientRow(Row):
    """An API client: a program that acts for an agency."""

    __tablename__ = "clients"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID] = mapped_column(index=True)
    name: Mapped[str]
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotencyRow(Row):
    """The answer to a POST, so that its repetition gets the same. The key stands hashed, the body sealed."""

    __tablename__ = "idempotency"
    agency: Mapped[UUID] = mapped_column(primary_key=True)
    caller: Mapped[UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes]
    resource: Mapped[UUID]  # what the first call makes, known before it is made
    status: Mapped[int | None]  # None while in progress
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class DocumentRow(Row):
    __tablename__ = "documents"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    created_by: Mapped[UUID]  # person or client
    name: Mapped[str]  # the file name as shown, cleaned
    subject: Mapped[str | None]
    number: Mapped[str | None]  # "15/QĐ-UBND"
    issuer: Mapped[str | None]
    disclosure: Mapped[str] = mapped_column(String(16))  # public | restricted | none (C2)
    state: Mapped[str] = mapped_column(String(32))  # documents/states.py
    pages: Mapped[int | None]
    code_hash: Mapped[bytes | None] = mapped_column(unique=True)
    code_sealed: Mapped[bytes | None]
    working: Mapped[UUID | None]  # the upload, until step 1 keeps it
    working_sha256: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int]  # bytes of the newest rendition or the upload
    version: Mapped[int] = mapped_column(default=1)  # its ETag; rises with every change
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    __table_args__ = (
        Index("documents_by_agency", "agency", "id"),
        Index("documents_by_upload", "agency", "working_sha256"),
    )


class RenditionRow(Row):
    """P1: a document is not a file but has numbered renditions, each an object by its SHA-256."""

    __tablename__ = "renditions"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    document: Mapped[UUID] = mapped_column(ForeignKey("documents.id"))
    ordinal: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))  # received | prepared | signed | augmented | renewed
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    request: Mapped[UUID | None]  # the signing request that made it
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("document", "ordinal"),
        Index("renditions_by_object", "agency", "sha256"),
    )


class SignedRevisionRow(Row):
    """C3: what a brought file is looked up by: SHA-256 of the bytes up to the end of a signature's byte range."""

    __tablename__ = "signed_revisions"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    document: Mapped[UUID] = mapped_column(ForeignKey("documents.id"))
    request: Mapped[UUID | None]
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class SigningRequestRow(Row):
    """One signature wanted on one document, from the moment it is recorded to its end."""

    __tablename__ = "signing_requests"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    document: Mapped[UUID] = mapped_column(ForeignKey("documents.id"), index=True)
    caller: Mapped[UUID]  # person or client who asked
    key: Mapped[str]
    level: Mapped[str] = mapped_column(String(8))
    reached: Mapped[str | None] = mapped_column(String(8))
    wish: Mapped[dict[str, Any]]  # field, reason, place of the mark ...
    secret_sealed: Mapped[bytes | None]  # the document's password, until the request ends
    state: Mapped[str] = mapped_column(String(32), index=True)
    prepared: Mapped[bytes | None]  # PreparedSignature in its stored form
    working: Mapped[UUID | None]  # the prepared file
    check: Mapped[dict[str, Any] | None]  # what was known of the certificate before the token was touched
    judgement: Mapped[dict[str, Any] | None]  # what our own judge said (step 4)
    finished: Mapped[dict[str, Any] | None]  # what step 5 is about to keep, named before it is kept
    lease: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    problem: Mapped[dict[str, Any] | None]
    failures: Mapped[int | None]  # of recovery, one after the other; also how often its worker died
    failing: Mapped[str | None]  # the last one's reason
    rests_until: Mapped[datetime | None]  # recovery leaves it alone until then
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class IntentRow(Row):
    """One attempt to have the prepared bytes signed (K5). Durable before the token is asked."""

    __tablename__ = "intents"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    request: Mapped[UUID] = mapped_column(ForeignKey("signing_requests.id"), index=True)
    ordinal: Mapped[int]
    key: Mapped[str]
    digest: Mapped[bytes]  # SHA-256 of the bytes to be signed
    lease: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), index=True)  # OPEN | WAITING | DELIVERED | VOID | LOST
    ticket: Mapped[str | None]
    signature: Mapped[bytes | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("request", "ordinal"),)


class EvidenceRow(Row):
    """What was known of a certificate when it signed; the bytes lie in `kept` (Circular 15/2025 art 5)."""

    __tablename__ = "evidence"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    request: Mapped[UUID] = mapped_column(ForeignKey("signing_requests.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # certificate | crl | ocsp
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]

    __table_args__ = (Index("evidence_by_object", "agency", "sha256"),)


class KeptFaultRow(Row):
    """P2: an object that is not as it was kept, as long as that is so."""

    __tablename__ = "kept_faults"
    agency: Mapped[UUID] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    fault: Mapped[str] = mapped_column(String(16))  # gone | damaged | unreadable | not-held
    found_at: Mapped[datetime]


class ScrubRow(Row):
    """How far what is kept has been read again: one row."""

    __tablename__ = "scrub"
    agency: Mapped[UUID] = mapped_column(primary_key=True)
    at_agency: Mapped[UUID | None]  # the last object read in this pass
    at_sha256: Mapped[str | None] = mapped_column(String(64))
    began_at: Mapped[datetime]
    next_at: Mapped[datetime]  # nobody reads before
    ended_at: Mapped[datetime | None]  # the last whole pass


class AuditRecordRow(Row):
    """P4: canonical bytes; `number` and `leaf_hash` are given afterwards by the sequencer."""

    __tablename__ = "audit_records"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID] = mapped_column(index=True)
    about: Mapped[UUID | None] = mapped_column(index=True)  # the document, key, person or client it tells of
    body: Mapped[bytes]
    generation: Mapped[int | None]
    number: Mapped[int | None]
    leaf_hash: Mapped[bytes | None]

    __table_args__ = (UniqueConstraint("generation", "number"),)


class AuditDetailRow(Row):
    """Personal data of a record, beside it and erasable; the record holds only the salted commitment."""

    __tablename__ = "audit_details"
    record: Mapped[UUID] = mapped_column(ForeignKey("audit_records.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    agency: Mapped[UUID]
    salt: Mapped[bytes]
    value: Mapped[str]


class AuditNodeRow(Row):
    """A full subtree of 256, 65,536, ... leaves: a proof is made from a few of these, not from every record."""

    __tablename__ = "audit_nodes"
    generation: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)  # 8, 16, ...: it holds 2^level leaves
    position: Mapped[int] = mapped_column(primary_key=True)  # its first leaf's number, divided by 2^level
    agency: Mapped[UUID]
    hash: Mapped[bytes]


class AuditCheckpointRow(Row):
    __tablename__ = "audit_checkpoints"
    generation: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    root: Mapped[bytes]
    state: Mapped[bytes]  # the compact range: hashes of the perfect subtrees, to go on from
    signature: Mapped[bytes | None]
    created_at: Mapped[datetime]


class TrustAnchorRow(Row):
    """P5: whom we believe, since when and for what, and who confirmed it."""

    __tablename__ = "trust_anchors"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    certificate: Mapped[bytes]
    uses: Mapped[list[str]]  # signatures, timestamps
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    demonstration: Mapped[bool]
    provenance: Mapped[str]
    confirmed_by: Mapped[str]
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class RevocationAnswerRow(Row):
    """The newest CRL or OCSP answer per question; its bytes lie in `kept`."""

    __tablename__ = "revocation_answers"
    question: Mapped[bytes] = mapped_column(primary_key=True)  # SHA-256 of address, or of issuer and serial
    agency: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(8))  # crl | ocsp
    sha256: Mapped[str] = mapped_column(String(64))
    this_update: Mapped[datetime]
    next_update: Mapped[datetime | None]
    fetched_at: Mapped[datetime]


class VerificationRow(Row):
    """C3: a brought file's answer, behind an unguessable address, for a quarter of an hour."""

    __tablename__ = "verifications"
    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    working: Mapped[UUID]
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    document: Mapped[UUID | None]  # ours, if it is one
    report: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class UploadRow(Row):
    """A document that comes in parts; finished, it is the document of the same identifier."""

    __tablename__ = "uploads"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    caller: Mapped[UUID] = mapped_column(index=True)  # person or client who began it
    length: Mapped[int]  # bytes, as it was announced
    received: Mapped[int] = mapped_column(default=0)  # bytes that are durable: nothing else is ever told
    metadata_given: Mapped[str]  # `Upload-Metadata`, as it came
    finished: Mapped[bool] = mapped_column(default=False)  # the document is recorded
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class UploadPartRow(Row):
    """The bytes from `start` on; they lie in `working`."""

    __tablename__ = "upload_parts"
    upload: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    agency: Mapped[UUID]
    size: Mapped[int]
    working: Mapped[UUID] = mapped_column(index=True)
