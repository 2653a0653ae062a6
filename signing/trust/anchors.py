"""Whom we believe, since when and for what (P5): dated data with a digest, cited in every report (V6).

`load_anchors` reads certificates that a person named; it raises nothing but CannotLoad.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from signing.trust.certificate import Certificate, NotACertificate, read, readable

MAX_FILE = 1 << 20  # bytes
MAX_FILES = 1000
MAX_ANCHORS = 1000
PEM_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----(.+?)-----END", re.DOTALL)


class CannotLoad(ValueError):
    """A file or folder holds no certificate that could be believed, or more than is sensible."""


class Use(StrEnum):
    SIGNATURES = "signatures"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True)
class Anchor:
    """A certificate believed by itself. One that is no CA is believed for itself only (V6). It is believed from
    `since` to `until`; where these are None, as long as the certificate itself says."""

    certificate: bytes  # DER
    uses: frozenset[Use] = frozenset(Use)
    since: datetime | None = None
    until: datetime | None = None
    demonstration: bool = False
    provenance: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal, as `antin trust` shows it."""
        return hashlib.sha256(self.certificate).hexdigest()


@dataclass(frozen=True)
class TrustSnapshot:
    """All that is believed at one moment; never changed, only replaced by another snapshot."""

    anchors: tuple[Anchor, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over the anchors whatever their order."""
        plain = sorted(
            [
                one.fingerprint,
                sorted(one.uses),
                one.since.isoformat() if one.since else None,
                one.until.isoformat() if one.until else None,
                one.demonstration,
            ]
            for one in self.anchors
        )
        return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def by_use(self) -> dict[Use, dict[bytes, Anchor]]:
        """By their certificate."""
        return {use: {one.certificate: one for one in self.anchors if use in one.uses} for use in Use}

    @cached_property
    def read_by_use(self) -> dict[Use, tuple[Certificate, ...]]:
        """Those that can be read."""
        return {use: readable(self.by_use[use]) for use in Use}

    @property
    def demonstration(self) -> bool:
        """Whether any of it is for demonstration only (K6)."""
        return any(one.demonstration for one in self.anchors)


@dataclass(frozen=True)
class AnchorFacts:
    """What a person must see before believing a certificate (K6)."""

    subject: str  # RFC 4514
    fingerprint: str  # SHA-256, in pairs of hexadecimal digits for reading aloud
    not_before: datetime
    not_after: datetime
    ca: bool
    self_issued: bool
    demonstration: bool  # DEMO stands in the subject


def describe(certificate: bytes) -> AnchorFacts:
    """Raises CannotLoad."""
    try:
        seen = read(certificate)
    except NotACertificate as wrong:
        raise CannotLoad(str(wrong)) from wrong
    return AnchorFacts(
        subject=seen.subject_text,
        fingerprint=seen.sha256.upper(),
        not_before=seen.not_before,
        not_after=seen.not_after,
        ca=seen.ca,
        self_issued=seen.self_issued,
        demonstration="DEMO" in seen.subject_text,
    )


def load_anchors(path: Path, *, provenance: str = "") -> tuple[Anchor, ...]:
    """Every certificate of a PEM or DER file, or of every file that lies directly in a folder. In a folder, files
    without a certificate are passed over; a file named by itself must hold one. Each certificate comes once, in the
    order of file names. Raises CannotLoad."""
    try:
        files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
        if len(files) > MAX_FILES:
            raise CannotLoad(f"{path}: more than {MAX_FILES} files")
        found: dict[bytes, Anchor] = {}
        for file in files:
            for der in _certificates(file):
                demonstration = describe(der).demonstration
                found.setdefault(
                    der, Anchor(der, demonstration=demonstration, provenance=provenance or file.name)
                )
    except OSError as wrong:
        raise CannotLoad(f"{path}: {wrong.strerror}") from wrong
    if not found:
        raise CannotLoad(f"{path}: no certificate")
    if len(found) > MAX_ANCHORS:
        raise CannotLoad(f"{path}: more than {MAX_ANCHORS} certificates")
    return tuple(found.values())


def _certificates(file: Path) -> list[bytes]:
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        return []
    return [one for one in pem_blocks(content) if _is_certificate(one)]


def pem_blocks(content: bytes, kind: re.Pattern[bytes] = PEM_CERTIFICATE) -> list[bytes]:
    """What the blocks of PEM hold (nothing for one that is none), else the content as it is."""
    return [_unwrapped(one) for one in kind.findall(content)] or [content]


def _unwrapped(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error:
        return b""


def _is_certificate(der: bytes) -> bool:
    try:
        read(der)
    except NotACertificate:
        return False
    return True
