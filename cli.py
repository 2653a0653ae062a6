"""The operator's and the auditor's door: `antin`.

- What it prints with `--json` and how it exits is a promise to other programs: it only grows.
- 0 done, 1 refused (for `verify`: a file is INVALID or, by its own fault, UNREADABLE), 2 not available or not decided,
  64 wrong usage, 70 our own fault, 130 interrupted.
- Words go to the error stream, results to the output; Vietnamese first, `--lang en` or LANG for English.
- What came from outside (names of files, subjects) is shown without its control characters: nobody writes on the
  operator's terminal but us.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from catalogue import LANGUAGES, N_, say
from documents.rooms import Rooms, Trouble
from documents.trail import Trail
from settings import Settings
from signing.profile import Level
from signing.trust.anchors import TrustSnapshot
from signing.trust.revocation import Revocation

DONE, REFUSED, UNAVAILABLE, USAGE, OUR_FAULT, INTERRUPTED = 0, 1, 2, 64, 70, 130
CHUNK = 1 << 20
PASSWORD_LIMIT = 4096  # bytes of a password's file

# typer carries its own copy of click; a usage error is what BadParameter is.
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


@dataclass(frozen=True)
class Roof:
    """What the roof gives this door."""

    settings: Settings
    open_rooms: Callable[[], AbstractAsyncContextManager[Rooms]]
    trust: Callable[[], Awaitable[TrustSnapshot]]  # of the home, for `verify` without `--trust`
    revocation: Callable[
        [bool], AbstractAsyncContextManager[Revocation]
    ]  # whether the home's own trust is asked
    trail: Callable[[], AbstractAsyncContextManager[Trail]]  # for `audit check`: it needs no token
    troubles: Callable[[], Awaitable[Sequence[Trouble]]]  # without all rooms: they may be what is wrong
    serve: Callable[
        [bool], int
    ]  # until it is told to end; whether it says its address as JSON; the exit status


class Refused(Exception):
    """What an operator asked for is not done. `code` is for programs, `sentence` of the catalogue."""

    def __init__(self, code: str, sentence: str, **data: object) -> None:
        super().__init__(code)
        self.code, self.sentence, self.data = code, sentence, data


class OutputLost(Exception):
    """What was to be told cannot be written to the standard output: what was done is done, but silence is no answer."""


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
    try:
        given = None if arguments is None else list(arguments)
        code = build(roof)(args=given, prog_name="antin", standalone_mode=False)
        return int(code or DONE)
    except UsageError as wrong:
        return explain_usage(wrong, as_json=_asks_for_json(arguments))
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SystemExit:
        # Only a stream that nobody reads any more ends us this way; what was done then is not known to be good.
        return OUR_FAULT
    except Exception as fault:
        try:
            return explain(fault, as_json=_asks_for_json(arguments))
        except OutputLost:
            return OUR_FAULT


def explain(fault: Exception, *, as_json: bool) -> int:
    """Says what happened in the one table's words, and gives the exit status."""
    if isinstance(fault, OutputLost):
        as_json = False
    code, status, text = _account(fault)
    if status == OUR_FAULT and os.environ.get("ANTIN_TRACE"):
        traceback.print_exception(fault)
    if as_json:
        facts = {"error": code, "retryable": status == UNAVAILABLE, "messages": text}
        reasons = [_plain(one) for one in _reasons(fault)]
        print_json(facts | ({"troubles": reasons} if reasons else {}))
    tell(text[words.language])
    return status


def explain_usage(wrong: Exception, *, as_json: bool) -> int:
    """In the reader's language where it says what we know too; its own words otherwise."""
    text = {one: _usage(wrong, one) for one in LANGUAGES}
    if as_json:
        with suppress(OutputLost):
            print_json({"error": "wrong-usage", "retryable": False, "messages": text})
    tell(text[words.language])
    return USAGE


def _usage(wrong: Exception, language: str) -> str:
    if name := getattr(wrong, "option_name", None):
        return say(N_("Lệnh này không có tùy chọn %(name)s."), language, name=name)
    if isinstance(wrong, typer.BadParameter) and wrong.message and wrong.param is None:
        return wrong.message  # ours
    if isinstance(wrong, typer.BadParameter) and not wrong.message and wrong.param is not None:
        return say(N_("Lệnh còn thiếu %(name)s."), language, name=wrong.param.get_error_hint())
    return str(getattr(wrong, "format_message", wrong.__str__)())


def _asks_for_json(arguments: Sequence[str] | None) -> bool:
    return "--json" in (sys.argv if arguments is None else arguments)


