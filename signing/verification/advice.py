"""What a finding means and what to do about it: this file holds both for every code of `wording.FINDINGS` (V10).

- Three sentences belong to a finding: what it is (`wording.py`), what that means for whoever relies on the file, and what
  to do now. A test holds the two lists to the same codes.
- Nothing is to be done is said too: who reads a list must not be left to wonder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from signing.verification.report import Finding
from signing.verification.wording import finding_sentence

Say = Callable[..., str]


def N_(sentence: str) -> str:
    return sentence


@dataclass(frozen=True)
class Advice:
    means: str
    todo: str


_NOT_LOOKED = N_("Tệp chưa được kiểm tra; điều này không nói gì về chữ ký.")
_TWO_READINGS = N_(
    "Hai người mở cùng một tệp có thể thấy hai nội dung, nên không nói được nội dung nào đã được ký."
)
_UNCOVERED = N_(
    "Không chữ ký nào bảo vệ phần này: ai cũng có thể đã thêm vào mà không cần khóa của người ký."
)
_NOT_WHAT_WAS_SIGNED = N_("Nội dung đang có trong tệp không phải là nội dung mà người ký đã ký.")
_NO_SIGNATURE_COUNTS = N_("Chữ ký này không chứng minh điều gì.")
_UNKNOWN_HERE = N_("Chương trình này không khẳng định cũng không phủ định được chữ ký.")
_FORM_ONLY = N_("Chữ ký vẫn được kiểm tra đầy đủ; chỉ cách ghi là khác chuẩn.")
_NOT_COUNTED = N_("Ngày ký không được dấu thời gian ấy chứng minh; chữ ký được xét như thể không có nó.")
_OWNER_UNKNOWN = N_("Không biết chứng thư thật sự thuộc về người mà nó ghi tên.")
_NOT_ENTITLED = N_(
    "Vào thời điểm của chữ ký, chứng thư không còn hoặc chưa có hiệu lực, nên chữ ký không có giá trị."
)
_MAYBE_AFTERWARDS = N_("Chữ ký có thể được làm sau ngày ấy, khi chứng thư hay thuật toán không còn đáng tin.")
_NO_HARM = N_("Không ảnh hưởng đến kết quả.")

_NOTHING = N_("Không cần làm gì.")
_LATER = N_("Hãy thử lại sau, hoặc kiểm tra bằng phần mềm trên máy tính của bạn.")
_DOWNLOAD_AGAIN = N_("Hãy tải lại tệp từ nơi đã nhận và kiểm tra lần nữa.")
_ORIGINAL = N_("Hãy xin cơ quan ban hành gửi lại đúng tệp gốc đã ký, không qua phần mềm nén hay sửa PDF.")
_DO_NOT_USE = N_(
    "Đừng dùng tệp này; hãy xin lại bản điện tử từ cơ quan ban hành, theo địa chỉ đã biết từ trước."
)
_UNLOCKED = N_("Hãy xin bản không đặt mật khẩu, hoặc cho biết mật khẩu khi kiểm tra. Đừng tự lưu lại tệp.")
_OTHER_SOFTWARE = N_("Hãy hỏi cơ quan ban hành đã ký bằng phần mềm nào, và kiểm tra bằng phần mềm ấy.")
_STAMPED = N_("Hãy xin cơ quan ban hành bản có dấu thời gian, hoặc bản được ký lại.")
_WHO_ISSUED = N_("Hãy hỏi cơ quan ban hành: ai cấp chứng thư, và có thể kiểm tra ở đâu.")
_HOURS = N_("Hãy kiểm tra lại sau vài giờ. Tệp của bạn không có lỗi.")
_LOOK_AT_SIGNED = N_("Hãy xem và tải bản đúng như khi ký; chỉ bản ấy được chữ ký bảo vệ.")
_SIGN_AGAIN = N_("Hãy hỏi cơ quan ban hành về chứng thư đã dùng, hoặc xin bản được ký lại.")

ADVICE: dict[str, Advice] = {
    # Of the file.
    "OUR_LIMIT": Advice(_NOT_LOOKED, _LATER),
    "CANNOT_OPEN": Advice(_NOT_LOOKED, N_("Hãy xem lại tên tệp và quyền đọc tệp.")),
    "EMPTY_FILE": Advice(_NOT_LOOKED, _DOWNLOAD_AGAIN),
    "NOT_A_PDF": Advice(_NOT_LOOKED, N_("Hãy chọn đúng tệp đã nhận; ảnh chụp và tệp soạn thảo không mang chữ ký số của văn bản.")),
    "NOT_A_SIGNATURE": Advice(_NOT_LOOKED, N_("Hãy chọn đúng tệp đã nhận: tệp PDF đã ký, hoặc tệp chữ ký cùng tệp nội dung.")),
    "DAMAGED": Advice(_NOT_LOOKED, _DOWNLOAD_AGAIN),
    "PASSWORD_WANTED": Advice(_NOT_LOOKED, _UNLOCKED),
    "PASSWORD_WRONG": Advice(_NOT_LOOKED, _UNLOCKED),
    "ENCRYPTION_UNKNOWN": Advice(_NOT_LOOKED, _UNLOCKED),
    "MENDED": Advice(_TWO_READINGS, _ORIGINAL),
    "READ_DIFFERENTLY": Advice(_TWO_READINGS, _ORIGINAL),
    "BYTES_BEFORE_HEADER": Advice(_UNCOVERED, _ORIGINAL),
    "BYTES_AFTER_END": Advice(_UNCOVERED, _LOOK_AT_SIGNED),
    "LOOSE_BYTES": Advice(_UNCOVERED, _LOOK_AT_SIGNED),
    "HYBRID_UPDATE": Advice(_TWO_READINGS, _ORIGINAL),
    "SIGNATURE_TAKEN_AWAY": Advice(N_("Có thể một chữ ký đã bị gỡ khỏi tài liệu."), _ORIGINAL),
    "TOO_MANY_SIGNATURES": Advice(N_("Những chữ ký còn lại chưa được xem."), _LATER),
    "DEMONSTRATION_TRUST": Advice(N_("Ai cũng có thể tự lập chứng thư như vậy; chỉ dùng để thử."), _NOTHING),
    "CLAIMED_TIME_USED": Advice(
        N_("Người ký có thể ghi bất kỳ thời điểm nào, nên kết quả này chỉ để tham khảo."),
        N_("Hãy kiểm tra lại mà không chọn thời điểm tự ghi."),
    ),
    "FROM_FACTS": Advice(
        N_("Kết quả đúng khi dữ kiện ấy đúng là của tệp mang mã SHA-256 ghi trong báo cáo."),
        N_("Nếu có tệp, hãy kiểm tra lại từ chính tệp."),
    ),
    # Form and bytes of a signature.
    "FORM_BROKEN": Advice(_NO_SIGNATURE_COUNTS, _DO_NOT_USE),
    "TRUNCATED": Advice(N_("Một phần nội dung đã ký không còn trong tệp."), _DOWNLOAD_AGAIN),
    "BYTE_RANGE": Advice(_UNCOVERED, _DO_NOT_USE),
    "PARTIAL": Advice(_UNCOVERED, _DO_NOT_USE),
    "FORMAT_UNKNOWN": Advice(_UNKNOWN_HERE, _OTHER_SOFTWARE),
    "CONTENT_WANTED": Advice(_UNKNOWN_HERE, N_("Hãy đưa cả tệp nội dung: antin verify --content TỆP; với dấu thời gian: --data TỆP.")),
    "ALGORITHM_UNKNOWN": Advice(_UNKNOWN_HERE, _OTHER_SOFTWARE),
    "DUPLICATE_FIELD": Advice(_TWO_READINGS, _ORIGINAL),
    "PADDING_NOT_ZERO": Advice(N_("Dữ liệu lạ không hiện trên trang nào và không đổi nội dung đã ký."), _NOTHING),
    "ODD_ENCODING": Advice(_FORM_ONLY, _NOTHING),
    "OLD_FORM": Advice(_FORM_ONLY, _NOTHING),
    "BYTES_CHANGED": Advice(_NOT_WHAT_WAS_SIGNED, _DO_NOT_USE),
    "SIGNATURE_BROKEN": Advice(_NO_SIGNATURE_COUNTS, _DO_NOT_USE),
    "NO_SIGNER": Advice(_OWNER_UNKNOWN, N_("Hãy xin cơ quan ban hành bản có kèm chứng thư.")),
    # What came later.
    "CHANGED_AFTER": Advice(_NOT_WHAT_WAS_SIGNED, _LOOK_AT_SIGNED),
    "DOUBTFUL_AFTER": Advice(N_("Phần thêm vào sau có thể làm người đọc hiểu khác nội dung đã ký."), _LOOK_AT_SIGNED),
    "SIGNATURE_OVER_CONTENT": Advice(_NO_HARM, _NOTHING),
    "MARK_NOT_COMPARED": Advice(
        N_("Nội dung nằm dưới hình ấy có thể bị che khi xem bản mới nhất."), _LOOK_AT_SIGNED
    ),
    # Certificate and chain.
    "NO_PATH": Advice(_OWNER_UNKNOWN, _WHO_ISSUED),
    "PATH_REFUSED": Advice(_OWNER_UNKNOWN, _WHO_ISSUED),
    "EXPIRED_NO_PROOF": Advice(_MAYBE_AFTERWARDS, _STAMPED),
    "EXPIRED_BEFORE": Advice(_NOT_ENTITLED, _DO_NOT_USE),
    "NOT_YET_VALID": Advice(_NOT_ENTITLED, _DO_NOT_USE),
    "PURPOSE": Advice(N_("Chứng thư có thể thật, nhưng người cấp không cho dùng để ký văn bản."), _SIGN_AGAIN),
    "REVOKED": Advice(_NOT_ENTITLED, _DO_NOT_USE),
    "REVOKED_NO_PROOF": Advice(_MAYBE_AFTERWARDS, _STAMPED),
    "REVOKED_LATER": Advice(_NO_HARM, _NOTHING),
    "AUTHORITY_REVOKED": Advice(_OWNER_UNKNOWN, _SIGN_AGAIN),
    "ON_HOLD": Advice(N_("Chứng thư có thể được dùng lại hoặc bị thu hồi; chưa biết điều nào."), _HOURS),
    "REVOCATION_UNKNOWN": Advice(
        N_("Chứng thư có thể đã bị thu hồi mà nơi kiểm tra chưa biết."), _HOURS
    ),
    "REVOCATION_OLDER": Advice(
        N_("Nếu chứng thư bị thu hồi ngay trước khi ký thì thông tin ấy chưa nói tới."),
        N_("Với văn bản quan trọng, hãy kiểm tra lại sau vài ngày."),
    ),
    # Strength.
    "WEAK_NO_PROOF": Advice(_MAYBE_AFTERWARDS, _STAMPED),
    "WEAK_THEN": Advice(N_("Khi ấy người khác đã có thể làm ra một chữ ký giống như vậy."), _SIGN_AGAIN),
    "OLD_ALGORITHM": Advice(_NO_HARM, _NOTHING),
    # Time.
    "NO_TIMESTAMP": Advice(N_("Ngày giờ trong tệp do máy của người ký tự ghi."), N_("Nếu ngày ký là điều quan trọng, hãy xin bản có dấu thời gian.")),
    "TIMESTAMP_REFUSED": Advice(_NOT_COUNTED, _STAMPED),
    "TIMESTAMP_UNDECIDED": Advice(_NOT_COUNTED, _HOURS),
    "TIME_ORDER": Advice(_NOT_COUNTED, _STAMPED),
    "LEVEL_LOWER": Advice(
        N_("Chữ ký có thể khó kiểm tra hơn sau nhiều năm."), N_("Nếu phải lưu lâu dài, hãy đề nghị bổ sung tài liệu kiểm tra.")
    ),
}  # fmt: skip


def told(finding: Finding, say: Say) -> tuple[str, str, str]:
    """What it is, what it means, and what to do."""
    known = ADVICE[finding.code]
    return finding_sentence(finding, say), say(known.means), say(known.todo)
