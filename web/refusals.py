"""Why a file, a key or a certificate is refused: this file holds a sentence for each reason, a list of wording.

A reason is a value of the enumeration beside the exception that carries it; a test looks that none is without words.
"""

from __future__ import annotations

from catalogue import N_
from documents.intake import IntakeRefusal
from hsm.key import Refusal
from signing.pades import Unsignable
from web.problem import Problem, Saved

NOT_SIGNED = N_("Không ký được tệp này")
NOT_ACCEPTED = N_("Không nhận tệp này")
KEY_REFUSED = N_("Khóa không ký")
CERTIFICATE_REFUSED = N_("Chứng thư không dùng để ký được")
NOT_ENROLLED = N_("Chưa làm được với khóa này")
NO_PICTURE = N_("Không có hình của trang này")

ANOTHER_FILE = N_("Hãy chọn một tệp PDF khác, hoặc xuất lại tệp từ phần mềm đã soạn văn bản.")
EXPORT_AGAIN = N_("Hãy xuất lại tệp từ phần mềm đã soạn văn bản, rồi tải lên lại.")
CHANGE_WISH = N_("Hãy chọn lại, rồi ký lại.")
ASK_ADMINISTRATOR = N_("Hãy báo cho người quản trị, kèm mã tham chiếu.")
ANOTHER_KEY = N_("Hãy chọn một khóa khác mà bạn được dùng, hoặc hỏi người quản trị.")
NEW_CERTIFICATE = N_("Hãy dùng chứng thư còn hiệu lực, hoặc xin cấp chứng thư mới.")
TRY_AGAIN_SOON = N_("Hãy thử lại sau ít phút.")


def _unsignable(reason: Unsignable, said: str, todo: str = ANOTHER_FILE) -> tuple[str, Problem]:
    return reason.value, Problem(f"unsignable-{reason}", 422, NOT_SIGNED, said, todo, Saved.DOCUMENT)


