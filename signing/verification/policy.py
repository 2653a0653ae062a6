"""What a judgement asks for, as dated data with a digest (P5): this file reads the policies, shipped or brought.

- A policy is TOML by the schema below; what is missing or unknown in it is refused, never guessed.
- The digest is over the canonical content (RFC 8785 for values as plain as these): comments and order do not count.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "policies"
SCHEMA = 1
MAX_FILE = 64 << 10  # bytes
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,18})){1,30}")


class BadPolicy(ValueError):
    """No policy of this name, or a file that is none."""


class Rule(StrEnum):
    """What a policy decides about. All else (bytes, signature, chain, changes) is the same under every policy."""

    REVOCATION = "revocation"
    PURPOSE = "purpose"
    STRENGTH = "strength"
    FORM = "form"
    PADDING = "padding"
    ENCODING = "encoding"


class Effect(StrEnum):
    """What comes of a rule that is not met. IGNORE: nobody even looks."""

    FAIL = "FAIL"
    WARN = "WARN"
    INFORM = "INFORM"
    IGNORE = "IGNORE"


@dataclass(frozen=True)
class Policy:
    """`purposes`: OIDs that an ExtendedKeyUsage may name beside those that always do (V5). `max_age`: V4."""

    name: str
    max_age: timedelta
    purposes: frozenset[str]
    rules: Mapping[Rule, Effect]
    digest: str  # SHA-256, hexadecimal

    def effect(self, rule: Rule) -> Effect:
        return self.rules[rule]


def load_policy(name_or_file: str) -> Policy:
    """A shipped policy by its name, or one from a file. Raises BadPolicy."""
    if _NAME.fullmatch(name_or_file) and (SHIPPED / f"{name_or_file}.toml").is_file():
        return _shipped(name_or_file)
    return read_policy(_content(Path(name_or_file)))


@cache
def _shipped(name: str) -> Policy:
    return read_policy(_content(SHIPPED / f"{name}.toml"))


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as wrong:
        raise BadPolicy(f"{file}: {getattr(wrong, 'strerror', None) or wrong}") from wrong
    if len(content) > MAX_FILE:
        raise BadPolicy(f"{file}: larger than {MAX_FILE} bytes")
    return content


def read_policy(content: bytes) -> Policy:
    """Raises BadPolicy."""
    try:
        plain = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise BadPolicy(f"not TOML: {wrong}") from wrong
    wanted = {"schema", "name", "revocation_max_age_hours", "purposes", "rules"}
    if set(plain) != wanted:
        raise BadPolicy(f"fields missing or unknown: {', '.join(sorted(set(plain) ^ wanted))[:200]}")
    if plain["schema"] != SCHEMA:
        raise BadPolicy(f"schema {plain['schema']!r} is not known")
    return Policy(
        name=_name(plain["name"]),
        max_age=timedelta(hours=_hours(plain["revocation_max_age_hours"])),
        purposes=_purposes(plain["purposes"]),
        rules=_rules(plain["rules"]),
        digest=_digest(plain),
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadPolicy("name: small letters, digits and hyphens")
    return value


def _hours(value: object) -> int:
    if type(value) is not int or not 0 < value <= 10 * 365 * 24:
        raise BadPolicy("revocation_max_age_hours: a whole number of hours")
    return value


def _purposes(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and _OID.fullmatch(one) for one in value):
        raise BadPolicy("purposes: a list of object identifiers")
    return frozenset(value)


def _rules(value: object) -> dict[Rule, Effect]:
    if not isinstance(value, dict) or set(value) != {one.value for one in Rule}:
        raise BadPolicy(f"rules: {', '.join(Rule)}, each once")
    try:
        return {Rule(name): Effect(effect) for name, effect in value.items()}
    except ValueError as wrong:
        raise BadPolicy(f"rules: each is one of {', '.join(Effect)}") from wrong


def _digest(plain: dict[str, Any]) -> str:
    content = plain | {"purposes": sorted(set(plain["purposes"]))}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
