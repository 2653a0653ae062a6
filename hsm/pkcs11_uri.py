"""Names of tokens and keys: this file reads and writes PKCS#11 URIs (RFC 7512).

- A URI carries no PIN and no way to one: `pin-value` and `pin-source` are refused (RFC 7512 5 warns of the first; the PIN's
  places are the keeper's own).
- What is not understood is refused, not skipped: a key named too loosely could be another key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

SCHEME = "pkcs11:"
LIMIT = 4096  # bytes; no token needs more

_PATH = ("token", "manufacturer", "model", "serial", "object", "id", "type")
_QUERY = ("module-path",)
# RFC 7512 2.3: unreserved and sub-delims that stand for themselves in either component, and percent-encoding.
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=/?|&]|%[0-9A-Fa-f]{2})*")
_PLAIN = "-._~:[]@!$'()*+,="


class NotPkcs11Uri(ValueError):
    """The text is no PKCS#11 URI that we understand."""


@dataclass(frozen=True)
class Pkcs11Uri:
    """None means: not said, anything matches. `id` is CKA_ID, `object` CKA_LABEL (RFC 7512 2.3)."""

    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    object: str | None = None
    id: bytes | None = None
    type: str | None = None
    module_path: Path | None = None

    @staticmethod
    def parse(text: str) -> Pkcs11Uri:
        """Raises NotPkcs11Uri."""
        if not text.startswith(SCHEME) or len(text) > LIMIT:
            raise NotPkcs11Uri("no pkcs11: URI")
        path, _, query = text[len(SCHEME) :].partition("?")
        found = _pairs(path, ";", _PATH) | _pairs(query, "&", _QUERY)
        words = {name: _text(value) for name, value in found.items() if name != "id"}
        module = words.get("module-path")
        if module is not None and not module.startswith("/"):
            raise NotPkcs11Uri("module-path is not absolute")
        if words.get("type") not in {None, "private", "public", "cert"}:
            raise NotPkcs11Uri("type")
        return Pkcs11Uri(
            token=words.get("token"),
            manufacturer=words.get("manufacturer"),
            model=words.get("model"),
            serial=words.get("serial"),
            object=words.get("object"),
            id=found.get("id"),
            type=words.get("type"),
            module_path=Path(module) if module is not None else None,
        )

    def is_of(self, token: Any) -> bool:
        """Whether a token of the library is the one that is named, as far as it is named."""
        return (
            self.token in {None, token.label}
            and self.serial in {None, token.serial.decode(errors="replace")}
            and self.manufacturer in {None, token.manufacturer_id}
            and self.model in {None, token.model}
        )

    def __str__(self) -> str:
        path = [
            f"{name}={_quote(value)}"
            for name in _PATH
            if (value := getattr(self, name)) is not None and name != "id"
        ]
        if self.id is not None:
            path.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))  # 2.3: all of it percent-encoded
        query = [
            f"{name}={_quote(str(value), more='/')}"
            for name in _QUERY
            if (value := getattr(self, name.replace("-", "_"))) is not None
        ]
        return SCHEME + ";".join(path) + ("?" + "&".join(query) if query else "")


def _pairs(component: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in component.split(separator) if component else ():
        name, equals, value = part.partition("=")
        if not equals or name not in known or name in found:
            raise NotPkcs11Uri(f"attribute {name[:40]!r}")
        if not _VALUE.fullmatch(value):
            raise NotPkcs11Uri(f"value of {name}")
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as wrong:
        raise NotPkcs11Uri("not UTF-8") from wrong
    if "\0" in text:
        raise NotPkcs11Uri("NUL")
    return text


def _quote(value: str, more: str = "") -> str:
    return quote_from_bytes(value.encode(), safe=_PLAIN + more)
