"""What is wrong with a request itself: this file holds a line for each `Fault`, a list of wording."""

from __future__ import annotations

from catalogue import N_
from web.bad_request import Fault
from web.problem import Problem, Saved

INVALID = N_("Yêu cầu không hợp lệ")
TOO_MUCH = N_("Yêu cầu vượt giới hạn")
NOT_NOW = N_("Dịch vụ tạm thời chưa làm được việc này")
BY_THE_BOOK = N_("Hãy sửa yêu cầu theo tài liệu của API rồi gửi lại.")


def _line(fault: Fault, status: int, title: str, said: str, todo: str = BY_THE_BOOK) -> tuple[Fault, Problem]:
    return fault, Problem(fault.value, status, title, said, todo, Saved.NOTHING)


FAULTS: dict[Fault, Problem] = dict(
    [
        _line(
            Fault.NOT_FOUND, 404, N_("Không tìm thấy trang"), N_("Không có gì ở địa chỉ này."),
            N_("Hãy kiểm tra lại địa chỉ."),
        ),
        _line(Fault.METHOD_NOT_ALLOWED, 405, INVALID, N_("Địa chỉ này không nhận phương thức đó.")),
        _line(Fault.INVALID, 422, INVALID, N_("Có chỗ trong yêu cầu không đúng: %(where)s.")),
        _line(
            Fault.BAD_HOST, 400, INVALID, N_("Tên máy chủ trong yêu cầu không phải là địa chỉ của dịch vụ."),
            N_("Hãy dùng địa chỉ chính thức của dịch vụ."),
        ),
        _line(Fault.BAD_LENGTH, 400, INVALID, N_("Độ dài khai trong tiêu đề Content-Length không hợp lệ.")),
        _line(Fault.HEADERS_TOO_LARGE, 431, TOO_MUCH, N_("Yêu cầu có quá nhiều tiêu đề, hoặc tiêu đề quá dài.")),
        _line(
            Fault.BODY_TOO_LARGE, 413, TOO_MUCH, N_("Nội dung gửi lên lớn hơn giới hạn %(limit)s."),
            N_("Hãy gửi nội dung nhỏ hơn."),
        ),
        _line(Fault.MEDIA_TYPE, 415, INVALID, N_("Địa chỉ này không nhận kiểu dữ liệu đó; cần %(wanted)s.")),
        _line(Fault.BAD_FORM, 400, INVALID, N_("Biểu mẫu gửi lên không đúng dạng multipart/form-data.")),
        _line(Fault.TOO_MANY_FIELDS, 413, TOO_MUCH, N_("Biểu mẫu có quá nhiều ô, hoặc ô quá dài.")),
        _line(
            Fault.NO_FILE, 422, INVALID, N_("Biểu mẫu không kèm tệp nào."), N_("Hãy chọn một tệp PDF rồi gửi lại.")
        ),
        _line(Fault.BAD_DISPOSITION, 400, INVALID, N_("Tiêu đề Content-Disposition không đúng dạng.")),
        _line(Fault.BAD_KEY, 400, INVALID, N_("Khóa chống lặp (Idempotency-Key) phải dài từ 1 đến 255 ký tự ASCII.")),
        _line(
            Fault.CHANGED, 412, N_("Văn bản đã thay đổi"), N_("Văn bản đã thay đổi từ khi bạn xem."),
            N_("Hãy xem lại văn bản, rồi gửi lại yêu cầu với ETag mới."),
        ),
        _line(
            Fault.UPLOAD_VERSION, 412, INVALID,
            N_("Yêu cầu tải lên từng phần phải nêu phiên bản giao thức: Tus-Resumable: 1.0.0."),
        ),
        _line(
            Fault.BAD_CHECKSUM, 400, INVALID,
            N_("Tiêu đề Upload-Checksum không đúng dạng, hoặc dùng thuật toán mà dịch vụ không nhận."),
            N_("Hãy dùng sha1, sha256 hoặc sha512, giá trị viết theo base64."),
        ),
        _line(
            Fault.BAD_RANGE, 416, INVALID, N_("Khoảng byte được yêu cầu nằm ngoài tệp."),
            N_("Hãy yêu cầu một khoảng nằm trong tệp, hoặc cả tệp."),
        ),
        _line(
            Fault.NO_AUTHORITY, 404, N_("Không có ở đây"), N_("Dịch vụ này không tự cấp dấu thời gian."),
            N_("Hãy dùng tổ chức cấp dấu thời gian mà người quản trị đã chọn."),
        ),
        _line(
            Fault.NO_REPORT_KEY, 406, N_("Không có ở đây"),
            N_("Dịch vụ này không có khóa để ký báo cáo, hoặc khóa ấy đang vắng."),
            N_("Hãy yêu cầu báo cáo không kèm chữ ký: application/xml."),
        ),
        (
            Fault.TOO_SLOW,
            Problem(
                "too-slow", 408, TOO_MUCH, N_("Dữ liệu đến quá chậm nên kết nối bị đóng."),
                N_("Hãy gửi lại khi đường truyền ổn định."), Saved.NOTHING, retryable=True,
            ),
        ),
        (
            Fault.CLIENT_GONE,
            Problem(
                "client-gone", 400, INVALID, N_("Kết nối bị ngắt trước khi dữ liệu đến đủ."), N_("Hãy gửi lại từ đầu."),
                Saved.NOTHING, retryable=True,
            ),
        ),
        (
            Fault.TOO_MANY_REQUESTS,
            Problem(
                "too-many-requests", 429, N_("Quá nhiều yêu cầu"), N_("Có quá nhiều yêu cầu trong một phút."),
                N_("Hãy đợi một phút rồi thử lại."), retryable=True, retry_after=60,
            ),
        ),
        (
            Fault.TOO_MANY_OF_YOURS,
            Problem(
                "too-many-of-yours", 429, N_("Quá nhiều yêu cầu"), N_("Bạn đang có quá nhiều yêu cầu cùng lúc."),
                N_("Hãy thử lại sau ít giây."), retryable=True, retry_after=2,
            ),
        ),
        (
            Fault.TOO_MANY_AT_ONCE,
            Problem(
                "too-many-at-once", 503, NOT_NOW, N_("Đang có quá nhiều yêu cầu ký cùng lúc."),
                N_("Hãy thử lại sau ít giây."), retryable=True, retry_after=2,
            ),
        ),
    ]
)  # fmt: skip
