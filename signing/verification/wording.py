"""A plain sentence for everything that a report can say: this file holds the closed lists of codes, kinds and levels (V10).

- `say(vietnamese, **data)` gives the sentence in the reader's language; Vietnamese stands here, English in the catalogue.
- What is not in a list is not said: `Finding` and `Change` of another code are a fault of ours, found by a test.
- No machinery is named: who reads this is a clerk or a citizen (look.md).
"""

from __future__ import annotations

from collections.abc import Callable

from signing.verification.report import Change, Finding, Report, SignatureKind, Verdict

Say = Callable[..., str]


def N_(sentence: str) -> str:
    return sentence


FINDINGS: dict[str, str] = {
    # Of the file.
    "OUR_LIMIT": N_(
        "Tệp vượt quá giới hạn của chương trình này; điều đó không nói gì về chữ ký. Hãy thử lại sau."
    ),
    "CANNOT_OPEN": N_("Không mở được tệp."),
    "EMPTY_FILE": N_("Tệp rỗng."),
    "NOT_A_PDF": N_("Tệp không phải là PDF."),
    "DAMAGED": N_("Tệp PDF bị hỏng, không đọc được."),
    "PASSWORD_WANTED": N_("Tệp được mã hóa; cần mật khẩu để kiểm tra."),
    "PASSWORD_WRONG": N_("Mật khẩu không mở được tệp."),
    "ENCRYPTION_UNKNOWN": N_("Tệp được mã hóa bằng cách mà chương trình này không biết."),
    "MENDED": N_("Cấu trúc tệp bị hỏng và phải sửa mới đọc được, nên mỗi phần mềm có thể hiện một khác."),
    "READ_DIFFERENTLY": N_("Cấu trúc tệp không chặt chẽ, mỗi phần mềm có thể đọc ra nội dung khác nhau."),
    "BYTES_BEFORE_HEADER": N_("Trước phần đầu của tệp PDF có dữ liệu lạ."),
    "BYTES_AFTER_END": N_("Sau phần cuối của tệp có %(count)s byte không thuộc bản nào của tài liệu."),
    "LOOSE_BYTES": N_("Trong bản %(revision)s có dữ liệu không được kê trong tài liệu."),
    "HYBRID_UPDATE": N_("Bản %(revision)s có hai bảng kê đối tượng, phần mềm cũ và mới có thể đọc khác nhau."),
    "SIGNATURE_TAKEN_AWAY": N_("Trong tệp còn dấu vết của chữ ký không nằm trong trường chữ ký nào."),
    "TOO_MANY_SIGNATURES": N_("Tệp có nhiều chữ ký hơn mức chương trình này xem được (%(limit)s)."),
    "DEMONSTRATION_TRUST": N_("Kết quả dựa trên chứng thư trình diễn, không có giá trị pháp lý."),
    "CLAIMED_TIME_USED": N_("Kết quả tính theo thời điểm mà người ký tự ghi, chưa có gì chứng minh."),
    "NOT_A_SIGNATURE": N_("Tệp không phải là PDF, cũng không phải là chữ ký hay dấu thời gian."),
    "FROM_FACTS": N_("Kết quả được tính lại từ dữ kiện đã lưu; tệp không được đọc lại."),
    # Form and bytes of a signature.
    "FORM_BROKEN": N_("Chữ ký không đúng dạng: %(why)s."),
    "TRUNCATED": N_("Tệp bị cắt bớt: chữ ký bao trùm nhiều byte hơn tệp có."),
    "BYTE_RANGE": N_("Vùng byte được ký không đúng: chữ ký phải bao trùm mọi byte trừ chính nó."),
    "PARTIAL": N_("Chữ ký không bao trùm trọn bản mà nó thuộc về."),
    "FORMAT_UNKNOWN": N_("Chữ ký thuộc loại chương trình này không kiểm tra được (%(format)s)."),
    "CONTENT_WANTED": N_("Chưa có nội dung mà chữ ký hoặc dấu thời gian này bao trùm."),
    "ALGORITHM_UNKNOWN": N_("Chữ ký dùng thuật toán chương trình này không biết."),
    "DUPLICATE_FIELD": N_("Có hai trường chữ ký trùng tên hoặc chung một chữ ký."),
    "PADDING_NOT_ZERO": N_("Phần đệm sau chữ ký chứa dữ liệu lạ; phần này không được chữ ký bảo vệ."),
    "ODD_ENCODING": N_("Chữ ký được ghi khác chuẩn (%(what)s)."),
    "OLD_FORM": N_("Chữ ký theo dạng cũ, không ghi chứng thư của người ký vào phần được ký."),
    "BYTES_CHANGED": N_("Nội dung trong tệp khác với nội dung đã được ký."),
    "SIGNATURE_BROKEN": N_("Chữ ký không khớp với chứng thư của người ký."),
    "NO_SIGNER": N_("Trong tệp không có chứng thư của người ký."),
    # What came later.
    "CHANGED_AFTER": N_("Tệp đã bị sửa sau khi ký, ngoài những thay đổi được phép."),
    "DOUBTFUL_AFTER": N_("Sau khi ký có thay đổi mà không kết luận được là vô hại."),
    "SIGNATURE_OVER_CONTENT": N_("Hình của chữ ký sau nằm trên trang %(page)s, không che nội dung nào."),
    "MARK_NOT_COMPARED": N_("Không xem được hình của chữ ký sau có che nội dung trang %(page)s hay không."),
    # Certificate and chain.
    "NO_PATH": N_("Không nối được chứng thư với tổ chức nào được tin cậy: %(subject)s."),
    "PATH_REFUSED": N_("Đường dẫn chứng thư không hợp lệ (%(subject)s)."),
    "EXPIRED_NO_PROOF": N_(
        "Chứng thư hết hạn ngày %(when)s và không có bằng chứng chữ ký đã có trước ngày đó."
    ),
    "EXPIRED_BEFORE": N_("Chứng thư đã hết hạn ngày %(when)s, trước khi ký."),
    "NOT_YET_VALID": N_("Chứng thư chỉ có hiệu lực từ %(when)s, sau thời điểm của chữ ký."),
    "PURPOSE": N_("Chứng thư không được cấp để ký văn bản."),
    "REVOKED": N_("Chứng thư đã bị thu hồi ngày %(when)s, trước thời điểm của chữ ký."),
    "REVOKED_NO_PROOF": N_(
        "Chứng thư bị thu hồi ngày %(when)s và không có bằng chứng chữ ký đã có trước ngày đó."
    ),
    "REVOKED_LATER": N_("Chứng thư bị thu hồi ngày %(when)s, sau khi chữ ký đã có; chữ ký không bị ảnh hưởng."),
    "AUTHORITY_REVOKED": N_("Chứng thư của tổ chức cấp phát đã bị thu hồi: %(subject)s."),
    "ON_HOLD": N_("Chứng thư đang bị tạm dừng; hãy kiểm tra lại sau."),
    "REVOCATION_UNKNOWN": N_("Chưa xác định được chứng thư có bị thu hồi hay không (%(subject)s)."),
    "REVOCATION_OLDER": N_("Thông tin thu hồi được lập trước thời điểm của chữ ký, nhưng lúc đó còn hiệu lực."),
    # Strength.
    "WEAK_NO_PROOF": N_("%(what)s không còn an toàn từ %(when)s, và không có bằng chứng chữ ký đã có trước đó."),
    "WEAK_THEN": N_("%(what)s đã không còn an toàn từ %(when)s, trước thời điểm của chữ ký."),
    "OLD_ALGORITHM": N_("%(what)s nay không còn an toàn (từ %(when)s), nhưng chữ ký đã có từ trước."),
    # Time.
    "NO_TIMESTAMP": N_("Không có dấu thời gian: ngày ký chưa được chứng minh."),
    "TIMESTAMP_REFUSED": N_("Một dấu thời gian không đạt kiểm tra (%(why)s), nên không được tính."),
    "TIMESTAMP_UNDECIDED": N_("Chưa kết luận được về một dấu thời gian (%(why)s), nên không được tính."),
    "TIME_ORDER": N_("Các dấu thời gian không theo đúng thứ tự trước sau."),
    "LEVEL_LOWER": N_("Tệp có tài liệu của mức %(present)s, nhưng chỉ đạt mức %(reached)s."),
}  # fmt: skip

