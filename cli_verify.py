"""`antin verify`: one line per file, in order. Total: whatever is in a file ends in a verdict."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer

from catalogue import N_
from cli import CHUNK, DONE, OUR_FAULT, REFUSED, UNAVAILABLE, Roof, err, out, print_json, tell, words
from signing.trust.anchors import CannotLoad, TrustSnapshot, load_anchors
from signing.trust.revocation import Revocation
from signing.verification.answer import answer
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


async def verify_files(roof: Roof, files: Sequence[Path], wish: VerifyWish) -> int:
    policy, (at, source) = _policy(wish.policy), _time(wish.at)
    crls = tuple(_crl(one) for one in wish.crls)
    async with AsyncExitStack() as stack:
        trust = await _trust(roof, wish)
        workshop = await stack.enter_async_context(Workshop(workers=min(2, len(files))))
        revocation = None if wish.offline else await stack.enter_async_context(roof.revocation())
        codes = []
        for number, file in enumerate(files, 1):
            if len(files) > 1 and not wish.as_json and err.is_terminal:
                err.print(f"[dim]{number}/{len(files)}[/]", end="\r")
            question = Question(
                name=str(file), sha256="", trust=trust, policy=policy, at=at, time_source=source, password=wish.password,
                crls=crls,
            )  # fmt: skip
            codes.append(await _one(file, question, wish, workshop, revocation))
    return _worst(codes)


async def _one(
    file: Path, question: Question, wish: VerifyWish, workshop: Workshop, revocation: Revocation | None
) -> int:
    try:
        question = replace(question, sha256=await asyncio.to_thread(_digest, file))
        report = await answer(file, question, workshop=workshop, revocation=revocation)
    except OSError as wrong:
        tell(words(N_("Không mở được tệp %(file)s: %(why)s"), file=str(file), why=wrong.strerror or ""))
        return OUR_FAULT
    if wish.as_json:
        print_json(to_json(report, say=lambda one: finding_sentence(one, words)))
    else:
        _tell(report)
    return _code(report)


def _tell(report: Report) -> None:
    colour = {Verdict.VALID: "green", Verdict.INVALID: "red"}.get(report.verdict, "yellow")
    tell(f"{report.verdict.value} {report.file}", style=colour, to=out)
    tell("  " + sentence(report, words), to=out)
    for finding in report.findings:
        tell("  - " + finding_sentence(finding, words), to=out)
    for signature in report.signatures:
        facts = (signature.indication.value, signature.sub_indication, signature.level, signature.signer)
        tell(f"  {signature.field}: " + " · ".join(str(one) for one in facts if one), to=out)
        for finding in signature.findings:
            tell("    - " + finding_sentence(finding, words), to=out)


def _code(report: Report) -> int:
    if report.verdict is Verdict.VALID:
        return DONE
    if report.verdict is Verdict.INVALID:
        return REFUSED
    if report.verdict is Verdict.UNREADABLE and not any(one.code == "OUR_LIMIT" for one in report.findings):
        return REFUSED
    return UNAVAILABLE


def _worst(codes: Sequence[int]) -> int:
    """1 wins over 2; 70 only where no line could be given for a file."""
    return next((one for one in (OUR_FAULT, REFUSED, UNAVAILABLE) if one in codes), DONE)


async def _trust(roof: Roof, wish: VerifyWish) -> TrustSnapshot:
    if wish.trust is None:
        return await roof.trust()
    try:
        return TrustSnapshot(tuple(anchor for one in wish.trust for anchor in load_anchors(one)))
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


def _time(at: str) -> tuple[datetime, TimeSource]:
    now = datetime.now(UTC)
    if not at:
        return now, TimeSource.NOW
    if at == "claimed":
        return now, TimeSource.CLAIMED
    try:
        given = datetime.fromisoformat(at)
    except ValueError as wrong:
        raise typer.BadParameter(
            words(N_("Thời điểm phải theo ISO 8601 hoặc là chữ claimed: %(at)s"), at=at)
        ) from wrong
    return given if given.tzinfo else given.replace(tzinfo=UTC), TimeSource.GIVEN


def _crl(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_CRL:
            raise typer.BadParameter(words(N_("Tệp CRL %(file)s quá lớn."), file=str(file)))
        return file.read_bytes()
    except OSError as wrong:
        raise typer.BadParameter(words(N_("Không đọc được tệp CRL %(file)s."), file=str(file))) from wrong


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
