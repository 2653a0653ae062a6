"""Somebody with the database's password: whatever he edits, takes away, puts back or copies, `antin audit check` names it.
On SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Delete, Update, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from documents import checked
from documents.document import Disclosure, RequestState
from documents.log_keeper import TOO_LONG, LogBehind
from signing.profile import Level
from signing.trust.anchors import Anchor
from storage.database import WHOLE_SERVICE, DatabaseUnavailable
from storage.log.check import Fault
from storage.schema import (
    AgencyRow,
    AuditCheckpointRow,
    AuditDetailRow,
    AuditRecordRow,
    ClientRow,
    DocumentRow,
    EvidenceRow,
    IntentRow,
    PersonRow,
    RenditionRow,
    SignedRevisionRow,
    SigningRequestRow,
    TrustAnchorRow,
)
from tests import servers
from tests.house import CHAIRMAN_KEY, SEAL_KEY, House, World, open_world_house, sequenced

Edit = Update | Delete | Any
OTHER = "0" * 64


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.PostgresqlServer]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    if request.param == "sqlite":
        yield {}
        return
    server = request.getfixturevalue("postgresql")
    with ExitStack() as stack:
        yield {
            "database_url": stack.enter_context(servers.new_database(server)),
            "database_password_file": server.password_file,
        }


@asynccontextmanager
async def signed_house(world: World, home: Path, database: dict[str, Any]) -> AsyncIterator[House]:
    """With people, a program, an anchor, and two documents that were signed a while ago."""
    async with open_world_house(world, home, **database) as house:
        office = house.rooms.office
        if database:
            root = Anchor(world.pki.certificate("root"), provenance="x")
            await house.rooms.trusted.add(root, confirmed_by="test")
            agency = await office.make_agency("Sở Tư pháp", "STP", by="test")
            await office.make_person(agency.id, "hoa", name="Lê Thị Hoa", title="Chuyên viên", by="test")
            await office.make_client(agency.id, "Một cửa", ("documents:read",), by="test")
        for who, key in ((world.chairman.caller, CHAIRMAN_KEY), (world.program, SEAL_KEY)):
            document = await house.upload(who, disclosure=Disclosure.RESTRICTED, number="15/QĐ-UBND")
            done = await house.sign(who, document.id, key)
            assert done.state is RequestState.DONE
            house.clock.move(timedelta(seconds=3))
        await sequenced(house)
        yield house


@pytest.fixture
async def signed(world: World, home: Path, database: dict[str, Any]) -> AsyncIterator[House]:
    async with signed_house(world, home, database) as house:
        yield house


async def by_hand(house: House, *statements: Edit) -> None:
    def work(session: Session) -> None:
        for one in statements:
            session.execute(one)

    await house.opened.db.transact(WHOLE_SERVICE, work)


async def named(house: House, **how: Any) -> set[Fault]:
    looked = await house.rooms.trail.check(**how)
    assert looked.signatures and looked.uses and looked.outside
    return {one.fault for one in looked.findings}


async def newest(house: House, table: type[Any]) -> UUID:
    found: UUID = await house.facts(lambda s: s.scalar(select(table.id).order_by(table.id.desc()).limit(1)))
    return found


# -- UPDATE


UPDATES: dict[str, Callable[[], Update]] = {
    "a rendition's bytes": lambda: (
        update(RenditionRow).where(RenditionRow.kind == "signed").values(sha256=OTHER)
    ),
    "what was received": lambda: (
        update(RenditionRow).where(RenditionRow.kind == "received").values(sha256=OTHER)
    ),
    "a rendition's size": lambda: update(RenditionRow).where(RenditionRow.kind == "signed").values(size=7),
    "a rendition's place": lambda: (
        update(RenditionRow).where(RenditionRow.kind == "signed").values(ordinal=9)
    ),
    "how an intent ended": lambda: update(IntentRow).values(state="VOID"),
    "what an intent signed": lambda: update(IntentRow).values(digest=bytes(32)),
    "an intent's key": lambda: update(IntentRow).values(key="khac"),
    "a signature's value": lambda: update(IntentRow).values(signature=b"other"),
    "how a request ended": lambda: update(SigningRequestRow).values(state="FAILED"),
    "a request's level": lambda: update(SigningRequestRow).values(reached="B-LTA"),
    "who asked": lambda: update(SigningRequestRow).values(caller=uuid4()),
    "a request's key": lambda: update(SigningRequestRow).values(key="khac"),
    "what was looked up": lambda: update(SignedRevisionRow).values(sha256=OTHER),
    "evidence": lambda: update(EvidenceRow).where(EvidenceRow.kind == "certificate").values(sha256=OTHER),
    "a document's state": lambda: update(DocumentRow).values(state="UPLOADED"),
    "a document's disclosure": lambda: update(DocumentRow).values(disclosure="public"),
    "a document's number": lambda: update(DocumentRow).values(number="16/QĐ-UBND"),
    "a document's code": lambda: update(DocumentRow).values(code_hash=None),
    "a document's author": lambda: update(DocumentRow).values(created_by=uuid4()),
    "a document's agency": lambda: update(DocumentRow).values(agency=uuid4()),
    "a person's password": lambda: update(PersonRow).values(password_hash="$argon2id$other"),
    "a person's name": lambda: update(PersonRow).values(name="Kẻ khác"),
    "a person's title": lambda: update(PersonRow).values(title="Chủ tịch nước"),
    "a person's end": lambda: update(PersonRow).values(disabled_at=text("created_at")),
    "a program's scopes": lambda: update(ClientRow).values(scopes=["sign:*"]),
    "a program's key": lambda: update(ClientRow).values(key_hash=bytes(32)),
    "an agency's name": lambda: update(AgencyRow).values(name="Bộ Tư pháp"),
    "whom we believe": lambda: update(TrustAnchorRow).values(certificate=b"other"),
    "since when we believe": lambda: update(TrustAnchorRow).values(since=text("added_at")),
    "what we believe for": lambda: update(TrustAnchorRow).values(uses=["signatures"]),
}


def rows_of(session: Session, columns: list[Any]) -> list[dict[str, Any]]:
    names = [one.name for one in columns]
    return [dict(zip(names, row, strict=True)) for row in session.execute(select(*columns))]


async def test_every_edit_of_a_fact_is_named(signed: House) -> None:
    """One after the other, each put back afterwards: what is named is its own."""
    assert await named(signed) == set()
    for what, edit in UPDATES.items():
        statement = edit()
        table = statement.table
        columns = list(table.c)
        rows = await signed.facts(partial(rows_of, columns=columns))
        await by_hand(signed, statement)
        found = await named(signed, everything=True)
        assert found & {Fault.FACT_DIFFERS, Fault.FACT_MISSING}, what  # missing: sets of digests
        assert await named(signed), what  # what was found whole before hides nothing in a small home
        for row in rows:
            key = [column == row[column.name] for column in table.primary_key]
            await by_hand(signed, update(table).where(*key).values(**row))
        assert await named(signed, everything=True) == set(), what


async def test_an_edit_of_a_record_is_named(signed: House) -> None:
    body = await signed.facts(
        lambda s: s.scalar(select(AuditRecordRow.body).where(AuditRecordRow.number == 3))
    )
    forged = (
        update(AuditRecordRow).where(AuditRecordRow.number == 3).values(body=body.replace(b'"v":1', b'"v":2'))
    )
    await by_hand(signed, forged)
    assert await named(signed) >= {Fault.HASH_DIFFERS, Fault.CHECKPOINT_DIFFERS}


async def test_what_opens_a_commitment_is_not_taken_away_to_edit_a_name(signed: House) -> None:
    await by_hand(signed, delete(AuditDetailRow), update(PersonRow).values(name="Kẻ khác"))
    assert Fault.FACT_DIFFERS in await named(signed)


# -- rows made and taken away


async def test_a_row_made_by_hand_is_named(signed: House) -> None:
    one = await signed.facts(lambda s: dict(s.execute(select(ClientRow.__table__).limit(1)).one()._mapping))
    mine = one | {"id": uuid4(), "key_hash": b"mine", "scopes": ["sign:*"]}
    await by_hand(signed, insert(ClientRow).values(**mine))
    looked = await signed.rooms.trail.check()
    (found,) = looked.findings
    assert (found.fault, found.detail) == (Fault.FACT_UNRECORDED, f"clients {mine['id']}")


@pytest.mark.parametrize("table", [RenditionRow, IntentRow, EvidenceRow, SignedRevisionRow])
async def test_a_row_that_is_gone_is_named(signed: House, table: type[Any]) -> None:
    await by_hand(signed, delete(table).where(table.id == await newest(signed, table)))
    assert Fault.FACT_MISSING in await named(signed)


async def test_a_document_that_is_gone_is_named(signed: House) -> None:
    document = await newest(signed, DocumentRow)
    requests = select(SigningRequestRow.id).where(SigningRequestRow.document == document)
    await by_hand(
        signed,
        *(delete(one).where(one.request.in_(requests)) for one in (IntentRow, EvidenceRow)),
        *(delete(one).where(one.document == document) for one in (RenditionRow, SignedRevisionRow, SigningRequestRow)),
        delete(DocumentRow).where(DocumentRow.id == document),
    )  # fmt: skip
    assert await named(signed) >= {Fault.FACT_MISSING}


async def test_a_signature_whose_traces_all_went_before_they_were_numbered_is_named(signed: House) -> None:
    """Within the seconds before a record has its number the token's own use log is the witness."""
    who = signed.world.chairman.caller
    document = (await signed.upload(who)).id
    await sequenced(signed)
    request = (await signed.sign(who, document, CHAIRMAN_KEY)).id
    await by_hand(
        signed,
        *(delete(one).where(one.request == request) for one in (IntentRow, EvidenceRow, RenditionRow, SignedRevisionRow)),
        delete(SigningRequestRow).where(SigningRequestRow.id == request),
        update(DocumentRow).where(DocumentRow.id == document).values(state="UPLOADED"),
        delete(AuditRecordRow).where(AuditRecordRow.generation.is_(None)),
    )  # fmt: skip
    looked = await signed.rooms.trail.check()
    assert {one.fault for one in looked.findings} == {Fault.USE_UNRECORDED}
    assert CHAIRMAN_KEY in looked.findings[0].detail


