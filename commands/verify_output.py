"""What `antin verify` reads besides files and writes besides lines: folders, standard input, reports, facts."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from catalogue import N_, say
from cli import CHUNK, words
from signing.verification import replay
from signing.verification.advice import told
from signing.verification.etsi_report import to_xml
from signing.verification.printed_report import to_pdf
from signing.verification.report import Report

STANDARD_INPUT = Path("-")
MOST_INPUT = 4 << 30  # bytes
ENDINGS = {".xml", ".pdf"}


def expanded(given: Sequence[Path]) -> list[Path]:
    """A folder stands for the PDF files in it and below, in the order of their names; one without any for itself."""
    found: list[Path] = []
    for one in given:
        inside = sorted(_pdfs(one)) if one != STANDARD_INPUT and _is_folder(one) else []
        found += inside or [one]
    if found.count(STANDARD_INPUT) > 1:
        raise typer.BadParameter(words(N_("Chỉ đọc được đầu vào chuẩn (-) một lần.")))
    return found


def _is_folder(one: Path) -> bool:
    """Of a name that no file can have, no."""
    try:
        return one.is_dir()
    except (OSError, ValueError):
        return False


def _pdfs(folder: Path) -> Iterator[Path]:
    """Links to folders are not followed: they may lead in a circle."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names if name.lower().endswith(".pdf"))


@contextmanager
def standing(file: Path) -> Iterator[Path]:
    """The file; standard input as a file for so long."""
    if file != STANDARD_INPUT:
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "input"
        size = 0
        with copy.open("xb") as out:
            while piece := sys.stdin.buffer.read(CHUNK):
                size += len(piece)
                if size > MOST_INPUT:
                    raise typer.BadParameter(words(N_("Đầu vào chuẩn lớn hơn mức chương trình này nhận.")))
                out.write(piece)
        yield copy


def check_outputs(files: Sequence[Path], report: Path | None, facts: Path | None) -> None:
    """Before anything is judged. Raises typer.BadParameter."""
    if len(files) != 1 and (report or facts):
        raise typer.BadParameter(words(N_("Hãy cho một tệp duy nhất khi dùng --report hoặc --facts.")))
    if report is not None and report.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(words(N_("--report phải là tệp .xml hoặc .pdf.")))


def check_content(files: Sequence[Path], content: Path | None) -> None:
    """Before anything is judged. Raises typer.BadParameter."""
    if content is None:
        return
    if len(files) != 1:
        raise typer.BadParameter(words(N_("Hãy cho một tệp duy nhất khi dùng --content hoặc --data.")))
    try:
        with content.open("rb") as opened:
            opened.read(1)
    except (OSError, ValueError) as wrong:
        why = getattr(wrong, "strerror", None) or str(wrong)
        raise typer.BadParameter(
            words(N_("Không đọc được tệp nội dung %(file)s: %(why)s"), file=str(content), why=why)
        ) from wrong


def write_report(file: Path, report: Report) -> None:
    """The printed page is Vietnamese whatever the command speaks (Circular 15/2025 article 6)."""
    if file.suffix.lower() == ".pdf":
        content = to_pdf(report, say=lambda sentence, **data: say(sentence, "vi", **data))
    else:
        content = to_xml(report, say=lambda one: told(one, words))
    _write(file, content)


def write_facts(file: Path, seen: replay.Seen) -> None:
    _write(file, replay.write(seen))


def read_facts(file: Path) -> replay.Seen:
    try:
        with file.open("rb") as opened:
            content = opened.read(replay.MAX_FACTS + 1)
        if len(content) > replay.MAX_FACTS:
            raise replay.NotFacts("too large")
        return replay.read(content)
    except (OSError, replay.NotFacts) as wrong:
        why = getattr(wrong, "strerror", None) or str(wrong)
        raise typer.BadParameter(
            words(N_("Không đọc được dữ kiện trong tệp %(file)s: %(why)s"), file=str(file), why=why)
        ) from wrong


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as wrong:
        raise typer.BadParameter(
            words(
                N_("Không ghi được tệp %(file)s: %(why)s"), file=str(file), why=wrong.strerror or str(wrong)
            )
        ) from wrong
