"""The judge of our own work: this file opens what was written, and accepts it or says why not (S2).

    1. Our own reader finds every object of what was added, and nothing between them.
    2. The signature, and document time-stamps over it: the byte range of each is its whole revision but the hole.
    3. The bytes: the document as it came is the begin, and what is covered has the digest that was agreed.
    4. The second reader opens it without mending, and sees the signature in its field and no other change.
    5. What follows is only validation material and document time-stamps; pages and their objects are as before.
    6. The CMS: its form, its attributes, its certificates, the signature's value.
    7. Time-stamps, and the path of the certificate to somebody whom we believe.

- qpdf is asked last, for bytes that are known to be the document and what our writer writes.
- Nothing of who made it is used but the PreparedSignature; what was agreed there is held against what stands here.
- Policy `integrity`: bytes, signature, chain, changes. Revocation was asked before the key was touched.
- It runs in a process of its own and raises nothing but NotAccepted, which crosses its border.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from signing.prepared import PreparedSignature
from signing.trust.anchors import TrustSnapshot
from signing.verification.judgement import REASONS, Dated, Judgement, NotAccepted
from signing.verification.own_bytes import Located, NotReadable, Revision, digests, located, revisions
from signing.verification.own_changes import Comparison, NotMeant
from signing.verification.own_signature import (
    check_cms,
    check_signature_timestamp,
    check_timestamp,
    standing_path,
    token_of,
)
from signing.verification.second_reader import (
    FAILURES,
    Key,
    NotOpenedAlike,
    View,
    misplaced,
    pages_of,
    redefined,
    viewed,
    warnings_of,
)

__all__ = ["REASONS", "Dated", "Judgement", "NotAccepted", "judge"]


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

    key: Key
    found: Located
    end: int
    hash_name: str


def _judged(
    case: _Case, stack: ExitStack, trust: TrustSnapshot, at: datetime, *, timestamped: bool
) -> Judgement:
    prepared = case.prepared

    # 1. Our own reading of what was added, object by object.
    with _refused("unreadable"):
        first, *more = added = _added(case)

    # 2. The signature, and document time-stamps over it: each byte range is its whole revision but the hole.
    with _refused("not-found"):
        signature = _signature(case, first)
        archives = [_archive(case, one) for one in more if one.signatures]

    # 3. The bytes: the document as it came is the begin, and what is covered has the digest that was agreed.
    with _refused("other-bytes"):
        wanted = [(one.hash_name, one.found.hole, one.end) for one in (signature, *archives)]
        digest, *archived = digests(*case.files, prepared.original_size, wanted)
    if digest != prepared.document_digest:
        raise NotAccepted("digest", "the covered bytes are not those that were agreed")

    # 4. The second reader opens it without mending, and sees the signature in its field and no other change.
    with _refused("second-reader"):
        before, revision, final = _views(case, stack, added)
    with _refused("changes"):
        field = Comparison(before, revision, first.objects).signature(prepared.field)
        if field.signature != signature.key:
            raise NotMeant("another signature than the one that was found")

    # 5. What follows is only validation material and document time-stamps; pages and their objects are as before.
    with _refused("following"):
        later = Comparison(revision, final, _places(more)).following() if more else []
        if sorted(one.signature for one in later) != sorted(one.key for one in archives):
            raise NotMeant("other time-stamps than those that were found")
        views = (before, revision, final) if more else (before, revision)
        if len({pages_of(view) for view in views}) != 1:
            raise NotAccepted("changes", "another count of pages")

    # 6. The CMS: its form, attributes and certificates are those that were prepared, and its value holds.
    data = check_cms(signature.found, prepared, digest)

    # 7. Time-stamps, and the path of the certificate to somebody whom we believe.
    if bool(data.timestamps) != timestamped:
        raise NotAccepted("timestamp", "missing" if timestamped else "there is one that nobody asked for")
    stamps = [check_signature_timestamp(data, trust)] if timestamped else []
    moment = stamps[0].time if stamps else at
    for one, over in zip(archives, archived, strict=True):
        stamps.append(check_timestamp("ARCHIVE", one.found.contents, (over, one.hash_name), trust))
    return Judgement(
        field=field.name,
        certificate=hashlib.sha256(prepared.certificate).hexdigest(),
        digest=digest.hex(),
        hash_name=data.digest_name,
        algorithm=prepared.mechanism.value,
        path=standing_path(prepared, trust, moment),
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


def _views(case: _Case, stack: ExitStack, added: list[Revision]) -> tuple[View, View, View]:
    """Of the document as it came, of the signature's revision, of the whole."""
    first, more = added[0], len(added) > 1
    size = first.end if more else None

    def opened(size: int | None, *, mend: bool = False) -> View:
        return stack.enter_context(viewed(case.signed, case.password, size=size, mend=mend))

    revision = opened(size)
    before = _as_it_came(case, stack, revision, first.begin)
    _opens_alike(before, revision, [first])
    final = opened(None) if more else revision
    _opens_alike(before, final, added)
    if before.mended:
        # What is damaged in the document is looked at alike in both; our own part opened without that.
        revision = opened(size, mend=True)
        final = opened(None, mend=True) if more else revision
    return before, revision, final


