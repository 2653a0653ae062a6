"""Reports and facts as JSON values: this file writes them and gives equal ones back."""

from __future__ import annotations

import base64
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from signing.verification.report import Report

Kept = TypeVar("Kept")


def to_stored(value: Any) -> Any:
    """Dataclasses become objects, times ISO 8601, enumerations their values, bytes base64."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_stored(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum | datetime | bytes):
        return _one_to_stored(value)
    if isinstance(value, Mapping):
        return {str(k): to_stored(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_stored(one) for one in value]
    return value


def _one_to_stored(value: Enum | datetime | bytes) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value.value


def report_from_stored(stored: Any) -> Report:
    """Raises as `from_stored`."""
    return from_stored(Report, stored)


def from_stored(kind: type[Kept], stored: Any) -> Kept:
    """Raises ValueError, KeyError, AttributeError or TypeError for what to_stored did not write."""
    kept = _from(kind, stored)
    if not isinstance(kept, kind):
        raise TypeError(f"not a {kind.__name__}")
    return kept


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
    return _one_from(kind, plain)


def _one_from(kind: Any, plain: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if kind is datetime:
        return datetime.fromisoformat(plain)
    return base64.b64decode(plain, validate=True) if kind is bytes else plain
