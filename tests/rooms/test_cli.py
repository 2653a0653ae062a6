"""The command `antin`: what it prints and how it ends is a promise to other programs.

The rooms behind it are real, on a folder and SQLite, with keys in memory; tokens are tested in the stories.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli import main
from documents.rooms import Rooms
from hsm import soft_token
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess
from settings import Settings
from storage.database import DatabaseUnavailable
from tests.rooms.desk import Desk
from tests.rooms.hsm.tokens import certificate_for as certificate_on_request
from tests.rooms.web.rooms import open_rooms

# -- keys


def test_keys_are_one_line_each(desk: Desk) -> None:
    ran = desk.antin("keys", "--json")
    assert ran.code == 0
    assert [one["name"] for one in ran.lines] == ["binh", "con-dau"]
    assert list(ran.lines[1]) == ["name", "subject", "holder", "algorithm", "not_after"]
    assert ran.lines[1] == {
        "name": "con-dau", "subject": "CN=UBND xã An Phước", "holder": "agency", "algorithm": "ec-p256",
        "not_after": "2040-01-01T00:00:00Z",
    }  # fmt: skip
    assert desk.antin("keys", "list", "--json").lines == ran.lines
    plain = desk.antin("keys")
    assert plain.code == 0 and "con-dau\tCN=UBND xã An Phước" in plain.out


class TokenDesk(Desk):
    """The same with a SoftHSM token that holds no key yet."""

    @asynccontextmanager
    async def rooms(self) -> AsyncIterator[Rooms]:
        settings = Settings(home=self.folder)
        await asyncio.to_thread(soft_token.make, settings.token)
        async with TokenProcess.start(settings.token, settings.socket), open_rooms(self.wishes) as rooms:
            vault = Pkcs11Vault(settings.socket)
            yield replace(rooms, keys=vault)
            await vault.close()


def test_a_key_is_made_certified_granted_and_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = TokenDesk(tmp_path, capsys)
    request, certificate = tmp_path / "seal.csr", tmp_path / "seal.pem"
    subject = "CN=UBND xã An Phước,C=VN"
    made = desk.antin("keys", "make", "con-dau", "--purpose", "seal", "--subject", subject, "-o", request)
    assert made.code == 0, made.err
    assert desk.antin("keys", "--json").lines == []
    again = desk.antin("keys", "make", "con-dau", "--purpose", "seal")
    assert again.code == 1 and again.out == ""
    der = certificate_on_request(x509.load_pem_x509_csr(request.read_bytes()).public_bytes(Encoding.DER))
    certificate.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    assert desk.antin("keys", "install", "con-dau", certificate).code == 0
    (listed,) = desk.antin("keys", "--json").lines
    assert (listed["name"], listed["holder"], listed["algorithm"]) == ("con-dau", "agency", "ec-p256")
    other = desk.antin("keys", "make", "khac", "--json")
    assert other.code == 0 and "BEGIN CERTIFICATE REQUEST" in other.lines[0]["request"]
    assert desk.antin("keys", "install", "khac", certificate).code == 1
    assert desk.antin("keys", "grant", "con-dau", "nobody").code == 1
    assert desk.antin("keys", "grant", "nothing", "binh").code == 1

    async def granted() -> frozenset[Any]:
        async with desk.rooms() as rooms:
            return next(one.granted for one in await rooms.keys.descriptions() if one.name == "con-dau")

    grant = desk.antin("keys", "grant", "con-dau", "binh", "--json")
    assert grant.code == 0 and grant.lines[0]["granted"] is True
    assert len(asyncio.run(granted())) == 1
    assert desk.antin("keys", "revoke", "con-dau", "binh").code == 0
    assert not asyncio.run(granted())
    assert desk.antin("audit", "check").code == 0


# -- wrong usage and what happens elsewhere


@pytest.mark.parametrize(
    "arguments",
    [
        ["sign"], ["sign", "x.pdf"], ["nonsense"], ["keys", "nonsense"], ["--nonsense"], ["verify"],
        ["sign", "/no/such.pdf", "-o", "out.pdf", "--key", "con-dau"], ["clients", "add", "x"],
        ["clients", "add", "x", "--scope", "documents:wirte"], ["trust", "remove", "xyz"],
        ["keys", "make", "x", "--purpose", "nonsense"], ["audit", "check", "--checkpoints", "/no/such"], ["audit"],
        ["--lang", "xx", "keys"], ["--lang", "", "keys", "nonsense"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_64(desk: Desk, arguments: list[str]) -> None:
    ran = desk.antin(*arguments)
    assert ran.code == 64, ran.err
    assert ran.out == "" or "Usage: antin" in ran.out


def test_wrong_usage_is_told_to_programs_too(desk: Desk) -> None:
    for arguments, said in (
        (["verify", "--json"], "FILE..."), (["keys", "--json", "--nonsense"], "--nonsense"),
        (["sign", __file__, "-o", "/no/such/x.pdf", "--key", "con-dau", "--json"], "/no/such/x.pdf"),
    ):  # fmt: skip
        ran = desk.antin(*arguments)
        assert ran.code == 64 and ran.lines[0]["error"] == "wrong-usage"
        assert said in ran.lines[0]["messages"]["vi"] and said in ran.err


def test_help_is_no_error(desk: Desk) -> None:
    for arguments in (["--help"], ["sign", "--help"], ["keys", "make", "--help"]):
        ran = desk.antin(*arguments)
        assert ran.code == 0 and "Usage" in ran.out + ran.err


def test_a_database_that_is_away_is_2_and_says_so_in_json(desk: Desk, paper: Path) -> None:
    @asynccontextmanager
    async def away() -> AsyncIterator[Rooms]:
        raise DatabaseUnavailable("away")
        yield  # the form of a context manager

    roof = replace(desk.roof(), open_rooms=away)
    desk._capsys.readouterr()
    code = main(
        roof, ["sign", str(paper), "-o", str(paper.with_suffix(".out")), "--key", "con-dau", "--json"]
    )
    printed = desk._capsys.readouterr()
    told = json.loads(printed.out)
    assert (code, told["error"], told["retryable"]) == (2, "database-unavailable", True)
    assert told["messages"]["vi"] in printed.err


def test_our_own_fault_is_70_and_names_no_secret(desk: Desk) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Rooms]:
        raise RuntimeError("the PIN is 1234")
        yield  # the form of a context manager

    desk._capsys.readouterr()
    assert main(replace(desk.roof(), open_rooms=broken), ["keys"]) == 70
    printed = desk._capsys.readouterr()
    assert "RuntimeError" in printed.err and "1234" not in printed.err + printed.out


def test_ctrl_c_is_130(desk: Desk) -> None:
    def interrupted(_: bool) -> int:
        raise KeyboardInterrupt

    assert main(replace(desk.roof(), serve=interrupted), ["serve"]) == 130


def test_a_reader_who_leaves_changes_no_exit_status() -> None:
    program = "import cli, os, sys\nfor _ in range(3):\n    cli.print_json({'x': 'y' * 100_000})\nsys.exit(1)"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    "arguments", [["keys"], ["keys", "--json"], ["doctor"], ["keys", "--json", "--nonsense"]]
)
def test_an_answer_that_cannot_be_written_is_no_success(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    wanted = 64 if "--nonsense" in arguments else 70
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert desk.antin(*arguments).code == wanted
    monkeypatch.setattr(sys, "stdout", None)  # as the interpreter has it where the output is closed
    assert desk.antin(*arguments).code == wanted


# -- signing and judging


def test_sign_and_verify(desk: Desk, paper: Path, tmp_path: Path) -> None:
    out = tmp_path / "ký rồi.pdf"
    ran = desk.antin("sign", paper, "-o", out, "--key", "con-dau", "--level", "B-B", "--json")
    assert ran.code == 0, ran.err
    (told,) = ran.lines
    assert (told["file"], told["level"], told["key"], told["state"]) == (str(out), "B-B", "con-dau", "DONE")
    anchor = tmp_path / "anchor.pem"
    anchor.write_bytes(x509.load_der_x509_certificate(desk.keys[0].certificate).public_bytes(Encoding.PEM))
    judged = desk.antin("verify", "--json", "--trust", anchor, "--policy", "integrity", out, paper)
    assert [one["verdict"] for one in judged.lines] == ["VALID", "NO_SIGNATURE"]
    assert judged.code == 2
    assert judged.lines[0]["sha256"] == told["sha256"]
    plain = desk.antin("verify", "--trust", anchor, "--policy", "integrity", out)
    assert plain.code == 0 and "VALID" in plain.out and str(out) in plain.out
    changed = tmp_path / "đã sửa.pdf"
    changed.write_bytes(out.read_bytes().replace(b"595", b"594", 1))
    assert desk.antin("verify", "--trust", anchor, changed).code == 1


def test_folders_and_standard_input_are_verified(desk: Desk, paper: Path, tmp_path: Path) -> None:
    folder = tmp_path / "văn bản"
    (folder / "b" / "c").mkdir(parents=True)
    for name in ("z.PDF", "a.pdf", "b/c/d.pdf"):
        (folder / name).write_bytes(paper.read_bytes())
    (folder / "ghi chú.txt").write_text("x")
    (folder / "b" / "vòng").symlink_to(folder)
    ran = desk.antin("verify", "--json", "--offline", folder, paper)
    assert [one["file"] for one in ran.lines] == [
        *(str(folder / name) for name in ("a.pdf", "b/c/d.pdf", "z.PDF")), str(paper)
    ]  # fmt: skip
    assert {one["verdict"] for one in ran.lines} == {"NO_SIGNATURE"}
    nothing = desk.antin(
        "verify", "--json", "--offline", tmp_path / "văn bản" / "b" / "vòng" / "x", folder / "b" / "c"
    )
    assert [one["verdict"] for one in nothing.lines] == ["UNREADABLE", "NO_SIGNATURE"]
    (given,) = desk.antin("verify", "--json", "--offline", "-", given=paper.read_bytes()).lines
    assert (given["file"], given["verdict"]) == ("-", "NO_SIGNATURE")
    assert given["sha256"] == hashlib.sha256(paper.read_bytes()).hexdigest()
    assert desk.antin("verify", "-", "-").code == 64


def test_reports_and_facts_are_written_and_judged_again(desk: Desk, paper: Path, tmp_path: Path) -> None:
    signed, facts = tmp_path / "signed.pdf", tmp_path / "facts.json"
    assert desk.antin("sign", paper, "-o", signed, "--key", "con-dau", "--level", "B-B").code == 0
    anchor = tmp_path / "anchor.pem"
    anchor.write_bytes(x509.load_der_x509_certificate(desk.keys[0].certificate).public_bytes(Encoding.PEM))
    how: tuple[Path | str, ...] = ("--json", "--offline", "--trust", anchor, "--policy", "integrity")
    xml, page = tmp_path / "report.xml", tmp_path / "report.PDF"
    (first,) = desk.antin("verify", *how, signed, "--report", xml, "--facts", facts).lines
    assert first["verdict"] == "VALID"
    assert b"total-passed" in xml.read_bytes()
    assert desk.antin("verify", *how, signed, "--report", page).code == 0
    assert page.read_bytes().startswith(b"%PDF-")
    signed.unlink()
    (again,) = desk.antin("verify", *how, "--replay", facts).lines
    assert [one["code"] for one in again["findings"]] == ["FROM_FACTS"]
    assert [one["indication"] for one in again["signatures"]] == ["TOTAL-PASSED"]
    assert (again["file"], again["sha256"], again["verdict"]) == (str(signed), first["sha256"], "VALID")
    late = desk.antin("verify", *how, "--at", "2099-01-01", "--replay", facts)
    assert (late.code, late.lines[0]["verdict"]) == (2, "INDETERMINATE")
    for wrong in (("--report", tmp_path / "x.txt"), ("--facts", tmp_path / "no" / "x.json"), ("--replay",)):
        assert desk.antin("verify", *how, paper, *wrong).code == 64, wrong
    assert desk.antin("verify", *how, paper, paper, "--facts", facts).code == 64


def test_what_is_refused_is_1_and_leaves_no_file(desk: Desk, paper: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    text = tmp_path / "text.pdf"
    text.write_bytes(b"not a pdf")
    for source, key, code in (
        (text, "con-dau", "not-a-pdf"),
        (paper, "khac", "no-such-key"),
        (paper, "tsa", "no-such-key"),
    ):
        ran = desk.antin("sign", source, "-o", out, "--key", key, "--level", "B-B", "--json")
        assert (ran.code, ran.lines[-1]["error"]) == (1, code), ran.err
        assert not out.exists()


def test_what_is_no_file_is_not_written_over(desk: Desk, paper: Path, tmp_path: Path) -> None:
    """Somebody's pipe or device would be taken away, and a plain file stand in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for out in (pipe, tmp_path, tmp_path / "no" / "out.pdf", Path("/proc/out.pdf")):
        ran = desk.antin("sign", paper, "-o", out, "--key", "con-dau", "--level", "B-B")
        assert ran.code == 64, ran.err
    assert pipe.is_fifo()
    assert not [
        one for one in (desk.folder / "store" / "kept").rglob("*") if one.is_file()
    ]  # nothing was begun


@pytest.mark.parametrize("content", [b"\xff\n", b"a\0b\n"], ids=["no UTF-8", "NUL"])
def test_a_password_that_is_none_is_wrong_usage(
    desk: Desk, paper: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    out = tmp_path / "out.pdf"
    assert desk.antin("sign", paper, "-o", out, "--key", "con-dau", "--password-file", file).code == 64
    assert desk.antin("verify", paper, "--password-file", file).code == 64


def test_a_level_that_cannot_be_had_now_is_2(desk: Desk, paper: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    ran = desk.antin("sign", paper, "-o", out, "--key", "con-dau", "--json")
    assert ran.code == 2, ran.err
    assert ran.lines[0]["state"] == "TIMESTAMP_PENDING"
    assert not out.exists()


def test_in_production_a_persons_key_is_its_holders_alone(desk: Desk, paper: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    arguments = ("sign", paper, "-o", out, "--key", "binh", "--level", "B-B", "--json")
    assert desk.antin(*arguments).code == 0
    out.unlink()
    desk.wishes.production = True
    ran = desk.antin(*arguments)
    assert (ran.code, ran.lines[0]["error"]) == (1, "not-allowed")
    assert not out.exists()
