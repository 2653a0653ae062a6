"""The tree over the log: this file hashes it as RFC 9162 2.1 (RFC 6962 2.1) has it, from perfect subtrees.

- Everything is given the hash of a perfect subtree by `Node`: level (2^level leaves) and position among its level.
- A compact range is all that is needed to go on from a size: the perfect subtrees of its binary digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Node = Callable[[int, int], bytes]

EMPTY = hashlib.sha256().digest()
HASH = 32


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class CompactRange:
    size: int = 0
    hashes: tuple[bytes, ...] = ()  # left to right, larger subtrees first

    def append(self, hash: bytes, level: int = 0) -> CompactRange:
        """With one leaf more, or with the perfect subtree of 2^level leaves; the size is a multiple of so many."""
        hashes, size = [*self.hashes, hash], self.size >> level
        while size & 1:
            right = hashes.pop()
            hashes[-1] = node_hash(hashes[-1], right)
            size >>= 1
        return CompactRange(self.size + (1 << level), tuple(hashes))

    def root(self) -> bytes:
        if not self.hashes:
            return EMPTY
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def to_stored(self) -> bytes:
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @staticmethod
    def from_stored(stored: bytes) -> CompactRange:
        """Raises ValueError."""
        size, rest = int.from_bytes(stored[:8], "big"), stored[8:]
        if len(stored) < 8 or len(rest) != HASH * size.bit_count():
            raise ValueError("not a compact range")
        return CompactRange(size, tuple(rest[i : i + HASH] for i in range(0, len(rest), HASH)))


def perfect(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n hashes of one level."""
    level = list(hashes)
    if len(level).bit_count() != 1:
        raise ValueError("not a power of two")
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def inclusion_proof(number: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.3.1: the siblings from the leaf up. Raises ValueError when the leaf is not in the tree."""
    if not 0 <= number < size:
        raise ValueError(f"{number} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if number < middle:
            path.append(_hash(middle, end, node))
            end = middle
        else:
            path.append(_hash(start, middle, node))
            start = middle
    return path[::-1]


def root_from_proof(leaf: bytes, number: int, size: int, proof: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.3.2: the root that the proof leads to. Raises ValueError when it is too short or too long."""
    if not 0 <= number < size:
        raise ValueError(f"{number} is not in a tree of {size}")
    at, last, root = number, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _hash(start: int, end: int, node: Node) -> bytes:
    size = end - start
    if size.bit_count() == 1:
        level = size.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(size)
    return node_hash(_hash(start, middle, node), _hash(middle, end, node))
