"""What was kept by the first release is whole after every later one: its facts are brought to this program's schema, on
both databases, and everything in them still holds."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

import restore
from documents.document import DocumentState, RequestState
from documents.office import Caller, CallerKind
from ground import Times
from signing.profile import Level
from signing.trust.anchors import Anchor
from signing.verification.report import Verdict
from storage.log.check import Fault, check
from storage.log.checkpoints import SignedCheckpoint
from storage.migrations.run import newest
from storage.schema import AgencyRow, DocumentRow
from tests import servers
from tests.house import CHAIRMAN_KEY, World, open_world_house, settings_for

VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture(params=["sqlite", "postgresql"])
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    with tarfile.open(VECTORS / f"first-release-{request.param}.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    with ExitStack() as stack:
        chosen: dict[str, Any] = {}
        if request.param == "postgresql":
            server = stack.enter_context(servers.postgresql())
            chosen = {
                "database_url": stack.enter_context(servers.new_database(server)),
                "database_password_file": server.password_file,
            }
        yield tmp_path / "backups", chosen


async def test_from_the_first_release(
    world: World, home: Path, released: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    backups, chosen = released
    (manifest,) = backups.glob("*/manifest.json")
    made_at = datetime.fromisoformat(json.loads(manifest.read_text())["made_at"])
    chosen |= {"token_folder": home / "token"}
    new, times = tmp_path / "new", Times(world.clock, world.clock.monotonic)
    settings = settings_for(new, world, **chosen)
    done = await restore.restore(settings, backups, restore.Wish("test"), times=times, told=lambda *_: None)
    assert done.missing == [] and done.settled.generation == 2
    async with open_world_house(world, new, serving=True, **chosen) as house:
        revision = await house.facts(lambda s: s.scalar(text("SELECT version_num FROM alembic_version")))
        assert revision == newest() > "0001"
        agency, rows = await house.facts(
            lambda s: (s.scalars(select(AgencyRow.agency)).one(), list(s.scalars(select(DocumentRow))))
        )
        caller = Caller(agency, agency, CallerKind.OPERATOR, "check", "", "")
        world.clock.move(made_at + timedelta(minutes=1) - world.clock())
        (signed,) = [one.id for one in rows if one.state == DocumentState.SIGNED.value]
        report = await house.rooms.verifying.verify_kept(caller, signed)
        assert report.verdict is Verdict.VALID and report.signatures[0].level == Level.B_LTA.value
        found = await house.rooms.documents.get(caller, signed)
        code = await house.rooms.results.code_for(caller, found)
        assert code is not None and await house.rooms.results.look_up(code.text) is not None
        known = [
            SignedCheckpoint.from_stored(one.read_bytes())
            for one in settings.checkpoints.glob("000001-*.checkpoint")
        ]
        faults = await house.facts(lambda s: [one.fault for one in check(s, known=known)])
        assert known and set(faults) <= {Fault.NOT_IN_BACKUP}
        # Work goes on, with another agency and a key of another token.
        world.clock.reset()
        chairman, ours = world.chairman.caller, world.clock()
        root = Anchor(world.pki.certificate("root"), provenance="the test world")
        await house.rooms.trusted.add(root, confirmed_by="test")
        row = AgencyRow(agency=world.agency, name="Xã An Phước", short_name="Xã An Phước", created_at=ours)
        db: Any = house.opened.watch.db
        await db.transact(world.agency, lambda s: s.add(row))
        document = (await house.upload(chairman)).id
        ended = await house.sign(chairman, document, CHAIRMAN_KEY)
        assert ended.state is RequestState.DONE
        assert (await house.rooms.verifying.verify_kept(chairman, document)).verdict is Verdict.VALID
