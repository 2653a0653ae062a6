"""One object of PDF as it stands in a file (ISO 32000-2 7.3): this file parses it as every reader does, or not at all.

- What some readers take otherwise than others (comments inside an object, odd numbers, two entries of one name, a stream
  whose length is not that of its bytes) is `Odd`: then another reader is asked, and nothing is guessed here.
- Nothing recurses, depth and count are bounded, and each step takes bytes away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, cast

from signing.pdf.objects import Name, Plain, Reference, Text
from signing.pdf.tokens import NotPlain, name_of, text_at

DEEPEST = 64
MOST_TOKENS = 2_000_000

WHITE = b"\x00\t\n\x0c\r "
_WHITE = rb"\x00\t\n\x0c\r "
_END = rb"(?![^\x00\t\n\x0c\r ()<>\[\]{}/%])"  # of a token: white space, a delimiter or nothing
_TOKEN = re.compile(
    rb"[" + _WHITE + rb"]*(?:"
    rb"(\d{1,10})["
    + _WHITE
    + rb"]+(\d{1,5})["
    + _WHITE
    + rb"]+R"
    + _END  # 1, 2: a reference
    + rb"|([+-]?\d{1,18})(?!\.)"
    + _END  # 3: a whole number
    + rb"|/([^"
    + _WHITE
    + rb"()<>\[\]{}/%]*)"  # 4: a name
    rb"|(<<)|(>>)|(\[)|(\])"  # 5, 6, 7, 8
    rb"|<([0-9A-Fa-f]*)>"  # 9: hexadecimal
    rb"|\(([^()\\\r]*)\)"  # 10: a text without anything in it that would have to be read twice
    rb"|(\()"  # 11: another text
    rb"|([+-]?(?:\d{1,18}\.\d{0,18}|\.\d{1,18}))"
    + _END  # 12: a real number
    + rb"|(true|false|null)"
    + _END  # 13
    + rb")"
)
NAME, OPENS, CLOSES, LONG_TEXT = (
    4,
    (5, 7),
    (6, 8),
    11,
)  # groups of _TOKEN; the first of each is a dictionary's
_WORDS = {b"true": True, b"false": False, b"null": None}
_PLAIN_NAME = re.compile(rb"[!-~]*")
_HEAD = re.compile(rb"(\d{1,10}) (\d{1,5}) obj" + _END)
_BEHIND = re.compile(rb"[" + _WHITE + rb"]*(?:(endobj)" + _END + rb"|(stream)(?:\r\n|\n))")
_BEHIND_STREAM = re.compile(rb"(?:\r\n|\n|\r)?endstream[" + _WHITE + rb"]*endobj" + _END)


class Odd(ValueError):
    """Readers may differ over it."""


class Parsed(NamedTuple):
    """`stream`: where its bytes begin. `end` of an object without a stream: behind `endobj`; of one with it: behind its
    dictionary."""

    value: Plain
    end: int
    stream: int | None = None


def object_at(data: bytes, at: int, number: int, generation: int) -> Parsed:
    """The object that begins at this offset. Raises Odd."""
    head = _HEAD.match(data, at)
    if head is None or not number or (int(head[1]), int(head[2])) != (number, generation):
        raise Odd("another object stands there")
    if at and data[at - 1] not in WHITE:
        raise Odd("an object that begins within another word")
    value, end = value_at(data, head.end())
    behind = _BEHIND.match(data, end)
    if behind is None:
        raise Odd("an object without its end")
    if behind[1]:
        return Parsed(value, behind.end())
    if type(value) is not dict:
        raise Odd("a stream without a dictionary")
    return Parsed(value, end, behind.end())


def stream_end(data: bytes, begin: int, length: int) -> int:
    """Behind the `endobj` of a stream whose bytes begin there. Raises Odd."""
    behind = _BEHIND_STREAM.match(data, begin + length)
    if length < 0 or behind is None:
        raise Odd("a stream of another length")
    return behind.end()


def value_at(data: bytes, at: int) -> tuple[Plain, int]:
    """The value that begins here, and the offset behind it. Raises Odd."""
    match = _TOKEN.match
    above: list[tuple[list[Plain], bool]] = []
    members: list[Plain] = []
    in_dictionary = False
    for _ in range(MOST_TOKENS):
        found = match(data, at)
        if found is None:
            raise Odd("a token that is none")
        at = found.end()
        kind = found.lastindex
        if kind == NAME:
            value: Any = _name(found[NAME])
        elif kind in OPENS:
            if len(above) == DEEPEST:
                raise Odd("too deep")
            above.append((members, in_dictionary))
            members, in_dictionary = [], kind == OPENS[0]
            continue
        elif kind in CLOSES:
            if not above or in_dictionary is not (kind == CLOSES[0]):
                raise Odd("a bracket of another kind")
            value = _dictionary(members) if in_dictionary else members
            members, in_dictionary = above.pop()
        elif kind == LONG_TEXT:
            value, at = _text(data, at)
        else:
            value = _READ[kind](found)
        if not above:
            return value, at
        members.append(value)
    raise Odd("too many members")


def _text(data: bytes, at: int) -> tuple[Text, int]:
    try:
        said, end = text_at(data, at)
    except NotPlain as wrong:
        raise Odd(str(wrong)) from wrong
    return Text(said), end


def _hexadecimal(found: re.Match[bytes]) -> Text:
    said = found[9]
    return Text.fromhex((said + b"0" if len(said) % 2 else said).decode())


def _dictionary(members: list[Plain]) -> dict[str, Plain]:
    names, values = members[::2], members[1::2]
    if len(names) != len(values) or {*map(type, names)} - {Name}:
        raise Odd("a key without its value")
    found: dict[str, Plain] = dict(zip(cast("list[str]", names), values, strict=True))
    if len(found) != len(names):
        raise Odd("two entries of one name")
    if None in values:
        found = {name: value for name, value in found.items() if value is not None}
    return dict(sorted(found.items()))


@lru_cache(maxsize=4096)
def _name(said: bytes) -> Name:
    if not _PLAIN_NAME.fullmatch(said):
        raise Odd("a name beyond ASCII")
    if b"#" not in said:
        return Name("/" + said.decode())
    name = name_of(b"/" + said)
    if "#" in name or not name.isascii() or not name.isprintable():
        raise Odd("a name that readers spell otherwise")
    return Name(name)


def _reference(number: int, generation: int) -> Reference:
    """Objects of later generations are not read here, and some readers do not look at it."""
    if generation:
        raise Odd("a reference to a later generation")
    return Reference(number, 0)


# What a token reads as, by its group.
_READ: dict[int | None, Callable[[re.Match[bytes]], Plain]] = {
    2: lambda found: _reference(int(found[1]), int(found[2])),
    3: lambda found: int(found[3]),
    9: _hexadecimal,
    10: lambda found: Text(found[10]),
    12: lambda found: Decimal(found[12].decode()),
    13: lambda found: _WORDS[found[13]],
}
