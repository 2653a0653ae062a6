"""`antin verify`: one line per file, in order. Total: whatever is in a file ends in a verdict."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.text import Text

from catalogue import N_
from cli import CHUNK, DONE, REFUSED, UNAVAILABLE, Roof, clean, err, out, print_json, tell, words
from commands.verify_output import (
    check_content,
    check_outputs,
    expanded,
    read_facts,
    standing,
    write_facts,
    write_report,
)
from signing.trust.anchors import PEM_CRL, CannotLoad, TrustSnapshot, load_anchors, pem_blocks
from signing.trust.crl import Crl, NotACrl
from signing.trust.revocation import Revocation
from signing.verification import replay
from signing.verification.advice import told
from signing.verification.answer import read, unreadable
from signing.verification.pdf import Question
from signing.verification.policy import BadPolicy, Policy, load_policy
from signing.verification.report import Report, TimeSource, Verdict, to_json
from signing.verification.wording import finding_sentence, sentence
from signing.workshop import Workshop

MAX_CRL = 64 << 20  # bytes


@dataclass(frozen=True)
class VerifyWish:
    as_json: bool
    trust: Sequence[Path] | None
    crls: Sequence[Path]
    at: str
    policy: str
    offline: bool
    password: str | None
    report: Path | None = None
    facts: Path | None = None
    replay: bool = False  # files are facts that were written before
    content: Path | None = None  # what a signature or time-stamp by itself is over


async def verify_files(roof: Roof, files: Sequence[Path], wish: VerifyWish) -> int:
    files = files if wish.replay else expanded(files)
    check_outputs(files, wish.report, wish.facts)
    check_content(files, wish.content)
    policy, (at, source) = _policy(wish.policy), read_time(wish.at)
    crls = tuple(_crl(one) for one in wish.crls)
    async with AsyncExitStack() as stack:
        trust = await trust_of(roof, wish.trust)
        workshop = await stack.enter_async_context(Workshop(workers=min(2, len(files))))
        revocation = None
        if not wish.offline:
            revocation = await stack.enter_async_context(roof.revocation(wish.trust is None))
        codes = []
        status = stack.enter_context(err.status("")) if err.is_terminal else None
        for number, file in enumerate(files, 1):
            question = Question(
                name=shown_name(file), sha256="", trust=trust, policy=policy, at=at, time_source=source,
                password=wish.password, crls=crls,
            )  # fmt: skip
            if status is not None:
                status.update(Text(f"{number}/{len(files)} {clean(question.name)}"))
            report = await _judged(file, question, workshop, revocation, wish)
            codes.append(_said(report, wish))
            if wish.report is not None:
                write_report(wish.report, report)
    return _worst(codes)


async def _judged(
    file: Path, question: Question, workshop: Workshop, revocation: Revocation | None, wish: VerifyWish
) -> Report:
    """What cannot be opened gets its line too, in its place."""
    if wish.replay:
        return await replay.judge_again(read_facts(file), question, revocation)
    heard = replay.Listening(revocation, clock=lambda: question.at) if revocation and wish.facts else None
    with standing(file) as opened:
        try:
            question = replace(question, sha256=await asyncio.to_thread(_digest, opened))
        except (OSError, ValueError):
            return unreadable(question, "CANNOT_OPEN")
        seen = replay.seen(
            question, await read(opened, question.password, workshop=workshop, content=wish.content)
        )
    report = await replay.judge(seen, question, heard or revocation)
    if wish.facts is not None:
        write_facts(wish.facts, seen.beside(question, heard))
    return report


def _said(report: Report, wish: VerifyWish) -> int:
    if wish.as_json:
        print_json(to_json(report, say=lambda one: told(one, words)))
    else:
        _tell(report)
    return _code(report)


def shown_name(file: Path) -> str:
    """As UTF-8, whatever bytes the file system has."""
    return os.fsencode(file).decode("utf-8", "replace")


def _tell(report: Report) -> None:
    colour = {Verdict.VALID: "green", Verdict.INVALID: "red"}.get(report.verdict, "yellow")
    tell(f"{report.verdict.value} {report.file}", style=colour, to=out)
    tell("  " + sentence(report, words), to=out)
    for finding in report.findings:
        tell("  - " + finding_sentence(finding, words), to=out)
    for signature in report.signatures:
        facts = (signature.indication.value, signature.sub_indication, signature.level, signature.signer)
        tell(f"  {signature.field or report.format}: " + " · ".join(str(one) for one in facts if one), to=out)
        for finding in signature.findings:
            tell("    - " + finding_sentence(finding, words), to=out)


def _code(report: Report) -> int:
    if report.verdict is Verdict.VALID:
        return DONE
    if report.verdict is Verdict.INVALID:
        return REFUSED
    not_its_fault = {"OUR_LIMIT", "CANNOT_OPEN"}
    if report.verdict is Verdict.UNREADABLE and not any(one.code in not_its_fault for one in report.findings):
        return REFUSED
    return UNAVAILABLE


def _worst(codes: Sequence[int]) -> int:
    """1 wins over 2. Where no line can be given for a file, the door itself says 70."""
    return next((one for one in (REFUSED, UNAVAILABLE) if one in codes), DONE)


async def trust_of(roof: Roof, named: Sequence[Path] | None) -> TrustSnapshot:
    if named is None:
        return await roof.trust()
    try:
        return TrustSnapshot(tuple(anchor for one in named for anchor in load_anchors(one)))
    except CannotLoad as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được chứng thư tin cậy: %(why)s"), why=str(wrong))
        ) from wrong


def _policy(name: str) -> Policy:
    try:
        return load_policy(name)
    except BadPolicy as wrong:
        raise typer.BadParameter(
            words(N_("Không có chính sách kiểm tra %(name)s: %(why)s"), name=name, why=str(wrong))
        ) from wrong


def read_time(at: str) -> tuple[datetime, TimeSource]:
    now = datetime.now(UTC)
    if not at:
        return now, TimeSource.NOW
    if at == "claimed":
        return now, TimeSource.CLAIMED
    try:
        given = datetime.fromisoformat(at)
        given = (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise typer.BadParameter(
            words(N_("Thời điểm phải theo ISO 8601 hoặc là chữ claimed: %(at)s"), at=at)
        ) from wrong
    return given, TimeSource.GIVEN


def _crl(file: Path) -> bytes:
    """DER of one list, from DER or PEM."""
    try:
        if file.stat().st_size > MAX_CRL:
            raise typer.BadParameter(words(N_("Tệp CRL %(file)s quá lớn."), file=shown_name(file)))
        return Crl(pem_blocks(file.read_bytes(), PEM_CRL)[0]).der
    except (OSError, NotACrl) as wrong:
        raise typer.BadParameter(
            words(N_("Không đọc được tệp CRL %(file)s."), file=shown_name(file))
        ) from wrong


def _digest(file: Path) -> str:
    """Of a file, and of nothing that never ends. Raises OSError, ValueError."""
    if not file.is_file():
        raise FileNotFoundError(file)
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
