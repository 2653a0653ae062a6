"""The audit trail on both databases: what is recorded is numbered, chained, proven, and every change is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, delete, select, update

from storage.database import WHOLE_SERVICE, Database, Door
from storage.folder_store import FolderStore
from storage.log import sequencer as sequencer_module
from storage.log.check import Fault
from storage.log.checkpoints import Checkpoint, SignedCheckpoint
from storage.log.merkle import leaf_hash, root_from_proof
from storage.log.records import canonical, record, records_about
from storage.log.second_place import SecondPlace
from storage.log.sequencer import Sequencer, oldest_uncovered
from storage.schema import SERVICE, AuditCheckpointRow, AuditDetailRow, AuditNodeRow, AuditRecordRow
from storage.store import KeptName
from tests.rooms.storage.logs import AGENCY, NOW, World, verify


@pytest.fixture
def world(db: Database, tmp_path: Path) -> Iterator[World]:
    store = FolderStore(tmp_path / "store")
    yield World(db, store)
    store.close()


async def test_a_record_is_canonical_and_names_nobody(world: World) -> None:
    document = uuid4()
    await world.tell(1, document, name="Nguyễn Văn An.pdf")
    row = await world.db.read(AGENCY, lambda s: s.scalars(select(AuditRecordRow)).one())
    body = json.loads(row.body)
    assert canonical(body) == row.body
    assert (body["v"], body["kind"], body["about"], body["at"]) == (
        1, "document.received", str(document), "2026-11-24T10:30:00.000000Z")  # fmt: skip
    assert "Nguyễn".encode() not in row.body
    assert len(bytes.fromhex(body["personal"]["name"])) == 32
    assert (row.number, row.generation) == (None, None)


@pytest.mark.parametrize("facts", [{"share": 0.5}, {"deep": [{"x": 1.0}]}, {1: "x"}, {"n": 2**60}])
def test_what_has_no_canonical_form_is_refused(facts: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        record(Door(create_engine("sqlite://"), AGENCY), agency=AGENCY, kind="x.y", at=NOW, facts=facts)


async def test_a_record_is_undone_with_its_work(world: World) -> None:
    def work(session: Door) -> None:
        record(session, agency=AGENCY, kind="x.y", at=NOW, personal={"name": "An"})
        raise KeyError("undone")

    with pytest.raises(KeyError):
        await world.db.transact(AGENCY, work)
    assert await world.db.read(WHOLE_SERVICE, lambda s: s.scalars(select(AuditRecordRow)).all()) == []


async def test_numbers_have_no_gap_and_begin_with_the_generation(world: World) -> None:
    await world.tell(3)
    assert await world.sequencer.sequence() == 3
    await world.tell(2)
    assert await world.sequencer.sequence() == 2
    rows = await world.db.read(
        WHOLE_SERVICE, lambda s: s.scalars(select(AuditRecordRow).order_by(AuditRecordRow.number)).all()
    )
    assert [row.number for row in rows] == list(range(6))
    assert json.loads(rows[0].body)["kind"] == "log.opened"
    assert await world.faults() == []


async def test_two_that_number_at_once_leave_one_log(world: World) -> None:
    import asyncio

    await world.tell(20)
    other = World(world.db, world.store)
    done = await asyncio.gather(*(one.sequencer.sequence() for one in (world, other, world, other)))
    assert sum(done) == 20
    assert await world.faults() == []


async def test_a_checkpoint_is_signed_kept_and_taken_elsewhere(world: World) -> None:
    await world.tell(4)
    await world.sequencer.run()
    (signed,) = world.outside
    assert (signed.checkpoint.generation, signed.checkpoint.size) == (1, 5)
    async with world.store.kept.fetch(KeptName(SERVICE, signed.sha256())) as path:
        assert SignedCheckpoint.from_stored(path.read_bytes()) == signed
    await world.sequencer.run()
    assert len(world.outside) == 1  # nothing is new
    await world.tell(1)
    await world.sequencer.run()
    assert [one.checkpoint.size for one in world.outside] == [5, 6]
    assert await world.faults() == []


async def test_without_the_second_place_there_is_no_checkpoint(world: World) -> None:
    await world.tell(1)
    world.reachable = False
    with pytest.raises(OSError, match="away"):
        await world.sequencer.run()
    assert await world.db.read(WHOLE_SERVICE, lambda s: s.scalars(select(AuditCheckpointRow)).all()) == []
    told = await world.db.read(WHOLE_SERVICE, oldest_uncovered)
    assert told is not None and NOW <= told <= world.now  # the generation's first record came with it
    world.reachable = True
    assert await world.sequencer.checkpoint() is not None
    assert await world.db.read(WHOLE_SERVICE, oldest_uncovered) is None


async def test_a_checkpoint_whose_process_died_before_it_had_its_name(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left in the second place forks no log, also once the log has gone on past it."""
    place = SecondPlace(tmp_path / "second")
    sequencer = Sequencer(world.db, world.store, lambda: world.now, sign=world.sign, elsewhere=place)

    def dies(old: Path, new: Path) -> Path:
        raise SystemExit

    await world.tell(3)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dies)
        with pytest.raises(SystemExit):
            place._take(_unsigned(1, 4))
    assert len(list(place.folder.iterdir())) == 1
    for _ in range(3):
        await world.tell(3)
        await sequencer.run()
    await sequencer.look()
    assert [one.checkpoint.size for one in await place.after(0, 0)] == [7, 10, 13]