def explain_settings(wrong: Sequence[Mapping[str, Any]]) -> int:
    """Settings that cannot be read are wrong usage, whatever was asked for. Their values are not shown."""
    names = ", ".join("ANTIN_" + "_".join(map(str, one["loc"])).upper() for one in wrong)
    said = N_("Thiết đặt không đọc được: %(names)s. Xem bảng thiết đặt trong docs/operations.md.")
    if "--json" in sys.argv:
        print_json(
            {
                "error": "settings-wrong",
                "retryable": False,
                "messages": {one: say(said, one, names=names) for one in LANGUAGES},
            }
        )
    tell(words(said, names=names))
    return USAGE


def _reasons(fault: Exception) -> Sequence[Trouble]:
    """Production that will not start names every reason."""
    found: Sequence[Trouble] = getattr(fault, "troubles", ())
    return found


def _each(troubles: Sequence[Trouble], language: str) -> list[str]:
    """A line each, as the doctor says it."""
    from web.troubles import part_name, trouble_sentence

    return [
        f"{'✗' if one.stops else '!'} {part_name(one.part, language)}: {trouble_sentence(one, language)}"
        for one in troubles
    ]


def _plain(trouble: Trouble) -> dict[str, Any]:
    from web.troubles import trouble_sentence

    return {
        "part": trouble.part, "code": trouble.code, "stops": trouble.stops, "detail": trouble.detail,
        "messages": {one: trouble_sentence(trouble, one) for one in LANGUAGES},
    }  # fmt: skip


def _account(fault: Exception) -> tuple[str, int, dict[str, str]]:
    """Code, exit status, and the sentence in every language."""
    from web.problems import problem_for

    if troubles := _reasons(fault):
        said = N_("Dịch vụ không khởi động ở chế độ production (mã thoát %(status)s). Số lý do: %(count)s.")
        return (
            "will-not-start",
            UNAVAILABLE,
            {
                one: "\n".join(
                    [say(said, one, status=UNAVAILABLE, count=len(troubles)), *_each(troubles, one)]
                )
                for one in LANGUAGES
            },
        )
    if isinstance(fault, OutputLost):
        said = N_("Không ghi được kết quả ra đầu ra chuẩn.")
        return "output-lost", OUR_FAULT, {one: say(said, one) for one in LANGUAGES}
    own = getattr(fault, "sentence", None)
    if isinstance(own, str):  # ours, or a fact of the home itself: what is to be done stands in it
        status = REFUSED if isinstance(fault, Refused) else UNAVAILABLE
        gaps = fault.data if isinstance(fault, Refused) else vars(fault)
        return getattr(fault, "code", "home"), status, {one: say(own, one, **gaps) for one in LANGUAGES}
    problem = problem_for(fault)
    if problem is not None:
        text = {one: f"{problem.sentence(one)} {problem.todo(one)}" for one in LANGUAGES}
        final = OUR_FAULT if problem.status >= 500 else REFUSED
        return problem.code, UNAVAILABLE if problem.retryable else final, text
    if isinstance(fault, OSError):
        said = N_("Không đọc hoặc ghi được %(file)s: %(why)s")
        why = {"file": str(fault.filename or "–"), "why": fault.strerror or type(fault).__name__}
        return "file-unavailable", UNAVAILABLE, {one: say(said, one, **why) for one in LANGUAGES}
    said = N_(
        "Có lỗi trong chương trình, văn bản của bạn không bị thay đổi. Hãy báo cho quản trị viên kèm tên lỗi: %(name)s."
    )
    return "our-fault", OUR_FAULT, {one: say(said, one, name=type(fault).__name__) for one in LANGUAGES}