CHANGES: dict[str, str] = {
    "SIGNATURE": N_("Bản %(revision)s: thêm chữ ký"),
    "DOCUMENT_TIMESTAMP": N_("Bản %(revision)s: thêm dấu thời gian của tài liệu"),
    "SECURITY_STORE": N_("Bản %(revision)s: thêm tài liệu kiểm tra chữ ký"),
    "SIGNATURE_FIELD": N_("Bản %(revision)s: thêm ô chữ ký"),
    "FORM_FILLING": N_("Bản %(revision)s: điền biểu mẫu"),
    "ANNOTATION": N_("Bản %(revision)s: thêm hoặc sửa chú thích"),
    "METADATA": N_("Bản %(revision)s: sửa thông tin mô tả của tệp"),
    "FIELD_APPEARANCE": N_("Bản %(revision)s: sửa hình hiển thị của ô mà không điền gì"),
    "SIGNATURE_CHANGED": N_("Bản %(revision)s: sửa hoặc bỏ chữ ký đã có"),
    "SIGNATURE_HIDES_CONTENT": N_("Bản %(revision)s: hình chữ ký mới che nội dung đã ký"),
    "FORM_CHANGED": N_("Bản %(revision)s: sửa cấu trúc biểu mẫu"),
    "PAGE_CONTENT": N_("Bản %(revision)s: sửa nội dung trang"),
    "PAGES_CHANGED": N_("Bản %(revision)s: thêm, bỏ hoặc đổi thứ tự trang"),
    "STRUCTURE": N_("Bản %(revision)s: sửa cấu trúc tài liệu"),
    "LOOSE_OBJECTS": N_("Bản %(revision)s: thêm dữ liệu không được kê trong tài liệu"),
    "UNKNOWN": N_("Bản %(revision)s: thay đổi không xác định được"),
}

