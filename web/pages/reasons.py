"""Why a signature is not simply valid, and what to do about it: this file holds the plain sentences, by ETSI name.

A list of wording: no machinery is named (look.md), each "cannot decide" says what is missing and how to get it.
"""

from __future__ import annotations

from dataclasses import dataclass

from catalogue import N_
from signing.verification.report import SubIndication as Sub


@dataclass(frozen=True)
class Reason:
    said: str
    todo: str


ASK_ISSUER = N_(
    "Đừng dùng tệp này. Hãy xin lại bản điện tử từ cơ quan ban hành, theo địa chỉ hoặc số điện thoại bạn đã biết từ trước."
)
ASK_TIMESTAMPED = N_("Hãy xin cơ quan ban hành bản có dấu thời gian, hoặc bản được ký lại.")

FAILED = {
    Sub.HASH_FAILURE: Reason(N_("Nội dung trong tệp khác với nội dung đã được ký."), ASK_ISSUER),
    Sub.FORMAT_FAILURE: Reason(N_("Tệp đã bị sửa sau khi ký, hoặc chữ ký không đúng dạng."), ASK_ISSUER),
    Sub.SIG_CRYPTO_FAILURE: Reason(N_("Chữ ký không khớp với chứng thư của người ký."), ASK_ISSUER),
    Sub.REVOKED: Reason(N_("Chứng thư của người ký đã bị thu hồi trước khi ký."), ASK_ISSUER),
    Sub.EXPIRED: Reason(N_("Chứng thư của người ký đã hết hạn trước khi ký."), ASK_ISSUER),
    Sub.NOT_YET_VALID: Reason(N_("Văn bản được ký trước khi chứng thư có hiệu lực."), ASK_ISSUER),
}
FAILED_OTHERWISE = Reason(N_("Có chữ ký không đạt kiểm tra."), ASK_ISSUER)
CHANGED = Reason(N_("Tệp đã bị sửa sau khi ký, ngoài những thay đổi được phép."), ASK_ISSUER)

_UNKNOWN_ISSUER = Reason(
    N_("Nội dung khớp với chữ ký, nhưng trang này không biết tổ chức đã cấp chứng thư cho người ký."),
    N_("Hãy hỏi cơ quan ban hành: ai cấp chứng thư, và có thể kiểm tra ở đâu."),
)
_NO_STATUS = Reason(
    N_("Nội dung khớp với chữ ký, nhưng chưa biết chứng thư của người ký còn hiệu lực hay đã bị thu hồi."),
    N_("Hãy kiểm tra lại sau vài giờ. Tệp của bạn không có lỗi."),
)
_EXPIRED_NO_PROOF = Reason(
    N_("Chứng thư của người ký đã hết hạn, và không có dấu thời gian chứng minh văn bản được ký trước đó."),
    ASK_TIMESTAMPED,
)
_REVOKED_NO_PROOF = Reason(
    N_(
        "Chứng thư của người ký nay đã bị thu hồi, và không có dấu thời gian chứng minh văn bản được ký trước đó."
    ),
    ASK_TIMESTAMPED,
)
_PURPOSE = Reason(
    N_("Chứng thư của người ký không được cấp để ký văn bản."),
    N_("Hãy hỏi cơ quan ban hành về chứng thư đã dùng, hoặc xin bản được ký lại."),
)
_WEAK = Reason(
    N_(
        "Chữ ký dùng cách tính đã cũ, và không có dấu thời gian chứng minh nó được ký khi cách tính ấy còn an toàn."
    ),
    ASK_TIMESTAMPED,
)