async def test_a_record_that_was_numbered_and_covered_by_no_checkpoint_yet_is_missed(signed: House) -> None:
    await signed.upload(signed.world.chairman.caller)
    await signed.opened.log_keeper.sequence()
    await by_hand(signed, *tail_from(await covered(signed)))
    assert Fault.TAIL_CUT in await named(signed)


# -- the tail, a backup, a clone


async def covered(house: House) -> int:
    size: int = await house.facts(lambda s: s.scalar(select(func.max(AuditCheckpointRow.size))))
    return size


def tail_from(number: int) -> list[Edit]:
    rows = select(AuditRecordRow.id).where(AuditRecordRow.number >= number)
    return [
        delete(AuditDetailRow).where(AuditDetailRow.record.in_(rows)),
        delete(AuditRecordRow).where(AuditRecordRow.number >= number),
        delete(AuditCheckpointRow).where(AuditCheckpointRow.size > number),
    ]


async def test_a_cut_tail_is_named_also_after_a_check(signed: House) -> None:
    assert await named(signed) == set()
    await by_hand(signed, *tail_from(await covered(signed) - 2))
    assert Fault.TAIL_CUT in await named(signed)
    assert Fault.TAIL_CUT in await named(signed, everything=True)


async def test_yesterdays_backup_is_named_and_makes_no_checkpoint(world: World, home: Path) -> None:
    """The file of the database is put back, and nobody says so."""
    async with signed_house(world, home, {}) as house:
        file = Path(house.settings.database.partition("///")[2])
    backup = home.parent / "yesterday.sqlite"
    shutil.copy(file, backup)
    async with open_world_house(world, home) as house:
        document = await house.upload(world.program)
        await house.sign(world.program, document.id, SEAL_KEY)
        await sequenced(house)
        assert await named(house) == set()
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    shutil.copy(backup, file)
    async with open_world_house(world, home) as house:
        assert await named(house) >= {Fault.TAIL_CUT, Fault.USE_UNRECORDED}
        assert {one.code for one in await house.opened.watch.troubles()} >= {"log-forked"}
        await house.upload(world.program)
        house.clock.move(TOO_LONG + timedelta(minutes=1))
        document = await house.upload(world.program)
        with pytest.raises(LogBehind, match="Forked"):
            await house.sign(world.program, document.id, SEAL_KEY)
        assert (
            await house.rooms.verifying.verify_kept(world.program, await newest_signed(house))
        ).verdict == "VALID"


