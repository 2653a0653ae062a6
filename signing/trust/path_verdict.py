"""Is there a path, and does it hold: this file judges one certificate by what was brought, at one time, without any network
(RFC 5280 6; V3 for what is revoked or weak)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from signing.trust.algorithms import Weakness, weaknesses
from signing.trust.anchors import TrustSnapshot, Use
from signing.trust.bag import Bag
from signing.trust.certificate import Certificate, NotACertificate, read
from signing.trust.crl import Crl
from signing.trust.dsa import is_dsa
from signing.trust.path import Flaw, NoPath, StandingPath, find_path
from signing.trust.policies import NOTHING_ASKED, PolicyInputs, PolicyRefused, check_policies
from signing.trust.revocation import MAX_AGE
from signing.trust.status import Answer, Moment, Status
from signing.trust.supplied_lists import SuppliedLists, TooManyLists

REVOKED, ON_HOLD, REVOCATION_UNKNOWN = "revoked", "on-hold", "revocation-unknown"
WEAK = "weak-algorithm"
REASONS = (*(one.value for one in Flaw), REVOKED, ON_HOLD, REVOCATION_UNKNOWN, WEAK)
# With other certificates or lists, later, or with more patience the answer might be another one.
UNDECIDED = {Flaw.NO_ISSUER.value, Flaw.TOO_MUCH.value, ON_HOLD, REVOCATION_UNKNOWN, WEAK}
MAX_WAYS = 8  # tried where an authority on the way is not good


@dataclass(frozen=True)
class PathQuestion:
    """`lists` None: revocation is not asked about. `at` is the time asked about, `now` the clock's."""

    certificate: bytes
    others: Sequence[bytes]
    trust: TrustSnapshot
    lists: Sequence[Crl] | None
    at: datetime
    now: datetime
    policies: PolicyInputs = NOTHING_ASKED


@dataclass(frozen=True)
class PathVerdict:
    """`reason` is one of REASONS, empty where it is valid; `subject` whom it concerns (RFC 4514). `path`: from the signer to
    the anchor, as far as there is one; `policies`: OIDs, in the anchor's terms. `weak`: all that is weak, also where that
    alone refuses nothing."""

    reason: str = ""
    subject: str = ""
    detail: str = ""
    path: tuple[Certificate, ...] = ()
    policies: tuple[str, ...] = ()
    weak: tuple[Weakness, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.reason


def judge_path(question: PathQuestion) -> PathVerdict:
    """Raises nothing, whatever the bytes are."""
    try:
        signer = read(question.certificate)
    except NotACertificate as wrong:
        return PathVerdict(Flaw.UNREADABLE, detail=str(wrong))
    bag = Bag(question.others)
    believed = {one.subject for one in question.trust.read_by_use[Use.SIGNATURES]}
    others, more = bag.above(signer, believed)
    first: PathVerdict | None = None
    for _ in range(MAX_WAYS):
        try:
            path = find_path(signer.der, others, question.trust, question.at, policies=question.policies)
        except NoPath as none:
            return first or _no_path(none, signer, more=more)
        verdict = _judged(path, bag, question)
        first = first or verdict
        at_fault = _at_fault(verdict)
        if verdict.valid or at_fault is None:
            return verdict if verdict.valid else first
        others = [one for one in others if one != at_fault]
    return first or PathVerdict(Flaw.TOO_MUCH)


def _no_path(none: NoPath, signer: Certificate, *, more: bool) -> PathVerdict:
    reason = Flaw.TOO_MUCH if more and none.flaw is Flaw.NO_ISSUER else none.flaw
    return PathVerdict(reason.value, none.subject, none.detail, path=(signer,))


def _judged(found: StandingPath, bag: Bag, question: PathQuestion) -> PathVerdict:
    path = tuple(read(one) for one in found)
    listed = list(weaknesses(found, question.at))
    weak = tuple(one for _, one in listed)
    policies = _policies(path, question.policies)
    fatal = [(number, one) for number, one in listed if not is_dsa(path[number].key)]
    if question.lists is not None:
        anchor = question.trust.by_use[Use.SIGNATURES][found[-1]]
        moment = Moment(question.at, question.now, MAX_AGE)
        try:
            answers = SuppliedLists(question.lists, bag, anchor, moment).of(path)
        except TooManyLists:
            return PathVerdict(Flaw.TOO_MUCH.value, path=path, weak=weak)
        weak += tuple(one.weakness for one in answers if one.weakness is not None)
        for one, answer in zip(path, answers, strict=False):
            reason = _refused(answer)
            if reason:
                detail = answer.reason or (answer.why.value if answer.why else "")
                return PathVerdict(reason, one.subject_text, detail, path, policies, weak)
    if fatal:
        number, worst = fatal[0]
        return PathVerdict(WEAK, path[number].subject_text, worst.what, path, policies, weak)
    return PathVerdict(path=path, policies=policies, weak=weak)


def _policies(path: Sequence[Certificate], inputs: PolicyInputs) -> tuple[str, ...]:
    """Where nobody asks for policies, such as cannot be read are none."""
    try:
        return tuple(sorted(check_policies(path, inputs)))
    except PolicyRefused:
        return ()


def _refused(answer: Answer) -> str:
    return {Status.GOOD: "", Status.REVOKED: REVOKED, Status.ON_HOLD: ON_HOLD}.get(
        answer.status, REVOCATION_UNKNOWN
    )


def _at_fault(verdict: PathVerdict) -> bytes | None:
    """An authority between signer and anchor without which there may be another way."""
    between = [one.der for one in verdict.path[1:-1] if one.subject_text == verdict.subject]
    return between[0] if between else None