def clean(text: str) -> str:
    """Without what moves a terminal's cursor or turns text around."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def tell(sentence: str, *, style: str = "", to: Console = err) -> None:
    """A line for a person, as it is: no mark-up, never broken."""
    with printing() if to is out else nullcontext():
        to.print(Text(clean(sentence), style=style), soft_wrap=True)


@contextmanager
def printing() -> Iterator[None]:
    """Around what writes results. Where nobody reads any more the work goes on: its exit status still tells. Raises
    OutputLost where they cannot be written: a full disk, an output that is closed."""
    try:
        if sys.stdout is None:
            raise OutputLost
        yield
    except BrokenPipeError:
        _to_nowhere()
    except OSError as lost:
        _to_nowhere()
        raise OutputLost from lost


def _to_nowhere() -> None:
    """What is still in the buffer goes there, or the interpreter's own end would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: dict[str, Any]) -> None:
    """One line, whatever bytes a name has. Raises OutputLost."""
    with printing():
        try:
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        except UnicodeEncodeError:
            sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def system_user() -> str:
    """Who types, as the host knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def build(roof: Roof) -> typer.Typer:
    from commands.operator import add_operator_commands
    from commands.sign import SignFile, sign_file, timestamp_file
    from commands.verify import VerifyWish, verify_files
    from commands.verify_path import add_verify_path

    app = typer.Typer(
        name="antin", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="Ấn Tín: ký, đóng dấu thời gian, lưu và chứng minh văn bản. / Signs, dates, keeps and proves documents.",
    )  # fmt: skip

    @app.callback()
    def options(
        lang: Annotated[str, typer.Option(help="vi | en", metavar="LANG")] = "",
    ) -> None:
        if lang and lang not in LANGUAGES:
            raise typer.BadParameter(words(N_("Ngôn ngữ phải là vi hoặc en.")))
        words.language = lang or words.language

    @app.command(help="Chạy dịch vụ. / Runs the service.")
    def serve(as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
        return roof.serve(as_json)

    @app.command(help="Ký một tệp PDF. / Signs a PDF file.")
    def sign(
        source: Annotated[Path, typer.Argument(metavar="IN.pdf")],
        out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.pdf")],
        key: Annotated[str, typer.Option("--key", metavar="NAME")],
        level: Annotated[str, typer.Option(metavar="B-B|B-T|B-LT|B-LTA")] = "B-T",
        password_file: Annotated[Path | None, typer.Option(metavar="F")] = None,
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> int:
        wish = SignFile(
            source, out, key=key, level=read_level(level), password=read_password(password_file), as_json=as_json
        )  # fmt: skip
        return asyncio.run(sign_file(roof, wish))

    @app.command(
        help="Kiểm tra chữ ký trong tệp, thư mục hoặc đầu vào chuẩn (-). / Verifies files, folders, input (-)."
    )
    def verify(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
        as_json: Annotated[bool, typer.Option("--json")] = False,
        trust: Annotated[list[Path] | None, typer.Option(metavar="FILE_OR_FOLDER")] = None,
        crl: Annotated[list[Path] | None, typer.Option(metavar="FILE")] = None,
        at: Annotated[str, typer.Option(metavar="ISO_TIME|claimed")] = "",
        policy: Annotated[str, typer.Option(metavar="NAME|FILE")] = "vn-official",
        password_file: Annotated[Path | None, typer.Option(metavar="F")] = None,
        offline: Annotated[bool, typer.Option("--offline")] = False,
        report: Annotated[Path | None, typer.Option(metavar="FILE.xml|FILE.pdf")] = None,
        facts: Annotated[Path | None, typer.Option(metavar="FILE.json")] = None,
        content: Annotated[Path | None, typer.Option("--content", "--data", metavar="FILE")] = None,
        replay: Annotated[
            bool, typer.Option("--replay", help="FILE: dữ kiện do --facts ghi. / Facts that --facts wrote.")
        ] = False,
    ) -> int:
        wish = VerifyWish(
            as_json=as_json, trust=trust, crls=crl or [], at=at, policy=policy, offline=offline,
            password=read_password(password_file), report=report, facts=facts, replay=replay, content=content,
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

    add_verify_path(app, roof)
    add_operator_commands(app, roof)
    return app


async def examine(roof: Roof, *, as_json: bool) -> int:
    """0 all well, 2 something stops the service from its work, 1 only warnings."""
    troubles = await roof.troubles()
    for one, line in zip(troubles, _each(troubles, words.language), strict=True):
        if as_json:
            print_json(_plain(one))
        else:
            tell(line, style="red" if one.stops else "yellow", to=out)
    if not troubles and not as_json:
        tell(words(N_("Mọi thứ đều ổn.")), style="green", to=out)
    if any(one.stops for one in troubles):
        return UNAVAILABLE
    return REFUSED if troubles else DONE


def read_level(name: str) -> Level:
    try:
        return Level(name.upper())
    except ValueError as wrong:
        raise typer.BadParameter(words(N_("Mức chữ ký phải là B-B, B-T, B-LT hoặc B-LTA."))) from wrong


def read_password(file: Path | None) -> str | None:
    """The first line of the file."""
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            # Only an end of line ends it: other separators of Unicode may stand in a password.
            password = opened.readline(PASSWORD_LIMIT).decode().rstrip("\r\n")
            if "\0" in password:
                raise ValueError("no reader of PDF takes a NUL")
            return password
    except (OSError, ValueError) as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được tệp mật khẩu %(file)s."), file=str(file))
        ) from wrong
