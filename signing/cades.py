"""A detached CAdES baseline B signature (EN 319 122-1 6), and the container that holds it beside its file (ASiC-S,
EN 319 162-1 4): this file lays both out.

- Unlike PAdES, CAdES asks for the signing-time attribute; the same key that signs tells the time, so it proves nothing.
"""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

from signing.cms import SEQUENCE, SET, Template, der

ASIC_S = "application/vnd.etsi.asic-s+zip"
_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")  # RFC 5652 11.3
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def to_sign(template: Template, digest: bytes, at: datetime) -> bytes:
    """The DER SET OF signed attributes over content with this digest, by the template's hash."""
    return template.to_sign(digest, der(SEQUENCE, _SIGNING_TIME, der(SET, _time(at))))


def container(name: str, content: bytes, signature: bytes) -> bytes:
    """ASiC-S: the file, and the DER of a signature over it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        # First and stored, so that whoever looks at the bytes knows what it is (EN 319 162-1 A.1).
        for inside, data in (
            ("mimetype", ASIC_S.encode()),
            (name, content),
            ("META-INF/signature.p7s", signature),
        ):
            kind = zipfile.ZIP_STORED if inside == "mimetype" else zipfile.ZIP_DEFLATED
            packed.writestr(zipfile.ZipInfo(inside, _ZIP_EPOCH), data, kind)
    return out.getvalue()


def _time(at: datetime) -> bytes:
    """UTCTime up to the year 2049, GeneralizedTime after it (RFC 5652 11.3)."""
    utc = at.astimezone(UTC)
    if utc.year < 2050:
        return der(b"\x17", utc.strftime("%y%m%d%H%M%SZ").encode())
    return der(b"\x18", utc.strftime("%Y%m%d%H%M%SZ").encode())
