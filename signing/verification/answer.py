"""The door of verification: this file takes a file and a question, and always answers with a report (V8).

The file is read in a child process without network, judged here. Whatever goes wrong on our side is our own limit: never
"forged", and never remembered.
"""

from __future__ import annotations

import logging
from pathlib import Path

from signing.trust.revocation import Revocation
from signing.verification.cades import looks_so, read_cades
from signing.verification.pdf import Question, judge
from signing.verification.pdf_facts import CannotRead, Facts
from signing.verification.pdf_reading import HEAD
from signing.verification.plain_reading import read_pdf
from signing.verification.report import CADES, PDF, Finding, Report, Severity, Verdict
from signing.workshop import Workshop, WorkshopBusy

SECONDS = 60.0  # for reading one file
MEMORY = 1 << 30  # bytes, for reading one file
log = logging.getLogger(__name__)


async def answer(
    path: Path, question: Question, *, workshop: Workshop, revocation: Revocation | None
) -> Report:
    """`revocation` None: nothing but what came with the file or was supplied. Total: raises nothing but WorkshopBusy, before
    anything was looked at."""
    # 1. Read, in a child.
    facts = await read(path, question.password, workshop=workshop)
    # 2. Judged, here.
    return (
        unreadable(question, facts) if isinstance(facts, str) else await judged(facts, question, revocation)
    )


async def read(
    path: Path, password: str | None, *, workshop: Workshop, content: Path | None = None
) -> Facts | str:
    """What stands in the file; `content`: what a signature or time-stamp by itself is over. Or the code of the finding that says why nothing can be said. Raises WorkshopBusy."""
    try:
        facts: Facts = await workshop.run_beside(
            read_file, path, password, content, seconds=SECONDS, memory=MEMORY
        )
        return facts
    except WorkshopBusy:
        raise
    except CannotRead as wrong:
        return wrong.code
    except Exception:
        log.exception("a file that was not read to its end")
        return "OUR_LIMIT"


def read_file(path: Path, password: str | None, content: Path | None) -> Facts:
    """By what the bytes are. Raises CannotRead, OSError; what else is raised is our own limit."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return (
        read_cades(path, content) if content is not None or looks_so(path, head) else read_pdf(path, password)
    )


async def judged(facts: Facts, question: Question, revocation: Revocation | None) -> Report:
    """Total: raises nothing."""
    try:
        return await judge(facts, question, revocation)
    except Exception:
        log.exception("a verification that did not come to its end")
        return unreadable(question, "OUR_LIMIT")


def unreadable(question: Question, code: str) -> Report:
    """The report of a file that nothing can be said about. `code` is of the closed list of findings."""
    return Report(
        file=question.name,
        sha256=question.sha256,
        format=CADES if code == "NOT_A_SIGNATURE" else PDF,
        verdict=Verdict.UNREADABLE,
        whole_document=False,
        policy_name=question.policy.name,
        policy_digest=question.policy.digest,
        validation_time=question.at,
        time_source=question.time_source,
        trust_digest=question.trust.digest,
        demonstration=question.trust.demonstration,
        findings=(Finding(code, Severity.ERROR),),
    )
