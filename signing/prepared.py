"""`PreparedSignature`: a document waiting for one signature, as plain data that survives a restart (K4).

The prepared file has a hole for the signature, filled with zeros. Everything that is needed to fill it stands here;
whoever holds the key is asked to sign `to_sign`, and nothing else, however often it must be asked (K5).
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hsm.key import Mechanism
from signing.profile import Level

STORED_VERSION = 1


class NotPrepared(ValueError):
    """The stored form is of an unknown version or damaged."""


@dataclass(frozen=True)
class Hole:
    """Where the hexadecimal string of `/Contents` lies: the offset of its `<` and its length with both brackets,
    in bytes of the file. `room` = (length - 2) / 2 bytes of CMS fit in."""

    offset: int
    length: int

    @property
    def room(self) -> int:
        return (self.length - 2) // 2


@dataclass(frozen=True)
class PreparedSignature:
    """K4. `to_sign` is the DER SET OF signed attributes; `document_digest` the digest over everything but the hole,
    by the mechanism's hash; `file_size` and `file_sha256` name the prepared file with the hole still empty."""

    format: str  # "PAdES"
    to_sign: bytes
    mechanism: Mechanism
    certificate: bytes
    chain: tuple[bytes, ...]
    document_digest: bytes
    key: str
    agency: UUID
    person: UUID
    request: UUID
    expires: datetime
    level: Level
    field: str
    hole: Hole
    file_size: int
    file_sha256: str
    original_size: int  # the first so many bytes are the document as it came
    file_state: str = ""  # while it is the same the digest need not be asked again; "" is never

    def to_stored(self) -> bytes:
        """Canonical JSON of this version; `from_stored` gives an equal value back."""
        return json.dumps(
            {"version": STORED_VERSION} | asdict(self), sort_keys=True, separators=(",", ":"), default=_plain
        ).encode()

    @staticmethod
    def from_stored(stored: bytes) -> PreparedSignature:
        """Raises NotPrepared."""
        try:
            plain: dict[str, Any] = json.loads(stored)
            if plain.pop("version") != STORED_VERSION:
                raise NotPrepared("stored by another version")
            for name in ("to_sign", "certificate", "document_digest"):
                plain[name] = base64.b64decode(plain[name], validate=True)
            plain["chain"] = tuple(base64.b64decode(one, validate=True) for one in plain["chain"])
            for name in ("agency", "person", "request"):
                plain[name] = UUID(plain[name])
            plain["mechanism"] = Mechanism(plain["mechanism"])
            plain["level"] = Level(plain["level"])
            plain["hole"] = Hole(**plain["hole"])
            plain["expires"] = datetime.fromisoformat(plain["expires"])
            return PreparedSignature(**plain)
        except NotPrepared:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            raise NotPrepared(f"damaged: {wrong}") from wrong


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
