"""What a person is told to do (`web/pages/reasons.py`): each finding and each ETSI name leads to its own sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from catalogue import say
from signing.verification.report import (
    Change,
    Coverage,
    Finding,
    Indication,
    Report,
    Severity,
    SignatureKind,
    SignatureReport,
    SubIndication,
    TimeSource,
    Verdict,
)
from signing.verification.wording import FINDINGS
from web.pages import reasons
from web.pages.answer import answer

AT = datetime(2026, 1, 15, 3, 20, tzinfo=UTC)
SIGNATURE = SignatureReport(
    "Signature1", SignatureKind.SIGNATURE, Indication.TOTAL_PASSED, None, "B-T", "B-T", "CN=A", AT, AT, Coverage.REVISION
)  # fmt: skip
REPORT = Report(
    "a.pdf", "0" * 64, "PDF", Verdict.VALID, False, "vn-official", "0" * 64, AT, TimeSource.NOW, "0" * 64, False,
    (SIGNATURE,),
)  # fmt: skip


def vietnamese(sentence: str, **data: object) -> str:
    return say(sentence, "vi", **data)


def told(report: Report) -> tuple[str, str | None]:
    found = answer(report, vietnamese)
    return found.sentence, found.todo


def finding(code: str) -> Finding:
    # Any gap of the sentence may be asked for.
    gaps = dict.fromkeys(
        ("count", "revision", "limit", "why", "format", "subject", "when", "what", "page"), "1"
    )
    return Finding(code, Severity.WARNING, gaps)


def undecided(*findings: Finding, sub: SubIndication | None = None) -> Report:
    one = replace(SIGNATURE, indication=Indication.INDETERMINATE, sub_indication=sub)
    return replace(REPORT, verdict=Verdict.INDETERMINATE, signatures=(one,), findings=findings)


def test_only_findings_that_there_are_lead_to_advice() -> None:
    assert {*reasons.BY_FINDING, *reasons.NOT_READ, *reasons.NOT_COVERED} <= set(FINDINGS)


@pytest.mark.parametrize("code", sorted(reasons.BY_FINDING))
def test_what_cannot_be_decided_is_told_by_its_finding(code: str) -> None:
    reason = reasons.BY_FINDING[code]
    assert told(undecided(finding(code))) == (reason.said, reason.todo)
    of_signature = replace(SIGNATURE, findings=(finding(code),))
    assert told(replace(REPORT, verdict=Verdict.INDETERMINATE, signatures=(of_signature,))) == (
        reason.said,
        reason.todo,
    )


@pytest.mark.parametrize("code", sorted(reasons.NOT_COVERED))
def test_bytes_that_no_signature_covers_come_first(code: str) -> None:
    for sub in (None, SubIndication.NO_CERTIFICATE_CHAIN_FOUND):
        assert told(undecided(finding(code), sub=sub))[0] == reasons.UNPROTECTED.said


@pytest.mark.parametrize("code", sorted(reasons.NOT_READ))
def test_what_cannot_be_read_is_told_by_its_finding(code: str) -> None:
    unread = replace(REPORT, verdict=Verdict.UNREADABLE, signatures=(), findings=(finding(code),))
    assert told(unread) == (reasons.NOT_READ[code].said, reasons.NOT_READ[code].todo)


@pytest.mark.parametrize("sub", sorted(reasons.UNDECIDED))
def test_what_is_missing_is_told_by_its_name(sub: SubIndication) -> None:
    assert told(undecided(sub=sub)) == (reasons.UNDECIDED[sub].said, reasons.UNDECIDED[sub].todo)


@pytest.mark.parametrize("sub", sorted(reasons.FAILED))
def test_what_failed_is_told_by_its_name(sub: SubIndication) -> None:
    one = replace(SIGNATURE, indication=Indication.TOTAL_FAILED, sub_indication=sub)
    failed = replace(REPORT, verdict=Verdict.INVALID, signatures=(one,))
    assert told(failed) == (reasons.FAILED[sub].said, reasons.ASK_ISSUER)
    changed = replace(one, changes_after=(Change(2, "PAGE_CONTENT", False, 1),))
    assert told(replace(failed, signatures=(changed,)))[0] == reasons.CHANGED.said


def test_an_information_leads_to_no_advice() -> None:
    only = replace(finding("MENDED"), severity=Severity.INFO)
    assert told(undecided(only))[0] == reasons.UNDECIDED_OTHERWISE.said


def test_a_name_beyond_the_lists_is_told_too() -> None:
    for verdict, indication in (
        (Verdict.INVALID, Indication.TOTAL_FAILED),
        (Verdict.INDETERMINATE, Indication.INDETERMINATE),
    ):
        for sub in SubIndication:
            one = replace(SIGNATURE, indication=indication, sub_indication=sub)
            said, todo = told(replace(REPORT, verdict=verdict, signatures=(one,)))
            assert said and todo
