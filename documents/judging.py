"""This file asks the judge (`signing/verification/`) with the house's trust, clock and revocation answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from signing.trust.anchors import TrustSnapshot
from signing.trust.revocation import Revocation
from signing.verification.answer import answer
from signing.verification.pdf import Question
from signing.verification.policy import load_policy
from signing.verification.report import Report, TimeSource
from signing.workshop import Workshop

REMEMBERED_FOR = timedelta(seconds=60)
REMEMBERED = 256


class Judging:
    """Answers about kept renditions are remembered for a minute, per bytes and trust, so that a page that many look
    at does not cost a judgement for each. Our own limits are never remembered (V8)."""

    def __init__(
        self, workshop: Workshop, revocation: Revocation, *, trust: Callable[[], TrustSnapshot],
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._workshop, self._revocation, self._trust, self._clock = workshop, revocation, trust, clock
        self._remembered: OrderedDict[tuple[str, str], Report] = OrderedDict()

    async def of_stranger(self, path: Path, *, name: str, sha256: str, password: str | None = None) -> Report:
        """Judges now. Total: raises nothing for what is in the file; WorkshopBusy."""
        question = Question(
            name=name, sha256=sha256, trust=self._trust(), policy=load_policy("vn-official"), at=self._clock(),
            time_source=TimeSource.NOW, password=password,
        )  # fmt: skip
        return await answer(path, question, workshop=self._workshop, revocation=self._revocation)

    async def of_kept(self, path: Path, *, name: str, sha256: str) -> Report:
        key = (sha256, self._trust().digest)
        known = self._remembered.get(key)
        if known is not None and timedelta() <= self._clock() - known.validation_time < REMEMBERED_FOR:
            return replace(known, file=name)
        report = await self.of_stranger(path, name=name, sha256=sha256)
        if not ours_to_blame(report):
            self._remembered[key] = report
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return report


def ours_to_blame(report: Report) -> bool:
    return any(one.code == "OUR_LIMIT" for one in report.findings)
