"""What the security store of a PDF holds (ETSI EN 319 142-1 5.4.2): this file takes certificates, CRLs and OCSP answers
out of it, as bytes that may be anything."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from signing.pdf.pages import is_dictionary, is_stream, spoken
from signing.verification.pdf_view import View, entries, members

LARGEST = 32 << 20  # bytes of one thing
LARGEST_ALL = 96 << 20
MOST = 2000


@dataclass
class Store:
    certificates: dict[bytes, None] = field(default_factory=dict)
    crls: dict[bytes, None] = field(default_factory=dict)
    ocsps: dict[bytes, None] = field(default_factory=dict)
    room: int = LARGEST_ALL


def read_store(view: View) -> Store:
    """Whatever cannot be unpacked is left out."""
    found = Store()
    store = entries(view.pdf.Root.get("/DSS"))
    each = [(store, "/Certs", "/CRLs", "/OCSPs")]
    related = entries(store.get("/VRI"))
    each += [(entries(one), "/Cert", "/CRL", "/OCSP") for one in related.values() if is_dictionary(one)]
    for holder, certificates, crls, ocsps in each:
        for name, into in (
            (certificates, found.certificates),
            (crls, found.crls),
            (ocsps, found.ocsps),
        ):
            for stream in members(holder.get(name))[:MOST]:
                unpacked = _unpacked(stream, min(LARGEST, found.room))
                if unpacked and unpacked not in into:
                    into[unpacked] = None
                    found.room -= len(unpacked)
    return found


def _unpacked(stream: object, limit: int) -> bytes:
    if not is_stream(stream) or limit <= 0:
        return b""
    packed = stream.read_raw_bytes()
    filters = stream.get("/Filter")
    if filters is None:
        return packed if len(packed) <= limit else b""
    plain = filters == "/FlateDecode" or [spoken(one) for one in members(filters)] == ["/FlateDecode"]
    if not plain or "/DecodeParms" in stream:
        return b""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(packed, limit)
    except zlib.error:
        return b""
    return b"" if unpacking.unconsumed_tail else unpacked
