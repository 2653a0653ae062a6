"""`antin backup` and `antin restore`: this file says how far they are and what came of it.

- Exit status: 0 done; 1 refused, or done and something is missing, which is named; 2 not available now.
- How far it is goes to the error stream, so that the output is the result alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import backup
import backup_form
import restore
from catalogue import N_
from cli import DONE, REFUSED, Refused, Roof, err, print_json, tell, words
from commands.showing import AsJson, operator
from documents.trail import checkpoints_in
from ground import Times
from storage import snapshot
from storage.database import DatabaseUnavailable

T = TypeVar("T")

EVERY = 10.0  # seconds between two lines of progress where nobody watches; a terminal shows each second

PARTS = {"facts": N_("cơ sở dữ liệu"), "kept": N_("tệp lưu giữ")}


def add_backup_commands(app: typer.Typer, roof: Roof) -> None:
    @app.command("backup", help="Sao lưu, cả khi dịch vụ đang chạy. / Backs up, also while the service runs.")
    def backup_(
        folder: Annotated[Path, typer.Argument(metavar="DIR")],
        without_objects: Annotated[bool, typer.Option("--without-objects")] = False,
        without_token: Annotated[bool, typer.Option("--without-token")] = False,
        as_json: AsJson = False,
    ) -> int:
        wish = backup.Wish(objects=not without_objects, token=not without_token)
        return asyncio.run(back_up(roof, folder, wish, as_json=as_json))

    @app.command("restore", help="Khôi phục vào thư mục trống. / Restores into an empty home.")
    def restore_(
        folder: Annotated[Path, typer.Argument(metavar="DIR")],
        named: Annotated[str, typer.Option("--backup", metavar="NAME")] = "",
        checkpoints: Annotated[Path | None, typer.Option("--checkpoints", metavar="FOLDER")] = None,
        as_json: AsJson = False,
    ) -> int:
        if checkpoints is not None and not checkpoints.is_dir():
            raise typer.BadParameter(words(N_("Không có thư mục %(file)s."), file=str(checkpoints)))
        return asyncio.run(put_back(roof, folder, named or None, checkpoints, as_json=as_json))


async def back_up(roof: Roof, folder: Path, wish: backup.Wish, *, as_json: bool) -> int:
    made = await _told(backup.make(roof.settings, folder, wish, times=Times(), told=_Progress()))
    if as_json:
        facts = {"backup": made.folder.name, "kept": made.kept, "copied": made.copied}
        print_json(facts | {"missing": list(made.missing)})
    _name(made.missing)
    said = N_("Đã sao lưu vào %(folder)s: %(kept)s tệp lưu giữ, %(copied)s tệp mới.")
    tell(words(said, folder=str(made.folder), kept=made.kept, copied=made.copied), style="green")
    tell(words(N_("Bản sao lưu chứa khóa bí mật: hãy cất giữ như chính máy chủ.")), style="yellow")
    return REFUSED if made.missing else DONE


async def put_back(
    roof: Roof, folder: Path, named: str | None, checkpoints: Path | None, *, as_json: bool
) -> int:
    brought = [one.checkpoint for one in checkpoints_in(checkpoints)] if checkpoints else []
    wish = restore.Wish(operator(), named, brought)
    done = await _told(restore.restore(roof.settings, folder, wish, times=Times(), told=_Progress()))
    settled = done.settled
    if as_json:
        after = settled.after
        last = (
            {"generation": after.generation, "size": after.size, "root": after.root.hex()} if after else None
        )
        facts = {
            "backup": done.backup, "generation": settled.generation, "after": last, "records_missing": settled.missing,
            "intents_lost": settled.lost, "signatures_unlogged": settled.unlogged, "requests_ended": settled.ended,
            "use_log_seen": done.uses_seen, "missing": list(done.missing),
        }  # fmt: skip
        print_json(facts)
    _name(done.missing)
    for count, said in (
        (settled.missing, N_("%(count)s bản ghi kiểm toán không có trong bản sao lưu.")),
        (settled.lost, N_("%(count)s lần ký sau bản sao lưu được ghi là LOST: không bao giờ ký lại.")),
        (settled.unlogged, N_("%(count)s chữ ký không có trong sổ dùng khóa: sổ cũ hơn cơ sở dữ liệu.")),
        (settled.ended, N_("%(count)s yêu cầu ký đang dở đã kết thúc: có thể đã ký sau bản sao lưu, hãy yêu cầu lại.")),
    ):  # fmt: skip
        if count:
            tell(words(said, count=count), style="yellow")
    if not done.uses_seen:
        tell(
            words(N_("Không thấy sổ dùng khóa: không đối chiếu được những lần ký sau bản sao lưu.")),
            style="yellow",
        )
    tell(words(N_("Ai bị khóa, khóa API nào bị thu hồi sau bản sao lưu thì phải làm lại.")), style="yellow")
    said = N_("Đã khôi phục bản sao lưu %(name)s; nhật ký tiếp tục ở thế hệ %(generation)s.")
    tell(words(said, name=done.backup, generation=settled.generation), style="green")
    return REFUSED if done.missing else DONE


class _Progress:
    """Called often, says little."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, part: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._last >= (1.0 if err.is_terminal else EVERY):
            self._last = now
            tell(words(N_("%(part)s: %(done)s / %(of)s"), part=words(PARTS[part]), done=done, of=of))


def _name(missing: Sequence[str]) -> None:
    for one in missing:
        tell(words(N_("✗ Thiếu hoặc hỏng: %(name)s"), name=one), style="red")


async def _told(work: Awaitable[T]) -> T:
    """What may be wrong, as a refusal in the reader's words."""
    try:
        return await work
    except backup.NotReady as why:
        raise Refused("database-not-ready", N_("Cơ sở dữ liệu chưa sao lưu được: %(why)s"), why=why) from why
    except backup.TokenOutOfReach as why:
        said = N_(
            "Không đọc được thư mục thẻ khóa %(file)s: hãy chạy bằng root, hoặc --without-token nếu nó được sao lưu riêng."
        )
        raise Refused("token-out-of-reach", said, file=why) from why
    except backup_form.NoBackup as why:
        raise Refused("no-backup", N_("Không có bản sao lưu trọn vẹn nào ở %(file)s."), file=why) from why
    except backup_form.BackupDamaged as why:
        raise Refused("backup-damaged", N_("Bản sao lưu bị hỏng: %(file)s."), file=why) from why
    except (restore.HomeNotEmpty, snapshot.NotEmpty) as why:
        raise Refused(
            "not-empty", N_("Chỉ khôi phục vào chỗ trống; ở đây đã có: %(what)s."), what=why
        ) from why
    except restore.OtherDatabase as why:
        raise Refused(
            "other-database", N_("Bản sao lưu thuộc loại cơ sở dữ liệu khác: %(kind)s."), kind=why
        ) from why
    except snapshot.ProgramMissing as why:
        said = N_("Máy này không có %(program)s: hãy cài gói postgresql-client, không cũ hơn máy chủ.")
        raise Refused("program-missing", said, program=why) from why
    except sqlite3.Error as why:
        raise DatabaseUnavailable(str(why)) from why
