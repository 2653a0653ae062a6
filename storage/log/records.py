"""Audit records: this file writes them down, in the same transaction as what they tell of (P4).

- A record's body is canonical JSON (RFC 8785) with a version; it is never changed. Its number comes later, from the
  sequencer: two writers need not wait for one another.
- Personal data enters a body only as a commitment, HMAC-SHA-256 of the value under 32 random bytes; value and salt lie
  beside it and can be erased, after which the commitment says nothing.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.door import Door
from storage.identifiers import uuid7
from storage.log.proofs import proof_of
from storage.schema import AuditDetailRow, AuditRecordRow

VERSION = 1
SALT = 32


def record(  # noqa: PLR0913 - the fields of a record, each by its name
    door: Door,
    *,
    agency: UUID,
    kind: str,
    at: datetime,
    about: UUID | None = None,
    facts: Mapping[str, Any] | None = None,
    personal: Mapping[str, str] | None = None,
) -> UUID:
    """`kind` is `<thing>.<what happened>`; `facts` are JSON without fractions and name no person but by identifier.
    Raises ValueError for what has no canonical form."""
    id = uuid7(at)
    salts = {name: secrets.token_bytes(SALT) for name in personal or {}}
    body = canonical(
        {
            "v": VERSION,
            "id": str(id),
            "agency": str(agency),
            "kind": kind,
            "at": rfc3339(at),
            "about": str(about) if about else None,
            "facts": dict(facts or {}),
            "personal": {
                name: commitment(salts[name], value).hex() for name, value in (personal or {}).items()
            },
        }
    )
    door.put(AuditRecordRow, id=id, agency=agency, about=about, body=body)
    for name, value in (personal or {}).items():
        door.put(AuditDetailRow, record=id, name=name, agency=agency, salt=salts[name], value=value)
    return id


def commitment(salt: bytes, value: str) -> bytes:
    return hmac.digest(salt, value.encode(), "sha256")


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785. Raises ValueError; fractions are refused: they differ between languages."""
    _no_fractions(value)
    try:
        return rfc8785.dumps(dict(value))
    except rfc8785.CanonicalizationError as why:
        raise ValueError(str(why)) from why


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def records_about(session: Session, about: UUID, *, agency: UUID) -> list[dict[str, Any]]:
    """For the evidence bundle: what an agency recorded about a thing, in the order of the identifiers. Each with the
    exact body, what opens its commitments, and its proof against the oldest checkpoint that covers it, if there is one
    yet. Over the whole service: a proof is made of the hashes of other agencies' records."""
    ours = (AuditRecordRow.about == about) & (AuditRecordRow.agency == agency)
    rows = list(session.scalars(select(AuditRecordRow).where(ours).order_by(AuditRecordRow.id)))
    details: dict[UUID, dict[str, dict[str, str]]] = {}
    for one in session.scalars(
        select(AuditDetailRow).where(AuditDetailRow.record.in_([row.id for row in rows]))
    ):
        details.setdefault(one.record, {})[one.name] = {"salt": one.salt.hex(), "value": one.value}
    return [
        {
            "body": row.body.decode(),
            "record": json.loads(row.body),
            "personal": details.get(row.id, {}),
            "proof": proof_of(session, row),
        }
        for row in rows
    ]


def _no_fractions(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError("a fraction in an audit record")
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise ValueError("a name that is no text in an audit record")
            _no_fractions(one)
    elif isinstance(value, list | tuple):
        for one in value:
            _no_fractions(one)
