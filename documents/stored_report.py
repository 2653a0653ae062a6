"""This file keeps a verification report as JSON values and gives an equal one back."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from signing.verification.report import Report


def to_stored(value: Any) -> Any:
    """Dataclasses become objects, times ISO 8601, enumerations their values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_stored(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): to_stored(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_stored(one) for one in value]
    return value


def report_from_stored(stored: Any) -> Report:
    """Raises ValueError, KeyError or TypeError for what to_stored did not write."""
    report = _from(Report, stored)
    if not isinstance(report, Report):
        raise TypeError("not a report")
    return report


def _from(kind: Any, plain: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        wanted = [one for one in arguments if one is not type(None)]
        return None if plain is None else _from(wanted[0], plain)
    if origin is tuple:
        return tuple(_from(arguments[0], one) for one in plain)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _from(hints[name], value) for name, value in plain.items() if name in hints})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if kind is datetime:
        return datetime.fromisoformat(plain)
    return plain
