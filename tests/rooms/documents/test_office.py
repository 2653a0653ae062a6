"""Who may come in: people with passwords, programs with keys, and everybody else not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal

import pytest
from argon2 import PasswordHasher

from documents.office import CallerKind, LogInRefused, NameTaken, NoSuchPerson, Office
from tests.rooms.documents.desk import Desk

PASSWORD = "mật khẩu của cuộc thử"


async def person(desk: Desk, login: str = "an") -> str:
    _, first = await desk.office.make_person(
        desk.caller.agency, login, name="Nguyễn Văn An", title="Văn thư", by="test"
    )
    await desk.office.reset_password(login, by="test", password=PASSWORD)
    return first


async def test_a_person_logs_in_and_out(desk: Desk) -> None:
    first = await person(desk)
    with pytest.raises(LogInRefused):
        await desk.office.log_in("an", first)
    token = await desk.office.log_in(" AN ", PASSWORD)
    caller = await desk.office.by_session(token)
    assert caller is not None and (caller.kind, caller.name) == (CallerKind.PERSON, "Nguyễn Văn An")
    await desk.office.log_out(token)
    assert await desk.office.by_session(token) is None
    assert await desk.office.by_session("") is None


async def test_a_session_ends(desk: Desk) -> None:
    await person(desk)
    token = await desk.office.log_in("an", PASSWORD)
    desk.clock.move(timedelta(hours=11))
    assert await desk.office.by_session(token) is None
    for end in (desk.office.reset_password("an", by="test"), desk.office.disable_person("an", by="test")):
        await desk.office.reset_password("an", by="test", password=PASSWORD)
        token = await desk.office.log_in("an", PASSWORD)
        await end
        assert await desk.office.by_session(token) is None
    with pytest.raises(LogInRefused):
        await desk.office.log_in("an", PASSWORD)


async def test_who_guesses_waits_longer_and_longer(desk: Desk) -> None:
    await person(desk)
    for _ in range(80):
        with pytest.raises(LogInRefused):
            await desk.office.log_in("an", "sai")
        desk.clock.move(timedelta(minutes=16))
    with pytest.raises(LogInRefused):
        await desk.office.log_in("an", "sai")
    with pytest.raises(LogInRefused) as waits:
        await desk.office.log_in("an", PASSWORD)
    assert 0 < waits.value.retry_after <= 15 * 60
    desk.clock.move(timedelta(minutes=16))
    assert await desk.office.log_in("an", PASSWORD)


async def test_many_guesses_at_once_are_as_many_as_one_after_the_other(desk: Desk) -> None:
    await person(desk)
    tries = ["sai"] * 20 + [PASSWORD] + ["sai"] * 20
    ends = await asyncio.gather(*(desk.office.log_in("an", one) for one in tries), return_exceptions=True)
    assert all(isinstance(one, LogInRefused) for one in ends)


class Counting(PasswordHasher):
    """What takes long in a log-in, counted."""

    verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified += 1
        return super().verify(hash, password)


async def test_who_must_wait_is_answered_as_slowly_as_nobody(desk: Desk) -> None:
    await person(desk)
    hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    office = Office(desk.db, desk.clock, hasher=hasher)
    for tries, login in enumerate(["an"] * 6 + ["ai"], 1):
        with pytest.raises(LogInRefused):
            await office.log_in(login, "sai")
        assert hasher.verified == tries


async def test_nobody_has_no_password(desk: Desk) -> None:
    for login, password in (("ai", ""), ("", ""), ("x" * 10_000, "y" * 10_000), ("\0", "\ud83d")):
        with pytest.raises(LogInRefused):
            await desk.office.log_in(login, password)


async def test_names_are_taken_once(desk: Desk) -> None:
    await person(desk)
    with pytest.raises(NameTaken):
        await person(desk, "AN")
    for wrong in (desk.office.reset_password("ai", by="test"), desk.office.disable_person("ai", by="test")):
        with pytest.raises(NoSuchPerson):
            await wrong


async def test_a_programs_key_ends_when_it_is_revoked(desk: Desk) -> None:
    client, key = await desk.office.make_client(desk.caller.agency, "Máy", ["sign:con-dau"], by="test")
    caller = await desk.office.by_api_key(key)
    assert caller is not None and caller.may("sign:con-dau") and not caller.may("sign:khac")
    assert desk.caller.may("sign:khac") and not desk.caller.may("timestamp")
    await desk.office.revoke_client(client.id, by="test")
    assert await desk.office.by_api_key(key) is None
    for junk in ("", "antin", key + "x", key[:-1], "\0"):
        assert await desk.office.by_api_key(junk) is None
    with pytest.raises(NoSuchPerson):
        await desk.office.revoke_client(desk.id(), by="test")
