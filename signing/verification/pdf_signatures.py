"""The signatures in a PDF, one by one: this file reads field, byte range and CMS, and computes whether the bytes hold.

- The hole of a byte range is this signature's own `/Contents`, to the byte, in this signature's own object: what else
  could stand in it would be covered by nobody (signature wrapping).
- Digests of all signatures come out of one pass over the file, however many there are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any, BinaryIO

import pikepdf

from signing.pdf.form import fields, names_in
from signing.pdf.form import references as signature_references
from signing.pdf.opening import NotOpened
from signing.pdf.pages import is_array, is_dictionary, is_spoken, spoken
from signing.timestamping.token import NotAToken, read_token
from signing.verification.cms_form import HASHES, TRAILING_BYTES, TST_INFO
from signing.verification.pdf_bytes import at
from signing.verification.pdf_facts import INSIDE, FoundSignature, FoundToken, Lock
from signing.verification.pdf_view import Key, View, key_of
from signing.verification.report import Finding, Severity, SignatureKind
from signing.verification.signed_data import (
    Broken,
    NotJudged,
    NotSignedData,
    SignedData,
    UnknownAlgorithm,
    check_signed_data,
    read_signed_data,
)

MOST_SIGNATURES = 200
MOST_TIMESTAMPS = 10  # of one signature
BIGGEST_HOLE = 16 << 20  # bytes
FURTHEST_BEFORE = 1 << 20  # bytes between the begin of the signature's object and its hole
CHUNK = 1 << 20
DETACHED = {"/ETSI.CAdES.detached", "/adbe.pkcs7.detached"}
STAMP = "/ETSI.RFC3161"
_HEX = re.compile(rb"<[0-9A-Fa-f]*>")
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?'?)?", re.ASCII)


def error(code: str, **data: str) -> Finding:
    return Finding(code, Severity.ERROR, data)


def _warning(code: str, **data: str) -> Finding:
    return Finding(code, Severity.WARNING, data)


@dataclass
class _Holder:
    """A field with its signature dictionary, as the newest revision has them."""

    name: str
    value: pikepdf.Object
    owner: Key | None  # the object in which the dictionary stands


def signatures(view: View, file: BinaryIO, size: int) -> tuple[list[FoundSignature], list[Finding]]:
    """In the order of the form. Nothing of the CMS is read yet."""
    holders, remarks = _holders(view)
    names = [one.name for one in holders]
    owners = [one.owner for one in holders]
    found = []
    for one in holders:
        signature = _Field(view, file, size, one).read()
        if names.count(one.name) > 1 or owners.count(one.owner) > 1:
            signature = replace(signature, unjudged=signature.unjudged or error("DUPLICATE_FIELD"))
        found.append(signature)
    return found, remarks


def _holders(view: View) -> tuple[list[_Holder], list[Finding]]:
    found: list[_Holder] = []
    try:
        for field in fields(view.pdf):
            value = field.signature
            if value is None:
                continue
            if len(found) == MOST_SIGNATURES:
                return found, [error("TOO_MANY_SIGNATURES", limit=str(MOST_SIGNATURES))]
            found.append(_Holder(_legible(field.name), value, key_of(value) or key_of(field.node)))
    except NotOpened:
        return found, [error("TOO_MANY_SIGNATURES", limit=str(MOST_SIGNATURES))]
    return found, []


def _legible(name: str) -> str:
    if not name.isprintable():
        name = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)
    return name[:300]


@dataclass
class _Field:
    view: View
    file: BinaryIO
    size: int
    holder: _Holder

    def read(self) -> FoundSignature:
        value = self.holder.value
        sub_filter = spoken(value.get("/SubFilter") or "")[:100]
        stamp = sub_filter == STAMP or value.get("/Type") == "/DocTimeStamp"
        found = FoundSignature(
            field=self.holder.name,
            kind=SignatureKind.DOCUMENT_TIMESTAMP if stamp else SignatureKind.SIGNATURE,
            sub_filter=sub_filter,
            claimed_time=pdf_date(value.get("/M")),
        )
        numbers = _numbers(value.get("/ByteRange"))
        if numbers is None or not isinstance(value.get("/Contents"), pikepdf.Object | bytes):
            return replace(found, fault=error("BYTE_RANGE"))
        begin, after, end = numbers[1], numbers[2], numbers[2] + numbers[3]
        found = replace(found, begin_hole=begin, end_hole=after, end=min(end, self.size))
        if end > self.size:
            return replace(found, fault=error("TRUNCATED"))
        if numbers[0] != 0 or not self._hole_is_contents(begin, after):
            return replace(found, fault=error("BYTE_RANGE"))
        return found

    def _hole_is_contents(self, begin: int, after: int) -> bool:
        if not 0 < begin < after <= begin + BIGGEST_HOLE:
            return False
        hole = at(self.file, begin, after)
        if not _HEX.fullmatch(hole):
            return False
        # The hole lies in the object that this dictionary is, with nothing of another object between.
        place = self.view.places.get(self.holder.owner) if self.holder.owner else None
        if place is None or len(place) != 1 or not 0 < begin - place[0] <= FURTHEST_BEFORE:
            return False
        before = at(self.file, place[0], begin)
        if b"endobj" in before or not re.match(rb"\s*\d+\s+\d+\s+obj\b", before):
            return False
        if not before.rstrip().endswith(b"/Contents"):
            return False
        return self.view.pdf.is_encrypted or bytes(self.holder.value["/Contents"]) == unhex(hole)


def _numbers(value: object) -> list[int] | None:
    if not is_array(value) or len(value) != 4:
        return None
    stated: list[object] = [*value]
    found = [one for one in stated if type(one) is int and one >= 0]
    return found if len(found) == 4 and found[1] < found[2] and found[3] > 0 else None


def unhex(hole: bytes) -> bytes:
    digits = hole[1:-1]
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))


def pdf_date(value: object) -> datetime | None:
    """ISO 32000-2 7.9.4; without a zone it is taken for UTC."""
    found = _DATE.match(spoken(value)) if is_spoken(value) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(one or default) for one, default in zip(
        found.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True))  # fmt: skip
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0)) * (-1 if found[8] == "-" else 1)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# -- what its own revision says of it


def permissions(view: View, name: str) -> tuple[int | None, Lock | None]:
    """DocMDP and FieldMDP of the signature in the field, as its own revision has them (ISO 32000-2 12.8.2). The lock of
    the field speaks where the signature has no DocMDP of its own (table 236)."""
    permission, lock = None, None
    for field in fields(view.pdf):
        if _legible(field.name) != name or field.signature is None:
            continue
        locked = field.node.get("/Lock")
        if is_dictionary(locked) and locked.get("/P") in (1, 2, 3):
            permission = _permission(locked["/P"])
        for method, parameters in signature_references(field.signature):
            if method == "/DocMDP":
                permission = _permission(parameters.get("/P", 2)) if parameters is not None else 2
            elif method == "/FieldMDP" and parameters is not None:
                lock = Lock(spoken(parameters.get("/Action")), tuple(names_in(parameters.get("/Fields"))))
    return permission, lock


def _permission(stated: object) -> int:
    """What nobody knows permits nothing."""
    return stated if type(stated) is int and stated in (1, 2, 3) else 1


# -- bytes and CMS


def judge_bytes(file: BinaryIO, found: list[FoundSignature]) -> list[FoundSignature]:
    """With CMS, digests and what came of them."""
    read = [_read_cms(file, one) for one in found]
    wanted = {
        (index, name) for index, one in enumerate(read) if one.fault is None for name in _hash_names(one)
    }
    digests = Digests(file, [(one.begin_hole, one.end_hole, one.end) for one in read], wanted)
    return [_checked(one, index, digests) for index, one in enumerate(read)]


def _read_cms(file: BinaryIO, one: FoundSignature) -> FoundSignature:
    if one.fault is not None:
        return one
    contents = unhex(at(file, one.begin_hole, one.end_hole))
    try:
        cms = read_signed_data(contents)
    except UnknownAlgorithm:
        return replace(one, unjudged=one.unjudged or error("ALGORITHM_UNKNOWN"))
    except NotSignedData as wrong:
        return replace(one, fault=error("FORM_BROKEN", why=str(wrong)[:200]))
    one = replace(one, cms=cms, claimed_time=one.claimed_time or cms.claimed_time)
    if TRAILING_BYTES in cms.flaws:
        one = replace(one, oddities=(*one.oddities, _warning("PADDING_NOT_ZERO")))
    if one.kind is SignatureKind.DOCUMENT_TIMESTAMP:
        return replace(one, token=token_in(contents))
    if one.sub_filter not in DETACHED | {INSIDE}:
        one = replace(one, unjudged=one.unjudged or error("FORMAT_UNKNOWN", format=one.sub_filter or "?"))
    elif cms.content_type == TST_INFO:
        one = replace(one, fault=error("FORM_BROKEN", why="a time-stamp in place of a signature"))
    elif one.sub_filter in DETACHED and cms.content is not None:
        # ISO 32000-2 12.8.3.3.1 forbids it; some readers then look at what is inside, some at the document, some at neither.
        one = replace(
            one, unjudged=one.unjudged or error("FORMAT_UNKNOWN", format=f"{one.sub_filter} + eContent")
        )
    return one


def token_in(der: bytes) -> FoundToken:
    try:
        return FoundToken(read_token(der))
    except NotAToken as wrong:
        return FoundToken(None, fault=str(wrong)[:200])


def _hash_names(one: FoundSignature) -> Iterable[str]:
    yield "sha256"
    if one.cms is not None:
        yield "sha1" if one.sub_filter == INSIDE else one.cms.digest_name
        for each in one.cms.content_timestamps[:MOST_TIMESTAMPS]:
            token = token_in(each).token
            if token is not None and token.hash_name in HASHES.values():
                yield token.hash_name
    if one.token is not None and one.token.token is not None and one.token.token.hash_name in HASHES.values():
        yield one.token.token.hash_name


def _checked(one: FoundSignature, index: int, digests: Digests) -> FoundSignature:
    if one.fault is not None:
        return one
    one = replace(
        one, signed_sha256=digests.of(index, "sha256").hex(), revision_sha256=digests.revision(one.end).hex()
    )
    if one.cms is None:
        return one
    if one.token is not None and one.token.token is not None:
        return replace(one, token=replace(one.token, digest=digests.of(index, one.token.token.hash_name)))
    if one.kind is SignatureKind.DOCUMENT_TIMESTAMP or one.sub_filter not in DETACHED | {INSIDE}:
        return one
    try:
        _check(one.cms, one.sub_filter, index, digests)
    except Broken as wrong:
        return not_holding(one, wrong)
    content, stamps = one.cms.content_timestamps[:MOST_TIMESTAMPS], one.cms.timestamps[:MOST_TIMESTAMPS]
    return replace(
        one,
        timestamps=tuple(over_signature(token_in(each), one.cms) for each in stamps),
        content_timestamps=tuple(over(token_in(each), partial(digests.of, index)) for each in content),
    )


def not_holding(one: FoundSignature, wrong: Broken) -> FoundSignature:
    if isinstance(wrong, NotJudged):
        return replace(one, unjudged=one.unjudged or error("ALGORITHM_UNKNOWN"))
    return replace(one, broken=(wrong.sub, wrong.why))


def _check(cms: SignedData, sub_filter: str, index: int, digests: Digests) -> None:
    if sub_filter != INSIDE:
        check_signed_data(cms, digests.of(index, cms.digest_name))
        return
    # ISO 32000-1 12.8.3.3.1: the SHA-1 digest of the bytes is itself the content that is signed.
    signed = digests.of(index, "sha1")
    if cms.content != signed:
        raise Broken("HASH_FAILURE", "the bytes are not those that were signed")
    check_signed_data(cms, hashlib.new(cms.digest_name, signed).digest())


def over(found: FoundToken, digest_by: Callable[[str], bytes]) -> FoundToken:
    """With the digest of what the token should be over, by the token's own hash."""
    if found.token is None or found.token.hash_name not in HASHES.values():
        return replace(found, token=None, fault=found.fault or "an unknown hash")
    return replace(found, digest=digest_by(found.token.hash_name))


