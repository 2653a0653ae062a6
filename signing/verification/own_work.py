"""The judge of our own work: this file opens what was written, and accepts it or says why not (S2).

    1. Two readers of our own and qpdf: the update is readable object by object, and the file opens without mending.
    2. The signature is found in its field; its byte range is the whole revision but the hole.
    3. The bytes: the document as it came is the begin, and what is covered has the digest that was agreed.
    4. The CMS: its form, its attributes, its certificates, the signature's value.
    5. The time-stamp, and the path of the certificate to somebody whom we believe.
    6. The second reader: nothing was redefined but what a signature needs; pages and their objects are as before.
    7. What follows is only validation material and document time-stamps, each over all before it.

- Nothing of who made it is used but the PreparedSignature; what was agreed there is held against what stands here.
- Policy `integrity`: bytes, signature, chain, changes. Revocation was asked before the key was touched.
- It runs in a process of its own and raises nothing but NotAccepted, which crosses its border.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from signing.prepared import PreparedSignature
from signing.timestamping.token import NotAToken, Token, TokenRefused, check_token, read_token
from signing.trust.anchors import TrustSnapshot
from signing.trust.path import NoPath, find_path
from signing.verification import attributes as known
from signing.verification.own_bytes import Located, NotReadable, Revision, digests, located, revisions
from signing.verification.own_changes import Comparison, NewField, NotMeant
from signing.verification.second_reader import FAILURES, NotOpenedAlike, View, viewed, warnings_of
from signing.verification.signed_data import (
    DATA,
    Broken,
    NotSignedData,
    SignedData,
    check_signed_data,
    read_signed_data,
)

POLICY = "integrity"
_OURS = (known.CONTENT_TYPE, known.MESSAGE_DIGEST, known.SIGNING_CERTIFICATE_V2)  # S1

REASONS = frozenset({
    "unreadable",  # the update is not as our writer writes
    "second-reader",  # qpdf does not see the file as it should
    "not-found",  # no signature in the prepared field
    "byte-range",
    "other-bytes",  # the document as it came is not the begin
    "digest",
    "padding",  # behind the CMS stands more than zeros
    "cms",  # form, attributes or certificates are not those that were prepared
    "signature",  # the value does not hold
    "timestamp",
    "path",
    "changes",  # something was redefined that no signature needs to change
    "following",  # what stands after the signature is more than material and document time-stamps
})  # fmt: skip


class NotAccepted(Exception):
    """Our own work is not released. `reason` is of REASONS; `detail` is for those who run the service."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class Dated:
    """A time-stamp that was checked. `kind`: SIGNATURE or ARCHIVE."""

    kind: str
    time: datetime
    authority: str
    hash_name: str


@dataclass(frozen=True)
class Judgement:
    """What was looked at and accepted. `path`: SHA-256 of each certificate from the signer's to the anchor's."""

    field: str
    certificate: str  # SHA-256
    digest: str
    hash_name: str
    algorithm: str
    path: tuple[str, ...]
    at: datetime  # the time at which the path was judged
    trust: str
    demonstration: bool
    timestamps: tuple[Dated, ...]
    revisions: int  # that we added

    def to_stored(self) -> dict[str, Any]:
        return {
            "accepted": True,
            "policy": POLICY,
            "field": self.field,
            "certificate": self.certificate,
            "digest": self.digest,
            "hash": self.hash_name,
            "algorithm": self.algorithm,
            "path": list(self.path),
            "at": self.at.isoformat(),
            "trust": self.trust,
            "demonstration": self.demonstration,
            "timestamps": [
                {
                    "kind": one.kind,
                    "time": one.time.isoformat(),
                    "authority": one.authority,
                    "hash": one.hash_name,
                }
                for one in self.timestamps
            ],
            "revisions": self.revisions,
        }


def judge(  # noqa: PLR0913 - what was agreed, what stands there, and by whose trust and clock
    original: Path,
    signed: Path,
    prepared: PreparedSignature,
    *,
    trust: TrustSnapshot,
    password: str | None,
    timestamped: bool,
    at: datetime | None = None,
) -> Judgement:
    """`timestamped`: whether a signature time-stamp must stand there (else none may). `at`: the time of the judgement,
    which counts for the certificate where no time-stamp does; without it the last moment at which the prepared
    signature could have been made. Raises NotAccepted."""
    with ExitStack() as stack:
        files = stack.enter_context(original.open("rb")), stack.enter_context(signed.open("rb"))
        case = _Case(original, signed, files, prepared, password)
        return _judged(case, stack, trust, at or prepared.expires, timestamped=timestamped)


@dataclass(frozen=True)
class _Case:
    original: Path
    signed: Path
    files: tuple[BinaryIO, BinaryIO]
    prepared: PreparedSignature
    password: str | None


@dataclass(frozen=True)
class _Sealed:
    """One signature dictionary and the bytes that it covers."""

    found: Located
    end: int
    hash_name: str


