"""Content-Disposition (RFC 6266, RFC 7578 4.2, RFC 8187): this file reads it strictly, and writes it so that every
browser shows the same name.

- A parameter given twice, or one that two readers read differently, is refused: which of two names is meant is never
  guessed (GHSA-vffw-93wf-4j4q).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

from web.bad_request import BadRequest, Fault

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  (RFC 9110 5.6.2)
START = re.compile(rf"\s*({TOKEN})\s*")
PARAMETER = re.compile(rf';\s*({TOKEN})\s*=\s*(?:"((?:[^"\\\r\n]|\\.)*)"|({TOKEN}))\s*')
LONGEST = 2000  # characters
EXTENDED = re.compile(r"(?i:utf-8)'[A-Za-z0-9-]*'(?P<value>[!#$&+.^_`|~0-9A-Za-z%-]*)")


def read(value: str, *, extended: bool) -> tuple[str, Mapping[str, str]]:
    """Type and parameters, both names in lower case. `value` is the header as latin-1; `extended` allows `name*=`,
    which form data must not have. Raises BadRequest (BAD_DISPOSITION)."""
    start = START.match(value)
    if start is None or len(value) > LONGEST:
        raise BadRequest(Fault.BAD_DISPOSITION)
    parameters: dict[str, str] = {}
    at = start.end()
    while at < len(value):
        found = PARAMETER.match(value, at)
        if found is None:
            raise BadRequest(Fault.BAD_DISPOSITION)
        name, quoted, plain = found[1].lower(), found[2], found[3]
        if name in parameters or ("*" in name and not extended):
            raise BadRequest(Fault.BAD_DISPOSITION)
        raw = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        parameters[name] = _decoded(raw) if name.endswith("*") else _text(raw)
        at = found.end()
    return start[1].lower(), parameters


def file_name(value: str) -> str | None:
    """The name in the header of a plain upload; `filename*` before `filename` (RFC 6266 4.3)."""
    _, parameters = read(value, extended=True)
    return parameters.get("filename*") or parameters.get("filename")


def attachment(name: str) -> str:
    """For an answer: the name in ASCII for old readers, and as it is."""
    plain = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D"))
    ascii_name = (
        re.sub(r"[^A-Za-z0-9._ -]", "", plain.encode("ascii", "ignore").decode()).strip() or "van-ban.pdf"
    )
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def _text(raw: str) -> str:
    """Browsers send UTF-8, which the header's latin-1 hides."""
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return raw


def _decoded(raw: str) -> str:
    found = EXTENDED.fullmatch(raw)
    try:
        return unquote_to_bytes(found["value"]).decode("utf-8") if found else _refuse()
    except UnicodeDecodeError:
        return _refuse()


def _refuse() -> str:
    raise BadRequest(Fault.BAD_DISPOSITION)
