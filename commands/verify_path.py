"""`antin verify-path`: whether one certificate stands on a path to somebody believed, at one time, by what is brought along.
One JSON line whatever the files hold; nobody is asked over a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from catalogue import N_
from cli import DONE, REFUSED, UNAVAILABLE, Roof, print_json, tell, words
from commands.verify import MAX_CRL, read_time, shown_name, trust_of
from signing.trust.anchors import PEM_CRL, pem_blocks
from signing.trust.crl import Crl, NotACrl
from signing.trust.path_verdict import UNDECIDED, PathQuestion, PathVerdict, judge_path
from signing.trust.policies import ANY_POLICY, PolicyInputs
from signing.verification.certificate_facts import facts_of
from signing.verification.report import TimeSource, rfc3339

MAX_FILE = 16 << 20  # bytes of certificates
CANNOT_OPEN = "cannot-open"
_OID = re.compile(r"[012](\.(0|[1-9][0-9]{0,38})){1,64}")

SENTENCES = {
    "": N_("Chứng thư hợp lệ: nối được với tổ chức được tin cậy."),
    CANNOT_OPEN: N_("Không mở được tệp chứng thư."),
    "unreadable": N_("Tệp không phải là chứng thư đọc được."),
    "no-issuer": N_("Không nối được chứng thư với tổ chức nào được tin cậy (%(subject)s)."),
    "too-much": N_("Quá nhiều chứng thư hoặc danh sách để xem hết; điều đó không nói gì về chứng thư."),
    "not-an-authority": N_("%(subject)s không được phép cấp chứng thư."),
    "too-long": N_("Đường dẫn dài hơn mức mà %(subject)s được phép."),
    "unjudged-extension": N_("Chứng thư của %(subject)s có phần bắt buộc mà chương trình này không biết."),
    "forbidden": N_("Tên hoặc chính sách trong đường dẫn không được phép (%(subject)s)."),
    "not-believed-then": N_("Vào thời điểm đó %(subject)s không được tin cậy."),
    "not-yet-valid": N_("Chứng thư của %(subject)s lúc đó chưa có hiệu lực."),
    "expired": N_("Chứng thư của %(subject)s lúc đó đã hết hạn."),
    "revoked": N_("Chứng thư của %(subject)s đã bị thu hồi."),
    "on-hold": N_("Chứng thư của %(subject)s đang bị tạm dừng."),
    "revocation-unknown": N_("Chưa xác định được chứng thư của %(subject)s có bị thu hồi hay không."),
    "weak-algorithm": N_("Chứng thư của %(subject)s dùng thuật toán hoặc khóa không còn an toàn."),
}  # fmt: skip


def add_verify_path(app: typer.Typer, roof: Roof) -> None:
    @app.command(
        "verify-path",
        help="Kiểm tra đường dẫn của một chứng thư: CERT đầu được xét, các CERT sau là trung gian."
        " / Judges the first CERT; the others are intermediates.",
    )
    def verify_path(
        certificates: Annotated[list[Path], typer.Argument(metavar="CERT...")],
        trust: Annotated[list[Path] | None, typer.Option(metavar="FILE_OR_FOLDER")] = None,
        crl: Annotated[list[Path] | None, typer.Option(metavar="FILE")] = None,
        at: Annotated[str, typer.Option(metavar="ISO_TIME")] = "",
        policy_oid: Annotated[list[str] | None, typer.Option(metavar="OID")] = None,
        inhibit_mapping: Annotated[bool, typer.Option("--inhibit-mapping")] = False,
        inhibit_any_policy: Annotated[bool, typer.Option("--inhibit-any-policy")] = False,
    ) -> int:
        policies = PolicyInputs(
            wanted=frozenset(_oid(one) for one in policy_oid or (ANY_POLICY,)),
            explicit=bool(policy_oid),
            inhibit_mapping=inhibit_mapping,
            inhibit_any=inhibit_any_policy,
        )
        time, source = read_time(at)
        if source is TimeSource.CLAIMED:
            raise typer.BadParameter(words(N_("Thời điểm phải theo ISO 8601: %(at)s"), at=at))
        lists = None if crl is None else [found for one in crl for found in _lists(one)]
        anchors = asyncio.run(trust_of(roof, trust))
        first, *others = certificates
        brought = [der for one in others for der in _read(one)]
        try:
            judged, *beside = _certificates(first)
        except OSError:
            return _tell(PathVerdict(CANNOT_OPEN))
        now = datetime.now(UTC)
        at_time = now if source is TimeSource.NOW else time
        question = PathQuestion(judged, [*beside, *brought], anchors, lists, at_time, now, policies)
        return _tell(judge_path(question))


def _tell(verdict: PathVerdict) -> int:
    message = words(SENTENCES[verdict.reason], subject=verdict.subject[:300])
    print_json(to_json(verdict) | {"message": message})
    if verdict.valid:
        return DONE
    tell(message)
    return UNAVAILABLE if verdict.reason in {*UNDECIDED, CANNOT_OPEN} else REFUSED


def to_json(verdict: PathVerdict) -> dict[str, Any]:
    return {
        "valid": verdict.valid,
        "reason": verdict.reason or None,
        "subject": verdict.subject or None,
        "detail": verdict.detail or None,
        "path": [
            {
                "subject": one.subject,
                "issuer": one.issuer,
                "serial": one.serial,
                "not_before": rfc3339(one.not_before),
                "not_after": rfc3339(one.not_after),
                "sha256": one.sha256,
            }
            for one in facts_of(each.der for each in verdict.path)
        ],
        "policies": list(verdict.policies),
        "weak": [{"what": one.what, "since": rfc3339(one.since)} for one in dict.fromkeys(verdict.weak)],
    }


def _oid(text: str) -> str:
    if text.lower() == "anypolicy":
        return ANY_POLICY
    if not _OID.fullmatch(text):
        raise typer.BadParameter(words(N_("Không phải là mã chính sách (OID): %(text)s"), text=text))
    return text


def _certificates(file: Path) -> Sequence[bytes]:
    """Of PEM every block, else the content as it is. Raises OSError."""
    with file.open("rb") as opened:
        return pem_blocks(opened.read(MAX_FILE))


def _read(file: Path) -> Sequence[bytes]:
    try:
        return _certificates(file)
    except OSError as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được tệp chứng thư %(file)s."), file=shown_name(file))
        ) from wrong


def _lists(file: Path) -> Sequence[Crl]:
    """Of PEM every block. What is none cannot make anything good: it is told and set aside."""
    try:
        if file.stat().st_size > MAX_CRL:
            raise NotACrl("larger than we read")
        return [Crl(one) for one in pem_blocks(file.read_bytes(), PEM_CRL)]
    except OSError as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được tệp CRL %(file)s."), file=shown_name(file))
        ) from wrong
    except NotACrl:
        tell(words(N_("Bỏ qua %(file)s: không phải là danh sách thu hồi đọc được."), file=shown_name(file)))
        return ()
