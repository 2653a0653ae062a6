"""What was refused, in a sentence for a person: this file takes it from the one table, also for what a row remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from documents.signer_check import CertificateRefused
from documents.signing_steps import KeyRefused
from signing.pades import CannotSign
from web.problem import Found
from web.problems import REASONS, TABLE, problem_for

# How `problem_of` (documents/sign_document.py) names a refusal in the row of its request.
REMEMBERED: Mapping[str, type[Exception]] = {
    one.__name__: one for one in (CannotSign, CertificateRefused, KeyRefused)
}


@dataclass(frozen=True)
class Told:
    said: str
    todo: str


def sentence_of(refused: Exception, language: str) -> tuple[str, int]:
    """What happened and what to do now, and the status; of an exception that stands in the table."""
    found = problem_for(refused)
    if found is None:
        raise refused
    return f"{found.sentence(language)} {found.todo(language)}", found.status


def remembered(problem: Mapping[str, Any], language: str) -> Told | None:
    """Of a request that ended; None where the table has no line for it."""
    kind = REMEMBERED.get(str(problem.get("code")))
    if kind is None:
        return None
    line = REASONS.get(kind, {}).get(str(problem.get("reason"))) or TABLE.get(kind)
    if line is None:
        return None
    detail = str(problem.get("detail") or "–").rsplit(": ", maxsplit=1)[-1] or "–"
    found = Found(line, data={"detail": "".join(c for c in detail if c.isprintable())[:300]})
    return Told(found.sentence(language), found.todo(language))
