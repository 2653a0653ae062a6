"""The report on one page, for a clerk's file (Circular 15/2025/TT-BKHCN article 6): this file sets it.

- One page whatever was judged: what has no room is counted, and stands in the XML.
- Names come out of a stranger's file: a letter that the typeface lacks is shown as a question mark, never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from signing.paper import WIDE, Paper, Style
from signing.shown_time import moment_to_the_second
from signing.typeface import NoSuchGlyph, normal, width
from signing.verification import wording
from signing.verification.report import (
    Finding,
    Indication,
    Report,
    Severity,
    SignatureKind,
    SignatureReport,
    Verdict,
)
from signing.verification.seven_items import Fact, seven_items, title_and_time, who_signed

Say = Callable[..., str]


def N_(sentence: str) -> str:
    return sentence


LEFT, RIGHT, TOP, BOTTOM = 62.0, WIDE - 50.0, 790.0, 84.0  # points
TAB = LEFT + 142.0
HEAD, TEXT, SMALL = Style(14, bold=True), Style(10.5), Style(8.5)
BOLD, ITALIC = Style(11.5, bold=True), Style(9.5, italic=True)
LONGEST = 400  # letters of one value
MOST_LINES = 3  # of one value

VERDICTS = {
    Verdict.VALID: N_("Hợp lệ"),
    Verdict.INVALID: N_("Không hợp lệ"),
    Verdict.INDETERMINATE: N_("Chưa kết luận được"),
    Verdict.NO_SIGNATURE: N_("Không có chữ ký"),
    Verdict.UNREADABLE: N_("Chưa kết luận được: không đọc được tệp"),
}
INDICATIONS = {
    Indication.TOTAL_PASSED: N_("Hợp lệ"),
    Indication.TOTAL_FAILED: N_("Không hợp lệ"),
    Indication.INDETERMINATE: N_("Chưa kết luận được"),
}


def to_pdf(report: Report, *, say: Say) -> bytes:
    """A4, one page."""
    page = _Page(Paper(say(N_("Báo cáo kiểm tra chữ ký số"))))
    _head(page, report, say)
    _signatures(page, report, say)
    _findings(page, report, say)
    _foot(page, report, say)
    return page.paper.to_pdf()


@dataclass
class _Block:
    """Lines that stand together."""

    title: str
    facts: Sequence[Fact] = ()

    def height(self) -> float:
        return 22 + sum(14 * len(_wrapped(one.value, TEXT, RIGHT - TAB)) for one in self.facts)

    def set_on(self, page: _Page) -> None:
        page.y -= 6
        page.line(self.title, BOLD, gap=16)
        for one in self.facts:
            page.fact(one)


@dataclass
class _Page:
    paper: Paper
    y: float = field(default=TOP)

    def line(
        self, text: str, style: Style, *, x: float = LEFT, gap: float = 14, lines: int = MOST_LINES
    ) -> None:
        for one in _wrapped(text, style, RIGHT - x, lines):
            self.paper.left(one, x, self.y, style)
            self.y -= gap

    def fact(self, one: Fact) -> None:
        self.paper.left(_shown(one.name), LEFT, self.y, TEXT)
        self.line(one.value, TEXT, x=TAB)

    def has_room_for(self, block: _Block, *, more: bool) -> bool:
        return self.y - block.height() > BOTTOM + (16 if more else 0)


def _head(page: _Page, report: Report, say: Say) -> None:
    page.paper.centred(say(N_("BÁO CÁO KIỂM TRA CHỮ KÝ SỐ")), WIDE / 2, page.y, HEAD)
    page.paper.centred(say(N_("(Điều 6 Thông tư 15/2025/TT-BKHCN)")), WIDE / 2, page.y - 16, ITALIC)
    page.y -= 46
    if report.demonstration:
        page.line(say(wording.FINDINGS["DEMONSTRATION_TRUST"]), BOLD, gap=18)
    page.line(
        say(N_("Kết quả: %(verdict)s"), verdict=say(VERDICTS[report.verdict])), Style(13, bold=True), gap=18
    )
    page.line(wording.sentence(report, say), TEXT, gap=14)
    page.y -= 6
    for name, value in (
        (N_("Tệp"), report.file),
        (N_("SHA-256 của tệp"), report.sha256),
        (N_("Kiểm tra lúc"), moment_to_the_second(report.validation_time)),
        (N_("Chính sách kiểm tra"), report.policy_name),
    ):
        page.fact(Fact(say(name), value))


def _signatures(page: _Page, report: Report, say: Say) -> None:
    """By their number in the file, those that did not pass first: they must not be the ones without room."""
    numbered = list(enumerate(report.signatures, 1))
    numbered.sort(key=lambda one: one[1].indication is Indication.TOTAL_PASSED)
    for at, (number, one) in enumerate(numbered):
        left = len(numbered) - at
        block = _signature(one, number, say)
        if not page.has_room_for(block, more=left > 1):
            page.line(say(N_("… và %(count)s chữ ký khác: xem báo cáo XML."), count=left), ITALIC)
            return
        block.set_on(page)


def _signature(one: SignatureReport, number: int, say: Say) -> _Block:
    result = say(INDICATIONS[one.indication])
    if one.kind is SignatureKind.DOCUMENT_TIMESTAMP:
        title = say(N_("%(number)s. Dấu thời gian của cả tài liệu: %(result)s"), number=number, result=result)
        return _Block(title, (Fact(say(N_("Thời điểm")), title_and_time(one, say, revealing=False)),))
    facts = seven_items(one, say) or (Fact(say(N_("Người ký")), who_signed(one, say)),)
    return _Block(say(N_("%(number)s. Chữ ký: %(result)s"), number=number, result=result), facts)


def _findings(page: _Page, report: Report, say: Say) -> None:
    said = list(dict.fromkeys(_sentences(report, say)))
    if said and page.y > BOTTOM + 34:
        page.y -= 6
        page.line(say(N_("Ghi nhận khi kiểm tra")), BOLD, gap=15)
    for number, one in enumerate(said):
        if page.y < BOTTOM + 12 * (2 + (number < len(said) - 1)):
            page.line(
                say(N_("… và %(count)s ghi nhận khác: xem báo cáo XML."), count=len(said) - number),
                ITALIC,
                lines=1,
            )
            return
        page.line("– " + one, Style(9.5), gap=12, lines=2)


def _sentences(report: Report, say: Say) -> Iterator[str]:
    """What speaks against the file first."""
    found: list[Finding] = [*report.findings, *(each for one in report.signatures for each in one.findings)]
    for severity in Severity:
        for one in found:
            if one.severity is severity and one.code != "DEMONSTRATION_TRUST":
                yield wording.finding_sentence(one, say)


def _foot(page: _Page, report: Report, say: Say) -> None:
    page.paper.rule(WIDE / 2, BOTTOM - 12, RIGHT - LEFT)
    page.y = BOTTOM - 24
    page.line(say(N_("Danh sách tin cậy: %(digest)s"), digest=report.trust_digest), SMALL, gap=11, lines=1)
    page.line(say(N_("Chính sách: %(digest)s"), digest=report.policy_digest), SMALL, gap=11, lines=1)
    page.line(
        say(N_("Báo cáo do máy lập theo ETSI EN 319 102-1; nó nói về tệp có mã SHA-256 ghi ở trên và không thay văn bản.")),
        SMALL, gap=11, lines=2,
    )  # fmt: skip


def _wrapped(text: str, style: Style, room: float, most: int = MOST_LINES) -> list[str]:
    """Whole words where they fit; a longer one is cut where the line ends."""
    lines, line = [], ""
    for word in _shown(text[:LONGEST]).split(" "):
        rest = word
        while rest:
            longer = f"{line} {rest}" if line else rest
            if width(longer, style.size) <= room:
                line, rest = longer, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                fitting = next(
                    n for n in range(len(rest), 0, -1) if n == 1 or width(rest[:n], style.size) <= room
                )
                lines.append(rest[:fitting])
                rest = rest[fitting:]
    lines = [*lines, line] if line or not lines else lines
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][:-1] + "…"]


def _shown(text: str) -> str:
    return "".join(letter if _known(letter) else "?" for letter in normal(text).replace("\n", " "))


def _known(letter: str) -> bool:
    try:
        width(letter, 1)
    except NoSuchGlyph:
        return False
    return letter >= " "