LEVELS: dict[str, str] = {
    "B-B": N_("Chữ ký"),
    "B-T": N_("Chữ ký và dấu thời gian"),
    "B-LT": N_("Chữ ký, dấu thời gian và tài liệu kiểm tra kèm theo"),
    "B-LTA": N_("Chữ ký, dấu thời gian, tài liệu kiểm tra và dấu thời gian lưu trữ"),
    "PKCS7-B": N_("Chữ ký dạng cũ"),
    "PKCS7-T": N_("Chữ ký dạng cũ và dấu thời gian"),
    "PKCS7-LT": N_("Chữ ký dạng cũ, dấu thời gian và tài liệu kiểm tra kèm theo"),
    "PKCS7-LTA": N_("Chữ ký dạng cũ, dấu thời gian, tài liệu kiểm tra và dấu thời gian lưu trữ"),
}

_VERDICTS: dict[Verdict, str] = {
    Verdict.UNREADABLE: N_("Không đọc được tệp nên không kiểm tra được."),
    Verdict.NO_SIGNATURE: N_("Tệp không mang chữ ký số nào."),
    Verdict.INVALID: N_("Không hợp lệ: nội dung đã bị sửa sau khi ký, hoặc chữ ký không đúng."),
    Verdict.INDETERMINATE: N_("Chưa kết luận được: còn thiếu dữ liệu hoặc có điều chưa rõ."),
}
_VALID_ONE = N_("Hợp lệ: %(who)s đã ký, nội dung không thay đổi từ khi ký.")
_VALID_MANY = N_("Hợp lệ: %(count)s chữ ký đều đúng, nội dung không thay đổi từ khi ký.")
_VALID_STAMP = N_("Hợp lệ: %(who)s đã đóng dấu thời gian, nội dung không thay đổi từ khi ấy.")
_ON_PAGE = N_("%(change)s (trang %(page)s)")


def sentence(report: Report, say: Say) -> str:
    """One sentence for the whole file."""
    if report.verdict is not Verdict.VALID:
        return say(_VERDICTS[report.verdict])
    signed = [one for one in report.signatures if one.kind is SignatureKind.SIGNATURE]
    if not signed:
        return say(_VALID_STAMP, who=report.signatures[0].signer or "")
    if len(signed) == 1:
        name = signed[0].chain[0].common_name if signed[0].chain else ""
        return say(_VALID_ONE, who=name or signed[0].signer or signed[0].field)
    return say(_VALID_MANY, count=len(signed))


def finding_sentence(finding: Finding, say: Say) -> str:
    """What a finding means, in one sentence."""
    return say(FINDINGS[finding.code], **finding.data)


def change(change: Change, say: Say) -> str:
    """What a later revision did, for a list."""
    said = say(CHANGES[change.kind], revision=change.revision)
    return said if change.page is None else say(_ON_PAGE, change=said, page=change.page)


def level(name: str, say: Say) -> str:
    return say(LEVELS[name])