def _unsigned(generation: int, size: int) -> SignedCheckpoint:
    return SignedCheckpoint(Checkpoint(generation, size, bytes(32), NOW), None)


async def test_every_record_has_its_proof(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer_module, "BATCH", 100)
    first, last = uuid4(), uuid4()
    await world.tell(1, first, name="An")
    await world.tell(600)
    await world.sequencer.run()
    await world.tell(30)
    await world.tell(1, last)
    assert await world.sequencer.sequence() == 31

    async def told_of(about: UUID, agency: UUID = AGENCY) -> list[dict[str, Any]]:
        return await world.db.read(WHOLE_SERVICE, lambda s: records_about(s, about, agency=agency))

    assert [one["proof"] for one in await told_of(last)] == [None]
    assert await told_of(last, uuid4()) == []
    await world.sequencer.run()
    for about in (first, last):
        (told,) = await told_of(about)
        proof = told["proof"]
        text = json.loads(proof["checkpoint"]["text"].split("\n", 1)[1])
        leaf = leaf_hash(told["body"].encode())
        path = [bytes.fromhex(one) for one in proof["path"]]
        assert root_from_proof(leaf, proof["number"], text["size"], path).hex() == text["root"]
        assert verify(proof["checkpoint"]["text"].encode(), bytes.fromhex(proof["checkpoint"]["signature"]))
    nodes = await world.db.read(WHOLE_SERVICE, lambda s: s.scalars(select(AuditNodeRow)).all())
    assert {(one.level, one.position) for one in nodes} == {(8, 0), (8, 1)}
    assert await world.faults() == []


# -- what is wrong is named


@pytest.fixture
async def whole(world: World) -> World:
    """Ten records with a checkpoint, five more with another, two not numbered yet."""
    for count in (10, 5):
        await world.tell(count, name="Nguyễn Văn An")
        await world.sequencer.run()
    await world.tell(2)
    assert await world.faults() == []
    return world


async def test_a_flipped_bit(whole: World) -> None:
    body = await whole.db.read(
        WHOLE_SERVICE,
        lambda s: s.scalars(select(AuditRecordRow.body).where(AuditRecordRow.number == 7)).one(),
    )
    forged = body.replace(b"clerk", b"chief")
    await whole.by_hand(update(AuditRecordRow).where(AuditRecordRow.number == 7).values(body=forged))
    found = await whole.faults()
    assert Fault.HASH_DIFFERS in found
    assert Fault.CHECKPOINT_DIFFERS in found


async def test_an_update_by_hand_that_mends_the_hash(whole: World) -> None:
    body = await whole.db.read(
        WHOLE_SERVICE,
        lambda s: s.scalars(select(AuditRecordRow.body).where(AuditRecordRow.number == 7)).one(),
    )
    forged = body.replace(b"clerk", b"chief")
    await whole.by_hand(
        update(AuditRecordRow)
        .where(AuditRecordRow.number == 7)
        .values(body=forged, leaf_hash=leaf_hash(forged))
    )
    assert set(await whole.faults()) == {Fault.CHECKPOINT_DIFFERS}


async def test_a_missing_row(whole: World) -> None:
    row = select(AuditRecordRow.id).where(AuditRecordRow.number == 4).scalar_subquery()
    await whole.by_hand(
        delete(AuditDetailRow).where(AuditDetailRow.record == row),
        delete(AuditRecordRow).where(AuditRecordRow.number == 4),
    )
    assert Fault.NUMBER_MISSING in await whole.faults()


