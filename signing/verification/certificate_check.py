"""Was the certificate good at a time? This file finds its path, asks for revocation and for strength, and says what comes
of each (V3, V4; ETSI EN 319 102-1 5.2.6).

- A time is *proven* where a passed time-stamp stands behind it. Without one, whatever is known now counts.
- What came with the file is asked first and by itself: so it is known whether the file could stand alone (B-LT).
- A revocation that anybody told of, in the file or beside it, is never outvoted by an answer that says "good".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from signing.trust.algorithms import Weakness, weak_hash, weak_path, weak_scheme
from signing.trust.anchors import TrustSnapshot, Use
from signing.trust.certificate import read
from signing.trust.path import Flaw, NoPath, StandingPath, find_path
from signing.trust.revocation import Revocation, Supplied
from signing.trust.signature import Scheme
from signing.trust.status import CertificateStatus, Gathered, Status
from signing.verification.outcome import FINE, Outcome, by_effect, failed, remark, together, undecided
from signing.verification.policy import Policy, Rule
from signing.verification.report import Severity, SubIndication, rfc3339

Sub = SubIndication
T = TypeVar("T")
FEW = 12  # certificates


@dataclass(frozen=True)
class At:
    """The time that is asked about."""

    time: datetime
    proven: bool


@dataclass(frozen=True)
class Sources:
    """Whom to ask, and what was supplied. `beside`: `--crl`; `online` None: nobody else. `latest`: no
    time-stamp may be younger."""

    trust: TrustSnapshot
    policy: Policy
    offline: Revocation
    online: Revocation | None
    embedded: Supplied
    beside: Supplied
    certificates: tuple[bytes, ...]  # that may help to find a path
    latest: datetime
    # Of one file: signatures by one certificate at one time ask the same.
    revocation_known: dict[tuple[StandingPath, At], tuple[Outcome, bool]] = field(default_factory=dict)

    @property
    def everything(self) -> Supplied:
        return Supplied((*self.beside.crls, *self.embedded.crls), (*self.beside.ocsps, *self.embedded.ocsps))


@dataclass(frozen=True)
class Checked:
    """`stands_alone`: what came with the file was enough to know that nothing on the path was revoked."""

    outcome: Outcome
    path: tuple[bytes, ...] = ()
    stands_alone: bool = False


async def computed(work: Callable[[], T], certificates: int) -> T:
    """What a path among so many certificates is: a few take less time than to hand the work to a thread."""
    return work() if certificates <= FEW else await asyncio.to_thread(work)


async def check_certificate(certificate: bytes, others: Sequence[bytes], at: At, sources: Sources) -> Checked:
    """Of a signer of documents."""
    try:
        beside = (*others, *sources.certificates)
        looked_for = partial(find_path, certificate, beside, sources.trust, at.time, use=Use.SIGNATURES)
        path = await computed(looked_for, len(beside))
    except NoPath as none:
        return Checked(no_path(none, certificate, at), (certificate,))
    revoked, alone = await check_revocation(path, at, sources)
    return Checked(revoked, path, alone)


_FLAWS = {
    Flaw.EXPIRED: (Sub.OUT_OF_BOUNDS_NO_POE, "PATH_REFUSED"),
    Flaw.NOT_YET_VALID: (Sub.OUT_OF_BOUNDS_NO_POE, "PATH_REFUSED"),
    Flaw.NO_ISSUER: (Sub.NO_CERTIFICATE_CHAIN_FOUND, "NO_PATH"),
    Flaw.UNREADABLE: (Sub.NO_CERTIFICATE_CHAIN_FOUND, "NO_PATH"),
    Flaw.NOT_BELIEVED_THEN: (Sub.NO_CERTIFICATE_CHAIN_FOUND, "NO_PATH"),
    Flaw.TOO_MUCH: (Sub.CERTIFICATE_CHAIN_GENERAL_FAILURE, "PATH_REFUSED"),
}


def no_path(none: NoPath, certificate: bytes, at: At) -> Outcome:
    """What it means that nobody believed stands above the certificate at the time."""
    if none.of_signer and none.flaw is Flaw.EXPIRED:
        when = rfc3339(read(certificate).not_after) or ""
        return undecided(Sub.OUT_OF_BOUNDS_NO_POE, "EXPIRED_NO_PROOF", when=when)
    if none.of_signer and none.flaw is Flaw.NOT_YET_VALID:
        when = rfc3339(read(certificate).not_before) or ""
        if at.proven:
            return failed(Sub.NOT_YET_VALID, "NOT_YET_VALID", when=when)
        return undecided(Sub.OUT_OF_BOUNDS_NO_POE, "NOT_YET_VALID", when=when)
    sub, code = _FLAWS.get(none.flaw, (Sub.CHAIN_CONSTRAINTS_FAILURE, "PATH_REFUSED"))
    return undecided(sub, code, subject=none.subject[:300])


# -- revocation


async def check_revocation(path: StandingPath, at: At, sources: Sources) -> tuple[Outcome, bool]:
    """And whether what came with the file was enough."""
    known = sources.revocation_known.get((path, at))
    if known is None:
        known = sources.revocation_known[path, at] = await _check_revocation(path, at, sources)
    return known


async def _check_revocation(path: StandingPath, at: At, sources: Sources) -> tuple[Outcome, bool]:
    max_age = sources.policy.max_age
    alone = await sources.offline.check(path, at=at.time, supplied=sources.embedded, max_age=max_age)
    enough = alone.status is Status.GOOD
    if sources.policy.effect(Rule.REVOCATION).name == "IGNORE":
        return FINE, enough
    gathered = [alone]
    if sources.beside.crls or sources.beside.ocsps:
        gathered.append(
            await sources.offline.check(path, at=at.time, supplied=sources.beside, max_age=max_age)
        )
    # What was issued at a proven time or later needs no newer word; without proof, now is what is asked about.
    if sources.online is not None and not (enough and at.proven):
        gathered.append(
            await sources.online.check(path, at=at.time, supplied=sources.everything, max_age=max_age)
        )
    statuses = _worst_known(gathered)
    outcomes = [_judged(one, at, number) for number, one in enumerate(statuses)]
    unknown = [one for one in statuses if one.status is Status.UNKNOWN]
    if unknown:
        subject = read(unknown[0].certificate).subject_text[:300]
        strict = undecided(Sub.TRY_LATER, "REVOCATION_UNKNOWN", subject=subject)
        outcomes.append(by_effect(sources.policy.effect(Rule.REVOCATION), strict))
    return together(outcomes), enough


def _worst_known(gathered: Sequence[Gathered]) -> list[CertificateStatus]:
    """Of each certificate of the path: revoked before anything else, then the newest answer that counts."""
    return [_one(said) for said in zip(*(one.statuses for one in gathered), strict=True)]


def _one(said: Sequence[CertificateStatus]) -> CertificateStatus:
    revoked = [one for one in said if one.status is Status.REVOKED]
    if revoked:
        return min(revoked, key=lambda one: one.since.timestamp() if one.since else 0.0)
    known = [one for one in said if one.status is not Status.UNKNOWN]
    if known:
        return max(known, key=lambda one: one.this_update.timestamp() if one.this_update else 0.0)
    return said[-1]


def _judged(one: CertificateStatus, at: At, number: int) -> Outcome:
    older = one.this_update is not None and one.this_update < at.time
    if one.status is Status.GOOD and number == 0 and older:
        return remark(Severity.INFO, "REVOCATION_OLDER")
    if one.status not in {Status.REVOKED, Status.ON_HOLD}:
        return FINE
    when = rfc3339(one.since) or "?"
    if at.proven and one.since is not None and one.since > at.time:
        return remark(Severity.INFO, "REVOKED_LATER", when=when)
    if one.status is Status.ON_HOLD:
        outcome = undecided(Sub.TRY_LATER, "ON_HOLD")
    elif number:
        subject = read(one.certificate).subject_text[:300]
        outcome = undecided(Sub.REVOKED_CA_NO_POE, "AUTHORITY_REVOKED", subject=subject)
    elif at.proven:
        outcome = failed(Sub.REVOKED, "REVOKED", when=when)
    else:
        outcome = undecided(Sub.REVOKED_NO_POE, "REVOKED_NO_PROOF", when=when)
    return outcome


# -- strength


def check_strength(
    scheme: Scheme, hash_names: Sequence[str], path: Sequence[bytes], at: At, now: datetime, policy: Policy
) -> Outcome:  # fmt: skip
    """Of the signature's own algorithms and of everything on the path, at the time and, for a remark, now."""
    weak = _weakness(scheme, hash_names, path, at.time)
    if weak is not None:
        data = {"what": weak.what, "when": (rfc3339(weak.since) or "")[:10]}
        if at.proven:
            strict = undecided(Sub.CRYPTO_CONSTRAINTS_FAILURE, "WEAK_THEN", **data)
        else:
            strict = undecided(Sub.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, "WEAK_NO_PROOF", **data)
        return by_effect(policy.effect(Rule.STRENGTH), strict)
    weak = _weakness(scheme, hash_names, path, now)
    if weak is not None:
        return remark(Severity.INFO, "OLD_ALGORITHM", what=weak.what, when=(rfc3339(weak.since) or "")[:10])
    return FINE


def _weakness(
    scheme: Scheme, hash_names: Sequence[str], path: Sequence[bytes], at: datetime
) -> Weakness | None:
    for name in hash_names:
        if weak := weak_hash(name, at):
            return weak
    return weak_scheme(scheme, at) or weak_path(path, at)
