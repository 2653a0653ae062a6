"""Every upload may be hostile: what is refused says why and leaves nothing behind, what is accepted is as it came."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import signal
import time
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.document import Disclosure
from documents.intake import NAME_BYTES, Arrival, IntakeRefusal, NotAccepted, clean_name, land
from documents.office import Caller, NotAllowed
from documents.once import OtherBody
from signing.workshop import WorkshopKilled
from storage.database import DatabaseUnavailable
from storage.store import StoreUnavailable
from tests.papers import letter
from tests.rooms.documents.desk import LIMIT, Desk, pieces
from tests.rooms.signing.pens import CATALOG, FONT, page, stream, written


def encrypted(owner: str = "o", user: str = "u") -> bytes:
    out = BytesIO()
    with pikepdf.open(BytesIO(letter())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner=owner, user=user))
    return out.getvalue()


def no_pages() -> bytes:
    out = BytesIO()
    with pikepdf.new() as pdf:
        pdf.save(out)
    return out.getvalue()


def nested() -> bytes:
    """Arrays in arrays, deeper than any reader should follow."""
    return (
        b"%PDF-1.7\n1 0 obj\n" + b"[" * 200_000 + b"]" * 200_000 + b"\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    )


def looped() -> bytes:
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Count 1/Kids[2 0 R]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    )


def bomb() -> bytes:
    """A cross-reference stream that unpacks to a hundred times what we accept."""
    packed = zlib.compress(bytes(LIMIT * 100), 9)
    head = b"%PDF-1.7\n1 0 obj<</Type/XRef/Size 99999999/W[1 8 8]/Root 1 0 R/Filter/FlateDecode/Length "
    return (
        head + str(len(packed)).encode() + b">>stream\n" + packed + b"\nendstream endobj\nstartxref\n9\n%%EOF"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", IntakeRefusal.EMPTY),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), IntakeRefusal.NOT_A_PDF),
        (b"PK\x03\x04" + bytes(2000) + b"%PDF-1.7", IntakeRefusal.NOT_A_PDF),
        (b"%PDF-", IntakeRefusal.DAMAGED),
        (b"%PDF-1.7\n" + bytes(5000), IntakeRefusal.DAMAGED),
        (letter()[:200], IntakeRefusal.DAMAGED),
        (no_pages(), IntakeRefusal.DAMAGED),
        (looped(), IntakeRefusal.DAMAGED),
        (b"%PDF-1.7\n" + bytes(LIMIT), IntakeRefusal.TOO_LARGE),
    ],
    ids=["empty", "picture", "archive", "head only", "zeros", "truncated", "no pages", "loop", "large"],
)
async def test_what_is_refused_leaves_nothing_behind(
    desk: Desk, content: bytes, reason: IntakeRefusal
) -> None:
    with pytest.raises(NotAccepted) as refused:
        await desk.intake.receive(desk.caller, desk.id(), pieces(content), Arrival("x.pdf"))
    assert refused.value.reason is reason
    assert not desk.left_behind()
    assert not (await desk.documents.list(desk.caller)).documents


def crashes(_: Path) -> None:
    ctypes.string_at(0)


async def test_a_reader_that_crashes_takes_nothing_along(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file that crashes qpdf is known to us; this stands for the one that will be."""
    with monkeypatch.context() as patched:
        patched.setattr("documents.inspecting.count_pages", crashes)
        with pytest.raises(NotAccepted) as refused:
            await desk.receive()
    assert refused.value.reason is IntakeRefusal.TOO_COMPLEX
    assert not desk.left_behind()
    await desk.receive()


def waits(_: Path) -> None:
    time.sleep(60)


