"""This file turns a report into what a person reads: one line first, then the signatures, what to do, the details.

- Five words for five answers, the same everywhere (look.md). Programs decide by the verdict, people by this line.
- A day of signing is said only where a time-stamp proves it (V3); else the page says that it is not proven.
- Where disclosure does not allow it (C2), no name of a signer and nothing of a certificate is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalogue import N_
from signing.shown_time import day, hour
from signing.verification import wording
from signing.verification.advice import told
from signing.verification.report import (
    CertificateFacts,
    Finding,
    Indication,
    Report,
    Severity,
    SignatureKind,
    SignatureReport,
    TimestampReport,
    Verdict,
)
from signing.verification.report import SubIndication as Sub
from signing.verification.seven_items import Fact, proven_time, seven_items, title_and_time, who_signed
from web.pages import reasons
from web.pages.reasons import Reason
from web.pages.words import Label

Say = Callable[..., str]

VALID = Label(N_("Hợp lệ"), "good", "check")
INVALID = Label(N_("Không hợp lệ"), "bad", "cross")
UNDECIDED = Label(N_("Chưa kết luận được"), "unsure", "question")
UNREADABLE = Label(N_("Chưa kết luận được: không đọc được tệp"), "unsure", "question")
RECALLED = Label(N_("Đã thu hồi / Đã thay thế"), "bad", "back")
NO_SIGNATURE = Label(N_("Không có chữ ký"), "none", "circle")

FIVE_ANSWERS = (
    (VALID, N_("Đúng người ký, nội dung không thay đổi từ khi ký.")),
    (INVALID, N_("Nội dung đã bị sửa, hoặc chữ ký không đúng.")),
    (UNDECIDED, N_("Còn thiếu dữ liệu; trang sẽ nói thiếu gì và tìm ở đâu.")),
    (RECALLED, N_("Chữ ký đúng, nhưng cơ quan đã thu hồi hoặc thay văn bản.")),
    (NO_SIGNATURE, N_("Tệp không mang chữ ký số nào.")),
)
VERDICTS = {
    Verdict.VALID: VALID,
    Verdict.INVALID: INVALID,
    Verdict.INDETERMINATE: UNDECIDED,
    Verdict.NO_SIGNATURE: NO_SIGNATURE,
    Verdict.UNREADABLE: UNREADABLE,
}
INDICATIONS = {
    Indication.TOTAL_PASSED: VALID,
    Indication.TOTAL_FAILED: INVALID,
    Indication.INDETERMINATE: UNDECIDED,
}


@dataclass(frozen=True)
class SignatureView:
    label: Label
    who: str
    detail: str  # title and time, in one line
    items: tuple[Fact, ...]  # the seven of Circular 15/2025 article 6
    chain: tuple[CertificateFacts, ...]
    timestamps: tuple[TimestampReport, ...]
    changes: tuple[str, ...]
    findings: tuple[tuple[str, str, str], ...]  # what it is, what it means, what to do
    level: str | None


@dataclass(frozen=True)
class Answer:
    label: Label
    sentence: str
    todo: str | None
    demonstration: bool
    signatures: tuple[SignatureView, ...]
    findings: tuple[tuple[str, str, str], ...]  # what it is, what it means, what to do
    report: Report
    revealing: bool


def answer(report: Report, say: Say, *, issuer: str | None = None, revealing: bool = True) -> Answer:
    """`issuer` is the agency that issued the document, where we know it; without `revealing` nobody is named."""
    reason = _reason(report)
    sentence = say(reason.said) if reason else _good_sentence(report, say, issuer=issuer, revealing=revealing)
    return Answer(
        label=VERDICTS[report.verdict],
        sentence=sentence,
        todo=say(reason.todo) if reason else None,
        demonstration=report.demonstration,
        signatures=tuple(_signature(one, say, revealing=revealing) for one in report.signatures),
        findings=_findings(report.findings, say),
        report=report,
        revealing=revealing,
    )


def _reason(report: Report) -> Reason | None:
    """None where all is well."""
    if report.verdict is Verdict.VALID:
        return None
    if report.verdict is Verdict.NO_SIGNATURE:
        return reasons.NO_SIGNATURE
    if report.verdict is Verdict.UNREADABLE:
        return _unreadable(report)
    if report.verdict is Verdict.INVALID:
        return _failed(report)
    return _undecided(report)


def _undecided(report: Report) -> Reason:
    if any(one.code in reasons.NOT_COVERED for one in _all_findings(report)):
        return reasons.UNPROTECTED
    undecided = [one for one in report.signatures if one.indication is Indication.INDETERMINATE]
    named = next((one for one in undecided if one.sub_indication in reasons.UNDECIDED), None)
    if named is not None:
        return _named(named, reasons.UNDECIDED, reasons.UNDECIDED_OTHERWISE)
    codes = [one.code for one in _all_findings(report) if one.severity is not Severity.INFO]
    found = next((reasons.BY_FINDING[code] for code in codes if code in reasons.BY_FINDING), None)
    return found or (reasons.UNDECIDED_OTHERWISE if undecided else reasons.UNPROTECTED)


def _all_findings(report: Report) -> Sequence[Finding]:
    return [*report.findings, *(found for one in report.signatures for found in one.findings)]


def _unreadable(report: Report) -> Reason:
    codes = {one.code for one in report.findings}
    found = next((reason for code, reason in reasons.NOT_READ.items() if code in codes), None)
    return found or reasons.UNREADABLE


def _failed(report: Report) -> Reason:
    for one in report.signatures:
        if any(not change.allowed for change in one.changes_after):
            return reasons.CHANGED
        if one.indication is Indication.TOTAL_FAILED:
            return _named(one, reasons.FAILED, reasons.FAILED_OTHERWISE)
    return reasons.FAILED_OTHERWISE


def _named(one: SignatureReport, table: dict[Sub, Reason], otherwise: Reason) -> Reason:
    return table.get(one.sub_indication, otherwise) if one.sub_indication else otherwise


def _good_sentence(report: Report, say: Say, *, issuer: str | None, revealing: bool) -> str:
    signed = [one for one in report.signatures if one.kind is SignatureKind.SIGNATURE]
    who = issuer or (_names(signed, say) if revealing else say(N_("Cơ quan ban hành")))
    times = [time for one in signed if (time := proven_time(one)) is not None]
    if len(times) < len(signed) or not times:
        return say(
            N_("%(who)s đã ký; chưa có dấu thời gian chứng minh ngày ký. Nội dung không thay đổi từ khi ký."),
            who=who,
        )
    last = max(times)
    sentence = N_("%(who)s ký ngày %(day)s lúc %(hour)s. Nội dung không thay đổi từ khi ký.")
    return say(sentence, who=who, day=day(last), hour=hour(last))


def _names(signed: Sequence[SignatureReport], say: Say) -> str:
    names = list(dict.fromkeys(who_signed(one, say) for one in signed))
    if len(names) == 1:
        return names[0]
    if len(names) == 2:
        return say(N_("%(first)s và %(second)s"), first=names[0], second=names[1])
    return say(N_("%(first)s và %(count)s bên khác"), first=names[0], count=len(names) - 1)


def _signature(one: SignatureReport, say: Say, *, revealing: bool) -> SignatureView:
    stamp_only = one.kind is SignatureKind.DOCUMENT_TIMESTAMP
    return SignatureView(
        label=INDICATIONS[one.indication],
        who=say(N_("Dấu thời gian của cả tài liệu"))
        if stamp_only
        else who_signed(one, say)
        if revealing
        else say(N_("Người ký không hiện ở đây")),
        detail=title_and_time(one, say, revealing=revealing),
        items=() if stamp_only or not revealing else seven_items(one, say),
        chain=one.chain if revealing else (),
        timestamps=one.timestamps,
        changes=tuple(wording.change(change, say) for change in one.changes_after),
        findings=_findings(one.findings, say),
        level=one.level,
    )


def _findings(them: Sequence[Finding], say: Say) -> tuple[tuple[str, str, str], ...]:
    """Demonstration trust stands above the sentence already (K6)."""
    return tuple(told(one, say) for one in them if one.code != "DEMONSTRATION_TRUST")
