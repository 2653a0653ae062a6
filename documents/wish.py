"""This file says what a signature is to be like: `SignWish`, and its stored form: the password apart, and what the mark says
sealed, for it may be the document's code (C1)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hsm.key import Mechanism
from signing.pades import Mark
from signing.profile import Level


@dataclass(frozen=True)
class SignWish:
    """Either `key` names a key that we may use, or `certificate` (DER, with its chain) says who will answer from
    outside. `level` is what is asked for; `password` opens an encrypted file and is kept sealed until the end."""

    level: Level = Level.B_T
    key: str | None = None
    certificate: bytes | None = None
    chain: tuple[bytes, ...] = ()
    mechanism: Mechanism | None = None
    field: str | None = None
    reason: str | None = None
    location: str | None = None
    certify: int | None = None  # DocMDP permission 1..3 makes it a certification signature
    mark: Mark | None = None
    password: str | None = None
    by: str | None = None  # the system user, where somebody works for the holder at the command line (K2)


def wish_to_stored(wish: SignWish, seal: Callable[[bytes], bytes]) -> dict[str, Any]:
    """JSON values, without the password."""
    mark = wish.mark
    said = json.dumps({"text": mark.text, "qr": mark.qr}).encode() if mark else b""
    return {
        "level": wish.level.value,
        "key": wish.key,
        "certificate": _b64(wish.certificate) if wish.certificate else None,
        "chain": [_b64(one) for one in wish.chain],
        "mechanism": wish.mechanism.value if wish.mechanism else None,
        "field": wish.field,
        "reason": wish.reason,
        "location": wish.location,
        "certify": wish.certify,
        "by": wish.by,
        "mark": replace(mark, text=None, qr=None).to_stored() if mark else None,
        "mark_says": _b64(seal(said)) if mark else None,
    }


def wish_from_stored(
    stored: dict[str, Any], *, password: str | None, unseal: Callable[[bytes], bytes]
) -> SignWish:
    """The wish as it was; `password` comes from its seal."""
    mark = Mark.from_stored(stored["mark"]) if stored["mark"] else None
    if mark is not None and (said := stored.get("mark_says")):  # the first form has it in the mark
        mark = replace(mark, **json.loads(unseal(base64.b64decode(said))))
    return SignWish(
        level=Level(stored["level"]),
        key=stored["key"],
        certificate=base64.b64decode(stored["certificate"]) if stored["certificate"] else None,
        chain=tuple(base64.b64decode(one) for one in stored["chain"]),
        mechanism=Mechanism(stored["mechanism"]) if stored["mechanism"] else None,
        field=stored["field"],
        reason=stored["reason"],
        location=stored["location"],
        certify=stored["certify"],
        by=stored["by"],
        mark=mark,
        password=password,
    )


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
