"""`antin trust` and `antin audit`: whom this home believes (K6), and whether its log is whole (P4).

- An anchor is taken in only when somebody says that its fingerprint is the published one; who said so is recorded.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from catalogue import N_
from cli import DONE, REFUSED, Refused, Roof, out, print_json, tell, words
from commands.showing import AsJson, operator, show, show_done
from documents.trail import Fault, Finding, checkpoints_in
from documents.trusted import KeptAnchor
from signing.trust.anchors import Anchor, AnchorFacts, Use, describe, load_anchors
from signing.verification.report import rfc3339

FINGERPRINT = re.compile(r"[0-9a-f]{64}")

SUBJECT, VALIDITY = N_("Chủ thể"), N_("Hiệu lực")

FAULTS = {
    Fault.NOT_CANONICAL: N_("Bản ghi không đúng dạng chuẩn, đã bị sửa."),
    Fault.ROW_DIFFERS: N_("Dòng trong bảng nói khác với nội dung bản ghi."),
    Fault.HASH_DIFFERS: N_("Nội dung bản ghi không khớp với mã băm của nó."),
    Fault.NUMBER_MISSING: N_("Thiếu một số trong dãy: có bản ghi đã bị xóa."),
    Fault.DETAIL_DIFFERS: N_("Dữ liệu cá nhân đi kèm không khớp với cam kết trong bản ghi."),
    Fault.DETAIL_UNKNOWN: N_("Có dữ liệu cá nhân mà không bản ghi nào cam kết."),
    Fault.NODE_DIFFERS: N_("Mã băm của một nhánh không khớp với các bản ghi của nó."),
    Fault.CHECKPOINT_DIFFERS: N_("Các bản ghi không cho ra điểm chốt đã ký."),
    Fault.SIGNATURE_WRONG: N_("Chữ ký của điểm chốt không đúng."),
    Fault.TAIL_CUT: N_("Phần cuối đã bị cắt, hoặc cơ sở dữ liệu được khôi phục từ bản sao lưu cũ."),
    Fault.FORKED: N_("Điểm chốt ở ngoài là của một bản sao thứ hai: hai nơi cùng đi tiếp từ một bản."),
    Fault.NOT_IN_BACKUP: N_("Những bản ghi này không có trong bản sao lưu đã khôi phục; thế hệ sau đã ghi nhận điều đó."),
    Fault.GENERATION_UNANCHORED: N_("Một thế hệ không nêu nó tiếp theo điểm chốt nào: có thể là bản sao thứ hai."),
    Fault.FACT_DIFFERS: N_("Dữ liệu nói khác với các bản ghi về nó: có người đã sửa bằng tay."),
    Fault.FACT_MISSING: N_("Có bản ghi về dữ liệu này, nhưng dữ liệu không còn."),
    Fault.FACT_UNRECORDED: N_("Có dữ liệu mà không bản ghi nào nói tới."),
    Fault.USE_UNRECORDED: N_("Khóa đã được dùng mà không bản ghi nào nói tới."),
}  # fmt: skip


def trust_commands(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Tổ chức được tin cậy. / Whom we believe.")

    @app.callback(invoke_without_command=True)
    def trust(context: typer.Context, as_json: AsJson = False) -> int:
        return DONE if context.invoked_subcommand else asyncio.run(list_anchors(roof, as_json=as_json))

    @app.command("list", help="Liệt kê. / Lists them.")
    def list_(as_json: AsJson = False) -> int:
        return asyncio.run(list_anchors(roof, as_json=as_json))

    @app.command(
        "add", help="Tin cậy một chứng thư gốc, sau khi đối chiếu dấu vân tay. / Believes a root certificate."
    )
    def add(
        file: Annotated[Path, typer.Argument(metavar="FILE")],
        fingerprint: Annotated[str, typer.Option("--yes-fingerprint", metavar="HEX")] = "",
        use: Annotated[list[Use] | None, typer.Option("--use")] = None,
        since: Annotated[datetime | None, typer.Option("--since", formats=["%Y-%m-%d"])] = None,
        until: Annotated[datetime | None, typer.Option("--until", formats=["%Y-%m-%d"])] = None,
        as_json: AsJson = False,
    ) -> int:
        anchor = _confirmed(file, _plain(fingerprint))
        dated = Anchor(
            anchor.certificate, frozenset(use or Use), _utc(since), _utc(until),
            demonstration=describe(anchor.certificate).demonstration, provenance=file.name,
        )  # fmt: skip
        return asyncio.run(believe(roof, dated, as_json=as_json))

    @app.command("remove", help="Thôi tin cậy. / Believes it no more.")
    def remove(fingerprint: Annotated[str, typer.Argument(metavar="HEX")], as_json: AsJson = False) -> int:
        async def work() -> int:
            async with roof.open_rooms() as rooms:
                await rooms.trusted.remove(_plain(fingerprint), by=operator())
            said = words(N_("Không còn tin cậy %(fingerprint)s."), fingerprint=_plain(fingerprint))
            return show_done({"fingerprint": _plain(fingerprint), "believed": False}, said, as_json=as_json)

        return asyncio.run(work())

    return app


async def list_anchors(roof: Roof, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        anchors = await rooms.trusted.list()
    show([_row(one) for one in anchors], as_json=as_json)
    return DONE


async def believe(roof: Roof, anchor: Anchor, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        if rooms.production and anchor.demonstration:
            raise Refused("demonstration", N_("Chứng thư này chỉ để thử (DEMO), production không nhận."))
        fingerprint = await rooms.trusted.add(anchor, confirmed_by=operator())
    said = words(N_("Đã tin cậy %(fingerprint)s."), fingerprint=fingerprint)
    return show_done({"fingerprint": fingerprint, "believed": True}, said, as_json=as_json)


def audit_commands(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Nhật ký kiểm toán. / The audit trail.", no_args_is_help=True)

    @app.callback()
    def audit() -> None:
        """Only one verb yet: a callback keeps its name."""

    @app.command("check", help="Nhật ký có nguyên vẹn không. / Whether the log is whole.")
    def check(
        checkpoints: Annotated[Path | None, typer.Option("--checkpoints", metavar="FOLDER")] = None,
        everything: Annotated[
            bool, typer.Option("--all", help="Đọc lại tất cả. / Reads everything again.")
        ] = False,
        as_json: AsJson = False,
    ) -> int:
        if checkpoints is not None and not checkpoints.is_dir():
            raise typer.BadParameter(words(N_("Không có thư mục %(file)s."), file=str(checkpoints)))
        return asyncio.run(check_log(roof, checkpoints, everything=everything, as_json=as_json))

    return app


async def check_log(roof: Roof, checkpoints: Path | None, *, everything: bool, as_json: bool) -> int:
    """0 whole, 1 something was changed. `checkpoints`: a folder that an auditor brings."""
    more = await asyncio.to_thread(checkpoints_in, checkpoints) if checkpoints else []
    async with roof.trail() as trail:
        seen = await trail.check(more=more, everything=everything)
    for one in seen.findings:
        if as_json:
            print_json(_finding(one))
        else:
            place = f"{one.generation if one.generation is not None else '–'}/{one.number if one.number is not None else '–'}"
            tell(f"✗ {place} {words(FAULTS[one.fault])} {one.detail}".rstrip(), style="red", to=out)
    if not seen.signatures:
        tell(words(N_("Không có khóa công khai để kiểm tra chữ ký của các điểm chốt.")), style="yellow")
    if not seen.outside:
        tell(
            words(N_("Không có điểm chốt nào ở ngoài để đối chiếu: phần cuối bị cắt sẽ không lộ.")),
            style="yellow",
        )
    if not seen.uses:
        said = N_("Sổ dùng khóa của thiết bị không đọc được từ đây, nên chưa đối chiếu với nó.")
        tell(words(said), style="yellow")
    if not seen.keys:
        said = N_(
            "Các khóa trong thiết bị không xem được từ đây, nên chưa đối chiếu khóa và quyền dùng khóa."
        )
        tell(words(said), style="yellow")
    if seen.again < seen.old:
        said = N_("Đã đọc lại %(again)s trong %(old)s bản ghi của những lần trước; --all đọc lại tất cả.")
        tell(words(said, again=seen.again, old=seen.old))
    if seen.findings:
        return REFUSED
    tell(
        words(N_("Nhật ký nguyên vẹn, đã đối chiếu với %(count)s điểm chốt ở ngoài."), count=seen.outside),
        style="green",
    )
    return DONE


def _confirmed(file: Path, fingerprint: str) -> Anchor:
    """The one certificate of the file, whose fingerprint somebody vouches for. Raises CannotLoad, Refused, Abort."""
    anchors = load_anchors(file)
    if fingerprint:
        for one in anchors:
            if one.fingerprint == fingerprint:
                return one
        raise Refused("other-fingerprint", N_("Tệp không có chứng thư nào mang dấu vân tay đó."))
    if len(anchors) > 1:
        raise Refused("several", N_("Tệp có nhiều chứng thư: hãy chọn một bằng --yes-fingerprint."))
    _show_facts(describe(anchors[0].certificate))
    question = words(N_("Dấu vân tay này đúng như nơi cấp đã công bố?"))
    if not typer.confirm(question, err=True):
        raise Refused("not-confirmed", N_("Chưa xác nhận, nên không tin cậy."))
    return anchors[0]


def _show_facts(facts: AnchorFacts) -> None:
    groups = " ".join(re.findall("..", facts.fingerprint.replace(":", "").replace(" ", "")))
    tell(f"{words(SUBJECT)}: {facts.subject}")
    tell(f"{words(VALIDITY)}: {rfc3339(facts.not_before)} – {rfc3339(facts.not_after)}")
    tell(f"SHA-256: {groups}")
    if not facts.ca:
        tell(
            words(N_("Không phải chứng thư của tổ chức cấp: chỉ được tin cậy cho chính nó.")), style="yellow"
        )
    if facts.demonstration:
        tell(words(N_("Chứng thư để thử (DEMO): mọi kết quả sẽ ghi rõ điều đó.")), style="yellow")


def _row(kept: KeptAnchor) -> dict[str, Any]:
    facts = describe(kept.anchor.certificate)
    return {
        "fingerprint": kept.fingerprint, "subject": facts.subject, "not_after": rfc3339(facts.not_after),
        "uses": sorted(kept.anchor.uses), "since": rfc3339(kept.anchor.since), "until": rfc3339(kept.anchor.until),
        "demonstration": kept.anchor.demonstration, "confirmed_by": kept.confirmed_by,
        "added_at": rfc3339(kept.added_at),
    }  # fmt: skip


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "fault": one.fault.value,
        "generation": one.generation,
        "number": one.number,
        "detail": one.detail,
    }


def _plain(fingerprint: str) -> str:
    """Lower-case hexadecimal, however it was written down. Raises BadParameter."""
    plain = re.sub(r"[\s:]", "", fingerprint).lower()
    if plain and not FINGERPRINT.fullmatch(plain):
        raise typer.BadParameter(words(N_("Dấu vân tay phải là SHA-256, 64 chữ số thập lục phân.")))
    return plain


def _utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None
