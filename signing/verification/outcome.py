"""How one check ends, and how many checks make one indication: this file holds the small algebra of verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from signing.verification.policy import Effect
from signing.verification.report import Finding, Indication, Severity, SubIndication


@dataclass(frozen=True)
class Outcome:
    """`indication` None: nothing speaks against it."""

    indication: Indication | None = None
    sub: SubIndication | None = None
    findings: tuple[Finding, ...] = ()


FINE = Outcome()
UNJUDGED = {
    "ALGORITHM_UNKNOWN": SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
    "CONTENT_WANTED": SubIndication.SIGNED_DATA_NOT_FOUND,
}
"""By the code of what could not be judged."""


def failed(sub: SubIndication, code: str, **data: str) -> Outcome:
    return Outcome(Indication.TOTAL_FAILED, sub, (Finding(code, Severity.ERROR, data),))


def undecided(sub: SubIndication | None, code: str, **data: str) -> Outcome:
    return Outcome(Indication.INDETERMINATE, sub, (Finding(code, Severity.ERROR, data),))


def remark(severity: Severity, code: str, **data: str) -> Outcome:
    return Outcome(findings=(Finding(code, severity, data),))


def by_effect(effect: Effect, strict: Outcome) -> Outcome:
    """What becomes of a rule that is not met, by what the policy wants of it."""
    if effect is Effect.FAIL:
        return strict
    if effect is Effect.IGNORE:
        return FINE
    severity = Severity.WARNING if effect is Effect.WARN else Severity.INFO
    return Outcome(findings=tuple(Finding(one.code, severity, one.data) for one in strict.findings))


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The first failure wins, else the first that is undecided; every finding is told, once."""
    all_ = list(outcomes)
    findings: list[Finding] = []
    for one in all_:
        findings += [finding for finding in one.findings if finding not in findings]
    for wanted in (Indication.TOTAL_FAILED, Indication.INDETERMINATE):
        for one in all_:
            if one.indication is wanted:
                return Outcome(wanted, one.sub, tuple(findings))
    return Outcome(None, None, tuple(findings))
