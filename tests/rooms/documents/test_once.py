"""A repeated call gets the answer of the first, whoever died in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from documents.once import Answer, InProgress, Once, OtherBody
from storage.database import WHOLE_SERVICE, DatabaseUnavailable
from storage.schema import IdempotencyRow
from storage.sealed import Sealer
from tests.rooms.documents.desk import Desk

ANSWER = Answer(201, {"location": "/x"}, b"made")


def once_of(desk: Desk) -> Once:
    return Once(desk.db, desk.clock, Sealer(desk.folder / "seal.key"), started_at=desk.clock())


async def test_the_answer_of_the_first(desk: Desk) -> None:
    once = once_of(desk)
    first = await once.begin(desk.caller, "key", b"digest")
    with pytest.raises(InProgress):
        await once.begin(desk.caller, "key", b"digest")
    await once.finish(desk.caller, "key", ANSWER)
    again = await once.begin(desk.caller, "key", b"digest")
    assert (again.resource, again.answer) == (first.resource, ANSWER)
    with pytest.raises(OtherBody):
        await once.begin(desk.caller, "key", b"other")


async def test_keys_belong_to_who_uses_them(desk: Desk) -> None:
    once = once_of(desk)
    ours = await once.begin(desk.caller, "key", b"digest")
    theirs = await once.begin(desk.other, "key", b"other")
    assert ours.resource != theirs.resource


async def test_who_failed_or_died_is_followed_by_his_retry(desk: Desk) -> None:
    once = once_of(desk)
    first = await once.begin(desk.caller, "released", b"digest")
    await once.release(desk.caller, "released")
    assert (await once.begin(desk.caller, "released", b"digest")).resource == first.resource
    elsewhere = once_of(desk)
    slow = await once.begin(desk.caller, "slow", b"digest")
    desk.clock.move(timedelta(seconds=61))
    with pytest.raises(InProgress):  # whoever is at work here is alive, however long it takes
        await once.begin(desk.caller, "slow", b"digest")
    assert (await elsewhere.begin(desk.caller, "slow", b"digest")).resource == slow.resource
    dead = await once.begin(desk.caller, "dead", b"digest")
    desk.clock.move(timedelta(seconds=1))
    assert (await once_of(desk).begin(desk.caller, "dead", b"digest")).resource == dead.resource


async def test_who_let_go_while_the_database_was_away_need_not_wait(desk: Desk) -> None:
    once = once_of(desk)
    first = await once.begin(desk.caller, "let go", b"digest")
    away = (
        "CREATE TRIGGER in_the_way BEFORE UPDATE ON idempotency BEGIN SELECT RAISE(ABORT, 'in the way'); END"
    )
    await desk.db.transact(WHOLE_SERVICE, lambda door: door.execute(text(away)))
    with pytest.raises(DatabaseUnavailable):
        await once.release(desk.caller, "let go")
    await desk.db.transact(WHOLE_SERVICE, lambda door: door.execute(text("DROP TRIGGER in_the_way")))
    assert (await once.begin(desk.caller, "let go", b"digest")).resource == first.resource
    with pytest.raises(InProgress):
        await once.begin(desk.caller, "let go", b"digest")


async def test_many_at_once_begin_once(desk: Desk) -> None:
    once = once_of(desk)
    ends = await asyncio.gather(
        *(once.begin(desk.caller, "key", b"digest") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, InProgress) for one in ends) == 7


async def test_answers_are_forgotten_in_the_end(desk: Desk) -> None:
    once = once_of(desk)
    first = await once.begin(desk.caller, "key", b"digest")
    await once.finish(desk.caller, "key", ANSWER)
    desk.clock.move(timedelta(hours=73))
    await once.sweep()
    new = await once.begin(desk.caller, "key", b"other")
    assert new.resource != first.resource and new.answer is None


async def test_an_answer_stands_sealed_and_one_of_the_first_release_is_still_given(desk: Desk) -> None:
    once, answer = once_of(desk), Answer(201, {}, b'{"code": "0123-4567"}')
    await once.begin(desk.caller, "key", b"digest")
    await once.finish(desk.caller, "key", answer)
    kept = await desk.db.read(WHOLE_SERVICE, lambda s: s.scalar(select(IdempotencyRow.body)))
    assert kept is not None and b"0123-4567" not in kept
    await desk.db.transact(
        WHOLE_SERVICE, lambda s: s.execute(update(IdempotencyRow).values(body=answer.body))
    )
    assert (await once.begin(desk.caller, "key", b"digest")).answer == answer
