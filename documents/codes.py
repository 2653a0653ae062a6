"""This file makes and reads the codes printed on results (C1): 80 random bits, check characters, groups of four.

- A code is found by a keyed hash, and shown again to its agency from a seal; both keys lie outside the database.
- Letters and digits that are mistaken for one another are read as the same (Crockford's alphabet).
"""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

from storage.sealed import Sealer

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM, CHECK = 16, 4  # characters of 5 bits each
MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


class Codes:
    def __init__(self, sealer: Sealer, address: str) -> None:
        self._sealer, self._address = sealer, address

    @staticmethod
    def new() -> str:
        """Without separators."""
        random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM))
        return random + _check(random)

    @staticmethod
    def read(typed: str) -> str | None:
        """The code as it was given out, whatever the spaces, hyphens and case; None if the check fails."""
        if len(typed) > 100:
            return None
        code = "".join(c for c in typed.upper() if c.isalnum()).translate(MISREAD)
        if len(code) != RANDOM + CHECK or any(c not in ALPHABET for c in code):
            return None
        return code if secrets.compare_digest(code[RANDOM:], _check(code[:RANDOM])) else None

    @staticmethod
    def spaced(code: str) -> str:
        return "-".join(code[i : i + 4] for i in range(0, len(code), 4))

    def url(self, code: str) -> str:
        """The address in the QR code. Its path is for ever."""
        return f"{self._address}/v/{self.spaced(code)}"

    def hash(self, code: str) -> bytes:
        return self._sealer.keyed_hash(b"code " + code.encode())

    def seal(self, code: str, document: UUID) -> bytes:
        return self._sealer.seal(code.encode(), b"code " + document.bytes)

    def open(self, sealed: bytes, document: UUID) -> str:
        return self._sealer.open(sealed, b"code " + document.bytes).decode()


def _check(random: str) -> str:
    bits = int.from_bytes(hashlib.sha256(b"antin " + random.encode()).digest()[:3]) >> 4
    return "".join(ALPHABET[bits >> shift & 31] for shift in (15, 10, 5, 0))