async def test_a_reader_that_was_killed_says_nothing_of_the_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory, or by an administrator: the caller may come again, and is not told that the file is too complex."""
    with monkeypatch.context() as patched:
        patched.setattr("documents.inspecting.count_pages", waits)
        receiving = asyncio.create_task(desk.receive())
        workshop = desk.intake._workshop
        await workshop.start()
        assert workshop._template is not None
        template = workshop._template._process.pid
        while not (children := Path(f"/proc/{template}/task/{template}/children").read_text().split()):
            await asyncio.sleep(0.01)
        os.kill(int(children[0]), signal.SIGKILL)
        with pytest.raises(WorkshopKilled):
            await receiving
    assert not desk.left_behind()
    await desk.receive()


async def test_pages_are_counted_where_their_tree_leads_back(desk: Desk) -> None:
    """qpdf stops there; people see the page, and it can be signed."""
    tree = b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 1>>"
    assert (await desk.receive(written(CATALOG, tree, page(), stream(), FONT))).pages == 1


@pytest.mark.parametrize("content", [nested(), bomb()], ids=["nested", "bomb"])
async def test_bombs_end_in_a_refusal(desk: Desk, content: bytes) -> None:
    with pytest.raises(NotAccepted) as refused:
        await desk.receive(content)
    assert refused.value.reason in {IntakeRefusal.DAMAGED, IntakeRefusal.TOO_COMPLEX}
    assert not desk.left_behind()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"declared_size": 10 << 30}, IntakeRefusal.TOO_LARGE),
        ({"declared_size": 5}, IntakeRefusal.INCOMPLETE),
        ({"declared_size": 1 << 20}, IntakeRefusal.INCOMPLETE),
        ({"media_type": "text/html"}, IntakeRefusal.WRONG_MEDIA_TYPE),
        ({"media_type": "image/png; x=\r\n"}, IntakeRefusal.WRONG_MEDIA_TYPE),
    ],
)
async def test_what_was_said_of_it_is_held_against_it(
    desk: Desk, more: dict[str, object], reason: IntakeRefusal
) -> None:
    with pytest.raises(NotAccepted) as refused:
        await desk.receive(letter(), **more)
    assert refused.value.reason is reason
    assert not desk.left_behind()


async def test_whoever_breaks_off_leaves_nothing(desk: Desk) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield letter()[:100]
        raise ConnectionResetError

    async def silent() -> AsyncIterator[bytes]:
        yield letter()[:100]
        await asyncio.sleep(60)

    with pytest.raises(ConnectionResetError):
        await desk.intake.receive(desk.caller, desk.id(), broken(), Arrival("x.pdf"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await desk.intake.receive(desk.caller, desk.id(), silent(), Arrival("x.pdf"))
    assert not desk.left_behind()


async def test_an_office_without_the_right(desk: Desk) -> None:
    narrow = Caller(desk.caller.id, desk.caller.agency, desk.caller.kind, "", "", "", frozenset({"verify"}))
    with pytest.raises(NotAllowed):
        await desk.intake.receive(narrow, desk.id(), pieces(letter()), Arrival("x.pdf"))
    assert not desk.left_behind()


async def test_it_is_kept_waiting_as_it_came(desk: Desk) -> None:
    content = letter(pages=3)
    made = await desk.receive(
        content, name="a/b\\Công\r\nvăn\u202e.pdf", subject="Về việc", disclosure=Disclosure.PUBLIC
    )
    assert (made.name, made.pages, made.size) == ("Côngvăn.pdf", 3, len(content))
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    async with desk.documents.open(desk.caller, made) as path:
        assert path.read_bytes() == content
    assert len(desk.left_behind()) == 1


async def test_a_file_with_a_password_is_accepted(desk: Desk) -> None:
    assert (await desk.receive(encrypted())).pages is None
    assert (await desk.receive(encrypted(user=""))).pages == 1


async def test_the_same_again_is_the_same(desk: Desk) -> None:
    document, content = desk.id(), letter()
    first = await desk.intake.receive(desk.caller, document, pieces(content), Arrival("x.pdf"))
    again = await desk.intake.receive(desk.caller, document, pieces(content), Arrival("x.pdf"))
    assert again == first
    with pytest.raises(OtherBody):
        await desk.intake.receive(desk.caller, document, pieces(letter()), Arrival("x.pdf"))
    assert len(desk.left_behind()) == 1
    copy = await desk.receive(content)
    assert list(await desk.intake.duplicates(desk.caller, copy)) == [document]
    assert list(await desk.intake.duplicates(desk.other, copy)) == []


async def test_a_full_disk_is_told_as_such(desk: Desk) -> None:
    async def put(*_: object, **__: object) -> None:
        raise StoreUnavailable("full")

    space = desk.store.working
    before = space.put
    space.put = put  # type: ignore[method-assign]
    try:
        with pytest.raises(StoreUnavailable):
            await desk.receive()
    finally:
        space.put = before  # type: ignore[method-assign]
    assert not desk.left_behind()


async def test_bytes_are_counted_not_believed(tmp_path: Path) -> None:
    with pytest.raises(NotAccepted):
        await land(pieces(bytes(100), 10), tmp_path / "x", limit=99, declared=None)


@given(st.text(max_size=400))
def test_a_name_is_for_showing_only(raw: str) -> None:
    name = clean_name(raw)
    assert 0 < len(name.encode()) <= NAME_BYTES
    assert not set(name) & set("/\\\r\n\t\0\u202e\u2028")
    assert "." in name and not name.startswith(".")


def test_names() -> None:
    assert clean_name("../../etc/passwd") == "passwd.pdf"
    assert clean_name("Quyết định số 5.PDF") == "Quyết định số 5.PDF"
    assert clean_name("\u202efdp.exe") == "fdp.exe"
    assert clean_name("ă" * 300 + ".pdf").endswith("ă.pdf")
    assert clean_name("") == "van-ban.pdf"


async def test_an_answer_lost_at_the_very_end_loses_no_upload(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is written, and whoever wrote it does not know: the caller's retry gets the document with its bytes."""
    content, document, told = letter(), desk.id(), desk.db.transact

    async def lost(*args: Any, **more: Any) -> Any:
        await told(*args, **more)
        raise DatabaseUnavailable("the connection was cut")

    monkeypatch.setattr(desk.db, "transact", lost)
    with pytest.raises(DatabaseUnavailable):
        await desk.intake.receive(desk.caller, document, pieces(content), Arrival("a.pdf"))
    monkeypatch.undo()
    for gone in (False, True):
        if gone:
            (only,) = desk.left_behind()
            Path(only).unlink()
        again = await desk.intake.receive(desk.caller, document, pieces(content), Arrival("a.pdf"))
        async with desk.documents.open(desk.caller, again) as path:
            assert path.read_bytes() == content
        assert len(desk.left_behind()) == 1
