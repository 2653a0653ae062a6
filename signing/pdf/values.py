"""Values of PDF as they are written: this file turns names, strings, dates and parsed objects into bytes.

A value stays bytes from here on: nothing that stood in a file is rounded, sorted or spelled anew on its way into an update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import cast

import pikepdf

from signing.pdf.tokens import Entry

VIETNAM = timezone(timedelta(hours=7))

# Makes the token of a string that stands in one certain object: encrypted objects encrypt each of their strings.
Strings = Callable[[bytes], bytes]

_REGULAR = frozenset(range(0x21, 0x7F)) - frozenset(b"#/()<>[]{}%")


def literal(text: bytes) -> bytes:
    """A string token that is not encrypted (ISO 32000-1 7.3.4)."""
    if text.isascii() and text.decode("ascii").isprintable():
        return b"(" + text.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"
    return b"<" + text.hex().encode() + b">"


@lru_cache(maxsize=4096)
def name(text: str) -> bytes:
    """A name token; `text` with or without its solidus."""
    octets = text.removeprefix("/").encode("utf-8", "surrogateescape")
    return b"/" + b"".join(bytes([o]) if o in _REGULAR else b"#%02x" % o for o in octets)


def text(value: str) -> bytes:
    """The content of a text string: ASCII, or UTF-16 with its mark (ISO 32000-1 7.9.2.2)."""
    return value.encode("ascii") if value.isascii() else b"\xfe\xff" + value.encode("utf-16-be")


def date(moment: datetime) -> bytes:
    """The content of a date string, to the second, in Vietnam's time."""
    return moment.astimezone(VIETNAM).strftime("D:%Y%m%d%H%M%S+07'00'").encode()


def reference(number: int, generation: int = 0) -> bytes:
    return b"%d %d R" % (number, generation)


def dictionary(entries: Mapping[str, bytes]) -> bytes:
    return b"<<" + b"".join(name(key) + b" " + value for key, value in entries.items()) + b">>"


def array(*members: bytes) -> bytes:
    return b"[" + b" ".join(members) + b"]"


def rectangle(*corners: float) -> bytes:
    return array(*(number(one) for one in corners))


def number(value: float) -> bytes:
    return (f"{value:.4f}".rstrip("0").rstrip(".") or "0").replace("-0", "0", value == 0).encode()


def written(value: pikepdf.Object, strings: Strings | None = None) -> bytes:
    """A parsed value as bytes; references stay references. `strings` where the file is encrypted."""
    if strings is None:
        return value.unparse()
    if isinstance(value, pikepdf.Object) and not value.is_indirect:
        kind = value._type_code
        if kind == pikepdf.ObjectType.string:
            return strings(bytes(value))
        if kind == pikepdf.ObjectType.array:
            return array(*(written(one, strings) for one in raw_members(value)))
        if kind == pikepdf.ObjectType.dictionary:
            return dictionary({key: written(raw(value, key), strings) for key in map(str, value)})
    return value.unparse()


def raw(value: pikepdf.Object, key: str) -> pikepdf.Object:
    """One entry as an object. Raises KeyError."""
    # By a name of its own: pikepdf takes no text that is not UTF-8.
    found = value.get_raw(key if key.isascii() else cast(pikepdf.Name, pikepdf.Object.parse(name(key))))
    if found is None:
        raise KeyError(key)
    return found


def raw_members(value: pikepdf.Object) -> list[pikepdf.Object]:
    """The members of an array as objects, never as Python's numbers, so that 1.50 stays 1.50."""
    with pikepdf.explicit_conversion():
        return list(iter(value))


def changed(entries: Sequence[Entry], changes: Mapping[str, bytes]) -> bytes:
    """A dictionary as it stands in a file, with these entries instead of its own."""
    kept = b"".join(one.key + b" " + one.value for one in entries if one.name not in changes)
    return b"<<" + kept + b"".join(name(key) + b" " + value for key, value in changes.items()) + b">>"


def with_entries(
    value: pikepdf.Object, changes: Mapping[str, bytes], strings: Strings | None = None
) -> bytes:
    """A parsed dictionary as bytes, with these entries instead of its own. The parsed one loses them."""
    for key in changes:
        if key in value:
            del value[key]
    added = b"".join(name(key) + b" " + entry for key, entry in changes.items())
    if strings is None:
        return value.unparse(resolved=True).removesuffix(b">>") + added + b">>"
    kept = {key: written(raw(value, key), strings) for key in map(str, value)}
    return dictionary(kept).removesuffix(b">>") + added + b">>"
