"""The operator's and the auditor's door: `antin`.

- What it prints with `--json` and how it exits is a promise to other programs: it only grows.
- 0 done, 1 refused (for `verify`: a file is INVALID or, by its own fault, UNREADABLE), 2 not available or not decided,
  64 wrong usage, 70 our own fault.
- Words go to the error stream, results to the output; Vietnamese first, `--lang en` or LANG for English.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from catalogue import N_, say
from documents.rooms import Rooms, Trouble
from settings import Settings
from signing.trust.anchors import TrustSnapshot
from signing.trust.revocation import Revocation

DONE, REFUSED, UNAVAILABLE, USAGE, OUR_FAULT = 0, 1, 2, 64, 70
CHUNK = 1 << 20

# typer carries its own copy of click; a usage error is what BadParameter is.
UsageError = typer.BadParameter.__mro__[1]

err = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Roof:
    """What the roof gives this door."""

    settings: Settings
    open_rooms: Callable[[], AbstractAsyncContextManager[Rooms]]
    trust: Callable[[], Awaitable[TrustSnapshot]]  # of the home, for `verify` without `--trust`
    revocation: Callable[[], AbstractAsyncContextManager[Revocation]]
    troubles: Callable[
        [], Awaitable[Sequence[Trouble]]
    ]  # without opening all rooms: they may be what is wrong
    serve: Callable[[], None]


class Words:
    """The language that the reader wants."""

    def __init__(self) -> None:
        wanted = os.environ.get("ANTIN_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
        self.language = "en" if wanted.lower().startswith("en") else "vi"

    def __call__(self, sentence: str, **data: object) -> str:
        return say(sentence, self.language, **data)


words = Words()


def main(roof: Roof, arguments: Sequence[str] | None = None) -> int:
    """The exit status. Nothing is raised."""
    app = build(roof)
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return int(code or 0)
    except UsageError as wrong:
        err.print(getattr(wrong, "format_message", lambda: str(wrong))())
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return DONE
    except Exception as fault:
        return explain(fault, as_json="--json" in (arguments or sys.argv))


def explain(fault: Exception, *, as_json: bool) -> int:
    """Says what happened in the one table's words, and gives the exit status."""
    from web.problems import problem_for

    problem = problem_for(fault)
    if problem is None:
        if os.environ.get("ANTIN_TRACE"):
            traceback.print_exception(fault)
        code, status = "our-fault", OUR_FAULT
        vi = N_(
            "Có lỗi trong chương trình, văn bản của bạn không bị thay đổi. Hãy báo cho quản trị viên kèm tên lỗi: %(name)s."
        )
        text = {one: say(vi, one, name=type(fault).__name__) for one in ("vi", "en")}
    else:
        code, status = problem.code, UNAVAILABLE if problem.retryable else REFUSED
        text = {one: problem.sentence(one) for one in ("vi", "en")}
    if as_json:
        print_json({"error": code, "retryable": status == UNAVAILABLE, "messages": text})
    err.print(text[words.language])
    return status


def print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def system_user() -> str:
    return getpass.getuser()


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def build(roof: Roof) -> typer.Typer:
    from cli_operator import add_operator_commands
    from cli_sign import sign_file, timestamp_file
    from cli_verify import VerifyWish, verify_files

    app = typer.Typer(
        name="antin", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="Ấn Tín: ký, đóng dấu thời gian, lưu và chứng minh văn bản. / Signs, dates, keeps and proves documents.",
    )  # fmt: skip

    @app.callback()
    def options(
        lang: Annotated[str, typer.Option(help="vi | en", metavar="LANG")] = "",
    ) -> None:
        if lang:
            words.language = "en" if lang.lower().startswith("en") else "vi"

    @app.command(help="Chạy dịch vụ. / Runs the service.")
    def serve() -> None:
        roof.serve()

    @app.command(help="Ký một tệp PDF. / Signs a PDF file.")
    def sign(
        source: Annotated[Path, typer.Argument(metavar="IN.pdf")],
        out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.pdf")],
        key: Annotated[str, typer.Option("--key", metavar="NAME")],
        level: Annotated[str, typer.Option(metavar="B-B|B-T|B-LT|B-LTA")] = "B-T",
        password_file: Annotated[Path | None, typer.Option(metavar="F")] = None,
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> int:
        password = read_password(password_file)
        return asyncio.run(
            sign_file(roof, source, out, key=key, level=read_level(level), password=password, as_json=as_json)
        )

    @app.command(help="Kiểm tra chữ ký trong các tệp. / Verifies files.")
    def verify(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
        as_json: Annotated[bool, typer.Option("--json")] = False,
        trust: Annotated[list[Path] | None, typer.Option(metavar="FILE_OR_FOLDER")] = None,
        crl: Annotated[list[Path] | None, typer.Option(metavar="FILE")] = None,
        at: Annotated[str, typer.Option(metavar="ISO_TIME|claimed")] = "",
        policy: Annotated[str, typer.Option(metavar="NAME|FILE")] = "vn-official",
        password_file: Annotated[Path | None, typer.Option(metavar="F")] = None,
        offline: Annotated[bool, typer.Option("--offline")] = False,
    ) -> int:
        wish = VerifyWish(
            as_json=as_json, trust=trust, crls=crl or [], at=at, policy=policy, offline=offline,
            password=read_password(password_file),
        )  # fmt: skip
        return asyncio.run(verify_files(roof, files, wish))

    @app.command(help="Lấy dấu thời gian cho một tệp. / Gets a time-stamp over a file.")
    def timestamp(
        source: Annotated[Path, typer.Argument(metavar="FILE")],
        out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.tsr")],
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> int:
        return asyncio.run(timestamp_file(roof, source, out, as_json=as_json))

    @app.command(help="Tìm điều chưa ổn và cách sửa. / Says what is wrong and how to mend it.")
    def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
        return asyncio.run(examine(roof, as_json=as_json))

    add_operator_commands(app, roof)
    return app


async def examine(roof: Roof, *, as_json: bool) -> int:
    """0 all well, 2 something stops the service from its work, 1 only warnings."""
    from web.problems import trouble_sentence

    troubles: Sequence[Trouble] = await roof.troubles()
    if as_json:
        for one in troubles:
            sentences = {language: trouble_sentence(one, language) for language in ("vi", "en")}
            print_json(
                {
                    "part": one.part,
                    "code": one.code,
                    "stops": one.stops,
                    "detail": one.detail,
                    "messages": sentences,
                }
            )
    else:
        for one in troubles:
            mark = "[red]✗[/]" if one.stops else "[yellow]![/]"
            err.print(f"{mark} {one.part}: {trouble_sentence(one, words.language)}")
        if not troubles:
            err.print(words(N_("Mọi thứ đều ổn.")))
    if any(one.stops for one in troubles):
        return UNAVAILABLE
    return REFUSED if troubles else DONE


def read_level(name: str) -> Any:
    from signing.profile import Level

    try:
        return Level(name.upper())
    except ValueError as wrong:
        raise typer.BadParameter(words(N_("Mức chữ ký phải là B-B, B-T, B-LT hoặc B-LTA."))) from wrong


def read_password(file: Path | None) -> str | None:
    """The first line of the file."""
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được tệp mật khẩu %(file)s."), file=str(file))
        ) from wrong
