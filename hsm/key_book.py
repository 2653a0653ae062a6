"""The token's own book of keys: this file reads and writes `keys.json` in the token's folder.

- It says which key is whose, for what, and who may use it (K1, K2); the private keys lie in the token.
- Written whole, to a new file, fsync, rename, fsync of the folder: a reader sees the old book or the new one.
- A book that cannot be read is an error, never an empty book.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.mechanisms import mechanisms_of
from hsm.pkcs11_uri import Pkcs11Uri

FILE = "keys.json"
VERSION = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LIMIT = 64 * 1024 * 1024  # bytes

# These sign for nobody outside: their public key is told by other means than a certificate.
WITHOUT_CERTIFICATE = frozenset({Purpose.JOBS, Purpose.AUDIT, Purpose.PROBE})


class BookDamaged(ValueError):
    """The file is no book of keys of this version."""


@dataclass(frozen=True)
class KeyEntry:
    """One key of the token. `certificate` is empty until it is installed; DER, like `public_key` (SPKI)."""

    name: str
    agency: UUID
    purpose: Purpose
    holder: Holder
    uri: str
    public_key: bytes
    granted: frozenset[UUID] = frozenset()
    certificate: bytes = b""
    chain: tuple[bytes, ...] = ()

    def describe(self) -> KeyDescription:
        return KeyDescription(
            name=self.name,
            agency=self.agency,
            purpose=self.purpose,
            holder=self.holder,
            granted=self.granted,
            certificate=self.certificate,
            chain=self.chain,
            mechanisms=mechanisms_of(self.public_key),
            public_key=self.public_key,
        )


@dataclass(frozen=True)
class KeyBook:
    """`token` names module and token (RFC 7512); `uids` may ask for signatures beside the token's own user and root;
    `persons` lets persons' keys be used without a release (K2: development alone)."""

    token: Pkcs11Uri
    uids: frozenset[int] = frozenset()
    persons: bool = False
    keys: tuple[KeyEntry, ...] = ()

    def find(self, name: str) -> KeyEntry | None:
        return next((one for one in self.keys if one.name == name), None)

    def with_key(self, entry: KeyEntry) -> KeyBook:
        """The book with this entry in the place of any of its name, in the order of names."""
        others = [one for one in self.keys if one.name != entry.name]
        return replace(self, keys=tuple(sorted([*others, entry], key=lambda one: one.name)))


def save(folder: Path, book: KeyBook) -> None:
    """Returns when the book would survive a power cut."""
    write_whole(folder / FILE, json.dumps(_plain(book), indent=1, sort_keys=True).encode())


def write_whole(file: Path, content: bytes) -> None:
    """For its owner alone, over what stands there; returns when it would survive a power cut. Raises OSError."""
    new = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """A rename or a new file in it survives a power cut afterwards."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def load(folder: Path) -> KeyBook:
    """Raises BookDamaged, OSError."""
    file = folder / FILE
    if file.stat().st_size > LIMIT:
        raise BookDamaged("too large")
    try:
        plain = json.loads(file.read_bytes())
        if plain["version"] != VERSION:
            raise BookDamaged(f"version {plain['version']}")
        book = KeyBook(
            token=Pkcs11Uri.parse(plain["token"]),
            uids=frozenset(int(one) for one in plain["uids"]),
            persons=plain["persons"] is True,
            keys=tuple(_entry(one) for one in plain["keys"]),
        )
    except BookDamaged:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise BookDamaged(f"{type(wrong).__name__}: {wrong}") from wrong
    if len({one.name for one in book.keys}) != len(book.keys):
        raise BookDamaged("two keys of one name")
    return book


def _plain(book: KeyBook) -> dict[str, Any]:
    return {
        "version": VERSION,
        "token": str(book.token),
        "uids": sorted(book.uids),
        "persons": book.persons,
        "keys": [
            {
                "name": one.name,
                "agency": str(one.agency),
                "purpose": one.purpose.value,
                "holder": {"kind": one.holder.kind.value, "id": str(one.holder.id)},
                "granted": sorted(str(who) for who in one.granted),
                "uri": one.uri,
                "public_key": _base64(one.public_key),
                "certificate": _base64(one.certificate),
                "chain": [_base64(link) for link in one.chain],
            }
            for one in book.keys
        ],
    }


def _entry(plain: dict[str, Any]) -> KeyEntry:
    if not NAME.fullmatch(plain["name"]):
        raise BookDamaged("name of a key")
    uri = Pkcs11Uri.parse(plain["uri"])
    if uri.id is None and uri.object is None:
        raise BookDamaged(f"URI of {plain['name']}: named so loosely it could be another key")
    return KeyEntry(
        name=plain["name"],
        agency=UUID(plain["agency"]),
        purpose=Purpose(plain["purpose"]),
        holder=Holder(HolderKind(plain["holder"]["kind"]), UUID(plain["holder"]["id"])),
        granted=frozenset(UUID(one) for one in plain["granted"]),
        uri=plain["uri"],
        public_key=base64.b64decode(plain["public_key"], validate=True),
        certificate=base64.b64decode(plain["certificate"], validate=True),
        chain=tuple(base64.b64decode(one, validate=True) for one in plain["chain"]),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
