"""What may keep the service from its work, and how to mend it: this file holds a line for each `Trouble`, a list of wording.

- Codes are a closed list, the keepers' own (`check` of store and database, the token's health) and the roof's. What is
  in no line is told by its code and its detail, so that nothing that is wrong goes unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catalogue import N_, say
from documents.rooms import Trouble

GAP = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Line:
    """What is wrong, and how to mend it: Vietnamese sentences of the catalogue, `%(detail)s` filled from the trouble."""

    said: str
    todo: str


PARTS: Mapping[str, str] = {
    "token": N_("Thiết bị giữ khóa"),
    "store": N_("Kho lưu trữ"),
    "database": N_("Cơ sở dữ liệu"),
    "audit": N_("Nhật ký kiểm toán"),
    "clock": N_("Đồng hồ"),
    "certificates": N_("Chứng thư"),
    "authority": N_("Dấu thời gian"),
    "jobs": N_("Công việc chờ"),
    "settings": N_("Thiết đặt"),
}

UNKNOWN = Line(N_("Có điều chưa ổn (%(code)s): %(detail)s"), N_("Hãy xem docs/operations.md."))

ASK_TOKEN = N_("Hãy xem tiến trình giữ thiết bị có đang chạy không, và thiết bị có được cắm không.")
ASK_STORE = N_("Hãy xem máy chủ S3 hoặc ổ đĩa, và quyền ghi của người dùng chạy dịch vụ.")
ASK_DATABASE = N_("Hãy xem máy chủ cơ sở dữ liệu, địa chỉ và tệp mật khẩu trong thiết đặt.")
RENEW = N_("Hãy xin cấp chứng thư mới cho khóa này, rồi chạy antin keys install.")
FIX_SETTING = N_("Hãy sửa thiết đặt (docs/operations.md có bảng) rồi khởi động lại dịch vụ.")

TROUBLES: Mapping[str, Line] = {
    # -- token
    "token-away": Line(N_("Thiết bị giữ khóa không trả lời: %(detail)s"), ASK_TOKEN),
    "pin-refused": Line(
        N_("Thiết bị giữ khóa không nhận mã PIN. Dịch vụ không tự thử lại, để thiết bị không bị khóa."),
        N_("Hãy đặt mã PIN đúng vào tệp hoặc systemd credential, rồi khởi động lại tiến trình giữ thiết bị. Nếu mã PIN cũ vẫn đúng (thiết bị vừa được mở khóa), hãy xóa tệp pin-tried.json trong thư mục thiết bị."),
    ),
    "token-ambiguous": Line(
        N_("Có nhiều thiết bị cùng mang tên ghi trong sổ khóa, nên không rõ phải dùng thiết bị nào."),
        N_("Hãy rút bớt thiết bị, hoặc ghi cả serial vào địa chỉ pkcs11: của thiết bị trong tệp keys.json."),
    ),
    "pin-missing": Line(
        N_("Chưa có mã PIN cho thiết bị giữ khóa."),
        N_("Hãy đặt mã PIN vào tệp pin của thiết bị hoặc systemd credential, quyền 0600."),
    ),
    "log-unavailable": Line(
        N_("Không ghi được sổ dùng khóa, nên thiết bị không ký."),
        N_("Hãy xem chỗ trống trên đĩa và quyền ghi của thư mục thiết bị; sổ bị mất thì khôi phục từ bản sao lưu."),
    ),
    "probe-failed": Line(N_("Ký thử bằng khóa thử không thành."), ASK_TOKEN),
    "key-not-found": Line(
        N_("Khóa %(detail)s có trong sổ mà không có trong thiết bị."),
        N_("Hãy xem có cắm đúng thiết bị không, hoặc khôi phục thiết bị từ bản sao lưu."),
    ),
    "key-other-key": Line(
        N_("Chứng thư của khóa %(detail)s được cấp cho một khóa khác."), N_("Hãy cài lại đúng chứng thư của khóa.")
    ),
    "key-extractable": Line(
        N_("Khóa %(detail)s có thể bị lấy ra khỏi thiết bị, nên không dùng để ký."),
        N_("Hãy tạo khóa mới ngay trong thiết bị, và xin thu hồi chứng thư của khóa này."),
    ),
    "key-not-sign-only": Line(
        N_("Khóa %(detail)s còn làm được việc khác ngoài ký, nên không dùng."), N_("Hãy tạo khóa mới chỉ để ký.")
    ),
    "key-unsupported": Line(
        N_("Khóa %(detail)s có thuật toán mà dịch vụ không dùng."), N_("Hãy tạo khóa ec-p256, ec-p384 hoặc RSA từ 2048 bit.")
    ),
    "softhsm-in-production": Line(
        N_("Khóa nằm trong SoftHSM, tức là trong tệp (%(detail)s); chế độ production không nhận."),
        N_("Hãy dùng HSM, hoặc đặt ANTIN_SOFTHSM_IN_PRODUCTION đúng như docs/operations.md nếu chấp nhận rủi ro."),
    ),
    "token-same-user": Line(
        N_("Tiến trình giữ thiết bị chạy bằng chính người dùng của dịch vụ (%(detail)s): ai chiếm dịch vụ thì dùng được khóa."),
        N_("Hãy cho tiến trình đó một người dùng riêng, và ghi uid của dịch vụ vào uids của sổ khóa (docs/operations.md)."),
    ),
    "token-files-readable": Line(
        N_("Dịch vụ đọc được tệp mà chỉ tiến trình giữ thiết bị được đọc: %(detail)s"),
        N_("Hãy giao thư mục thiết bị cho người dùng riêng của tiến trình đó, và đừng chạy dịch vụ bằng root."),
    ),
    "persons-key-in-production": Line(
        N_("Mã PIN trong tệp mở cả khóa của một người: %(detail)s. Chế độ production chỉ nhận khóa của cơ quan và dịch vụ."),
        N_("Hãy bỏ khóa này khỏi sổ khóa; người đó ký bằng thiết bị của riêng mình."),
    ),
    "no-audit-key": Line(
        N_("Chưa có khóa ký nhật ký kiểm toán, nên nhật ký chưa được chốt."),
        N_("Hãy chạy antin keys make audit --purpose audit --holder service."),
    ),
    # -- store
    "store-away": Line(N_("Kho lưu trữ không trả lời hoặc không ghi được: %(detail)s"), ASK_STORE),
    "store-nearly-full": Line(N_("Kho lưu trữ sắp đầy: %(detail)s"), N_("Hãy thêm dung lượng.")),
    "no-bucket": Line(N_("Không có bucket %(detail)s."), N_("Hãy tạo bucket, hoặc sửa tên trong thiết đặt.")),
    "no-versions": Line(
        N_("Bucket %(detail)s không giữ các phiên bản, nên bản lưu có thể bị ghi đè."),
        N_("Hãy bật versioning cho bucket."),
    ),
    "no-object-lock": Line(
        N_("Bucket %(detail)s không có object lock, nên bản lưu có thể bị xóa."),
        N_("Hãy tạo bucket mới có object lock rồi chuyển bản lưu sang."),
    ),
    "compliance-default": Line(
        N_("Bucket %(detail)s mặc định khóa kiểu COMPLIANCE: mọi thứ bị khóa tới hết hạn, không ai sửa được."),
        N_("Hãy bỏ chế độ mặc định đó; dịch vụ tự đặt thời hạn cho từng bản lưu."),
    ),
    "no-conditional-writes": Line(
        N_("Máy chủ S3 của bucket %(detail)s không giữ điều kiện If-None-Match khi ghi."),
        N_("Hãy nâng cấp máy chủ S3, hoặc dùng loại có ghi theo điều kiện."),
    ),
    "working-has-versions": Line(
        N_("Bucket %(detail)s giữ các phiên bản, nên tệp tạm không bao giờ mất hẳn."),
        N_("Hãy tắt versioning của bucket này."),
    ),
    "kept-damaged": Line(
        N_("Có bản lưu bị hỏng hoặc không còn: %(detail)s"),
        N_("Hãy khôi phục đúng các tệp đó từ bản sao lưu (docs/operations.md), và tìm xem vì sao; nhật ký ghi lúc phát hiện."),
    ),
    "kept-not-held": Line(
        N_("Có bản lưu bị rút ngắn hoặc mất thời hạn giữ: %(detail)s"),
        N_("Có người đã dùng quyền bỏ qua object lock. Hãy tìm xem ai, rồi đặt lại thời hạn."),
    ),
    # -- database
    "database-away": Line(N_("Cơ sở dữ liệu không trả lời: %(detail)s"), ASK_DATABASE),
    "not-durable": Line(
        N_("Cơ sở dữ liệu trả lời trước khi dữ liệu chịu được mất điện: %(detail)s"),
        N_("Hãy đặt synchronous_commit và fsync là on (PostgreSQL); SQLite cần WAL và synchronous FULL."),
    ),
    "not-migrated": Line(
        N_("Cấu trúc cơ sở dữ liệu chưa đúng với phiên bản này: %(detail)s"),
        N_("Nhớ sao lưu trước. Chạy antin migrate bằng vai sở hữu các bảng; vai của dịch vụ không được đổi cấu trúc."),
    ),
    "too-new": Line(
        N_("Cơ sở dữ liệu do phiên bản mới hơn của dịch vụ tạo ra: %(detail)s"), N_("Hãy cài phiên bản mới của dịch vụ.")
    ),
    "no-row-fence": Line(
        N_("Các bảng này của PostgreSQL chưa có hàng rào giữa các cơ quan: %(detail)s"),
        N_("Có người đã đổi cấu trúc bằng tay. Hãy tìm xem ai, rồi bật lại row-level security cho các bảng đó."),
    ),
    "bypasses-row-fence": Line(
        N_("Vai (role) mà dịch vụ dùng trong PostgreSQL vượt được hàng rào giữa các cơ quan: %(detail)s"),
        N_("Hãy cho dịch vụ dùng một vai (role) thường, không phải superuser và không có BYPASSRLS."),
    ),
    "owns-tables": Line(
        N_("Vai (role) mà dịch vụ dùng sở hữu các bảng, nên gỡ được hàng rào giữa các cơ quan: %(detail)s"),
        N_("Hãy để một vai khác sở hữu các bảng và chạy antin migrate; docs/operations.md chỉ cách làm."),
    ),
    "old-server": Line(
        N_("Máy chủ PostgreSQL quá cũ: %(detail)s"), N_("Hãy dùng PostgreSQL 15 trở lên.")
    ),
    # -- audit trail
    "log-not-writable": Line(
        N_("Không ghi được nhật ký kiểm toán, nên tạm ngừng ký: %(detail)s"),
        N_("Hãy xem ổ đĩa của cơ sở dữ liệu có đầy không, và có ai đã đổi quyền hoặc đặt trigger trên các bảng không."),
    ),
    "log-behind": Line(
        N_("Nhật ký kiểm toán không được chốt ra nơi thứ hai đã quá lâu, nên tạm ngừng ký: %(detail)s"),
        N_("Hãy xem thư mục ANTIN_CHECKPOINT_FOLDER có ghi được không, và khóa kiểm toán có trong thiết bị không."),
    ),
    "log-forked": Line(
        N_("Nơi thứ hai giữ điểm chốt mà nhật ký này không cho ra: %(detail)s. Có bản sao thứ hai đang chạy, hoặc bản sao lưu cũ đã được chép đè."),
        N_("Hãy dừng bản sao kia; nếu đã chép lại bản sao lưu, hãy khôi phục bằng antin restore. Rồi chạy antin audit check."),
    ),
    "checkpoint-place-away": Line(
        N_("Không ghi được vào nơi thứ hai của các điểm chốt: %(detail)s"),
        N_("Hãy xem thư mục ANTIN_CHECKPOINT_FOLDER. Sau năm phút không chốt được thì ngừng ký."),
    ),
    # -- clock
    "clock-off": Line(
        N_("Đồng hồ lệch quá giới hạn, nên dịch vụ ngừng ký và cấp dấu thời gian: %(detail)s"),
        N_("Hãy chỉnh đồng hồ (chrony hoặc systemd-timesyncd) rồi đợi một phút."),
    ),
    "no-sources": Line(
        N_("Không có đủ nguồn giờ để đối chiếu: %(detail)s"),
        N_("Hãy đặt ít nhất hai máy chủ NTP độc lập trong ANTIN_CLOCK_SOURCES."),
    ),
    # -- certificates
    "certificate-expires": Line(N_("Chứng thư của khóa sắp hết hạn: %(detail)s"), RENEW),
    "certificate-expired": Line(N_("Chứng thư của khóa đã hết hạn: %(detail)s"), RENEW),
    "certificate-unreadable": Line(N_("Không đọc được chứng thư của khóa: %(detail)s"), RENEW),
    "no-anchor": Line(
        N_("Chưa tin cậy tổ chức cấp chứng thư nào, nên không chữ ký nào được công nhận."),
        N_("Hãy chạy antin trust add với chứng thư gốc, sau khi đối chiếu dấu vân tay với nơi công bố."),
    ),
    "demonstration-anchor": Line(
        N_("Còn tin cậy một tổ chức cấp chứng thư chỉ để thử: %(detail)s"),
        N_("Hãy chạy antin trust remove với dấu vân tay đó, hoặc làm nhà mới (ANTIN_HOME) cho production."),
    ),
    "demonstration-key": Line(
        N_("Khóa %(detail)s có chứng thư chỉ để thử (DEMO)."),
        N_("Hãy dùng thiết bị khác, tạo khóa mới ở đó và xin chứng thư thật."),
    ),
    "demonstration-authority": Line(
        N_("Trong nhà còn tổ chức cấp chứng thư để thử, cùng khóa của nó: %(detail)s"),
        N_("Hãy làm nhà mới (ANTIN_HOME) cho production; nhà trình diễn chỉ để trình diễn."),
    ),
    # -- time-stamps
    "authority-away": Line(
        N_("Không tổ chức cấp dấu thời gian nào trả lời: %(detail)s"),
        N_("Hãy xem địa chỉ trong ANTIN_TSA_URLS và đường mạng; văn bản chờ sẽ được hoàn tất sau."),
    ),
    "no-authority": Line(
        N_("Chưa có nơi cấp dấu thời gian, nên chỉ ký được mức B-B."),
        N_("Hãy đặt ANTIN_TSA_URLS, hoặc tạo khóa time-stamping và cài chứng thư cho nó."),
    ),
    # -- jobs
    "jobs-away": Line(N_("Công việc chờ không chạy: %(detail)s"), ASK_DATABASE),
    "jobs-set-aside": Line(
        N_("Một công việc chờ bị gác lại vì lần nào cũng hỏng: %(detail)s"),
        N_("Hãy xem lý do; văn bản liên quan vẫn được lượt quét định kỳ làm tiếp."),
    ),
    "jobs-late": Line(
        N_("Có công việc đã đến hạn từ lâu mà chưa tiến trình nào làm: %(detail)s"),
        N_("Hãy xem dịch vụ có quá tải không, và có đủ tiến trình đang chạy không."),
    ),
    "jobs-of-another-form": Line(
        N_("Có công việc chờ do phiên bản khác của dịch vụ ghi, phiên bản này không đọc được: %(detail)s"),
        N_("Hãy chạy phiên bản mới nhất của dịch vụ trên mọi máy."),
    ),
    "sweep-slow": Line(
        N_("Một lượt quét định kỳ chạy quá lâu: %(detail)s"), N_("Hãy xem kho lưu trữ, cơ sở dữ liệu và đường mạng.")
    ),
    "sweep-fails": Line(
        N_("Một lượt quét định kỳ đang hỏng: %(detail)s"), N_("Hãy xem lý do và nhật ký của dịch vụ.")
    ),
    "request-set-aside": Line(
        N_("Một yêu cầu ký bị gác lại vì lần nào cũng hỏng: %(detail)s"),
        N_("Hãy sửa nguyên nhân. Dịch vụ thử lại mỗi ngày một lần, và thử ngay khi người yêu cầu gọi lại."),
    ),
    "stuck": Line(
        N_("Có yêu cầu ký dừng quá lâu ở một trạng thái chờ: %(detail)s"),
        N_("Hãy xem bên được nêu: họ là nơi kết thúc trạng thái đó."),
    ),
    # -- settings
    "not-confined": Line(
        N_("Hệ điều hành không cho giới hạn các tiến trình đọc tệp: chúng còn với tới được mạng."),
        N_("Hãy chạy dịch vụ ở nơi cho phép user namespaces hoặc seccomp (docs/operations.md)."),
    ),
    "sqlite-several-processes": Line(
        N_("Nhiều tiến trình cùng phục vụ trên một SQLite: %(detail)s"),
        N_("Hãy chỉ chạy một tiến trình, hoặc dùng PostgreSQL 15 trở lên (ANTIN_DATABASE_URL)."),
    ),
    "checkpoints-at-home": Line(
        N_("Điểm chốt nhật ký nằm ngay trong nhà (%(detail)s): ai sửa được cơ sở dữ liệu ở đó cũng sửa được chúng."),
        N_("Hãy đặt ANTIN_CHECKPOINT_FOLDER ở nơi người quản trị cơ sở dữ liệu không với tới."),
    ),
    "sqlite-in-production": Line(
        N_("Chế độ production đang dùng SQLite: chỉ một máy dùng được, và không có hàng rào giữa các cơ quan."),
        N_("Hãy dùng PostgreSQL 15 trở lên (ANTIN_DATABASE_URL)."),
    ),
    "folder-in-production": Line(
        N_("Bản lưu nằm trong thư mục: người quản trị máy xóa được."),
        N_("Hãy dùng S3 có object lock (ANTIN_S3_ENDPOINT)."),
    ),
    "settings-wrong": Line(N_("Thiết đặt không dùng được: %(detail)s"), FIX_SETTING),
    "open-to-others": Line(
        N_("Người khác trên máy đọc hoặc sửa được nơi giữ bí mật: %(detail)s"),
        N_("Hãy chạy chmod 0700 cho thư mục, 0600 cho tệp."),
    ),
    "weak-setting": Line(N_("Thiết đặt quá lỏng cho production: %(detail)s"), FIX_SETTING),
    "store-in-clear": Line(
        N_("Văn bản đi tới kho S3 không được che: %(detail)s"), N_("Hãy dùng địa chỉ https trong ANTIN_S3_ENDPOINT.")
    ),
    "public-url-without-tls": Line(
        N_("Địa chỉ công khai không dùng https: mật khẩu và văn bản đi qua mạng không được che."),
        N_("Hãy đặt ANTIN_PUBLIC_URL bằng https, và cho proxy có TLS đứng trước dịch vụ."),
    ),
}  # fmt: skip


def trouble_sentence(trouble: Trouble, language: str) -> str:
    """What is wrong, and then how to mend it."""
    line = TROUBLES.get(trouble.code, UNKNOWN)
    said = _fill(line.said, trouble, language)
    return f"{said}{'' if said.endswith('.') else '.'} {say(line.todo, language)}"


def part_name(part: str, language: str) -> str:
    return say(PARTS.get(part, part), language)


def _fill(said: str, trouble: Trouble, language: str) -> str:
    if not GAP.search(said):
        return say(said, language)
    detail = "".join(c for c in trouble.detail if c.isprintable())[:300] or "–"
    return say(said, language, detail=detail, code=trouble.code, part=trouble.part)
