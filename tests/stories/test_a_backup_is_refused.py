"""What a backup will not do, and what it names: no half backup, no restore over anything, no silence about what is missing,
and nobody else may read it. The command says each in words and by its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import backup
import backup_form
import restore
from documents.document import RequestState
from ground import HALF_RESTORED, HalfRestored, Times
from hsm import token_copy
from hsm.use_log import FILE as USE_LOG
from service import open_house
from settings import Settings
from signing.verification.report import Verdict
from storage.log.check import Fault
from storage.schema import DocumentRow
from storage.snapshot import NotEmpty
from tests.house import CHAIRMAN_KEY, World, check_home, open_world_house, sequenced, settings_for
from tests.load import ROOT, Service, run_clients, service


async def a_backup(world: World, home: Path, to: Path, **wish: bool) -> backup.Made:
    """Of a home in which one document is signed."""
    async with open_world_house(world, home) as house:
        document = (await house.upload(world.chairman.caller)).id
        assert (await house.sign(world.chairman.caller, document, CHAIRMAN_KEY)).state is RequestState.DONE
    return await again(world, home, to, **wish)


async def again(world: World, home: Path, to: Path, **wish: bool) -> backup.Made:
    settings, times = settings_for(home, world), Times(world.clock, world.clock.monotonic)
    return await backup.make(settings, to, backup.Wish(**wish), times=times, told=lambda *_: None)


async def put_back(world: World, home: Path, of: Path, **more: Any) -> restore.Restored:
    settings, times = settings_for(home, world, **more), Times(world.clock, world.clock.monotonic)
    return await restore.restore(settings, of, restore.Wish("test"), times=times, told=lambda *_: None)


async def test_nobody_else_reads_it(world: World, home: Path, tmp_path: Path) -> None:
    made = await a_backup(world, home, tmp_path / "backups")
    assert {(made.folder / one).is_file() for one in ("home/seal.key", "token/pin", f"token/{USE_LOG}")} == {
        True
    }
    for entry in [tmp_path / "backups", *(tmp_path / "backups").rglob("*")]:
        assert not stat.S_IMODE(entry.stat().st_mode) & 0o077, entry
    await put_back(world, tmp_path / "new", tmp_path / "backups")
    for one in ("seal.key", "antin.sqlite", "token/pin", f"token/{USE_LOG}", "token/keys.json"):
        assert stat.S_IMODE((tmp_path / "new" / one).stat().st_mode) == 0o600, one


async def test_nothing_is_put_over_anything(world: World, home: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    await a_backup(world, home, to)
    with pytest.raises(restore.HomeNotEmpty, match=r"antin\.sqlite"):
        await put_back(world, home, to)
    elsewhere = f"sqlite:///{home / 'antin.sqlite'}"
    with pytest.raises(NotEmpty):
        await put_back(world, tmp_path / "new", to, database_url=elsewhere)


async def test_a_backup_that_did_not_end_is_none(world: World, home: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    made = await a_backup(world, home, to)
    (made.folder / backup_form.MANIFEST).unlink()
    with pytest.raises(backup_form.NoBackup):
        await put_back(world, tmp_path / "new", to)


@pytest.mark.parametrize("name", ["facts.sqlite", "kept.list", "home/seal.key", f"token/{USE_LOG}"])
async def test_a_bit_flipped_in_it_is_found_before_anything_is_done(
    world: World, home: Path, tmp_path: Path, name: str
) -> None:
    to = tmp_path / "backups"
    file = (await a_backup(world, home, to)).folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(backup_form.BackupDamaged, match=name):
        await put_back(world, tmp_path / "new", to)
    assert not (tmp_path / "new").exists()


async def test_what_is_missing_is_named(world: World, home: Path, tmp_path: Path) -> None:
    """In the store when the backup is made, and in the backup when it is put back."""
    to = tmp_path / "backups"
    await a_backup(world, home, to)
    lost = sorted(one for one in (home / "store" / "kept").glob("*/*/*") if one.suffix == "")[-1]
    content = lost.read_bytes()
    lost.chmod(0o600)
    lost.write_bytes(bytes(len(content)))
    world.clock.move(timedelta(seconds=1))
    shutil.rmtree(to / "kept")
    made = await again(world, home, to)
    assert [one.split("/")[1] for one in made.missing] == [lost.name]
    other = next(one for one in (to / "kept").glob("*/*/*"))
    other.unlink()
    restored = await put_back(world, tmp_path / "new", to)
    assert [one.split("/")[1] for one in restored.missing] == [other.name]


async def test_a_home_half_restored_is_not_opened(world: World, home: Path, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    await a_backup(world, home, to)
    (tmp_path / "file").write_text("no folder")  # the restore breaks off in its middle
    with pytest.raises(OSError, match=r"."):
        await put_back(world, tmp_path / "new", to, token_folder=tmp_path / "file" / "token")
    with pytest.raises(HalfRestored):
        async with open_world_house(world, tmp_path / "new"):
            pass
    assert (tmp_path / "new" / HALF_RESTORED).exists()


async def test_yesterdays_facts_put_back_by_mistake_are_named(
    world: World, home: Path, tmp_path: Path
) -> None:
    """By hand, past the command: the log says it, as the checkpoints outside know more."""
    async with open_world_house(world, home, serving=True) as house:
        await sequenced(house)
    made = await a_backup(world, home, tmp_path / "backups")
    async with open_world_house(world, home, serving=True) as house:
        document = (await house.upload(world.chairman.caller)).id
        await house.sign(world.chairman.caller, document, CHAIRMAN_KEY)
        await sequenced(house)
        assert (await house.rooms.trail.check()).findings == []
    for one in home.glob("antin.sqlite*"):
        one.unlink()
    shutil.copyfile(made.folder / "facts.sqlite", home / "antin.sqlite")
    async with open_world_house(world, home) as house:
        found = {one.fault for one in (await house.rooms.trail.check()).findings}
        assert found == {Fault.TAIL_CUT, Fault.USE_UNRECORDED}  # the token knows more, too


async def test_facts_newer_than_the_use_log_are_named(world: World, home: Path, tmp_path: Path) -> None:
    """The token's folder comes from an older backup than the facts: what is signed stays signed, and is asked for never
    again."""
    old = await a_backup(world, home, tmp_path / "old")
    world.clock.move(timedelta(seconds=1))
    await a_backup(world, home, tmp_path / "new")
    token = tmp_path / "token"
    token_copy.copy_in(old.folder / "token", token)
    restored = await put_back(world, tmp_path / "home2", tmp_path / "new", token_folder=token)
    assert (restored.settled.unlogged, restored.settled.lost) == (1, 0)
    async with open_world_house(world, tmp_path / "home2", token_folder=token) as house:
        (_, second) = await house.facts(
            lambda s: list(s.scalars(select(DocumentRow.id).order_by(DocumentRow.id)))
        )
        report = await house.rooms.verifying.verify_kept(world.chairman.caller, second)
        assert report.verdict is Verdict.VALID


async def test_a_bucket_that_outlives_the_facts_is_looked_at(
    world: World, home: Path, tmp_path: Path
) -> None:
    """Without objects: the store has a copy of its own; what it lacks is named."""
    made = await a_backup(world, home, tmp_path / "backups", objects=False)
    assert made.copied == 0 and not (tmp_path / "backups" / "kept").exists()
    restored = await put_back(world, tmp_path / "new", tmp_path / "backups")
    assert len(restored.missing) == made.kept  # an empty folder is no copy


async def test_a_token_that_cannot_be_read_is_left_out_by_word_alone(
    world: World, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(backup.TokenOutOfReach):
        await backup.make(
            settings_for(home, world, token_folder=tmp_path / "none"), tmp_path / "backups", backup.Wish(),
            times=Times(), told=lambda *_: None,
        )  # fmt: skip
    assert not (tmp_path / "backups").exists()
    made = await a_backup(world, home, tmp_path / "backups", token=False)
    assert not (made.folder / "token").exists()


def antin(home: Path, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-c", "from service import antin; antin()", *map(str, arguments), "--json"]
    environment = {**os.environ, "ANTIN_HOME": str(home), "ANTIN_LANG": "en"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False, text=True)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_command_backs_up_a_service_under_load_and_restores_it(tmp_path: Path) -> None:
    home, to, new = tmp_path / "home", tmp_path / "backups", tmp_path / "new"
    with service(home) as running:
        load = threading.Thread(
            target=run_clients, args=(running,), kwargs={"clients": 4, "signatures": 40, "weight": 40_000}
        )
        load.start()
        code, told, said = antin(home, "backup", to)
        load.join()
        assert (code, told["missing"]) == (0, []), said
        assert "secret keys" in said
        code, told, _ = antin(home, "restore", to)
        assert (code, told["error"]) == (1, "not-empty")
        code, told, _ = antin(new, "restore", tmp_path / "nowhere")
        assert (code, told["error"]) == (1, "no-backup")
    code, restored, said = antin(new, "restore", to)
    assert (code, restored["generation"], restored["missing"]) == (0, 2, []), said
    assert (restored["use_log_seen"] and "never signed again" in said) or restored["intents_lost"] == 0
    with service(new) as running:
        done = run_clients(Service(running.address, new, running.api_key, running.process), clients=2, signatures=4, weight=40_000)  # fmt: skip
        assert (done.signed, done.refused) == (4, {})

    async def look() -> None:
        settings = Settings(home=new)
        async with open_house(settings) as house:
            await house.rooms.trusted.reload()
            await check_home(settings, house, recovered=True, restored=True)

    asyncio.run(look())
