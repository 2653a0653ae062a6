"""What makes a signature last (ETSI EN 319 142-1 5.4, 5.5): this file adds validation material and archive time-stamps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signing.prepared import Hole


@dataclass(frozen=True)
class Material:
    """DER: certificates, CRLs and OCSP responses that a judge will need."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class PreparedTimestamp:
    """A document time-stamp's hole, and the digest over all the rest of the file."""

    hole: Hole
    digest: bytes
    hash_name: str


def add_material(file: Path, material: Material, *, password: str | None = None) -> None:
    raise NotImplementedError


def prepare_archive_timestamp(file: Path, room: int, *, password: str | None = None) -> PreparedTimestamp:
    raise NotImplementedError


def complete_archive_timestamp(file: Path, prepared: PreparedTimestamp, token: bytes) -> None:
    raise NotImplementedError
