"""The door of verification: this file takes a file and a question, and always answers with a report."""

from __future__ import annotations

from pathlib import Path

from signing.trust.revocation import Revocation
from signing.verification.pdf import Question
from signing.verification.report import Finding, Report, Severity, Verdict
from signing.workshop import Workshop


async def answer(
    path: Path, question: Question, *, workshop: Workshop, revocation: Revocation | None
) -> Report:
    """`revocation` None: nothing but what came with the file or was supplied. Total: raises nothing."""
    return _unreadable(question, Finding("OUR_LIMIT", Severity.ERROR))


def _unreadable(question: Question, why: Finding) -> Report:
    return Report(
        file=question.name,
        sha256=question.sha256,
        format="PDF",
        verdict=Verdict.UNREADABLE,
        whole_document=False,
        policy_name=question.policy.name,
        policy_digest=question.policy.digest,
        validation_time=question.at,
        time_source=question.time_source,
        trust_digest=question.trust.digest,
        demonstration=question.trust.demonstration,
        findings=(why,),
    )
