"""The audit trail as it grows, on both databases: what was found whole is not read again, and no other log takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database import WHOLE_SERVICE, Database
from storage.folder_store import FolderStore
from storage.log.check import Fault, Span
from storage.log.merkle import leaf_hash, perfect
from storage.log.proofs import hashes
from storage.log.sequencer import Forked, oldest_uncovered
from storage.schema import AuditCheckpointRow, AuditNodeRow, AuditRecordRow
from tests.rooms.storage.logs import World


@pytest.fixture
def world(db: Database, tmp_path: Path) -> Iterator[World]:
    store = FolderStore(tmp_path / "store")
    yield World(db, store)
    store.close()


async def test_what_is_not_covered_is_known_by_its_oldest(world: World) -> None:
    assert await world.db.read(WHOLE_SERVICE, oldest_uncovered) is None
    await world.tell(2)
    await world.sequencer.run()
    since = world.now
    await world.tell(3)
    assert await world.db.read(WHOLE_SERVICE, oldest_uncovered) == since
    await world.sequencer.sequence()
    await world.tell(3)
    assert await world.db.read(WHOLE_SERVICE, oldest_uncovered) == since


async def test_a_clone_that_goes_on_beside_makes_no_checkpoint(world: World, tmp_path: Path) -> None:
    """Whoever comes second finds what the first one took to the second place; so does a backup that came back unsaid."""
    store = FolderStore(tmp_path / "clone")
    clone = World(Database(f"sqlite:///{tmp_path / 'clone.sqlite'}"), store)
    clone.db.migrate()
    clone.outside = world.outside  # one second place
    await world.tell(2)
    await world.sequencer.run()
    await clone.tell(1)
    with pytest.raises(Forked):
        await clone.sequencer.run()
    with pytest.raises(Forked):
        await clone.sequencer.look()
    await clone.tell(4)
    with pytest.raises(Forked):
        await clone.sequencer.run()
    await world.tell(1)
    await world.sequencer.run()
    assert [one.checkpoint.size for one in world.outside] == [3, 4]
    await clone.db.close()
    store.close()


async def test_a_checkpoint_that_reached_the_second_place_alone_is_ours(world: World) -> None:
    """Its process died before the database said that there is one."""
    await world.tell(3)
    await world.sequencer.run()
    await world.by_hand(delete(AuditCheckpointRow))
    await world.tell(2)
    await world.sequencer.run()
    assert [one.checkpoint.size for one in world.outside] == [4, 6]
    assert await world.faults() == []


# -- in time that grows with what is new


async def test_what_was_found_whole_is_not_read_again(world: World) -> None:
    await world.tell(599)
    await world.sequencer.run()
    first = await world.examine({})
    assert (first.findings, first.records) == ([], 600)
    assert {generation: one.size for generation, one in first.whole.items()} == {1: 512}
    await world.tell(300, name="An")
    await world.sequencer.run()
    await world.tell(1)
    second = await world.examine(first.whole)
    assert (second.findings, second.records) == ([], 900 - 512 + 1)
    assert second.whole[1].size == 768
    third = await world.examine(second.whole, [Span(1, 256, 512), Span(1, 0, 256)])
    assert (third.findings, third.records) == ([], 900 - 768 + 1 + 512)


@pytest.mark.parametrize("mended", [False, True])
async def test_what_was_found_whole_cannot_be_changed_unseen(world: World, mended: bool) -> None:
    """A span that is read again shows it, also where all hashes in the database were mended; so does what goes on."""
    await world.tell(599)
    await world.sequencer.run()
    whole = (await world.examine({})).whole

    def forge(session: Session) -> None:
        row = session.scalars(select(AuditRecordRow).where(AuditRecordRow.number == 300)).one()
        row.body = row.body.replace(b"clerk", b"chief")
        row.leaf_hash = leaf_hash(row.body)
        session.flush()
        if mended:
            leaves = hashes(session, 1, 0, 256, 256)
            session.get_one(AuditNodeRow, (1, 8, 1)).hash = perfect(leaves)

    await world.db.transact(WHOLE_SERVICE, forge)
    again = await world.examine(whole, [Span(1, 256, 512)])
    wanted = {Fault.NODE_DIFFERS, Fault.CHECKPOINT_DIFFERS} if mended else {Fault.NODE_DIFFERS}
    assert {one.fault for one in again.findings} >= wanted
    assert mended == (Fault.NODE_DIFFERS in {one.fault for one in (await world.examine(whole)).findings})


async def test_what_no_checkpoint_outside_covers_is_read_again(world: World) -> None:
    await world.tell(599)
    await world.sequencer.run()
    whole = (await world.examine({})).whole
    world.outside.clear()
    assert (await world.examine(whole)).records == 600