async def newest_signed(house: House) -> UUID:
    query = (
        select(RenditionRow.document).where(RenditionRow.kind == "signed").order_by(RenditionRow.id.desc())
    )
    found: UUID = await house.facts(lambda s: s.scalar(query.limit(1)))
    return found


async def test_a_second_clone_is_named_by_the_second_place(world: World, home: Path, tmp_path: Path) -> None:
    """Two homes that began as one both go on, and take their checkpoints to one place."""
    place: dict[str, Any] = {"checkpoint_folder": tmp_path / "second place"}
    async with signed_house(world, home, place):
        pass
    clone = tmp_path / "clone"
    with world.home(clone) as other:
        for one in ("antin.sqlite", "store", "seal.key"):
            target = other / one
            if target.is_dir():
                shutil.rmtree(target)
            copy = shutil.copytree if (home / one).is_dir() else shutil.copy
            copy(home / one, target)
        async with open_world_house(world, home, **place) as house:
            await house.upload(world.program)
            await sequenced(house)
            assert Fault.FORKED not in await named(house)
        async with open_world_house(world, other, **place) as house:
            house.clock.move(timedelta(seconds=1))
            await house.upload(world.program)
            await house.upload(world.program)
            await house.opened.log_keeper.sequence()
            assert await named(house) & {Fault.FORKED, Fault.CHECKPOINT_DIFFERS}
            assert {one.code for one in await house.opened.watch.troubles()} >= {"log-forked"}
        # The first one goes on, and finds what the clone left there.
        async with open_world_house(world, home, **place) as house:
            await house.upload(world.program)
            await house.opened.log_keeper.checkpoint()