def over_signature(found: FoundToken, cms: SignedData) -> FoundToken:
    return over(found, lambda name: hashlib.new(name, cms.signature).digest())


class Digests:
    """Of byte ranges that all begin with the file, in one pass; and of everything up to their ends."""

    def __init__(
        self, file: BinaryIO, ranges: list[tuple[int, int, int]], wanted: set[tuple[int, str]]
    ) -> None:
        self._found: dict[tuple[int, str], bytes] = {}
        self._revisions: dict[int, bytes] = {}
        stops = {ranges[index][0] for index, _ in wanted}
        ends = {ranges[index][2] for index, _ in wanted}
        running = {name: _new(name) for _, name in wanted} | ({"sha256": _new("sha256")} if wanted else {})
        done = 0
        for stop in sorted(stops | ends):
            _feed(file, done, stop, list(running.values()))
            done = stop
            if stop in ends:
                self._revisions[stop] = running["sha256"].digest()
            for index, name in wanted:
                if ranges[index][0] == stop:
                    rest = running[name].copy()
                    _feed(file, ranges[index][1], ranges[index][2], [rest])
                    self._found[index, name] = rest.digest()

    def of(self, index: int, name: str) -> bytes:
        """Empty where nobody asked for it beforehand: it fits no digest then."""
        return self._found.get((index, name), b"")

    def revision(self, end: int) -> bytes:
        return self._revisions.get(end, b"")


def _new(name: str) -> Any:
    return hashlib.new(name, usedforsecurity=False)


def _feed(file: BinaryIO, begin: int, end: int, digests: list[Any]) -> None:
    file.seek(begin)
    left = end - begin
    while left > 0 and (piece := file.read(min(CHUNK, left))):
        left -= len(piece)
        for one in digests:
            one.update(piece)


def has_store(view: View) -> bool:
    """Whether a security store with something in it stands in this revision."""
    store = view.pdf.Root.get("/DSS")
    return is_dictionary(store) and any(
        is_array(store.get(name)) and len(store[name]) for name in ("/CRLs", "/OCSPs")
    )
