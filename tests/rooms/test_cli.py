"""The command `antin`: what it prints and how it ends is a promise to other programs.

The rooms behind it are real, on a folder and SQLite, with keys in memory; tokens are tested in the stories.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import cli
from cli import Roof, main
from documents.rooms import Rooms, Trouble
from documents.trail import Trail
from hsm import soft_token
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from settings import Settings
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.trust.revocation import Revocation
from storage.database import Database, DatabaseUnavailable
from tests.papers import letter
from tests.rooms.hsm.tokens import certificate_for as certificate_on_request
from tests.rooms.web.rooms import Wishes, certificate_for, open_rooms


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """An operator at a host with one agency, its seal and a clerk's key."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.wishes = Wishes(folder)
        self.troubles: list[Trouble] = []
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.keys: list[KeyDescription] = []
        asyncio.run(self._settle())

    def antin(self, *arguments: str | Path) -> Ran:
        self._capsys.readouterr()
        cli.words.language = "vi"
        code = main(self.roof(), [str(one) for one in arguments])
        printed = self._capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    def roof(self) -> Roof:
        @asynccontextmanager
        async def revocation() -> AsyncIterator[Revocation]:
            yield Revocation(None, clock=lambda: datetime.now(UTC))

        @asynccontextmanager
        async def trail() -> AsyncIterator[Trail]:
            async with self.rooms() as rooms:
                yield rooms.trail

        async def trust() -> TrustSnapshot:
            async with self.rooms() as rooms:
                return rooms.trusted.snapshot()

        async def troubles() -> Sequence[Trouble]:
            return self.troubles

        return Roof(
            settings=Settings(home=self.folder), open_rooms=self.rooms, trust=trust, revocation=revocation, trail=trail,
            troubles=troubles, serve=lambda: 0,
        )  # fmt: skip

    @asynccontextmanager
    async def rooms(self) -> AsyncIterator[Rooms]:
        async with open_rooms(self.wishes) as rooms:
            assert isinstance(rooms.keys, UnsafeMemoryVault)
            for one in self.keys:
                rooms.keys.add(one, self.private)
            yield rooms

    async def _settle(self) -> None:
        async with self.rooms() as rooms:
            agency = await rooms.office.make_agency(
                "Ủy ban nhân dân xã An Phước", "UBND xã An Phước", by="test"
            )
            person, _ = await rooms.office.make_person(
                agency.id, "binh", name="Trần Thị Bình", title="Văn thư", by="test"
            )
            seal = KeyDescription(
                name="con-dau", agency=agency.id, purpose=Purpose.SEAL, holder=Holder(HolderKind.AGENCY, agency.id),
                granted=frozenset({person.id}), certificate=certificate_for(self.private, "UBND xã An Phước"), chain=(),
                mechanisms=(),
            )  # fmt: skip
            await rooms.trusted.add(Anchor(seal.certificate), confirmed_by="test")
        own = replace(seal, name="binh", purpose=Purpose.SIGNING, holder=Holder(HolderKind.PERSON, person.id))
        self.keys = [seal, own, replace(seal, name="tsa", purpose=Purpose.TIME_STAMPING)]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    file = tmp_path / "[đỏ] tờ trình.pdf"
    file.write_bytes(letter())
    return file


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
    other = desk.antin("keys", "make", "khac")
    assert other.code == 0 and "BEGIN CERTIFICATE REQUEST" in other.out
    assert desk.antin("keys", "install", "khac", certificate).code == 1
    assert desk.antin("keys", "grant", "con-dau", "nobody").code == 1
    assert desk.antin("keys", "grant", "nothing", "binh").code == 1

    async def granted() -> frozenset[Any]:
        async with desk.rooms() as rooms:
            return next(one.granted for one in await rooms.keys.descriptions() if one.name == "con-dau")

    assert desk.antin("keys", "grant", "con-dau", "binh").code == 0
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
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_64(desk: Desk, arguments: list[str]) -> None:
    ran = desk.antin(*arguments)
    assert ran.code == 64, ran.err
    assert ran.out == "" or "Usage: antin" in ran.out


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
    def interrupted() -> int:
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


# -- the office


def test_people_come_get_new_passwords_and_go(desk: Desk) -> None:
    made = desk.antin(
        "people", "add", "An.Nguyen", "--name", "Nguyễn Văn An", "--title", "Chủ tịch", "--json"
    )
    assert made.code == 0, made.err
    first = made.lines[0]["password"]
    again = desk.antin("people", "add", "an.nguyen", "--name", "Người khác", "--json")
    assert (again.code, again.lines[0]["error"]) == (1, "name-taken")
    new = desk.antin("people", "reset", "an.nguyen")
    assert new.code == 0 and new.out.strip() not in {"", first}
    assert "một lần" in new.err and new.out.strip() not in new.err

    async def log_in() -> str:
        async with desk.rooms() as rooms:
            return await rooms.office.log_in("an.nguyen", new.out.strip())

    assert asyncio.run(log_in())
    assert desk.antin("people", "disable", "an.nguyen").code == 0
    listed = {one["login"]: one for one in desk.antin("people", "list", "--json").lines}
    assert listed["an.nguyen"]["disabled"] and not listed["binh"]["disabled"]
    assert listed["binh"]["agency"] == "UBND xã An Phước"
    missing = desk.antin("people", "reset", "nobody", "--json")
    assert (missing.code, missing.lines[0]["error"]) == (1, "no-such-person")


