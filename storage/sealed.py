"""What must be shown again: this file seals it under a key that lies outside the database (C1).

- AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D 8.2.2) and the caller's context as additional data: what was
  sealed for one row does not open for another.
- One key file of 32 random bytes, mode 0600; a key each for sealing and for hashing is derived from it (RFC 5869).
- The form is `0x01 | nonce | ciphertext and tag`: the first byte names it, so that another may come.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.durable import sync_folder

FORM = b"\x01"
NONCE = 12
KEY = 32


class SealBroken(Exception):
    """The bytes were not sealed under this key for this context, or were changed since."""


class KeyFileUnsafe(Exception):
    """The key file can be read by others, or is not 32 bytes."""


class Sealer:
    """Raises KeyFileUnsafe. The key file is made on first use; whoever loses it loses what was sealed."""

    def __init__(self, key_file: Path) -> None:
        secret = _read_or_make(key_file)
        self._cipher = AESGCM(_derive(secret, b"antin seal 1"))
        self._hash_key = _derive(secret, b"antin keyed hash 1")

    def seal(self, content: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return FORM + nonce + self._cipher.encrypt(nonce, content, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises SealBroken."""
        if sealed[:1] != FORM or len(sealed) < 1 + NONCE + 16:
            raise SealBroken("not a sealed form")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], context)
        except InvalidTag as why:
            raise SealBroken("key, context or content differ") from why

    def keyed_hash(self, content: bytes) -> bytes:
        """HMAC-SHA-256 under a key of its own, 32 bytes: finds what only we can name."""
        return hmac.digest(self._hash_key, content, "sha256")


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY, salt=None, info=purpose).derive(secret)


def _read_or_make(file: Path) -> bytes:
    if not file.exists():
        _make(file)
    with file.open("rb") as opened:
        mode = os.fstat(opened.fileno()).st_mode
        secret = opened.read(KEY + 1)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileUnsafe(f"{file} is open to others: mode {stat.S_IMODE(mode):o}, wanted 600")
    if len(secret) != KEY:
        raise KeyFileUnsafe(f"{file} holds {len(secret)} bytes, wanted {KEY}")
    return secret


def _make(file: Path) -> None:
    """Two processes may start at once: the first link wins, both read the same key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(secrets.token_bytes(KEY))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(new, file)
        except FileExistsError:
            return
    finally:
        new.unlink()
    sync_folder(file.parent)
