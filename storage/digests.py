"""SHA-256 of files of any size: this file hashes them piece by piece, so that nothing is ever whole in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

PIECE = 1 << 20


def sha256_of(file: Path) -> str:
    with file.open("rb", buffering=0) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def copy_hashing(source: BinaryIO, out: BinaryIO) -> str:
    """The SHA-256, in hexadecimal, of what was copied."""
    digest = hashlib.sha256()
    while piece := source.read(PIECE):
        digest.update(piece)
        out.write(piece)
    return digest.hexdigest()
