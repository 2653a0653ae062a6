"""Sizes, states and names in plain words: this file says them the same on every page.

- Numbers of documents are never cut.
- A state is a word with an icon and a tone, never a colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from catalogue import N_
from documents.document import Disclosure, DocumentState, RequestState
from signing.profile import Level

UNITS = ("B", "KB", "MB", "GB")


@dataclass(frozen=True)
class Label:
    """A word of state; `tone` is a class of the style sheet, `icon` a name in `components/icon.html`."""

    word: str
    tone: str
    icon: str


DOCUMENT_STATES = {
    DocumentState.UPLOADED: Label(N_("Chờ ký"), "going", "dot"),
    DocumentState.SIGNING: Label(N_("Đang ký"), "unsure", "clock"),
    DocumentState.SIGNED: Label(N_("Đã ký"), "good", "check"),
}

REQUEST_STATES = {
    RequestState.RECORDED: Label(N_("Đang ký"), "going", "dot"),
    RequestState.PREPARED: Label(N_("Chờ người giữ khóa ký"), "going", "dot"),
    RequestState.TIMESTAMP_PENDING: Label(N_("Chờ dấu thời gian"), "unsure", "clock"),
    RequestState.REVOCATION_PENDING: Label(N_("Chờ tình trạng chứng thư"), "unsure", "clock"),
    RequestState.DONE: Label(N_("Đã ký"), "good", "check"),
    RequestState.REFUSED: Label(N_("Không ký được"), "unsure", "diamond"),
    RequestState.EXPIRED: Label(N_("Hết thời hạn"), "none", "circle"),
    RequestState.FAILED: Label(N_("Không qua kiểm tra"), "bad", "cross"),
}

DISCLOSURES = {
    Disclosure.PUBLIC: N_("Mọi người: số, trích yếu, người ký, trang đầu và bản điện tử"),
    Disclosure.RESTRICTED: N_("Hạn chế: chỉ trạng thái, cơ quan và số"),
    Disclosure.NONE: N_("Không ai: tra cứu như không có"),
}

LEVELS = {
    Level.B_B: N_("Chỉ chữ ký"),
    Level.B_T: N_("Chữ ký và dấu thời gian"),
    Level.B_LT: N_("Chữ ký, dấu thời gian và tài liệu kiểm tra kèm theo"),
    Level.B_LTA: N_("Như trên, thêm dấu thời gian lưu trữ"),
}


def size(count: int, language: str = "vi") -> str:
    """`1,8 KB` as written in Vietnam, `1.8 KB` in English; at most one digit after the comma."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    shown = f"{amount:.1f}" if unit and amount < 10 else f"{amount:.0f}"
    shown = shown.removesuffix(".0")
    return f"{shown if language == 'en' else shown.replace('.', ',')} {UNITS[unit]}"


def grouped(fingerprint: str) -> str:
    """A hexadecimal fingerprint in groups of four."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))
