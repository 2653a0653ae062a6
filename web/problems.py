"""The one table of what can go wrong: class of exception, and its reason, to the answer a person or program gets.

- A reason's line stands before its class's line. What is in no line is INTERNAL: a reference and no details.
- `code` and `type` (`/problems/<code>`) are a promise: they only grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from catalogue import N_
from documents.document import BadCursor, NoSuchDocument
from documents.intake import NotAccepted
from documents.log_keeper import LogBehind
from documents.office import LogInRefused, NameTaken, NoSuchPerson, NotAllowed
from documents.once import InProgress, OtherBody
from documents.preview import PreviewUnavailable
from documents.requests import DocumentBusy, RequestEnded, RequestHeld, TakenOver
from documents.resumable import (
    ChecksumDiffers,
    NoSuchUpload,
    PastTheEnd,
    TooManyUploads,
    UploadUnfinished,
    WrongOffset,
)
from documents.sign_document import AnswerRefused, WorkNotAccepted
from documents.signer_check import CertificateRefused
from documents.signing_steps import KeyRefused
from documents.trusted import NoSuchAnchor
from hsm.enrolment import EnrolmentRefused
from hsm.key import KeyUnavailable, NoSuchKey, PinRefused
from signing.pades import CannotSign
from signing.timestamping.clock import ClockUnsure
from signing.timestamping.source import TimestampUnavailable
from signing.trust.anchors import CannotLoad
from signing.workshop import WorkshopBusy, WorkshopFailed, WorkshopKilled
from storage.database import DatabaseUnavailable
from storage.store import Damaged, NotKept, StoreUnavailable
from web import refusals
from web.bad_request import BadRequest
from web.faults import FAULTS
from web.identity import FormRefused, NotLoggedIn
from web.problem import Found, Problem, Saved
from web.refusals import ANOTHER_KEY, ASK_ADMINISTRATOR, TRY_AGAIN_SOON

NOT_NOW = N_("Dịch vụ tạm thời chưa làm được việc này")
NOT_THERE = N_("Không tìm thấy")
CONFLICT = N_("Yêu cầu không hợp với trạng thái hiện tại")
NOT_PERMITTED = N_("Không được phép")

INTERNAL = Problem(
    "internal", 500, N_("Lỗi của dịch vụ"), N_("Dịch vụ gặp lỗi của chính mình. Lỗi không do bạn."), ASK_ADMINISTRATOR
)  # fmt: skip

TABLE: Mapping[type[Exception], Problem] = {
    # -- who is asking
    NotLoggedIn: Problem(
        "not-logged-in", 401, N_("Chưa xác thực"), N_("Yêu cầu không kèm khóa API, hoặc khóa API không còn hiệu lực."),
        N_("Hãy gửi khóa API trong tiêu đề Authorization: Bearer; xin khóa từ người quản trị."),
    ),
    FormRefused: Problem(
        "form-refused", 403, NOT_PERMITTED, N_("Biểu mẫu đã quá hạn hoặc không gửi từ trang của dịch vụ này."),
        N_("Hãy quay lại, tải lại trang, rồi làm lại."),
    ),
    NotAllowed: Problem(
        "not-allowed", 403, NOT_PERMITTED, N_("Bạn không có quyền làm việc này: %(what)s."),
        N_("Hãy hỏi người quản trị về quyền của bạn hoặc của khóa API."),
    ),
    LogInRefused: Problem(
        "log-in-refused", 401, N_("Chưa đăng nhập được"), N_("Tên đăng nhập hoặc mật khẩu không đúng."),
        N_("Hãy kiểm tra lại; nếu đã nhập sai nhiều lần, hãy đợi ít phút rồi thử lại."), retryable=True,
    ),
    NameTaken: Problem(
        "name-taken", 409, CONFLICT, N_("Tên đăng nhập này đã có người dùng."), N_("Hãy chọn một tên khác.")
    ),
    NoSuchPerson: Problem(
        "no-such-person", 404, NOT_THERE, N_("Không có người hoặc khóa API nào như vậy."), N_("Hãy kiểm tra lại tên.")
    ),
    # -- what is asked for
    NoSuchDocument: Problem(
        "no-such-document", 404, NOT_THERE, N_("Không có văn bản hoặc yêu cầu ký này trong cơ quan của bạn."),
        N_("Hãy kiểm tra lại địa chỉ, hoặc mã của văn bản."),
    ),
    NoSuchKey: Problem("no-such-key", 404, NOT_THERE, N_("Không có khóa mang tên này."), ANOTHER_KEY),
    NoSuchAnchor: Problem(
        "no-such-anchor", 404, NOT_THERE, N_("Không có tổ chức được tin cậy nào với dấu vân tay này."),
        N_("Hãy xem lại danh sách tổ chức được tin cậy."),
    ),
    CannotLoad: Problem(
        "cannot-load-certificate", 422, refusals.CERTIFICATE_REFUSED, N_("Không đọc được chứng thư trong tệp này."),
        N_("Hãy dùng tệp chứng thư dạng PEM hoặc DER."),
    ),
    BadCursor: Problem(
        "bad-cursor", 400, N_("Yêu cầu không hợp lệ"), N_("Dấu trang không phải do dịch vụ này đưa ra."),
        N_("Hãy lấy lại danh sách từ đầu, không kèm dấu trang."),
    ),
    NotKept: Problem(
        "bytes-gone", 410, N_("Tệp không còn"), N_("Tệp này không còn: bản tải lên chưa ký đã hết thời hạn lưu."),
        N_("Hãy tải văn bản lên lại."),
    ),
    PreviewUnavailable: refusals.PREVIEW["unreadable"],
    # -- uploads in parts
    NoSuchUpload: Problem(
        "no-such-upload", 404, NOT_THERE, N_("Không có lượt tải lên này: nó đã quá hạn, đã bị hủy, hoặc không phải của bạn."),
        N_("Hãy bắt đầu tải lên lại từ đầu."), Saved.NOTHING,
    ),
    WrongOffset: Problem(
        "wrong-offset", 409, CONFLICT, N_("Phần này không nối tiếp đúng chỗ dữ liệu đã nhận."),
        N_("Hãy hỏi lại vị trí bằng HEAD, rồi gửi tiếp từ đó."), retryable=True,
    ),
    PastTheEnd: Problem(
        "past-the-end", 413, CONFLICT, N_("Dữ liệu gửi lên dài hơn độ dài đã báo trước."),
        N_("Hãy gửi đúng số byte đã báo, hoặc bắt đầu tải lên lại với độ dài đúng."),
    ),
    ChecksumDiffers: Problem(
        "checksum-differs", 460, CONFLICT, N_("Phần nhận được không khớp với mã kiểm tra, nên không được giữ lại."),
        N_("Hãy gửi lại phần này."), retryable=True,
    ),
    UploadUnfinished: Problem(
        "upload-unfinished", 409, CONFLICT, N_("Dữ liệu chưa tải lên hết."), N_("Hãy gửi nốt phần còn lại, rồi làm lại."),
        retryable=True,
    ),
    TooManyUploads: Problem(
        "too-many-uploads", 429, CONFLICT, N_("Đang có quá nhiều lượt tải lên chưa xong."),
        N_("Hãy tải xong hoặc hủy bớt các lượt đang dở."), retryable=True, retry_after=60,
    ),
    # -- repeated calls
    OtherBody: Problem(
        "other-body", 422, CONFLICT, N_("Khóa chống lặp (Idempotency-Key) này đã dùng cho một yêu cầu khác."),
        N_("Hãy dùng khóa mới cho yêu cầu mới, hoặc gửi lại đúng yêu cầu cũ."),
    ),
    InProgress: Problem(
        "in-progress", 409, CONFLICT, N_("Yêu cầu đầu tiên với khóa chống lặp này còn đang được xử lý."),
        N_("Hãy gửi lại đúng yêu cầu này sau ít giây để nhận kết quả."), Saved.REQUEST, retryable=True, retry_after=1,
    ),
    # -- signing
    DocumentBusy: Problem(
        "document-busy", 409, CONFLICT, N_("Văn bản đang chờ một chữ ký khác; mỗi lúc chỉ ký một chữ ký."),
        N_("Hãy đợi yêu cầu ký kia xong, hoặc hủy nó rồi ký lại."), Saved.DOCUMENT, retryable=True, retry_after=10,
    ),
    RequestHeld: Problem(
        "request-held", 409, CONFLICT, N_("Yêu cầu ký này đang được xử lý."),
        N_("Hãy xem lại trạng thái của yêu cầu sau ít giây."), Saved.REQUEST, retryable=True, retry_after=2,
    ),
    TakenOver: Problem(
        "taken-over", 409, CONFLICT, N_("Một tiến trình khác đã nhận làm tiếp yêu cầu này."),
        N_("Hãy xem lại trạng thái của yêu cầu sau ít giây."), Saved.REQUEST, retryable=True, retry_after=2,
    ),
    RequestEnded: Problem(
        "request-ended", 409, CONFLICT, N_("Yêu cầu ký đã kết thúc, không làm tiếp được."),
        N_("Hãy xem kết quả của yêu cầu; nếu cần ký thì gửi yêu cầu mới."),
    ),
    AnswerRefused: Problem(
        "answer-refused", 422, N_("Chữ ký gửi đến không dùng được"),
        N_("Chữ ký gửi đến không phải là chữ ký của dữ liệu đã chuẩn bị theo chứng thư đã nêu."),
        N_("Hãy ký đúng dữ liệu trong to_sign bằng khóa của chứng thư, rồi gửi lại."), Saved.REQUEST,
    ),
    CannotSign: Problem(
        "unsignable", 422, refusals.NOT_SIGNED, N_("Tệp này không ký được: %(detail)s"), refusals.ANOTHER_FILE,
        Saved.DOCUMENT,
    ),
    CertificateRefused: Problem(
        "certificate-refused", 422, refusals.CERTIFICATE_REFUSED, N_("Chứng thư không dùng để ký được."),
        refusals.NEW_CERTIFICATE, Saved.DOCUMENT,
    ),
    KeyRefused: Problem("key-refused", 403, refusals.KEY_REFUSED, N_("Khóa không ký."), ANOTHER_KEY, Saved.DOCUMENT),
    WorkNotAccepted: Problem(
        "work-not-accepted", 500, N_("Chữ ký không qua tự kiểm tra"),
        N_("Chữ ký đã làm không qua được bước tự kiểm tra, nên không được phát ra."), ASK_ADMINISTRATOR, Saved.DOCUMENT,
    ),
    # -- what is away for now
    KeyUnavailable: Problem(
        "key-unavailable", 503, NOT_NOW, N_("Thiết bị giữ khóa chưa trả lời, hoặc đang có quá nhiều yêu cầu ký."),
        N_("Hãy thử lại sau ít giây; văn bản không bị ký hai lần."), Saved.REQUEST, retryable=True,
        retry_after=5,
    ),
    PinRefused: Problem(
        "pin-refused", 503, NOT_NOW, N_("Thiết bị giữ khóa không nhận mã PIN, nên tạm ngừng ký."), ASK_ADMINISTRATOR,
        Saved.REQUEST, retryable=True, retry_after=300,
    ),
    TimestampUnavailable: Problem(
        "timestamp-unavailable", 503, NOT_NOW, N_("Chưa lấy được dấu thời gian."), TRY_AGAIN_SOON, Saved.REQUEST,
        retryable=True, retry_after=30,
    ),
    ClockUnsure: Problem(
        "clock-unsure", 503, NOT_NOW, N_("Đồng hồ của máy chủ đang lệch, nên dịch vụ ngừng ký và cấp dấu thời gian."),
        ASK_ADMINISTRATOR, Saved.REQUEST, retryable=True, retry_after=60,
    ),
    LogBehind: Problem(
        "log-behind", 503, NOT_NOW,
        N_("Nhật ký kiểm toán không được chốt ra nơi thứ hai đã quá lâu, nên dịch vụ tạm ngừng ký."), ASK_ADMINISTRATOR,
        Saved.REQUEST, retryable=True, retry_after=60,
    ),
    StoreUnavailable: Problem(
        "store-unavailable", 503, NOT_NOW, N_("Kho lưu trữ tạm thời không ghi hoặc đọc được."), TRY_AGAIN_SOON,
        retryable=True, retry_after=10,
    ),
    DatabaseUnavailable: Problem(
        "database-unavailable", 503, NOT_NOW, N_("Cơ sở dữ liệu tạm thời không trả lời."), TRY_AGAIN_SOON,
        retryable=True, retry_after=5,
    ),
    WorkshopFailed: Problem(
        "our-limit", 503, NOT_NOW, N_("Xử lý tệp vượt quá giới hạn thời gian hoặc bộ nhớ của dịch vụ."),
        N_("Hãy thử lại sau ít phút; nếu vẫn vậy, hãy xuất lại tệp cho đơn giản hơn."), Saved.DOCUMENT, retryable=True,
        retry_after=30,
    ),
    WorkshopKilled: Problem(
        "reader-killed", 503, NOT_NOW, N_("Tiến trình đọc tệp đã bị dừng từ bên ngoài khi đang làm việc."), TRY_AGAIN_SOON,
        retryable=True, retry_after=1,
    ),
    WorkshopBusy: Problem(
        "too-many-verifications", 503, NOT_NOW, N_("Đang có quá nhiều tệp chờ được kiểm tra."),
        N_("Hãy thử lại sau ít giây."), retryable=True, retry_after=5,
    ),
    Damaged: Problem(
        "kept-bytes-damaged", 500, N_("Lỗi của dịch vụ"), N_("Bản lưu không còn khớp với mã băm của nó nên không đưa ra."),
        ASK_ADMINISTRATOR,
    ),
}  # fmt: skip

REASONS: Mapping[type[Exception], Mapping[str, Problem]] = {
    CannotSign: refusals.UNSIGNABLE,
    NotAccepted: refusals.INTAKE,
    KeyRefused: refusals.KEY,
    CertificateRefused: refusals.CERTIFICATE,
    PreviewUnavailable: refusals.PREVIEW,
    EnrolmentRefused: refusals.ENROLMENT,
    BadRequest: {one.value: problem for one, problem in FAULTS.items()},
}


def problem_for(exception: BaseException) -> Found | None:
    """What to answer; None for what is in no line, which is told as INTERNAL."""
    for kind in type(exception).__mro__:
        line = _line(kind, exception)
        if line is not None:
            return Found(
                line,
                data=_data(exception),
                members=_members(exception),
                retry_after=getattr(exception, "retry_after", None) or line.retry_after,
                headers=_headers(exception),
            )
    return None


def every_problem() -> Iterator[Problem]:
    """Each line once."""
    lines = [INTERNAL, *TABLE.values(), *(one for table in REASONS.values() for one in table.values())]
    return iter({one.code: one for one in lines}.values())


def _line(kind: type[Any], exception: BaseException) -> Problem | None:
    reason = getattr(exception, "reason", None) or getattr(exception, "why", None)
    if kind in REASONS and reason is not None and str(reason) in REASONS[kind]:
        return REASONS[kind][str(reason)]
    return TABLE.get(kind)


def _data(exception: BaseException) -> dict[str, str]:
    data = dict(getattr(exception, "data", None) or {})
    for name in ("detail", "what"):
        if isinstance(value := getattr(exception, name, None), str):
            data.setdefault(name, value)
    # What came from outside is shown, so it is shortened and holds no control characters.
    return {name: "".join(c for c in str(value) if c.isprintable())[:300] for name, value in data.items()}


def _members(exception: BaseException) -> dict[str, Any]:
    members: dict[str, Any] = dict(getattr(exception, "members", None) or {})
    if isinstance(exception, DocumentBusy):
        members["request"] = str(exception.request)
    if isinstance(exception, RequestEnded | WorkNotAccepted):
        members |= {"request": str(exception.request.id), "state": exception.request.state.value}
    if isinstance(exception, WrongOffset | UploadUnfinished):
        members["received"] = exception.received  # bytes
    if (limit := (getattr(exception, "data", None) or {}).get("limit")) is not None:
        members["limit"] = int(limit)  # bytes; the sentence says it rounded
    if isinstance(exception, TimestampUnavailable):
        members["tried"] = [one[:200] for one in exception.tried]
    return members


def _headers(exception: BaseException) -> Mapping[str, str]:
    if isinstance(exception, NotLoggedIn):
        return {"WWW-Authenticate": 'Bearer realm="antin"'}
    headers: Mapping[str, str] = getattr(exception, "headers", None) or {}
    return headers
