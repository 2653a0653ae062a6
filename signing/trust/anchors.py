"""Whom we believe, since when and for what (P5): dated data with a digest, cited in every report (V6)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Use(StrEnum):
    SIGNATURES = "signatures"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True)
class Anchor:
    """A certificate believed by itself. One that is no CA is believed for itself only (V6)."""

    certificate: bytes  # DER
    uses: frozenset[Use] = frozenset(Use)
    since: datetime | None = None
    until: datetime | None = None
    demonstration: bool = False
    provenance: str = ""


@dataclass(frozen=True)
class TrustSnapshot:
    """All that is believed at one moment; never changed, only replaced by another snapshot."""

    anchors: tuple[Anchor, ...]

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over the anchors whatever their order."""
        plain = sorted(
            [
                hashlib.sha256(one.certificate).hexdigest(),
                sorted(one.uses),
                one.since.isoformat() if one.since else None,
                one.until.isoformat() if one.until else None,
                one.demonstration,
            ]
            for one in self.anchors
        )
        return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()

    @property
    def demonstration(self) -> bool:
        """Whether any of it is for demonstration only (K6)."""
        return any(one.demonstration for one in self.anchors)