def test_programs_get_a_key_once(desk: Desk) -> None:
    made = desk.antin(
        "clients", "add", "Quản lý văn bản", "--scope", "documents:read", "--scope", "sign:con-dau", "--json"
    )
    assert made.code == 0, made.err
    key = made.lines[0]["key"]

    async def caller() -> Any:
        async with desk.rooms() as rooms:
            return await rooms.office.by_api_key(key)

    known = asyncio.run(caller())
    assert known.scopes == {"documents:read", "sign:con-dau"}
    assert key not in desk.antin("clients", "list", "--json").out
    elsewhere = desk.antin("clients", "add", "x", "--scope", "verify", "--agency", "không có", "--json")
    assert (elsewhere.code, elsewhere.lines[0]["error"]) == (1, "not-there")
    assert desk.antin("clients", "revoke", "Quản lý văn bản").code == 0
    assert asyncio.run(caller()) is None


# -- whom we believe


def test_an_anchor_is_believed_by_its_fingerprint_alone(desk: Desk, tmp_path: Path) -> None:
    der = certificate_for(ec.generate_private_key(ec.SECP256R1()), "Tổ chức cấp chứng thư\x1b[2J")
    file = tmp_path / "root.cer"
    file.write_bytes(der)
    fingerprint = Anchor(der).fingerprint
    wrong = desk.antin("trust", "add", file, "--yes-fingerprint", "0" * 64, "--json")
    assert wrong.code in {1, 64}
    unread = desk.antin("trust", "add", __file__, "--yes-fingerprint", fingerprint)
    assert unread.code == 1
    colons = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    assert desk.antin("trust", "add", file, "--yes-fingerprint", colons).code == 0
    listed = {one["fingerprint"]: one for one in desk.antin("trust", "--json").lines}
    assert listed[fingerprint]["confirmed_by"].startswith("system user ")
    assert "\x1b" not in desk.antin("trust").out
    assert desk.antin("trust", "remove", fingerprint).code == 0
    gone = desk.antin("trust", "remove", fingerprint)
    assert gone.code == 1


def test_without_a_yes_nobody_is_believed(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "root.cer"
    file.write_bytes(certificate_for(desk.private, "Gốc"))
    before = desk.antin("trust", "--json").lines
    for answer, code in (("n\n", 1), ("", 130)):
        reading, writing = os.pipe()
        os.write(writing, answer.encode())
        os.close(writing)
        with os.fdopen(reading) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            ran = desk.antin("trust", "add", file)
        assert ran.code == code, ran.err
        assert "SHA-256" in ran.err
    assert desk.antin("trust", "--json").lines == before


def test_production_believes_no_demonstration(desk: Desk, tmp_path: Path) -> None:
    desk.wishes.production = True
    file = tmp_path / "root.cer"
    der = certificate_for(desk.private, "Ấn Tín DEMO root")
    file.write_bytes(der)
    ran = desk.antin("trust", "add", file, "--yes-fingerprint", Anchor(der).fingerprint)
    assert ran.code == 1 and "DEMO" in ran.err


# -- the log


def test_the_log_is_whole_until_somebody_changes_it(desk: Desk) -> None:
    whole = desk.antin("audit", "check", "--json")
    assert (whole.code, whole.out) == (0, "")
    with sqlite3.connect(desk.folder / "antin.sqlite") as db:
        db.execute("UPDATE audit_records SET body = replace(body, 'agency.made', 'agency.mode')")
    db.close()
    changed = desk.antin("audit", "check", "--json")
    assert changed.code == 0 or changed.lines  # records without a number have no hash yet
    with sqlite3.connect(desk.folder / "antin.sqlite") as db:
        db.execute("UPDATE audit_records SET body = '{}' WHERE rowid = 1")
    db.close()
    changed = desk.antin("audit", "check", "--json")
    assert changed.code == 1
    assert changed.lines[0]["fault"] in {"not-canonical", "row-differs"}
    assert "✗" in desk.antin("audit", "check").out


# -- the doctor


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(desk: Desk) -> None:
    assert desk.antin("doctor").code == 0
    desk.troubles = [Trouble("certificates", "certificate-expires", "con-dau", stops=False)]
    assert desk.antin("doctor").code == 1
    desk.troubles.append(Trouble("token", "token-away", "khe 3\x1b[2J"))
    ran = desk.antin("doctor", "--json")
    assert ran.code == 2
    assert [one["code"] for one in ran.lines] == ["certificate-expires", "token-away"]
    assert all(set(one["messages"]) == {"vi", "en"} for one in ran.lines)
    plain = desk.antin("doctor")
    assert "antin keys install" in plain.out and "\x1b" not in plain.out
    english = desk.antin("--lang", "en", "doctor")
    assert "run antin keys install" in english.out


def test_a_database_is_named_without_its_password() -> None:
    with pytest.raises(ValueError, match="no password"):
        Database("postgresql://antin:secret@db/antin")