# -- nothing is signed that could be cut off unseen


async def test_without_the_second_place_signing_stops_and_verifying_goes_on(signed: House) -> None:
    who, folder = signed.world.chairman.caller, signed.settings.checkpoints
    document, old = (await signed.upload(who)).id, await newest_signed(signed)
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("in the way")
    await signed.sign(who, (await signed.upload(who)).id, CHAIRMAN_KEY)  # away for a moment
    assert not [one for one in await signed.opened.watch.troubles() if one.part == "audit" and one.stops]
    signed.clock.move(TOO_LONG + timedelta(minutes=1))
    request = signed.id()
    with pytest.raises(LogBehind):
        await signed.sign(who, document, CHAIRMAN_KEY, request=request)
    assert {one.code for one in await signed.opened.watch.troubles() if one.stops} >= {"log-behind"}
    assert (await signed.rooms.verifying.verify_kept(who, old)).verdict == "VALID"
    folder.unlink()
    aside.rename(folder)
    await signed.opened.sweeping.take_up()
    assert (await signed.rooms.documents.request(who, request)).state is RequestState.DONE
    assert not [one for one in await signed.opened.watch.troubles() if one.part == "audit"]
    await signed.check()


async def test_a_trail_that_cannot_be_written_is_told(world: World, home: Path) -> None:
    async with signed_house(world, home, {}) as house:
        await by_hand(
            house,
            text(
                "CREATE TRIGGER in_the_way BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'in the way'); END"
            ),
        )
        found = {one.code: one for one in await house.opened.watch.troubles()}
        assert found["log-not-writable"].stops
        with pytest.raises(DatabaseUnavailable):
            await house.upload(world.program)


async def test_a_service_that_was_off_for_long_catches_up_by_itself(signed: House) -> None:
    who = signed.world.chairman.caller
    document = (await signed.upload(who)).id
    signed.clock.move(timedelta(days=3))
    done = await asyncio.gather(signed.sign(who, document, CHAIRMAN_KEY, level=Level.B_B))
    assert done[0].state is RequestState.DONE
    assert await named(signed) == set()


# -- what is remembered


async def test_what_was_found_whole_is_believed_as_far_as_a_checkpoint_covers_it(signed: House) -> None:
    assert await named(signed) == set()
    file = signed.settings.checkpoints / checked.FILE
    for junk in (b"", b"{}", b"[" * 100_000, b'{"version": 1, "whole": {"1": "00"}}', file.read_bytes()[:-9]):
        file.write_bytes(junk)
        assert await named(signed) == set()
        assert checked.load(signed.settings.checkpoints).uses > 0
    await by_hand(signed, update(DocumentRow).values(disclosure="public"))
    before = file.read_bytes()
    for _ in range(2):  # what was named is named again
        assert await named(signed) == {Fault.FACT_DIFFERS}
    assert file.read_bytes() == before
