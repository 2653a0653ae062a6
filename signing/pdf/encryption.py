"""What is added to an encrypted file is encrypted as the file is: this file makes its strings and streams.

ISO 32000-2 7.6.3: the key of an object comes from the file's key and the object's number, but for AES-256 (7.6.4).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Literal

import pikepdf
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Method = Literal["none", "rc4", "aes", "aesv3"]


@dataclass(frozen=True)
class Encryption:
    """How a file that was opened with its password is encrypted."""

    key: bytes
    strings: Method
    streams: Method

    @staticmethod
    def of(pdf: pikepdf.Pdf) -> Encryption | None:
        """None where the file is not encrypted. Raises ValueError for a method that is not known."""
        if not pdf.is_encrypted:
            return None
        found = pdf.encryption
        if found.V < 4:  # one method for all, RC4
            stated = pdf.trailer["/Encrypt"].get("/Length", 40) if found.V > 1 else 40
            if stated != 8 * len(found.encryption_key):  # qpdf tries others, most readers do not
                raise ValueError("its key is not as long as is stated")
            return Encryption(found.encryption_key, "rc4", "rc4")
        return Encryption(found.encryption_key, _method(found.string_method), _method(found.stream_method))

    def string(self, octets: bytes, number: int, generation: int) -> bytes:
        """The token of a string in the object of this number."""
        return b"<" + self._encrypt(self.strings, octets, (number, generation)).hex().encode() + b">"

    def stream(self, octets: bytes, number: int, generation: int) -> bytes:
        return self._encrypt(self.streams, octets, (number, generation))

    def _encrypt(self, method: Method, octets: bytes, owner: tuple[int, int]) -> bytes:
        if method == "none":
            return octets
        key = self.key if method == "aesv3" else self._key_of(owner, aes=method == "aes")
        if method == "rc4":
            return Cipher(ARC4(key), None).encryptor().update(octets)
        vector = os.urandom(16)
        padding = 16 - len(octets) % 16
        encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
        return vector + encryptor.update(octets + bytes([padding]) * padding) + encryptor.finalize()

    def _key_of(self, owner: tuple[int, int], *, aes: bool) -> bytes:
        number, generation = owner
        salted = self.key + number.to_bytes(3, "little") + generation.to_bytes(2, "little")
        # The standard says MD5 here; what it protects is only who may read (7.6.3.1 algorithm 1).
        digest = hashlib.md5(salted + (b"sAlT" if aes else b""), usedforsecurity=False).digest()
        return digest[: min(len(self.key) + 5, 16)]


def _method(found: object) -> Method:
    for method in ("none", "rc4", "aes", "aesv3"):
        if str(found).endswith(f".{method}"):
            return method
    raise ValueError(f"encrypted by a method that is not known: {found}")
