"""From a certificate up to somebody whom we believe: this file finds the path and judges it at one time, without any
network (RFC 5280 6.1; ETSI EN 319 102-1 5.2.6).

- An anchor is believed as it stands: its own signature is not judged (V3). One that is no authority is believed for
  itself only (V6).
- Every certificate is valid at the time, every issuer is an authority that may sign certificates, no path is longer
  than allowed, nothing critical stands in it that we cannot judge. Revocation and strength are asked elsewhere.
- Work is bounded however many certificates somebody brings, and however they sign each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import NewType

from signing.trust.anchors import Anchor, TrustSnapshot, Use
from signing.trust.certificate import Certificate, NotACertificate, read, readable
from signing.trust.constraints import Forbidden, check_constraints
from signing.trust.dsa import check_issued, working_keys
from signing.trust.policies import NOTHING_ASKED, PolicyInputs, PolicyRefused, check_policies
from signing.trust.signature import BadSignature, scheme_of

StandingPath = NewType("StandingPath", tuple[bytes, ...])
"""DER from the signer to the anchor, made by `find_path` alone: only such paths' addresses are ever asked (C4)."""

MAX_LENGTH = 16  # certificates
MAX_OTHERS = 200
MAX_STEPS = 1000  # from a certificate to one that may stand above it, a signature each


class Flaw(StrEnum):
    """Why there is no path; the later in this list, the nearer it came."""

    UNREADABLE = "unreadable"  # the certificate itself
    NO_ISSUER = "no-issuer"  # nobody whom we believe stands above
    TOO_MUCH = "too-much"  # more certificates than we look at
    NOT_AN_AUTHORITY = "not-an-authority"
    TOO_LONG = "too-long"  # pathLenConstraint
    UNJUDGED_EXTENSION = "unjudged-extension"
    FORBIDDEN = "forbidden"  # name constraints, policies
    NOT_BELIEVED_THEN = "not-believed-then"  # the anchor, at that time
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"


class NoPath(Exception):
    """`subject` names the certificate at fault (RFC 4514), `of_signer` says whether it is the first of the path."""

    def __init__(self, flaw: Flaw, subject: str, *, of_signer: bool = False, detail: str = "") -> None:
        super().__init__(": ".join(one for one in (flaw.value, subject, detail) if one))
        self.flaw, self.subject, self.of_signer, self.detail = flaw, subject, of_signer, detail


@dataclass(slots=True)
class _Search:
    others: tuple[Certificate, ...]
    anchors: dict[bytes, Anchor]
    at: datetime
    believed: tuple[Certificate, ...]
    policies: PolicyInputs = NOTHING_ASKED
    steps: int = 0
    flaw: NoPath | None = None
    by_subject: dict[str, list[Certificate]] = field(default_factory=dict)
    left: dict[str, int] | None = None  # to an anchor, by names; where somebody asked

    def __post_init__(self) -> None:
        # Anchors first: the shortest way to somebody believed is the one to judge.
        for one in (*self.believed, *self.others):
            self.by_subject.setdefault(one.subject, []).append(one)

    def note(self, flaw: NoPath) -> None:
        order = list(Flaw)
        if self.flaw is None or order.index(flaw.flaw) > order.index(self.flaw.flaw):
            self.flaw = flaw


def find_path(
    certificate: bytes,
    others: Iterable[bytes],
    trust: TrustSnapshot,
    at: datetime,
    *,
    use: Use = Use.SIGNATURES,
    policies: PolicyInputs = NOTHING_ASKED,
) -> StandingPath:
    """From the certificate to an anchor of this use; one that is itself an anchor is a path of its own. `others` may
    hold anything, also what is no certificate. Raises NoPath with the flaw of the way that came nearest."""
    try:
        signer = read(certificate)
    except NotACertificate as wrong:
        raise NoPath(Flaw.UNREADABLE, "", of_signer=True, detail=str(wrong)) from wrong
    readably = readable(islice(others, MAX_OTHERS))
    search = _Search(readably, trust.by_use[use], at, trust.read_by_use[use], policies)
    for path in _paths(signer, search):
        flaw = _judge(path, search)
        if flaw is None:
            return StandingPath(tuple(one.der for one in path))
        search.note(flaw)
    raise search.flaw or NoPath(Flaw.NO_ISSUER, signer.subject_text, of_signer=True)


def _paths(signer: Certificate, search: _Search) -> Iterator[tuple[Certificate, ...]]:
    """Every way up to an anchor whose signatures hold, a shortest one first; the rest is judged afterwards."""
    ways: list[tuple[Certificate, ...]] = [(signer,)]
    while ways:
        begun = ways.pop()
        last = begun[-1]
        if last.der in search.anchors:
            yield begun
        elif len(begun) < MAX_LENGTH:
            for issuer in _issuers(begun, last, search):
                ways.append((*begun, issuer))
            if len(begun) > 1 and search.flaw is None:
                search.note(NoPath(Flaw.NO_ISSUER, last.subject_text))


def _issuers(begun: tuple[Certificate, ...], last: Certificate, search: _Search) -> list[Certificate]:
    """Whose key signed the last of the way; who is to be tried first stands last."""
    named = search.by_subject.get(last.issuer, [])
    if len(named) > 1:
        named = _best_last(named, last, search)
    found = []
    for issuer in named:
        if _is_loop(issuer, begun):
            continue
        if issuer.der in search.anchors and not _may_issue(issuer):
            search.note(NoPath(Flaw.NOT_AN_AUTHORITY, issuer.subject_text))
            continue
        if search.steps >= MAX_STEPS:
            search.note(NoPath(Flaw.TOO_MUCH, last.subject_text))
            break
        search.steps += 1
        # What inherits its parameters from above is checked when all of it stands there.
        if issuer.inherits or _signed_by(last.der, issuer.der):
            found.append(issuer)
    return found


