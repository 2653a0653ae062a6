"""A key's description on its way through the socket: this file writes and reads it."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

from hsm.frames import BadFrame, base64_of, take, take_bytes, take_list, take_uuid
from hsm.key import Holder, HolderKind, KeyDescription, Mechanism, Purpose

LIMIT = 10_000  # of grants, of certificates in a chain


def plain_description(key: KeyDescription) -> dict[str, object]:
    return {
        "name": key.name,
        "agency": key.agency.hex,
        "purpose": key.purpose.value,
        "holder_kind": key.holder.kind.value,
        "holder": key.holder.id.hex,
        "granted": [one.hex for one in sorted(key.granted)],
        "certificate": base64_of(key.certificate),
        "chain": [base64_of(one) for one in key.chain],
        "mechanisms": [one.value for one in key.mechanisms],
        "public_key": base64_of(key.public_key),
    }


def read_description(plain: Any) -> KeyDescription:
    """Raises BadFrame."""
    if not isinstance(plain, dict):
        raise BadFrame("key")
    try:
        return KeyDescription(
            name=take(plain, "name", str),
            agency=take_uuid(plain, "agency"),
            purpose=Purpose(take(plain, "purpose", str)),
            holder=read_holder(plain),
            granted=read_granted(plain),
            certificate=take_bytes(plain, "certificate"),
            chain=read_chain(plain),
            mechanisms=tuple(Mechanism(one) for one in take_list(plain, "mechanisms", LIMIT)),
            public_key=take_bytes(plain, "public_key"),
        )
    except ValueError as wrong:
        raise BadFrame("key") from wrong


def read_holder(plain: dict[str, Any]) -> Holder:
    """Raises ValueError."""
    return Holder(HolderKind(take(plain, "holder_kind", str)), take_uuid(plain, "holder"))


def read_granted(plain: dict[str, Any]) -> frozenset[UUID]:
    """Raises ValueError."""
    return frozenset(UUID(str(one)) for one in take_list(plain, "granted", LIMIT))


def read_chain(plain: dict[str, Any]) -> tuple[bytes, ...]:
    """Raises ValueError."""
    return tuple(base64.b64decode(str(one), validate=True) for one in take_list(plain, "chain", LIMIT))
