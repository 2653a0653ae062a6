"""One answer that says no (RFC 9457): this file says what stands in it, in both languages.

- A problem names what happened, what of the caller's work is safe, and what to do now; a program decides by `code` and
  `retryable` alone.
- Nothing of a trace, a path or another's data is ever told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from catalogue import LANGUAGES, N_, say
from web.pages.words import size

GAP = re.compile(r"%\((\w+)\)s")


class Saved(StrEnum):
    """What there is of the caller's work after the refusal."""

    NOTHING = "nothing"
    UNCHANGED = "unchanged"
    DOCUMENT = "document"
    REQUEST = "request"


SAVED_WORDS = {
    Saved.NOTHING: N_("Không có gì được lưu lại."),
    Saved.UNCHANGED: N_("Những gì đã lưu trước đó vẫn giữ nguyên."),
    Saved.DOCUMENT: N_("Văn bản vẫn được giữ nguyên như trước khi yêu cầu ký."),
    Saved.REQUEST: N_("Văn bản và yêu cầu ký đã được lưu, không mất gì."),
}


@dataclass(frozen=True)
class Problem:
    """A line of the table. `said` and `todo` are Vietnamese sentences of the catalogue, `%(name)s` filled from what
    the exception carries; `retry_after` in seconds, where the exception does not know better."""

    code: str
    status: int
    title: str
    said: str
    todo: str
    saved: Saved = Saved.UNCHANGED
    retryable: bool = False
    retry_after: float | None = None


@dataclass(frozen=True)
class Found:
    """A problem as it happened: `data` fills its sentence, `members` stand in the answer beside it (RFC 9457 3.2)."""

    problem: Problem
    data: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def retryable(self) -> bool:
        return self.problem.retryable

    def title(self, language: str) -> str:
        return say(self.problem.title, language)

    def sentence(self, language: str) -> str:
        """A gap that the exception does not fill is left as a dash: no answer fails for its wording."""
        gaps = dict.fromkeys(GAP.findall(self.problem.said), "–") | dict(self.data)
        if gaps.get("limit", "").isdigit():
            gaps["limit"] = size(int(gaps["limit"]), language)
        return say(self.problem.said, language, **gaps)

    def todo(self, language: str) -> str:
        return say(self.problem.todo, language)

    def saved(self, language: str) -> str:
        return say(SAVED_WORDS[self.problem.saved], language)

    def body(self, language: str, reference: str) -> dict[str, Any]:
        """The members of RFC 9457 in the asker's language, ours in every language. `reference` is the request's
        identifier, by which an operator finds it in the log."""
        problem = self.problem
        return {
            "type": f"/problems/{problem.code}",
            "title": self.title(language),
            "status": problem.status,
            "detail": self.sentence(language),
            "instance": f"urn:uuid:{reference}",
            "code": problem.code,
            "messages": {one: self.sentence(one) for one in LANGUAGES},
            "saved": {"state": problem.saved.value} | {one: self.saved(one) for one in LANGUAGES},
            "next": {one: self.todo(one) for one in LANGUAGES},
            "retryable": problem.retryable,
            **self.members,
        }