UNDECIDED = {
    Sub.NO_CERTIFICATE_CHAIN_FOUND: _UNKNOWN_ISSUER,
    Sub.CERTIFICATE_CHAIN_GENERAL_FAILURE: _UNKNOWN_ISSUER,
    Sub.CHAIN_CONSTRAINTS_FAILURE: _UNKNOWN_ISSUER,
    Sub.NO_SIGNING_CERTIFICATE_FOUND: Reason(
        N_("Trong tệp không có chứng thư của người ký."),
        N_("Hãy xin cơ quan ban hành bản có kèm chứng thư."),
    ),
    Sub.TRY_LATER: _NO_STATUS,
    Sub.OUT_OF_BOUNDS_NO_POE: _EXPIRED_NO_PROOF,
    Sub.OUT_OF_BOUNDS_NOT_REVOKED: _EXPIRED_NO_PROOF,
    Sub.NO_POE: _EXPIRED_NO_PROOF,
    Sub.REVOKED_NO_POE: _REVOKED_NO_PROOF,
    Sub.REVOKED_CA_NO_POE: _REVOKED_NO_PROOF,
    Sub.SIG_CONSTRAINTS_FAILURE: _PURPOSE,
    Sub.CRYPTO_CONSTRAINTS_FAILURE: _WEAK,
    Sub.CRYPTO_CONSTRAINTS_FAILURE_NO_POE: _WEAK,
}
UNDECIDED_OTHERWISE = Reason(
    N_("Thiếu dữ liệu để kết luận về chữ ký. Phần chi tiết bên dưới nêu rõ còn thiếu gì."),
    N_("Hãy kiểm tra lại sau, hoặc hỏi cơ quan ban hành."),
)
NO_SIGNATURE = Reason(
    N_("Tệp này không mang chữ ký số nào."),
    N_(
        "Bản chụp hoặc bản quét của giấy không mang chữ ký số. Hãy xin bản điện tử gốc, hoặc gõ mã in trên giấy để tra cứu."
    ),
)
UNREADABLE = Reason(
    N_("Có thể tệp bị hỏng trên đường gửi. Điều đó không nói gì về chữ ký."),
    N_("Hãy tải lại tệp từ nơi bạn nhận được và thử lần nữa. Trang này đọc tệp PDF."),
)
NEEDS_PASSWORD = Reason(
    N_("Tệp được khóa bằng mật khẩu, nên trang này không đọc được."),
    N_(
        "Hãy xin cơ quan ban hành bản không đặt mật khẩu. Đừng tự lưu lại tệp: làm vậy chữ ký không còn đúng."
    ),
)
NOT_A_PDF = Reason(
    N_("Tệp này không phải là PDF."),
    N_("Hãy chọn đúng tệp PDF mà bạn nhận được. Ảnh chụp và tệp soạn thảo không mang chữ ký số của văn bản."),
)
UNPROTECTED = Reason(
    N_("Trong tệp có phần không được chữ ký nào bảo vệ, nên chưa thể nói là hợp lệ."),
    N_("Hãy xin lại bản điện tử gốc từ cơ quan ban hành; phần chi tiết bên dưới nêu rõ chỗ ấy."),
)
_READ_DIFFERENTLY = Reason(
    N_(
        "Cấu trúc tệp không chặt chẽ: mỗi phần mềm có thể hiện ra một nội dung khác, nên chưa thể nói là hợp lệ."
    ),
    N_("Hãy xin cơ quan ban hành gửi lại đúng tệp gốc đã ký, không qua phần mềm nén hay sửa PDF."),
)
_NOT_KNOWN_HERE = Reason(
    N_("Chữ ký thuộc loại mà trang này chưa kiểm tra được."),
    N_("Hãy hỏi cơ quan ban hành đã ký bằng phần mềm nào, và kiểm tra bằng phần mềm ấy."),
)
# Findings for which no ETSI name stands: what is missing, and what to do.
BY_FINDING = {
    "MENDED": _READ_DIFFERENTLY,
    "READ_DIFFERENTLY": _READ_DIFFERENTLY,
    "HYBRID_UPDATE": _READ_DIFFERENTLY,
    "DUPLICATE_FIELD": _READ_DIFFERENTLY,
    "FORMAT_UNKNOWN": _NOT_KNOWN_HERE,
    "ALGORITHM_UNKNOWN": _NOT_KNOWN_HERE,
    "PARTIAL": UNPROTECTED,
    "PADDING_NOT_ZERO": UNPROTECTED,
    "SIGNATURE_TAKEN_AWAY": UNPROTECTED,
    "TOO_MANY_SIGNATURES": Reason(
        N_("Tệp có nhiều chữ ký hơn mức trang này xem được, nên chưa kết luận được về mọi chữ ký."),
        N_("Hãy kiểm tra bằng phần mềm trên máy tính của bạn, hoặc hỏi cơ quan ban hành."),
    ),
}
OUR_LIMIT = Reason(
    N_("Không đọc được tệp, vì tệp vượt quá sức của trang này. Điều đó không nói gì về chữ ký."),
    N_("Hãy thử lại sau, hoặc kiểm tra bằng phần mềm trên máy tính của bạn."),
)
NOT_READ = {
    "OUR_LIMIT": OUR_LIMIT,
    "PASSWORD_WANTED": NEEDS_PASSWORD,
    "PASSWORD_WRONG": NEEDS_PASSWORD,
    "ENCRYPTION_UNKNOWN": NEEDS_PASSWORD,
    "NOT_A_PDF": NOT_A_PDF,
    "EMPTY_FILE": NOT_A_PDF,
}
# Findings about what lies beside or behind what was signed, where the signature itself may be sound.
NOT_COVERED = {"BYTES_AFTER_END", "BYTES_BEFORE_HEADER", "LOOSE_BYTES", "DOUBTFUL_AFTER"}