UNSIGNABLE = dict(
    [
        _unsignable(Unsignable.NOT_A_PDF, N_("Tệp không phải là PDF.")),
        _unsignable(
            Unsignable.BYTES_BEFORE_HEADER,
            N_("Tệp có dữ liệu lạ đứng trước phần đầu PDF, nên các trình đọc không hiểu như nhau."),
            EXPORT_AGAIN,
        ),
        _unsignable(Unsignable.DAMAGED, N_("Tệp bị hỏng nên không đọc được hết."), EXPORT_AGAIN),
        _unsignable(
            Unsignable.DAMAGED_CROSS_REFERENCES,
            N_("Bảng tham chiếu trong tệp bị hỏng. Ký vào đó có thể làm mất nội dung."),
            EXPORT_AGAIN,
        ),
        _unsignable(Unsignable.NO_PAGES, N_("Tệp không có trang nào.")),
        _unsignable(Unsignable.TOO_COMPLEX, N_("Tệp quá phức tạp, vượt giới hạn của dịch vụ."), EXPORT_AGAIN),
        _unsignable(Unsignable.TOO_LARGE, N_("Tệp quá lớn để ký.")),
        _unsignable(
            Unsignable.PASSWORD_NOT_GIVEN,
            N_("Tệp có mật khẩu mà chưa có mật khẩu mở tệp."),
            N_("Hãy nhập mật khẩu mở tệp, rồi ký lại."),
        ),
        _unsignable(
            Unsignable.PASSWORD_WRONG,
            N_("Mật khẩu mở tệp không đúng."),
            N_("Hãy nhập lại mật khẩu, rồi ký lại."),
        ),
        _unsignable(
            Unsignable.ENCRYPTION_UNKNOWN,
            N_("Tệp được mã hóa theo cách mà dịch vụ không mở được."),
            N_("Hãy xuất lại tệp không mã hóa, hoặc mã hóa bằng mật khẩu."),
        ),
        _unsignable(
            Unsignable.XFA,
            N_("Tệp là biểu mẫu động XFA: mỗi trình đọc có thể hiện một nội dung khác."),
            N_("Hãy in biểu mẫu ra PDF thường rồi tải lên lại."),
        ),
        _unsignable(
            Unsignable.JAVASCRIPT,
            N_("Tệp chứa mã JavaScript, quy định của dịch vụ không cho ký."),
            N_("Hãy xuất lại tệp không có mã JavaScript."),
        ),
        _unsignable(
            Unsignable.EMBEDDED_FILES,
            N_("Tệp có tệp khác đính kèm bên trong, quy định của dịch vụ không cho ký."),
            N_("Hãy xuất lại tệp không có tệp đính kèm, và gửi các tệp kia riêng."),
        ),
        _unsignable(
            Unsignable.CERTIFIED_NO_CHANGES,
            N_("Chữ ký xác nhận có sẵn trong tệp không cho thay đổi gì nữa, kể cả ký thêm."),
            N_("Hãy xin bản chưa khóa từ nơi đã ký, nếu cần thêm chữ ký."),
        ),
        _unsignable(
            Unsignable.CERTIFICATION_NOT_FIRST,
            N_("Chữ ký xác nhận phải là chữ ký đầu tiên, mà tệp đã có chữ ký."),
            N_("Hãy ký bằng chữ ký thường."),
        ),
        _unsignable(
            Unsignable.FIELD_LOCKED, N_("Ô chữ ký này đã bị một chữ ký trước khóa lại."), CHANGE_WISH
        ),
        _unsignable(Unsignable.NO_SUCH_FIELD, N_("Tệp không có ô chữ ký mang tên này."), CHANGE_WISH),
        _unsignable(
            Unsignable.FIELD_NOT_FOR_SIGNATURES, N_("Ô mang tên này không phải là ô chữ ký."), CHANGE_WISH
        ),
        _unsignable(Unsignable.FIELD_ALREADY_SIGNED, N_("Ô chữ ký này đã có chữ ký."), CHANGE_WISH),
        _unsignable(
            Unsignable.SEED_VALUE,
            N_("Ô chữ ký này đòi hỏi điều kiện mà yêu cầu không đáp ứng: %(detail)s"),
            CHANGE_WISH,
        ),
        _unsignable(Unsignable.NO_SUCH_PAGE, N_("Tệp không có trang được chọn để đặt dấu."), CHANGE_WISH),
        _unsignable(Unsignable.MARK_OFF_PAGE, N_("Chỗ đặt dấu nằm ngoài trang."), CHANGE_WISH),
        _unsignable(
            Unsignable.MARK_DOES_NOT_FIT, N_("Chữ hoặc hình của dấu không vừa khung đã chọn."), CHANGE_WISH
        ),
        _unsignable(
            Unsignable.MARK_IMAGE_REFUSED,
            N_("Hình của dấu không dùng được: cần tệp PNG hoặc JPEG, không quá lớn."),
            CHANGE_WISH,
        ),
        _unsignable(
            Unsignable.MARK_LETTER_UNKNOWN,
            N_("Phông chữ của dấu không có một ký tự trong nội dung."),
            CHANGE_WISH,
        ),
        _unsignable(
            Unsignable.PDFA_TRANSPARENCY,
            N_("Tệp theo chuẩn PDF/A-1, không cho đặt hình trong suốt."),
            N_("Hãy dùng hình không trong suốt, hoặc ký không đặt dấu."),
        ),
        _unsignable(Unsignable.WORDS_TOO_LONG, N_("Lý do, địa điểm hoặc nội dung dấu quá dài."), CHANGE_WISH),
    ]
)

