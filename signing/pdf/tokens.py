"""Values of PDF as they stand in a file: this file cuts dictionaries and arrays into their members, byte for byte.

- A reader that mends (qpdf) leaves out what it cannot read, and spells anew what it can. What an update writes again must
  lose nothing, so it is cut out of the file's own bytes.
- Nothing here recurses, and every step takes a byte away: hostile nesting costs time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MOST_MEMBERS = 1_000_000

_SPACE = rb"(?:[\x00\t\n\x0c\r ]|%[^\r\n]*)*+"
_TOKEN = re.compile(
    _SPACE + rb"(?:(?P<open><<|\[|\{)|(?P<close>>>|\]|\})|(?P<hex><[^<>]*>)|(?P<text>\()"
    rb"|(?P<name>/[^\x00\t\n\x0c\r ()<>\[\]{}/%]*)|(?P<word>[^\x00\t\n\x0c\r ()<>\[\]{}/%]+))"
)
_IN_TEXT = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|\r\n|.)|\r\n?", re.DOTALL)
_NAMED = re.compile(rb"#([0-9a-fA-F]{2})")
_CLOSES = {b"<<": b">>", b"[": b"]", b"{": b"}"}
_SHORT = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"b": b"\b",
    b"f": b"\f",
    b"\r": b"",
    b"\n": b"",
    b"\r\n": b"",
}


class NotPlain(ValueError):
    """What stands there is no dictionary or array that every reader reads alike. `short`: the bytes end too early."""

    def __init__(self, why: str, *, short: bool = False) -> None:
        super().__init__(why)
        self.short = short


class Entry(NamedTuple):
    """`key` as it stands with its solidus, `name` as it reads, `value` as it stands."""

    key: bytes
    name: str
    value: bytes


def dictionary_at(data: bytes, at: int = 0) -> list[Entry]:
    """The entries of the dictionary that begins here, white space and comments apart. Raises NotPlain."""
    members = _members(data, at, b"<<")
    if len(members) % 2:
        raise NotPlain("a key without its value")
    entries = []
    for key, value in zip(members[::2], members[1::2], strict=True):
        if not key.startswith(b"/"):
            raise NotPlain("a key is no name")
        entries.append(Entry(key, name_of(key), value))
    return entries


def array_at(data: bytes, at: int = 0) -> list[bytes]:
    """The members of the array that begins here. Raises NotPlain."""
    return _members(data, at, b"[")


def name_of(token: bytes) -> str:
    """A name as it reads (ISO 32000-1 7.3.5)."""
    return _NAMED.sub(lambda found: bytes([int(found[1], 16)]), token).decode("utf-8", "surrogateescape")


def with_strings(value: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The value with each of its strings replaced by the token that `change` makes of its content. Raises NotPlain."""
    parts, at = [], 0
    while found := _TOKEN.match(value, at):
        begin, end = found.start(found.lastgroup or 0), found.end()
        parts.append(value[at:begin])
        if found["text"] is not None:
            end = _text_end(value, end)
            parts.append(change(_text(value[begin + 1 : end - 1])))
        elif found["hex"] is not None:
            parts.append(change(_hex(found["hex"][1:-1])))
        else:
            parts.append(value[begin:end])
        at = end
    return b"".join(parts) + value[at:]


def _members(data: bytes, at: int, opening: bytes) -> list[bytes]:
    found = _TOKEN.match(data, at)
    if found is None or found["open"] != opening:
        raise NotPlain("neither dictionary nor array", short=found is None)
    closes, members, begins, at = [_CLOSES[opening]], list[bytes](), 0, found.end()
    match = _TOKEN.match
    while len(members) < MOST_MEMBERS:
        found = match(data, at)
        if found is None or (kind := found.lastgroup) is None:
            raise NotPlain("it has no end", short=True)
        begin, at = found.span(kind)
        if kind == "text":
            at = _text_end(data, at)
        elif kind == "open":
            begins = begin if len(closes) == 1 else begins
            closes.append(_CLOSES[data[begin:at]])
            continue
        elif kind == "close":
            if data[begin:at] != closes.pop():
                raise NotPlain("brackets of another kind")
            if not closes:
                return members
            begin = begins
        if len(closes) == 1:
            _add(members, data[begin:at])
    raise NotPlain("too many members")


def _add(members: list[bytes], token: bytes) -> None:
    """Three tokens make a reference."""
    if token == b"R" and len(members) > 1 and members[-1].isdigit() and members[-2].isdigit():
        members[-2:] = [b"%s %s R" % (members[-2], members[-1])]
    else:
        members.append(token)


def _text_end(data: bytes, at: int) -> int:
    """After the bracket that closes the string whose opening one ends here."""
    depth = 1
    for found in _IN_TEXT.finditer(data, at):
        depth += {b"(": 1, b")": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    raise NotPlain("a string has no end", short=True)


def text_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The content of the string whose opening bracket ends here, and the offset behind its closing one. Raises NotPlain."""
    end = _text_end(data, at)
    return _text(data[at : end - 1]), end


def _text(content: bytes) -> bytes:
    return _ESCAPED.sub(_unescaped, content)


def _unescaped(found: re.Match[bytes]) -> bytes:
    """ISO 32000-1 7.3.4.2; an end of line that is not escaped reads as a line feed."""
    escaped = found[1]
    if escaped is None:
        return b"\n"
    if escaped[:1].isdigit() and escaped[:1] < b"8":
        return bytes([int(escaped, 8) & 0xFF])
    return _SHORT.get(escaped, escaped)


def _hex(content: bytes) -> bytes:
    digits = re.sub(rb"[\x00\t\n\x0c\r ]", b"", content)
    try:
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    except ValueError as wrong:
        raise NotPlain("a string has other than hexadecimal digits") from wrong
