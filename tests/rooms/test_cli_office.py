"""The operator's verbs: people, programs, trust, the log, the doctor."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from documents.rooms import Trouble
from signing.trust.anchors import Anchor
from storage.database import Database
from tests.rooms.desk import Desk
from tests.rooms.web.rooms import certificate_for

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
    disabled = desk.antin("people", "disable", "an.nguyen", "--json")
    assert disabled.code == 0 and disabled.lines[0]["disabled"] is True
    listed = {one["login"]: one for one in desk.antin("people", "list", "--json").lines}
    assert listed["an.nguyen"]["disabled"] and not listed["binh"]["disabled"]
    assert listed["binh"]["agency"] == "UBND xã An Phước"
    missing = desk.antin("people", "reset", "nobody", "--json")
    assert (missing.code, missing.lines[0]["error"]) == (1, "no-such-person")


def test_an_office_begins_with_its_agency(desk: Desk) -> None:
    """Production has none as shipped, and nobody and nothing can be without one."""
    made = desk.antin(
        "agencies", "add", "Ủy ban nhân dân xã Hòa Bình", "--short", "UBND xã Hòa Bình", "--json"
    )
    assert made.code == 0, made.err
    assert [one["short_name"] for one in desk.antin("agencies", "--json").lines] == [
        "UBND xã An Phước", "UBND xã Hòa Bình"
    ]  # fmt: skip
    again = desk.antin("agencies", "add", "UBND xã Hòa Bình", "--json")
    assert (again.code, again.lines[0]["error"]) == (1, "name-taken")
    for verb in (
        ["agencies", "add"],
        ["people", "add", "x", "--name"],
        ["clients", "add", "--scope", "verify"],
    ):
        for name in ("hai\x1b[2J", " ", "x" * 201):
            assert desk.antin(*verb, name).code == 64  # it would stand on pages and papers
    person = desk.antin("people", "add", "hoa", "--name", "Lê Thị Hoa", "--json")
    assert (person.code, person.lines[0]["error"]) == (1, "which-agency")
    assert (
        desk.antin("people", "add", "hoa", "--name", "Lê Thị Hoa", "--agency", made.lines[0]["id"]).code == 0
    )


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
    revoked = desk.antin("clients", "revoke", "Quản lý văn bản", "--json")
    assert revoked.code == 0 and revoked.lines[0]["revoked"] is True
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
    added = desk.antin("trust", "add", file, "--yes-fingerprint", colons, "--json")
    assert added.code == 0 and added.lines == [{"fingerprint": fingerprint, "believed": True}]
    listed = {one["fingerprint"]: one for one in desk.antin("trust", "--json").lines}
    assert listed[fingerprint]["confirmed_by"].startswith("system user ")
    assert "\x1b" not in desk.antin("trust").out
    removed = desk.antin("trust", "remove", fingerprint, "--json")
    assert removed.code == 0 and removed.lines == [{"fingerprint": fingerprint, "believed": False}]
    gone = desk.antin("trust", "remove", fingerprint)
    assert gone.code == 1


def test_without_a_yes_nobody_is_believed(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "root.cer"
    file.write_bytes(certificate_for(desk.private, "Gốc"))
    before = desk.antin("trust", "--json").lines
    for answer, code in ((b"n\n", 1), (b"", 130)):
        ran = desk.antin("trust", "add", file, given=answer)
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


def test_the_schema_is_brought_up_to_date(desk: Desk) -> None:
    """By a verb of its own: the tables' owner does it where the service's role may not."""
    for _ in range(2):
        done = desk.antin("migrate", "--json")
        assert done.code == 0 and done.lines == [{"migrated": True}]
