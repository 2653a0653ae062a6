"""Holes for signatures: this file writes an update behind a copy of a file, digests all but the hole, and fills it later.

- Files are copied by the system and read in pieces: none is ever whole in memory unless it is small.
- `/ByteRange` has a fixed width, so that it can be known after everything else stands (ISO 32000-1 12.8.1).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from signing.prepared import Hole

CHUNK = 1 << 20
_RANGE_WIDTH = 48


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Written:
    """`covered` is the digest over everything but the hole."""

    covered: bytes
    hole: Hole
    size: int
    sha256: str


def entries(room: int) -> dict[str, bytes]:
    """The two entries of a signature dictionary that `write` fills in; `room` in bytes of DER."""
    return {"/ByteRange": b"[" + b" " * _RANGE_WIDTH + b"]", "/Contents": b"<" + b"0" * (2 * room) + b">"}


def write(source: Path, out: Path, update: bytes, *, room: int, hash_name: str) -> Written:
    """Makes `out` of `source` and the update, in which the first hole of this room is the signature's. `source` and
    `out` may be the same file: then it grows."""
    begin = source.stat().st_size
    ours, end = bytearray(update), begin + len(update)
    contents = entries(room)["/Contents"]
    local = update.index(b"/Contents " + contents) + len(b"/Contents ")
    hole = Hole(begin + local, len(contents))
    after = hole.offset + hole.length
    where = update.rindex(b"/ByteRange ", 0, local) + len(b"/ByteRange ")
    byte_range = b"[0 %d %d %d" % (hole.offset, after, end - after)
    ours[where : where + _RANGE_WIDTH + 2] = byte_range.ljust(_RANGE_WIDTH + 1) + b"]"
    covered, file_digest = hashlib.new(hash_name), hashlib.sha256()
    with source.open("rb") as original:
        if source != out:
            _copy(original, out)
        _digest_pieces(original, begin, (covered, file_digest) if hash_name != "sha256" else (covered,))
    if hash_name == "sha256":  # the same bytes so far: one pass is enough
        file_digest = covered.copy()
    covered.update(ours[:local])
    covered.update(ours[local + hole.length :])
    file_digest.update(ours)
    with out.open("r+b") as written:
        written.seek(begin)
        written.write(ours)
    return Written(covered.digest(), hole, end, file_digest.hexdigest())


def _copy(original: BinaryIO, out: Path) -> None:
    """By reference where the file system can, else within the kernel."""
    with out.open("wb") as copy:
        left = os.fstat(original.fileno()).st_size
        try:
            while left and (done := os.copy_file_range(original.fileno(), copy.fileno(), left)):
                left -= done
            if not left:
                original.seek(0)
                return
        except OSError as cannot:
            if cannot.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
                raise
        original.seek(0)
        copy.seek(0)
        shutil.copyfileobj(original, copy, CHUNK)
        original.seek(0)


def _digest_pieces(file: BinaryIO, count: int, digests: tuple[Digest, ...]) -> None:
    while count and (piece := file.read(min(CHUNK, count))):
        count -= len(piece)
        for one in digests:
            one.update(piece)


def sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def fill(file: BinaryIO, hole: Hole, der: bytes) -> None:
    """Zeros stay behind it. The caller has seen that it fits."""
    file.seek(hole.offset + 1)
    file.write(der.hex().encode("ascii"))