def _best_last(named: list[Certificate], last: Certificate, search: _Search) -> list[Certificate]:
    """By the key's identifier, which is a hint only, then by how far it still is to an anchor; without those from whom none
    is reached. So no ring of authorities that certify each other keeps us from the way that leads out of it."""
    if search.left is None:
        believed = {one.subject for one in search.believed}
        search.left = distances(((one.issuer, one.subject) for one in search.others), believed)
    hint, left = last.issuer_key_id, search.left

    def far(one: Certificate) -> tuple[bool, int]:
        way = 0 if one.der in search.anchors else 1 + left[one.issuer]
        return hint is not None and one.key_id != hint, way

    leading = [one for one in named if one.der in search.anchors or one.issuer in left]
    return sorted(leading, key=far)[::-1]


def distances(issued: Iterable[tuple[str, str]], believed: Iterable[str]) -> dict[str, int]:
    """How many certificates stand between each name and one that is believed, going by names (issuer, subject) alone; who
    is not in it is cut off."""
    below: dict[str, list[str]] = {}
    for issuer, subject in issued:
        below.setdefault(issuer, []).append(subject)
    left = dict.fromkeys(believed, 0)
    ways = deque(left)
    while ways:
        name = ways.popleft()
        for subject in below.get(name, ()):
            if subject not in left:
                left[subject] = left[name] + 1
                ways.append(subject)
    return left


def _is_loop(issuer: Certificate, begun: tuple[Certificate, ...]) -> bool:
    """The same key under the same name again, whatever else differs."""
    for one in begun:  # noqa: SIM110  # a generator would cost more than all that it looks at
        if issuer.key == one.key and issuer.subject == one.subject:
            return True
    return False


@lru_cache(maxsize=4096)
def _signed_by(child: bytes, issuer: bytes) -> bool:
    below, above = read(child), read(issuer)
    try:
        check_issued(above.key, scheme_of(below.algorithm), below.signature, below.signed)
    except BadSignature:
        return False
    return True


def _may_issue(one: Certificate) -> bool:
    # Roots older than version 3 could not say that they are authorities; only an anchor may be so old.
    if one.version < 3:
        return one.self_issued
    return one.ca and (one.usage is None or "key_cert_sign" in one.usage)


def _judge(path: Sequence[Certificate], search: _Search) -> NoPath | None:
    """The first flaw of a path whose signatures hold, from the anchor down."""
    bound = search.policies.explicit
    for number in range(len(path) - 1, -1, -1):
        one = path[number]
        flaw = _flaw_of(one, number, path, search)
        if flaw is not None:
            return NoPath(flaw, one.subject_text, of_signer=number == 0)
        bound = bound or one.binds
    return _judge_together(path, search) if bound else None


def _judge_together(path: Sequence[Certificate], search: _Search) -> NoPath | None:
    if any(one.inherits for one in path) and not _inherited_keys_hold(path):
        return NoPath(Flaw.NO_ISSUER, path[0].subject_text, of_signer=True)
    try:
        check_constraints(path)
        check_policies(path, search.policies)
    except (Forbidden, PolicyRefused) as wrong:
        return NoPath(Flaw.FORBIDDEN, path[0].subject_text, of_signer=True, detail=str(wrong))
    return None


def _inherited_keys_hold(path: Sequence[Certificate]) -> bool:
    try:
        for number, key in enumerate(working_keys(path)[1:]):
            if path[number + 1].inherits:
                below = path[number]
                check_issued(key, scheme_of(below.algorithm), below.signature, below.signed)
    except BadSignature:
        return False
    return True


def _flaw_of(one: Certificate, number: int, path: Sequence[Certificate], search: _Search) -> Flaw | None:
    anchor = search.anchors.get(one.der) if number == len(path) - 1 else None
    if number and not (_may_issue(one) and (anchor is not None or one.version >= 3)):
        return Flaw.NOT_AN_AUTHORITY
    if number and one.path_length is not None:
        between = sum(not below.self_issued for below in path[1:number])
        if between > one.path_length:
            return Flaw.TOO_LONG
    if anchor is None and one.unjudged:
        return Flaw.UNJUDGED_EXTENSION
    if anchor is not None:
        return _flaw_of_anchor(anchor, one, search.at, alone=len(path) == 1)
    return _flaw_of_time(one, search.at)


def _flaw_of_anchor(anchor: Anchor, one: Certificate, at: datetime, *, alone: bool) -> Flaw | None:
    if (anchor.since and at < anchor.since) or (anchor.until and at > anchor.until):
        return Flaw.NOT_BELIEVED_THEN
    if alone:
        return _flaw_of_time(one, at)
    early = anchor.since is None and at < one.not_before
    late = anchor.until is None and at > one.not_after
    return Flaw.NOT_BELIEVED_THEN if early or late else None


def _flaw_of_time(one: Certificate, at: datetime) -> Flaw | None:
    if at < one.not_before:
        return Flaw.NOT_YET_VALID
    return Flaw.EXPIRED if at > one.not_after else None
