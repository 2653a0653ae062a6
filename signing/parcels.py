"""What a workshop and its children send each other: this file packs and opens it.

- Orders come from us and are plain pickles. Answers come from a process that has read a stranger's file and may no
  longer be ours: of them only values are opened (our dataclasses, enumerations and exceptions, and plain Python),
  never a call of something else.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

ROOMS = frozenset({"signing", "documents", "hsm", "storage"})
LIBRARIES = frozenset({"pikepdf", "pypdfium2"})  # their exceptions may come back
PLAIN = frozenset(
    {
        *(("datetime", name) for name in ("datetime", "date", "timedelta", "timezone")),
        *(("builtins", name) for name in ("set", "frozenset", "bytearray", "complex", "slice", "range")),
        ("uuid", "UUID"),
        ("pathlib", "PosixPath"),
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),  # bytes in old protocols; encodes letters, nothing else
    }
)


class NotAValue(Exception):
    """An answer that is more than a value, or none at all."""


class InChild(Exception):
    """The child's own traceback, as the cause of what came back."""


def pack_order(function: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]) -> bytes:
    return pickle.dumps((function, args, more), 5)


def pack_value(value: object) -> bytes:
    """Raises whatever pickle raises for what cannot be sent."""
    out = io.BytesIO()
    _Packer(out, 5).dump(value)
    return out.getvalue()


def open_value(packed: bytes, root: str) -> Any:
    """`root`: the top package of the function that was called; its values count as ours. Raises NotAValue."""
    try:
        return _Opener(io.BytesIO(packed), ROOMS | {root}).load()
    except NotAValue:
        raise
    except Exception as wrong:
        raise NotAValue(f"{type(wrong).__name__}: {wrong}"[:200]) from wrong


def rebuilt(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """An exception as it was, however its `__init__` looks."""
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise NotAValue("no exception")
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class _Packer(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException):
            return rebuilt, (type(obj), obj.args, dict(obj.__dict__))
        if isinstance(obj, enum.Enum):
            return type(obj), (obj.value,)
        return NotImplemented


class _Opener(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, roots: frozenset[str]) -> None:
        super().__init__(file)
        self._roots = roots

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in PLAIN:
            return super().find_class(module_name, global_name)
        if (module_name, global_name) == (__name__, "rebuilt"):
            return rebuilt
        root = module_name.partition(".")[0]
        ours = root in self._roots
        if ours or root in LIBRARIES or module_name == "builtins":
            found: Any = import_module(module_name) if ours else sys.modules.get(module_name)
            for part in global_name.split("."):
                found = getattr(found, part, None)
            if isinstance(found, type) and _is_value(found, ours):
                return found
        raise NotAValue(f"{module_name}.{global_name}"[:200])


def _is_value(kind: type, ours: bool) -> bool:
    if issubclass(kind, BaseException):
        return True
    return ours and (dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum | tuple))