async def test_a_cut_tail_shows_against_what_is_outside(whole: World) -> None:
    rows = select(AuditRecordRow.id).where(AuditRecordRow.number >= 11)
    await whole.by_hand(
        delete(AuditDetailRow).where(AuditDetailRow.record.in_(rows)),
        delete(AuditRecordRow).where(AuditRecordRow.number >= 11),
        delete(AuditCheckpointRow).where(AuditCheckpointRow.size > 11),
    )
    assert await whole.faults(known=False) == []
    assert await whole.faults() == [Fault.TAIL_CUT]


async def test_a_wiped_log_shows_against_what_is_outside(whole: World) -> None:
    await whole.by_hand(*(delete(one) for one in (AuditDetailRow, AuditRecordRow, AuditCheckpointRow)))
    assert set(await whole.faults()) == {Fault.TAIL_CUT}


async def test_a_second_clone_shows_against_what_is_outside(whole: World, tmp_path: Path) -> None:
    """Another database went on from the same beginning and took its checkpoint elsewhere too."""
    store = FolderStore(tmp_path / "clone")
    clone = World(Database(f"sqlite:///{tmp_path / 'clone.sqlite'}"), store)
    clone.db.migrate()
    await clone.tell(15)
    await clone.sequencer.run()
    whole.outside += clone.outside
    assert await whole.faults() == [Fault.FORKED]
    await clone.db.close()
    store.close()


async def test_a_checkpoint_that_nobody_signed(whole: World) -> None:
    await whole.by_hand(
        update(AuditCheckpointRow).where(AuditCheckpointRow.size == 11).values(signature=b"forged")
    )
    assert await whole.faults() == [Fault.SIGNATURE_WRONG]


async def test_a_row_that_says_something_else_than_its_body(whole: World) -> None:
    await whole.by_hand(update(AuditRecordRow).where(AuditRecordRow.number == 3).values(about=uuid4()))
    assert await whole.faults() == [Fault.ROW_DIFFERS]


async def test_personal_data_that_was_changed_or_added(whole: World) -> None:
    await whole.by_hand(update(AuditDetailRow).values(value="Trần Thị Bình"))
    assert set(await whole.faults()) == {Fault.DETAIL_DIFFERS}
    await whole.by_hand(update(AuditDetailRow).values(name="other"))
    assert set(await whole.faults()) == {Fault.DETAIL_UNKNOWN}


async def test_personal_data_that_was_erased_is_no_fault(whole: World) -> None:
    await whole.by_hand(delete(AuditDetailRow))
    assert await whole.faults() == []


async def test_a_restored_backup_goes_on_in_a_new_generation(whole: World) -> None:
    """Yesterday's backup comes back: the outside knows more than it, until a generation says where it came from."""
    rows = select(AuditRecordRow.id).where(AuditRecordRow.number >= 11)
    await whole.by_hand(
        delete(AuditDetailRow).where(AuditDetailRow.record.in_(rows)),
        delete(AuditRecordRow).where(AuditRecordRow.number >= 11),
        delete(AuditCheckpointRow).where(AuditCheckpointRow.size > 11),
    )
    assert await whole.sequencer.open_generation(whole.outside[-1].checkpoint) == 2
    await whole.tell(3)
    await whole.sequencer.run()
    assert (whole.outside[-1].checkpoint.generation, whole.outside[-1].checkpoint.size) == (2, 6)
    assert await whole.faults() == [Fault.NOT_IN_BACKUP]  # for ever: what was lost stays named
    first = await whole.db.read(WHOLE_SERVICE, lambda s: s.scalars(
        select(AuditRecordRow.body).where(AuditRecordRow.generation == 2, AuditRecordRow.number == 0)).one())  # fmt: skip
    assert json.loads(first)["facts"]["after"]["size"] == 16


async def test_a_generation_that_names_no_origin(whole: World) -> None:
    await whole.sequencer.open_generation(None)
    assert await whole.faults() == [Fault.GENERATION_UNANCHORED]


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"v": 1}', b"null"])
async def test_junk_in_a_body_is_named(whole: World, junk: bytes) -> None:
    await whole.by_hand(update(AuditRecordRow).where(AuditRecordRow.number == 5).values(body=junk))
    assert Fault.HASH_DIFFERS in await whole.faults()


@pytest.mark.parametrize(
    "junk", [b"", b"antin audit checkpoint 1\n", b"antin audit checkpoint 1\n{}\n\n", b"\xff" * 40, b"x" * 99]
)
def test_a_checkpoint_that_is_none_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        SignedCheckpoint.from_stored(junk)
