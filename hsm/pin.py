"""Where a PIN comes from and when it is not tried: this file reads the PIN and remembers a refused one (T7).

- A PIN lies in a file, in a systemd credential, or in memory after a prompt; never in arguments, environment or logs.
- A PIN that the token refused is never tried again, also not after a restart, until another one is there: real tokens
  lock for good after a few.
- What is remembered is a salted, slow hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from hsm.key_book import sync_folder

FILE = "pin"
STATE = "pin-tried.json"
UNFINISHED_TRIES = 3  # a driver that dies in C_Login may have spent a try of the token each time

PinSource = Callable[[], str]


class NoPin(Exception):
    """No PIN where one should be, or it lies open for others to read."""


def pin_file(folder: Path, given: Path | None = None) -> PinSource:
    """Reads the given file, else the systemd credential `pin`, else `pin` in the token's folder; each time anew, so
    that an operator can put another one there. Raises NoPin."""

    def read() -> str:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        places = [given] if given else [Path(credentials) / FILE] if credentials else []
        try:
            for place in [*places, folder / FILE]:
                if place.is_file():
                    return _read(place)
        except OSError as wrong:  # a folder on the way that we may not enter
            raise NoPin(str(wrong)) from wrong
        raise NoPin("no PIN file")

    return read


def prompted(pin: str) -> PinSource:
    """A PIN that somebody typed; it stays in this process' memory."""
    return lambda: pin


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o007:
                raise NoPin(f"{file} is open to everybody: chmod 0600")
            pin = opened.read(1025).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as wrong:
        raise NoPin(f"{file}: {type(wrong).__name__}") from wrong
    if not pin or len(pin) > 1024 or "\0" in pin:
        raise NoPin(f"{file} holds no PIN")
    return pin


@dataclass(frozen=True)
class _Tried:
    salt: str
    hash: str
    tries: int  # without an end
    refused: str  # the token's word, or ""

    def is_of(self, pin: str) -> bool:
        """What cannot be read refuses every PIN."""
        return not self.hash or secrets.compare_digest(_hash(pin, self.salt), self.hash)


class PinGate:
    """Says whether a PIN may be tried, and remembers how it went."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / STATE

    def may_try(self, pin: str) -> bool:
        """False for the PIN that was refused, or whose tries never came to an end."""
        tried = self._load()
        if tried is None or not tried.is_of(pin):
            return True
        return tried.refused == "" and tried.tries < UNFINISHED_TRIES

    def trying(self, pin: str) -> None:
        """Durable before the token is asked: were the driver to die in it, the try counts."""
        tried = self._load()
        before = tried.tries if tried is not None and tried.is_of(pin) else 0
        self._save(pin, tries=before + 1, refused="")

    def accepted(self) -> None:
        self._file.unlink(missing_ok=True)

    def refused(self, pin: str, why: str) -> None:
        self._save(pin, tries=1, refused=why)

    def _load(self) -> _Tried | None:
        if not self._file.exists():
            return None
        try:
            return _Tried(**json.loads(self._file.read_bytes()))
        except (ValueError, TypeError):
            # Half a file cannot be: it is renamed into place. Somebody wrote it; an operator deletes it.
            return _Tried("", "", UNFINISHED_TRIES, "unreadable")

    def _save(self, pin: str, *, tries: int, refused: str) -> None:
        salt = secrets.token_hex(16)
        state = asdict(_Tried(salt, _hash(pin, salt), tries, refused))
        new = self._file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(json.dumps(state).encode())
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._file)
        sync_folder(self._file.parent)


def _hash(pin: str, salt: str) -> str:
    # 16 MB and some 50 ms each: a PIN is short, but it lies beside this file in the clear for the same reader.
    return hashlib.scrypt(pin.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()
