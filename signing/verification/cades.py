"""Reads a signature that stands by itself (CMS, CAdES: EN 319 122-1) or a time-stamp (RFC 3161), with what it is over, in a
child process: this file brings both into the facts that the one judge knows.

- What was signed lies inside (enveloping) or beside (detached); given beside an enveloping one, it must be the same.
- The kind is told by the bytes; bytes that are neither are no signature, and never one that failed.
- A file that could also be taken for a PDF is one for us, unless whoever asks says what it is over or its name ends as such
  signatures do: two programs would show two contents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from signing.timestamping.answer import Rejected, token_in
from signing.timestamping.token import NotAToken, Token, read_token
from signing.verification.cms_form import (
    HASHES,
    MAX_SIZE,
    TST_INFO,
    Broken,
    NotSignedData,
    SignedData,
    UnknownAlgorithm,
)
from signing.verification.der import SEQUENCE, Malformed, Walk
from signing.verification.pdf_facts import CannotRead, Facts, FoundSignature, FoundToken
from signing.verification.pdf_reading import HEAD
from signing.verification.pdf_signatures import MOST_TIMESTAMPS, error, not_holding, over, over_signature
from signing.verification.pdf_signatures import token_in as read_stamp
from signing.verification.report import CADES, TST, Coverage, SignatureKind
from signing.verification.signed_data import check_signed_data, outline, read_signed_data

CHUNK = 1 << 20
ENDINGS = {".p7s", ".p7m", ".p7", ".pkcs7", ".cms"}
_SIGNED_DATA = re.compile(rb"\x30.{1,9}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", re.S)
_PEM = re.compile(
    rb"\A\s*-----BEGIN (PKCS7|CMS|TIMESTAMP RESPONSE)-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*\Z"
)


def looks_so(path: Path, head: bytes) -> bool:
    """Whether a file that begins so is one of these, and no PDF. Where a PDF lies inside, at the front, both may be thought:
    then its name decides."""
    if b"%PDF-" in head[:HEAD]:
        return path.suffix.lower() in ENDINGS and _SIGNED_DATA.match(head) is not None
    return head[:1] == b"\x30" or head.lstrip()[:11] == b"-----BEGIN "


def read_cades(path: Path, content: Path | None = None) -> Facts:
    """`content`: what it is over, where that lies beside. Raises CannotRead, OSError."""
    with path.open("rb") as file:
        raw = file.read(MAX_SIZE + 1)
    if len(raw) > MAX_SIZE:
        raise CannotRead("NOT_A_SIGNATURE")
    der = _binary(raw)
    name = content.name if content is not None else ""
    try:
        der = _token_of(der) or der
        type_, count = outline(der)
    except (Malformed, Rejected) as wrong:
        raise CannotRead("NOT_A_SIGNATURE") from wrong
    if type_ == TST_INFO:
        format_, found = TST, [_timestamp(der, content)]
    else:  # each signer by itself: they signed beside each other (RFC 5652 5.1)
        numbers = range(count) if count > 1 else [None]
        format_, found = CADES, [_signature(der, content, number) for number in numbers]
    return Facts(size=len(raw), revisions=0, signatures=tuple(found), format=format_, content=name)


def _binary(raw: bytes) -> bytes:
    armoured = _PEM.match(raw)
    if armoured is None:
        return raw
    try:
        return base64.b64decode(b"".join(armoured[2].split()), validate=True)
    except binascii.Error as wrong:
        raise CannotRead("NOT_A_SIGNATURE") from wrong


def _token_of(der: bytes) -> bytes | None:
    """The token of a granted TimeStampResp; None where it is none. Raises Malformed, Rejected."""
    walk = Walk(der)
    first = walk.members(walk.element(0, len(der)), 3)[:1]
    return token_in(der) if first and first[0].tag == SEQUENCE else None


# -- a signature


def _signature(der: bytes, content: Path | None, number: int | None) -> FoundSignature:
    found = FoundSignature(
        field="" if number is None else str(number + 1),
        kind=SignatureKind.SIGNATURE,
        sub_filter=CADES,
        coverage=Coverage.WHOLE_DOCUMENT,
        end=1,
    )
    try:
        cms = read_signed_data(der, number)
    except UnknownAlgorithm:
        return replace(found, unjudged=error("ALGORITHM_UNKNOWN"))
    except NotSignedData as wrong:
        return replace(found, fault=error("FORM_BROKEN", why=str(wrong)[:200]))
    found = replace(found, cms=cms, claimed_time=cms.claimed_time)
    if cms.content is None and content is None:
        return replace(found, unjudged=error("CONTENT_WANTED"))
    digests = _Digests(cms, content)
    try:
        check_signed_data(cms, digests.of(cms.digest_name))
    except Broken as wrong:
        found = not_holding(found, wrong)
    return replace(
        found,
        signed_sha256=digests.of("sha256").hex(),
        timestamps=tuple(over_signature(read_stamp(each), cms) for each in cms.timestamps[:MOST_TIMESTAMPS]),
        content_timestamps=tuple(over(read_stamp(each), digests.of) for each in cms.content_timestamps[:MOST_TIMESTAMPS]),
    )  # fmt: skip


class _Digests:
    """Of what was signed: of the bytes beside where there are some, else of those inside."""

    def __init__(self, cms: SignedData | None, content: Path | None) -> None:
        self._inside, self._beside = cms.content if cms is not None else None, content
        self._known: dict[str, bytes] = {}

    def of(self, name: str) -> bytes:
        if name not in self._known:
            digest = hashlib.new(name, usedforsecurity=False)
            if self._beside is None:
                digest.update(self._inside or b"")
            else:
                with self._beside.open("rb") as file:
                    while piece := file.read(CHUNK):
                        digest.update(piece)
            self._known[name] = digest.digest()
        return self._known[name]


# -- a time-stamp


def _timestamp(der: bytes, data: Path | None) -> FoundSignature:
    found = FoundSignature(
        field="",
        kind=SignatureKind.DOCUMENT_TIMESTAMP,
        sub_filter=TST,
        coverage=Coverage.WHOLE_DOCUMENT,
        end=1,
    )
    try:
        token: Token = read_token(der)
        cms = read_signed_data(token.der)
    except (NotAToken, NotSignedData) as wrong:
        return replace(found, fault=error("FORM_BROKEN", why=str(wrong)[:200]))
    found = replace(found, cms=cms, token=FoundToken(token))
    if token.hash_name not in HASHES.values():
        return replace(found, unjudged=error("ALGORITHM_UNKNOWN"))
    if data is None:
        return replace(found, unjudged=error("CONTENT_WANTED"))
    digests = _Digests(None, data)
    return replace(
        found, token=FoundToken(token, digests.of(token.hash_name)), signed_sha256=digests.of("sha256").hex()
    )
