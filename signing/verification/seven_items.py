"""The seven items that a verification must show at least (Circular 15/2025/TT-BKHCN article 6): this file words them.

A page, a printed report and whoever else shows them say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from signing.shown_time import day, moment, moment_to_the_second
from signing.verification.report import CertificateFacts, Indication, SignatureReport
from signing.verification.report import SubIndication as Sub

Say = Callable[..., str]
# Where nothing could be compared with what was signed, or what is shown may be another than what was signed.
UNCONFIRMED = {Sub.SIG_CRYPTO_FAILURE, Sub.SIGNED_DATA_NOT_FOUND, Sub.NO_SIGNING_CERTIFICATE_FOUND}
NOT_SEEN_WHOLE = {"DOUBTFUL_AFTER", "FORMAT_UNKNOWN", "ALGORITHM_UNKNOWN", "DUPLICATE_FIELD", "NO_SIGNER"}


def N_(sentence: str) -> str:
    return sentence


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


def proven_time(one: SignatureReport) -> datetime | None:
    """The best time, if a passed time-stamp stands behind it and not only the moment of this check."""
    if any(stamp.indication is Indication.TOTAL_PASSED for stamp in one.timestamps):
        return one.best_signature_time
    return None


def who_signed(one: SignatureReport, say: Say) -> str:
    if one.chain:
        return one.chain[0].common_name or one.chain[0].subject
    return one.signer or say(N_("Người ký không rõ"))


def title_and_time(one: SignatureReport, say: Say, *, revealing: bool) -> str:
    title = one.chain[0].title if revealing and one.chain else None
    proven = proven_time(one)
    if proven is not None:
        when = say(N_("ký %(time)s"), time=moment_to_the_second(proven))
    elif one.claimed_signing_time is not None:
        when = say(N_("tự ghi ngày ký %(time)s, chưa được chứng minh"), time=moment(one.claimed_signing_time))
    else:
        when = say(N_("không ghi ngày ký"))
    whole = f"{title}, {when}" if title else when
    return whole[0].upper() + whole[1:]


def seven_items(one: SignatureReport, say: Say) -> tuple[Fact, ...]:
    """Circular 15/2025/TT-BKHCN article 6: what must be shown at least, in its order."""
    if not one.chain:
        return ()
    mine = one.chain[0]
    name = f"{mine.common_name}, {mine.title}" if mine.title else mine.common_name
    return (
        Fact(say(N_("Tổ chức cấp chứng thư")), _common_name(one, mine)),
        Fact(say(N_("Người ký")), name),
        Fact(say(N_("Đơn vị quản lý chứng thư")), mine.organization or say(N_("Không ghi trong chứng thư"))),
        Fact(say(N_("Thời điểm ký")), title_and_time(one, say, revealing=False)),
        Fact(say(N_("Tính toàn vẹn")), say(_integrity(one))),
        Fact(say(N_("Hiệu lực khi ký")), say(_validity(one))),
        Fact(
            say(N_("Thời hạn của chứng thư")),
            say(N_("từ %(from)s đến %(to)s"), **{"from": day(mine.not_before), "to": day(mine.not_after)}),
        ),
    )


def _common_name(one: SignatureReport, mine: CertificateFacts) -> str:
    return one.chain[1].common_name if len(one.chain) > 1 else mine.issuer


def _integrity(one: SignatureReport) -> str:
    if any(not change.allowed for change in one.changes_after) or one.sub_indication in {
        Sub.HASH_FAILURE,
        Sub.FORMAT_FAILURE,
    }:
        return N_("Nội dung đã thay đổi sau khi ký")
    if one.sub_indication in UNCONFIRMED or any(found.code in NOT_SEEN_WHOLE for found in one.findings):
        return N_("Không xác nhận được")
    return N_("Nội dung không thay đổi từ khi ký")


def _validity(one: SignatureReport) -> str:
    if one.indication is Indication.TOTAL_PASSED:
        return N_("Chứng thư có hiệu lực khi ký")
    if one.sub_indication in {Sub.REVOKED, Sub.EXPIRED, Sub.NOT_YET_VALID}:
        return N_("Chứng thư không có hiệu lực khi ký")
    return N_("Chưa xác định được")
