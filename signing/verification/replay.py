"""Facts kept, and judged again at another date or by another policy: this file writes them and reads them back.

- Kept is what the child process read in the file, and every revocation answer that was used and did not stand in it. The
  trust is not kept: whoever judges again says whom he believes.
- Whoever judges again believes these facts as they stand: the report says that no file was read (FROM_FACTS).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from signing.trust.path import StandingPath
from signing.trust.revocation import MAX_AGE, NOTHING, Revocation, Supplied
from signing.trust.status import Gathered
from signing.verification.answer import judged, unreadable
from signing.verification.pdf import Question
from signing.verification.pdf_facts import Facts
from signing.verification.report import Finding, Report, Severity
from signing.verification.stored import from_stored, to_stored

FORM, VERSION = "antin-facts", 1
MAX_FACTS = 512 << 20  # bytes


class NotFacts(ValueError):
    """Not what `write` wrote."""


class Listening(Revocation):
    """Asks another, and remembers what answered."""

    def __init__(self, other: Revocation, *, clock: Callable[[], datetime]) -> None:
        super().__init__(None, clock=clock)
        self._other = other
        self.heard: dict[bytes, str] = {}

    async def check(
        self, path: StandingPath, *, at: datetime, supplied: Supplied = NOTHING, max_age: timedelta = MAX_AGE
    ) -> Gathered:
        found = await self._other.check(path, at=at, supplied=supplied, max_age=max_age)
        self.heard |= dict.fromkeys(found.crls, "crls") | dict.fromkeys(found.ocsps, "ocsps")
        return found


@dataclass(frozen=True)
class Seen:
    """`facts` None: the file could not be read, `unreadable` says why (a code of the closed list of findings)."""

    file: str
    sha256: str
    facts: Facts | None
    unreadable: str = ""
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def beside(self, question: Question, heard: Listening | None) -> Seen:
        """With what was named by hand, and heard."""
        said = heard.heard if heard is not None else {}
        crls = (*question.crls, *(der for der, kind in said.items() if kind == "crls"))
        ocsps = (*question.ocsps, *(der for der, kind in said.items() if kind == "ocsps"))
        known = self.facts
        inside = {*known.crls, *known.ocsps} if known is not None else set()
        return replace(
            self,
            crls=tuple(one for one in dict.fromkeys(crls) if one not in inside),
            ocsps=tuple(one for one in dict.fromkeys(ocsps) if one not in inside),
        )


def write(seen: Seen) -> bytes:
    plain = {"form": FORM, "version": VERSION} | to_stored(seen)
    return json.dumps(plain, ensure_ascii=False, indent=1).encode()


def read(content: bytes) -> Seen:
    """Raises NotFacts."""
    try:
        plain: Any = json.loads(content)
        if (plain.pop("form"), plain.pop("version")) != (FORM, VERSION):
            raise NotFacts("of another form or version")
        return from_stored(Seen, plain)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise NotFacts(str(wrong)[:200]) from wrong


def seen(question: Question, found: Facts | str) -> Seen:
    """`found` as `answer.read` gives it."""
    facts, code = (None, found) if isinstance(found, str) else (found, "")
    return Seen(question.name, question.sha256, facts, code)


async def judge(seen: Seen, question: Question, revocation: Revocation | None) -> Report:
    """Total, as `answer`."""
    if seen.facts is None:
        return unreadable(question, seen.unreadable or "OUR_LIMIT")
    return await judged(seen.facts, question, revocation)


async def judge_again(seen: Seen, question: Question, revocation: Revocation | None) -> Report:
    """From stored facts. Total, as `answer`: whatever they hold ends in a report."""
    question = replace(
        question, name=seen.file, sha256=seen.sha256, crls=(*question.crls, *seen.crls),
        ocsps=(*question.ocsps, *seen.ocsps),
    )  # fmt: skip
    report = await judge(seen, question, revocation)
    return replace(report, findings=(*report.findings, Finding("FROM_FACTS", Severity.WARNING)))