INTAKE = {
    IntakeRefusal.EMPTY.value: Problem(
        "empty", 422, NOT_ACCEPTED, N_("Tệp tải lên không có nội dung."), ANOTHER_FILE, Saved.NOTHING
    ),
    IntakeRefusal.TOO_LARGE.value: Problem(
        "too-large", 413, NOT_ACCEPTED, N_("Tệp lớn hơn giới hạn %(limit)s của dịch vụ."),
        N_("Hãy giảm dung lượng tệp hoặc tách thành nhiều tệp."), Saved.NOTHING,
    ),
    IntakeRefusal.NOT_A_PDF.value: Problem(
        "not-a-pdf", 422, NOT_ACCEPTED, N_("Tệp tải lên không phải là PDF."), ANOTHER_FILE, Saved.NOTHING
    ),
    IntakeRefusal.WRONG_MEDIA_TYPE.value: Problem(
        "wrong-media-type", 415, NOT_ACCEPTED, N_("Tệp được gửi với kiểu %(media_type)s; ở đây chỉ nhận tệp PDF (application/pdf)."),
        ANOTHER_FILE, Saved.NOTHING,
    ),
    IntakeRefusal.DAMAGED.value: Problem(
        "damaged", 422, NOT_ACCEPTED, N_("Tệp PDF bị hỏng, không đọc được."), EXPORT_AGAIN, Saved.NOTHING
    ),
    IntakeRefusal.INCOMPLETE.value: Problem(
        "incomplete", 400, NOT_ACCEPTED, N_("Tệp chưa đến đủ: khai %(declared)s byte, nhận được %(received)s byte."),
        N_("Hãy tải lại tệp từ đầu."), Saved.NOTHING, retryable=True,
    ),
    IntakeRefusal.TOO_COMPLEX.value: Problem(
        "too-complex", 422, NOT_ACCEPTED, N_("Tệp quá phức tạp, đọc vượt giới hạn thời gian hoặc bộ nhớ."),
        EXPORT_AGAIN, Saved.NOTHING,
    ),
}  # fmt: skip


def _key(reason: Refusal, status: int, said: str, todo: str = ANOTHER_KEY) -> tuple[str, Problem]:
    return reason.value, Problem(f"key-{reason}", status, KEY_REFUSED, said, todo, Saved.DOCUMENT)


KEY = dict(
    [
        _key(
            Refusal.ALREADY_SERVED, 409,
            N_("Lượt ký này đã được dùng một lần và không ký lại; chữ ký cũ không được phát ra."),
            N_("Hãy gửi một yêu cầu ký mới."),
        ),
        _key(
            Refusal.STALE_LEASE, 409, N_("Một tiến trình khác đã nhận làm tiếp yêu cầu này."),
            N_("Hãy xem lại trạng thái của yêu cầu ký."),
        ),
        _key(Refusal.NOT_THE_HOLDER, 403, N_("Khóa này không phải của bạn.")),
        _key(Refusal.WRONG_AGENCY, 403, N_("Khóa này thuộc cơ quan khác.")),
        _key(Refusal.WRONG_PURPOSE, 403, N_("Khóa này không dùng để ký hoặc đóng dấu văn bản.")),
        _key(Refusal.WRONG_MECHANISM, 422, N_("Khóa này không ký theo thuật toán được yêu cầu."), CHANGE_WISH),
        _key(
            Refusal.NOT_RELEASED, 403, N_("Khóa này cần chính người giữ xác nhận trước khi ký."),
            N_("Người giữ khóa hãy đăng nhập và tự xác nhận."),
        ),
        _key(
            Refusal.DECLINED, 409, N_("Người giữ khóa đã từ chối ký."),
            N_("Hãy hỏi người giữ khóa, rồi gửi yêu cầu mới nếu cần."),
        ),
        _key(
            Refusal.EXPIRED, 409, N_("Không có ai trả lời yêu cầu ký trong thời hạn của thiết bị."),
            N_("Hãy gửi một yêu cầu ký mới."),
        ),
    ]
)  # fmt: skip


def _certificate(reason: str, said: str, todo: str = NEW_CERTIFICATE) -> tuple[str, Problem]:
    code = "certificate-" + reason.lower().replace("_", "-")
    return reason, Problem(code, 422, CERTIFICATE_REFUSED, said, todo, Saved.DOCUMENT)