def _as_it_came(case: _Case, stack: ExitStack, signed: View, size: int) -> View:
    """Mended only where it must be: our update then brought a whole table, which tells other places of old objects."""
    try:
        view = stack.enter_context(viewed(case.original, case.password))
        if not misplaced(case.original, view) and all(
            signed.entries[key][1] >= size for key in redefined(view, signed)
        ):
            return view
    except NotOpenedAlike:
        pass
    return stack.enter_context(viewed(case.original, case.password, mend=True))


def _opens_alike(before: View, after: View, ours: Iterable[Revision]) -> None:
    """Without new warnings; and both readers find what was added at the same places."""
    if more := warnings_of(after) - warnings_of(before):
        raise NotOpenedAlike(f"qpdf warns: {sorted(more)[:3]}")
    for revision in ours:
        for key, offset in revision.objects.items():
            if revision.lines is not None and revision.lines.get(key) != offset:
                raise NotOpenedAlike(f"the table tells another place of {key}")
    for key, offset in _places(ours).items():
        if after.entries.get(key) != (1, offset, 0):
            raise NotOpenedAlike(f"object {key} is read at another place")


def _places(ours: Iterable[Revision]) -> dict[Key, int]:
    """Where the newest of each object begins."""
    return {key: offset for revision in ours for key, offset in revision.objects.items()}


# -- step 2


def _signature(case: _Case, revision: Revision) -> _Sealed:
    prepared = case.prepared
    key, found = _only_one(case, revision)
    stated = {name: found.entries.get(name) for name in (b"/Type", b"/Filter", b"/SubFilter")}
    if stated != {b"/Type": b"/Sig", b"/Filter": b"/Adobe.PPKLite", b"/SubFilter": b"/ETSI.CAdES.detached"}:
        raise NotAccepted("not-found", "the dictionary is of another kind")
    if found.hole != (prepared.hole.offset, prepared.hole.offset + prepared.hole.length):
        raise NotAccepted("byte-range", "the hole lies elsewhere")
    return _Sealed(key, found, revision.end, prepared.mechanism.hash_name)


def _archive(case: _Case, revision: Revision) -> _Sealed:
    """RFC 3161 token over all but its own hole (EN 319 142-1 5.4.3)."""
    key, found = _only_one(case, revision)
    stated = found.entries.get(b"/Type"), found.entries.get(b"/SubFilter")
    if stated != (b"/DocTimeStamp", b"/ETSI.RFC3161"):
        raise NotAccepted("following", "a signature that is no document time-stamp")
    return _Sealed(key, found, revision.end, token_of(found.contents).hash_name)


def _only_one(case: _Case, revision: Revision) -> tuple[Key, Located]:
    if len(revision.signatures) != 1:
        raise NotAccepted("not-found", f"{len(revision.signatures)} signatures where one is expected")
    key = revision.signatures[0]
    found = located(case.files[1], revision.objects[key], revision.end)
    start, end = found.hole
    if found.byte_range != (0, start, end, revision.end - end):
        raise NotAccepted("byte-range", f"{found.byte_range} is not the revision but the hole")
    return key, found
