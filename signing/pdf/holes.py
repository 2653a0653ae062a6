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

CHUNK = 1 << 18
_RANGE_WIDTH = 48


class Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Written:
    """`covered` is the digest over everything but the hole; `state` what `state_of` said of the file."""

    covered: bytes
    hole: Hole
    size: int
    sha256: str
    state: str


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
    with source.open("rb") as original, _writing(source, out) as written:
        if source != out:
            _copy(original, written, begin)
        _digest_pieces(original, begin, (covered, file_digest) if hash_name != "sha256" else (covered,))
        if hash_name == "sha256":  # the same bytes so far: one pass is enough
            file_digest = covered.copy()
        covered.update(ours[:local])
        covered.update(ours[local + hole.length :])
        file_digest.update(ours)
        written.seek(begin)
        written.write(ours)
        written.truncate()
        written.flush()
        state = state_of(written)
    return Written(covered.digest(), hole, end, file_digest.hexdigest(), state)


def _writing(source: Path, out: Path) -> BinaryIO:
    """For writing over what stands there, which is cut off at the end only: giving memory back and taking it again
    costs more than all the rest."""
    return out.open("r+b") if source == out else os.fdopen(os.open(out, os.O_RDWR | os.O_CREAT, 0o666), "r+b")


def _copy(original: BinaryIO, copy: BinaryIO, left: int) -> None:
    """By reference where the file system can, else within the kernel."""
    source, target, at = original.fileno(), copy.fileno(), 0
    try:
        while at < left and (done := os.copy_file_range(source, target, left - at, at, at)):
            at += done
    except OSError as cannot:
        if cannot.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
            raise
    if at < left:
        original.seek(0)
        copy.seek(0)
        shutil.copyfileobj(original, copy, CHUNK)
        original.seek(0)


def _digest_pieces(file: BinaryIO, count: int, digests: tuple[Digest, ...]) -> None:
    """Through one small buffer: memory taken anew for each piece costs as much as the digest."""
    buffer = memoryview(bytearray(min(CHUNK, max(count, 1))))
    at = 0
    while at < count and (got := os.preadv(file.fileno(), [buffer[: min(len(buffer), count - at)]], at)):
        at += got
        for one in digests:
            one.update(buffer[:got])


def sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    _digest_pieces(file, os.fstat(file.fileno()).st_size, (digest,))
    return digest.hexdigest()


def state_of(file: BinaryIO) -> str:
    """Other after each write to the file, each replacement and each restore, as far as the system's clock can tell two
    moments apart (4 ms on Linux): enough to spare an honest caller the digest, no proof against anybody."""
    told = os.fstat(file.fileno())
    return f"{told.st_dev}:{told.st_ino}:{told.st_size}:{told.st_mtime_ns}:{told.st_ctime_ns}"


def fill(file: BinaryIO, hole: Hole, der: bytes) -> None:
    """Zeros stay behind it. The caller has seen that it fits."""
    file.seek(hole.offset + 1)
    file.write(der.hex().encode("ascii"))