CERTIFICATE = dict(
    [
        _certificate("EXPIRED", N_("Chứng thư đã hết hạn.")),
        _certificate("NOT_YET_VALID", N_("Chứng thư chưa đến ngày có hiệu lực.")),
        _certificate("REVOKED", N_("Chứng thư đã bị thu hồi.")),
        _certificate(
            "ON_HOLD",
            N_("Chứng thư đang bị tạm dừng."),
            N_("Hãy hỏi tổ chức cấp chứng thư; khi chứng thư có hiệu lực lại thì ký tiếp."),
        ),
        _certificate(
            "NO_PATH",
            N_("Chứng thư không do tổ chức nào mà hệ thống tin cậy cấp."),
            N_("Hãy hỏi người quản trị về danh sách tổ chức được tin cậy."),
        ),
        _certificate(
            "WRONG_PURPOSE",
            N_("Chứng thư không được cấp để ký văn bản."),
            N_("Hãy dùng chứng thư được cấp để ký văn bản, hoặc hỏi tổ chức cấp chứng thư."),
        ),
        _certificate(
            "UNKNOWN_STATUS",
            N_("Chưa biết chứng thư còn hiệu lực hay đã bị thu hồi."),
            TRY_AGAIN_SOON,
        ),
    ]
)

PREVIEW = {
    "password": Problem(
        "preview-password", 422, NO_PICTURE, N_("Tệp có mật khẩu nên không hiện được thành hình."),
        N_("Hãy tải tệp về và mở bằng mật khẩu."),
    ),
    "unreadable": Problem(
        "preview-unreadable", 422, NO_PICTURE, N_("Không vẽ được trang này thành hình."),
        N_("Hãy tải tệp về và mở bằng phần mềm trên máy của bạn."),
    ),
    "limit": Problem(
        "preview-limit", 422, NO_PICTURE, N_("Trang này quá phức tạp để vẽ thành hình."),
        N_("Hãy tải tệp về và mở bằng phần mềm trên máy của bạn."),
    ),
}  # fmt: skip


def _enrolment(reason: str, said: str, todo: str) -> tuple[str, Problem]:
    return reason, Problem(f"enrolment-{reason}", 422, NOT_ENROLLED, said, todo)


ENROLMENT = dict(
    [
        _enrolment(
            "name-bad", N_("Tên khóa chỉ gồm chữ thường không dấu, chữ số và các dấu . _ -, dài nhất 64 ký tự."),
            N_("Hãy đặt tên khác, ví dụ con-dau."),
        ),
        _enrolment("name-taken", N_("Đã có khóa mang tên này."), N_("Hãy đặt tên khác.")),
        _enrolment(
            "subject-bad", N_("Tên chủ thể không đúng dạng RFC 4514: %(detail)s"),
            N_("Hãy viết như: CN=Trần Thị Bình,O=UBND xã An Phước,C=VN."),
        ),
        _enrolment(
            "unsupported", N_("Thiết bị không tạo được khóa theo thuật toán này: %(detail)s"),
            N_("Hãy chọn ec-p256, ec-p384, rsa-2048, rsa-3072 hoặc rsa-4096."),
        ),
        _enrolment(
            "person", N_("Khóa của cá nhân chỉ do chính người đó dùng, và không nằm trong thiết bị của máy chủ."),
            N_("Hãy dùng thẻ hoặc USB token của chính người đó."),
        ),
        _enrolment(
            "certificate-bad", N_("Không đọc được chứng thư: %(detail)s"), N_("Hãy dùng tệp chứng thư dạng PEM hoặc DER.")
        ),
        _enrolment(
            "other-key", N_("Chứng thư này được cấp cho một khóa khác."),
            N_("Hãy lấy chứng thư được cấp theo đúng tệp yêu cầu (PKCS#10) của khóa này."),
        ),
        _enrolment(
            "expired", N_("Chứng thư này đã hết hạn: %(detail)s"), N_("Hãy xin cấp chứng thư mới cho khóa này."),
        ),
        _enrolment(
            "chain-broken", N_("Chứng thư này không do chứng thư đứng ngay sau nó trong chuỗi cấp: %(detail)s"),
            N_("Hãy xếp các chứng thư từ tổ chức cấp đi dần lên tổ chức gốc."),
        ),
        _enrolment(
            "usage-wrong", N_("Chứng thư cấp dấu thời gian phải có mục đích timeStamping duy nhất và bắt buộc."),
            N_("Hãy xin lại chứng thư với đúng mục đích đó."),
        ),
    ]
)  # fmt: skip