def _judged(
    case: _Case, stack: ExitStack, trust: TrustSnapshot, at: datetime, *, timestamped: bool
) -> Judgement:
    prepared = case.prepared

    # 1. Our own reading of what was added, and qpdf's of the whole.
    with _refused("unreadable"):
        added = _added(case)
    first = added[0]
    with _refused("second-reader"):
        before = stack.enter_context(_as_it_came(case))
        revision = stack.enter_context(
            viewed(case.signed, case.password, size=first.end if len(added) > 1 else None)
        )
        _opens_alike(before, revision)
        _same_places(first, revision)

    # 6. (First, because it tells which dictionary is the signature's.)
    with _refused("changes"):
        field = Comparison(before, revision, first.begin).signature(prepared.field)

    # 7. What follows.
    later: list[NewField] = []
    if len(added) > 1:
        with _refused("following"):
            final = stack.enter_context(viewed(case.signed, case.password))
            _opens_alike(before, final)
            later = Comparison(revision, final, first.end).following()

    # 2. The signature, and the document time-stamps over it.
    with _refused("not-found"):
        signature = _signature(case, first, field)
        archives = [_archive(case, added, one) for one in later]

    # 3. The bytes.
    with _refused("other-bytes"):
        wanted = [(one.hash_name, one.found.hole, one.end) for one in (signature, *archives)]
        digest, *archived = digests(*case.files, prepared.original_size, wanted)
    if digest != prepared.document_digest:
        raise NotAccepted("digest", "the covered bytes are not those that were agreed")

    # 4. The CMS.
    data = _signed_data(signature.found, prepared)
    try:
        check_signed_data(data, digest)
    except Broken as broken:
        raise NotAccepted("signature", f"{broken.sub}: {broken.why}") from broken

    # 5. The time-stamp, and the path.
    stamps = [_timestamp(data, trust)] if timestamped else []
    if not timestamped and data.timestamps:
        raise NotAccepted("timestamp", "there is one that nobody asked for")
    moment = stamps[0].time if stamps else at
    path = _path(prepared, trust, moment)

    # 7. The document time-stamps themselves.
    for one, over in zip(archives, archived, strict=True):
        stamps.append(_dated("ARCHIVE", one.found.contents, (over, one.hash_name), trust))
    return Judgement(
        field=field.name,
        certificate=hashlib.sha256(prepared.certificate).hexdigest(),
        digest=digest.hex(),
        hash_name=data.digest_name,
        algorithm=prepared.mechanism.value,
        path=path,
        at=moment,
        trust=trust.digest,
        demonstration=trust.demonstration,
        timestamps=tuple(stamps),
        revisions=len(added),
    )


@contextmanager
def _refused(reason: str) -> Iterator[None]:
    """What the readers raise becomes the judge's own answer."""
    try:
        yield
    except NotAccepted:
        raise
    except NotReadable as wrong:
        kind = reason if reason in {"not-found", "other-bytes"} else "unreadable"
        raise NotAccepted(kind, str(wrong)) from wrong
    except NotOpenedAlike as wrong:
        raise NotAccepted("second-reader", str(wrong)) from wrong
    except NotMeant as wrong:
        raise NotAccepted(reason, str(wrong)) from wrong
    except FAILURES as wrong:
        raise NotAccepted(reason, f"{type(wrong).__name__}: {str(wrong)[:200]}") from wrong


def _added(case: _Case) -> list[Revision]:
    begin, end = case.prepared.original_size, case.signed.stat().st_size
    if case.original.stat().st_size != begin:
        raise NotAccepted("other-bytes", "the document as it came has another size")
    added = revisions(case.files[1], begin, end)
    if added[0].end != case.prepared.file_size:
        raise NotAccepted("byte-range", "the signature's revision ends elsewhere")
    return added


