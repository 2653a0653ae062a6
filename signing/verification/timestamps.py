"""Which time-stamps in a document prove something, and when (V3, V7): this file judges them from the newest backwards.

- A time-stamp is judged at the time that a later passed document time-stamp proves for it, else now. So an authority whose
  certificate has expired carries it only where somebody dated it again in time, with its revocation data.
- One that fails is a finding and never a proof; it does not make the signature fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from signing.timestamping.token import Token, TokenRefused, check_token, signed_data_in
from signing.trust.path import NoPath, StandingPath
from signing.trust.revocation import NOTHING
from signing.trust.status import Status
from signing.verification.certificate_check import (
    At,
    Sources,
    check_revocation,
    check_strength,
    computed,
    no_path,
)
from signing.verification.cms_form import Broken
from signing.verification.outcome import UNJUDGED, Outcome, failed, together, undecided
from signing.verification.pdf_facts import FoundSignature, FoundToken
from signing.verification.report import Finding, Indication, Severity, SubIndication, TimestampReport
from signing.verification.signed_data import NotSignedData

Sub = SubIndication
AHEAD = timedelta(minutes=5)  # one authority's clock may run so far before another's


@dataclass(frozen=True)
class Stamp:
    """A judged time-stamp. `stands_alone`: what came with the file told of its authority's revocation then."""

    kind: str  # SIGNATURE | CONTENT | ARCHIVE
    outcome: Outcome
    time: datetime | None = None
    authority: str | None = None
    path: tuple[bytes, ...] = ()
    stands_alone: bool = False

    @property
    def passed(self) -> bool:
        return self.outcome.indication is None and self.time is not None

    @property
    def report(self) -> TimestampReport:
        return TimestampReport(
            type=self.kind,
            indication=self.outcome.indication or Indication.TOTAL_PASSED,
            sub_indication=self.outcome.sub,
            time=self.time,
            authority=self.authority,
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """As said of the signature that it stands with."""
        if self.passed:
            return ()
        code = (
            "TIMESTAMP_REFUSED"
            if self.outcome.indication is Indication.TOTAL_FAILED
            else "TIMESTAMP_UNDECIDED"
        )
        why = self.outcome.sub.value if self.outcome.sub else ""
        return (Finding(code, Severity.WARNING, {"why": why}),)


@dataclass(frozen=True)
class DatedDocument:
    """A document time-stamp with the revision that it covers."""

    signature: FoundSignature
    stamp: Stamp
    judged_at: At


async def judge_document_timestamps(
    found: Sequence[FoundSignature], now: datetime, sources: Sources
) -> list[DatedDocument]:
    """Newest first. `found`: the document time-stamps only."""
    judged: list[DatedDocument] = []
    for one in sorted(found, key=lambda one: one.end, reverse=True):
        at = proven_by(judged, one.end, now)
        if one.fault is not None:
            stamp = Stamp("ARCHIVE", Outcome(Indication.TOTAL_FAILED, Sub.FORMAT_FAILURE, (one.fault,)))
        elif one.unjudged is not None:
            sub = UNJUDGED.get(one.unjudged.code)
            stamp = Stamp("ARCHIVE", Outcome(Indication.INDETERMINATE, sub, (one.unjudged,)))
        else:
            stamp = await judge_token(one.token or FoundToken(None), "ARCHIVE", at, now, sources)
        judged.append(DatedDocument(one, stamp, at))
    return judged


def proven_by(dated: Sequence[DatedDocument], end: int, now: datetime) -> At:
    """The earliest time that a passed document time-stamp proves for what ends there."""
    times = [
        one.stamp.time for one in dated if one.stamp.passed and one.stamp.time and one.signature.end > end
    ]
    return At(min(times), proven=True) if times else At(now, proven=False)


async def judge_token(found: FoundToken, kind: str, at: At, now: datetime, sources: Sources) -> Stamp:
    token = found.token
    if token is None:
        return Stamp(kind, failed(Sub.FORMAT_FAILURE, "FORM_BROKEN", why=found.fault or "?"))
    known = Stamp(kind, Outcome(), token.time, token.authority)
    try:
        beside = replace(token, certificates=(*token.certificates, *sources.certificates))
        checked = partial(
            check_token,
            beside,
            digest=found.digest,
            hash_name=token.hash_name,
            trust=sources.trust,
            at=at.time,
        )
        path = await computed(checked, len(beside.certificates))
    except TokenRefused as refused:
        return replace(known, outcome=_refused(refused, token, found.digest, at))
    revoked, _ = await check_revocation(path, at, sources)
    outcomes = [_as_doubt(revoked), _strength(token, path, at, now, sources), _order(token, at, sources)]
    return replace(
        known, outcome=together(outcomes), path=path, stands_alone=await _has_material(path, token, sources)
    )


async def _has_material(path: StandingPath, token: Token, sources: Sources) -> bool:
    """Whether what came with the file speaks of the authority at the time of the token: that is what makes B-LT."""
    if sources.embedded == NOTHING:
        return False
    max_age = sources.policy.max_age
    known = await sources.offline.check(path, at=token.time, supplied=sources.embedded, max_age=max_age)
    return known.status is Status.GOOD


def _refused(refused: TokenRefused, token: Token, digest: bytes, at: At) -> Outcome:
    if token.imprint != digest:
        return failed(Sub.HASH_FAILURE, "BYTES_CHANGED")
    match refused.__cause__:
        case NoPath() as none:
            return _as_doubt(no_path(none, token.signer, at))
        case Broken() as broken:
            return failed(Sub(broken.sub), "SIGNATURE_BROKEN")
        case NotSignedData():
            return failed(Sub.FORMAT_FAILURE, "FORM_BROKEN", why=refused.why[:200])
    return undecided(Sub.SIG_CONSTRAINTS_FAILURE, "FORM_BROKEN", why=refused.why[:200])


def _as_doubt(outcome: Outcome) -> Outcome:
    """That an authority was revoked before a proven time says nothing of when it made the token."""
    if outcome.indication is Indication.TOTAL_FAILED:
        return Outcome(Indication.INDETERMINATE, Sub.REVOKED_NO_POE, outcome.findings)
    return outcome


def _strength(token: Token, path: tuple[bytes, ...], at: At, now: datetime, sources: Sources) -> Outcome:
    try:
        data = signed_data_in(token.der)
    except NotSignedData as wrong:
        return failed(Sub.FORMAT_FAILURE, "FORM_BROKEN", why=str(wrong)[:200])
    return check_strength(data.scheme, (token.hash_name, data.digest_name), path, at, now, sources.policy)


def _order(token: Token, at: At, sources: Sources) -> Outcome:
    """No token is younger than a later one over it, or than now."""
    if (at.proven and token.time > at.time + AHEAD) or token.time > sources.latest:
        return undecided(Sub.TIMESTAMP_ORDER_FAILURE, "TIME_ORDER")
    return Outcome()
