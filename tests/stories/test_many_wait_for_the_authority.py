"""The time-stamp authority is away for an hour: what waits comes to its end by itself, in order, and nothing is stamped
twice. The same with a thousand: `python -m tests.waiting`."""

from __future__ import annotations

from documents.document import RequestState
from tests import waiting
from tests.house import CHAIRMAN_KEY, House

MANY, FEW = 60, 10
ASKED = 20  # 10, 20, 40, 80, 160 and from then on 300 s of peace between two questions


async def test_an_hour_with_many_waiting(house: House) -> None:
    pki = house.world.pki
    with pki.answering("tsa"):
        waited = await waiting.sign_while_away(house, MANY)
        await waiting.let_the_hour_pass(house, waited)
    assert waited.asked <= ASKED
    assert waited.taken == waited.asked, "one finds out for all"
    assert waited.records == 0
    stamps = len(pki.stamps)
    await waiting.until_all_are_finished(house, waited)
    assert await house.facts(waiting.delivered) == waited.requests
    await waiting.check(house, waited, pki.stamps[stamps:])


async def test_two_sweeps_and_answers_that_are_lost(house: House) -> None:
    """A time-stamp whose answer is lost is asked for again: a token more was made, and none stands in a document twice."""
    pki = house.world.pki
    with pki.answering("tsa"):
        waited = await waiting.sign_while_away(house, FEW)
        await waiting.let_the_hour_pass(house, waited)
    stamps = len(pki.stamps)
    with pki.losing(1, 3, 7):
        await waiting.until_all_are_finished(house, waited, sweeps=2)
    await waiting.check(house, waited, pki.stamps[stamps:], lost=3)


async def test_who_comes_while_others_wait_asks_no_more_often(house: House) -> None:
    """What is signed while the authority is away joins the row; what is signed when it is back does not wait for it."""
    pki, caller = house.world.pki, house.world.chairman.caller
    with pki.answering("tsa"):
        waited = await waiting.sign_while_away(house, 3)
        asked = pki.asked["tsa"]
        waited.requests += (await waiting.sign_while_away(house, 3)).requests
        assert pki.asked["tsa"] - asked <= 1
    house.clock.move(waiting.LONGEST)
    new = (await house.upload(caller)).id
    assert (await house.sign(caller, new, CHAIRMAN_KEY)).state is RequestState.DONE
    await house.opened.sweeping.take_up()
    await house.opened.log_keeper.sequence()
    assert (await house.facts(waiting.delivered))[1:] == waited.requests
    await house.check()