@contextmanager
def _as_it_came(case: _Case) -> Iterator[View]:
    """Mended only where it must be; our update then brought a whole table."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(viewed(case.original, case.password))
            return
        except NotOpenedAlike:
            pass
    with viewed(case.original, case.password, mend=True) as view:
        yield view


def _opens_alike(before: View, after: View) -> None:
    if more := warnings_of(after) - warnings_of(before):
        raise NotOpenedAlike(f"qpdf warns: {sorted(more)[:3]}")


def _same_places(revision: Revision, view: View) -> None:
    """Both readers find the same objects at the same places."""
    for key, offset in revision.objects.items():
        if view.entries.get(key) != (1, offset, 0):
            raise NotOpenedAlike(f"object {key} is read at another place")
        if revision.lines is not None and revision.lines.get(key) != offset:
            raise NotOpenedAlike(f"the table tells another place of {key}")


# -- step 2


def _signature(case: _Case, revision: Revision, field: NewField) -> _Sealed:
    prepared = case.prepared
    found = _dictionary_of(case, revision, field)
    stated = {key: found.entries.get(key) for key in (b"/Type", b"/Filter", b"/SubFilter")}
    if stated != {b"/Type": b"/Sig", b"/Filter": b"/Adobe.PPKLite", b"/SubFilter": b"/ETSI.CAdES.detached"}:
        raise NotAccepted("not-found", "the dictionary is of another kind")
    if found.hole != (prepared.hole.offset, prepared.hole.offset + prepared.hole.length):
        raise NotAccepted("byte-range", "the hole lies elsewhere")
    return _Sealed(found, revision.end, prepared.mechanism.hash_name)


def _archive(case: _Case, added: list[Revision], field: NewField) -> _Sealed:
    """RFC 3161 token over all but its own hole (EN 319 142-1 5.4.3)."""
    holder = [one for one in added[1:] if field.signature in one.objects]
    if len(holder) != 1:
        raise NotAccepted("following", "a document time-stamp of no revision")
    found = _dictionary_of(case, holder[0], field)
    if (found.entries.get(b"/Type"), found.entries.get(b"/SubFilter")) != (
        b"/DocTimeStamp",
        b"/ETSI.RFC3161",
    ):
        raise NotAccepted("following", "a signature that is no document time-stamp")
    return _Sealed(found, holder[0].end, _token(found.contents).hash_name)


def _dictionary_of(case: _Case, revision: Revision, field: NewField) -> Located:
    if field.signature not in revision.objects:
        raise NotAccepted("not-found", "the signature stands in another revision")
    found = located(case.files[1], revision.objects[field.signature], revision.end)
    start, end = found.hole
    if found.byte_range != (0, start, end, revision.end - end):
        raise NotAccepted("byte-range", f"{found.byte_range} is not the revision but the hole")
    return found


# -- steps 4 and 5


def _signed_data(found: Located, prepared: PreparedSignature) -> SignedData:
    try:
        data = read_signed_data(found.contents)
    except NotSignedData as wrong:
        raise NotAccepted("cms", str(wrong)) from wrong
    if data.flaws:
        reason = "padding" if "TRAILING_BYTES" in data.flaws else "cms"
        raise NotAccepted(reason, ", ".join(data.flaws))
    expected: dict[str, tuple[object, object]] = {
        "content": ((data.content_type, data.content), (DATA, None)),
        "attributes": (sorted(data.signed_types), sorted(_OURS)),
        "unsigned attributes": (set(data.unsigned_types) - {known.SIGNATURE_TIME_STAMP}, set()),
        "signed bytes": (data.signed_attributes, prepared.to_sign),
        "digest algorithm": (data.digest_name, prepared.mechanism.hash_name),
        "signature algorithm": (_mechanism(data), prepared.mechanism.value),
        "certificate": (data.signer, prepared.certificate),
        "certificates": (sorted(data.certificates), sorted({prepared.certificate, *prepared.chain})),
        "revocation data": ((data.crls, data.ocsps, data.content_timestamps), ((), (), ())),
    }
    for what, (stands, was_prepared) in expected.items():
        if stands != was_prepared:
            raise NotAccepted("cms", f"other {what} than prepared")
    return data


def _mechanism(data: SignedData) -> str:
    kind = {"rsassa_pkcs1v15": "rsa-pkcs1", "rsassa_pss": "rsa-pss"}.get(data.scheme.kind, data.scheme.kind)
    if (
        data.scheme.kind == "rsassa_pss"
        and data.scheme.salt != hashlib.new(data.scheme.hash_name or "").digest_size
    ):
        return "rsa-pss with another salt"
    return f"{kind}-{data.scheme.hash_name}"


def _timestamp(data: SignedData, trust: TrustSnapshot) -> Dated:
    if len(data.timestamps) != 1:
        raise NotAccepted("timestamp", f"{len(data.timestamps)} where one is expected")
    hash_name = _token(data.timestamps[0]).hash_name
    over = _hashed(hash_name, data.signature)
    return _dated("SIGNATURE", data.timestamps[0], (over, hash_name), trust)


def _hashed(hash_name: str, over: bytes) -> bytes:
    try:
        return hashlib.new(hash_name, over).digest()
    except ValueError as unknown:
        raise NotAccepted("timestamp", f"by {hash_name}") from unknown


def _token(der: bytes) -> Token:
    try:
        return read_token(der)
    except NotAToken as wrong:
        raise NotAccepted("timestamp", str(wrong)) from wrong


def _dated(kind: str, der: bytes, over: tuple[bytes, str], trust: TrustSnapshot) -> Dated:
    token = _token(der)
    if any(der[len(token.der) :]):
        raise NotAccepted("padding", "behind the token stands more than zeros")
    try:
        check_token(token, digest=over[0], hash_name=over[1], trust=trust, at=token.time)
    except TokenRefused as wrong:
        raise NotAccepted("timestamp", wrong.why) from wrong
    return Dated(kind, token.time, token.authority, token.hash_name)


def _path(prepared: PreparedSignature, trust: TrustSnapshot, at: datetime) -> tuple[str, ...]:
    """Without any anchor nothing can be said, and whoever asked knows it (V6)."""
    if not trust.anchors:
        return ()
    try:
        found = find_path(prepared.certificate, prepared.chain, trust, at)
    except NoPath as wrong:
        raise NotAccepted("path", str(wrong)) from wrong
    return tuple(hashlib.sha256(one).hexdigest() for one in found)
