"""The sample of a demonstration home: this file writes a decision of the commune as Decree 30/2020 lays it out (annex I).

- It says on its face that it is a sample.
- Where signature, seal and QR code will stand is left blank; their boxes are told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from signing.paper import WIDE, Paper, Style
from signing.pdf.pages import Box

MM = 72 / 25.4
SIDES = (30 * MM, WIDE - 18 * MM)
ISSUER_AT, STATE_AT, SIGNER_AT = 168.0, 410.0, 440.0  # centres of boxes 2, 1 and 7
SEAL_MM = 36.0

NUMBER = "01/QĐ-UBND"
SUBJECT = "Về việc ký số và kiểm tra văn bản điện tử của Ủy ban nhân dân xã"
GROUNDS = (
    "Căn cứ Luật Tổ chức chính quyền địa phương ngày 16 tháng 6 năm 2025;",
    "Căn cứ Luật Giao dịch điện tử ngày 22 tháng 6 năm 2023;",
    "Căn cứ Nghị định số 30/2020/NĐ-CP ngày 05 tháng 3 năm 2020 của Chính phủ về công tác văn thư;",
    "Theo đề nghị của Văn phòng Hội đồng nhân dân và Ủy ban nhân dân xã.",
)
ARTICLES = (
    "Văn bản điện tử của Ủy ban nhân dân xã An Phước do người có thẩm quyền ký số, sau đó được ký số của cơ quan "
    "trước khi phát hành.",
    "Tổ chức, cá nhân nhận văn bản được kiểm tra miễn phí, không cần tài khoản, bằng mã QR in trên văn bản hoặc bằng "
    "chính tệp văn bản.",
    "Quyết định này có hiệu lực kể từ ngày ký. Văn phòng Hội đồng nhân dân và Ủy ban nhân dân xã và các tổ chức, cá "
    "nhân có liên quan chịu trách nhiệm thi hành Quyết định này./.",
)


@dataclass(frozen=True)
class Decision:
    """A page as PDF, and the boxes (points) that were left for the signer's image, and for QR code and seal."""

    pdf: bytes
    signature: Box
    seal: Box


def decision(*, signer: str, day: date, address: str) -> Decision:
    """`address`: where such papers are checked, as it stands in letters beside the QR code (C1)."""
    paper = Paper(f"Quyết định số {NUMBER} (văn bản mẫu)")
    _head(paper, day)
    y = _body(paper, 655.0)
    foot = y - 8
    paper.centred("CHỦ TỊCH", SIGNER_AT, foot, Style(13, bold=True))
    high = SEAL_MM * MM
    bottom = foot - 14 - high
    paper.centred(signer, SIGNER_AT, bottom - 12, Style(13, bold=True))
    _recipients(paper, foot)
    left = SIDES[0] + 122
    seal = (left, bottom, left + high + 4 + high + 4, bottom + high)
    _address(paper, address, left + high / 2, bottom - 10)
    paper.rule((SIDES[0] + SIDES[1]) / 2, 56, SIDES[1] - SIDES[0])
    notice = "VĂN BẢN MẪU CỦA HỆ THỐNG THỬ NGHIỆM, KHÔNG CÓ GIÁ TRỊ PHÁP LÝ"
    paper.centred(notice, (SIDES[0] + SIDES[1]) / 2, 43, Style(11))
    signature = (SIGNER_AT - 62, bottom + 26, SIGNER_AT + 62, bottom + 76)
    return Decision(paper.to_pdf(), signature, seal)


def _head(paper: Paper, day: date) -> None:
    """Boxes 1 to 5a."""
    paper.centred("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", STATE_AT, 776, Style(12, bold=True))
    wide = paper.centred("Độc lập - Tự do - Hạnh phúc", STATE_AT, 760, Style(13, bold=True))
    paper.rule(STATE_AT, 755, wide)
    paper.centred("ỦY BAN NHÂN DÂN", ISSUER_AT, 776, Style(12, bold=True))
    wide = paper.centred("XÃ AN PHƯỚC", ISSUER_AT, 760, Style(12, bold=True))
    paper.rule(ISSUER_AT, 755, wide / 2)
    paper.centred(f"Số: {NUMBER}", ISSUER_AT, 734, Style(13))
    dated = f"An Phước, ngày {day.day:02} tháng {_month(day.month)} năm {day.year}"
    paper.centred(dated, STATE_AT, 734, Style(13, italic=True))
    middle = (SIDES[0] + SIDES[1]) / 2
    paper.centred("QUYẾT ĐỊNH", middle, 700, Style(14, bold=True))
    wide = paper.centred(SUBJECT, middle, 683, Style(13, bold=True))
    paper.rule(middle, 675, wide / 3)


def _body(paper: Paper, y: float) -> float:
    middle = (SIDES[0] + SIDES[1]) / 2
    paper.centred("CHỦ TỊCH ỦY BAN NHÂN DÂN XÃ AN PHƯỚC", middle, y, Style(13, bold=True))
    y -= 26
    for one in GROUNDS:
        y = paper.paragraph(one, SIDES, y, Style(13, italic=True))
    paper.centred("QUYẾT ĐỊNH:", middle, y - 6, Style(13, bold=True))
    y -= 32
    for ordinal, one in enumerate(ARTICLES, 1):
        y = paper.paragraph(one, SIDES, y, Style(13), lead=f"Điều {ordinal}.")
    return y


def _recipients(paper: Paper, y: float) -> None:
    """Box 9b."""
    paper.left("Nơi nhận:", SIDES[0], y, Style(12, bold=True, italic=True))
    for line, text in enumerate(("- Như Điều 3;", "- TT. HĐND xã;", "- Lưu: VT."), 1):
        paper.left(text, SIDES[0], y - 3 - 13 * line, Style(11))


def _address(paper: Paper, address: str, x: float, y: float) -> None:
    """Never wider than what it stands under."""
    shown = f"{address.removeprefix('http://').removeprefix('https://')}/v"
    paper.centred("Kiểm tra văn bản tại", x, y, Style(8))
    paper.centred(shown, x, y - 10, Style(min(8.0, 8.0 * 26 / len(shown))))


def _month(month: int) -> str:
    """The decree writes a zero before days below ten and months 1 and 2 (annex I.II.4)."""
    return f"{month:02}" if month <= 2 else str(month)
