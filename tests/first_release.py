"""Data of the first released schema: this file made `tests/vectors/first-release-*.tar.xz`, backups without a token whose
facts are at revision 0001 (`python -m tests.first_release FOLDER`, in a checkout whose newest migration is 0001).

- Each holds an agency, a document signed at B-LTA with its code, and one that is not signed: all that a later schema must
  carry on. They are never made anew: what was released once is what is upgraded for ever.
- The keys in them are of a test's authorities and are used nowhere.
"""

from __future__ import annotations

import asyncio
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import backup
from documents.document import Disclosure
from ground import Times
from signing.profile import Level
from signing.trust.anchors import Anchor
from storage.schema import AgencyRow
from tests import servers
from tests.house import CHAIRMAN_KEY, World, make_world, open_world_house, settings_for


def main(out: Path) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(servers.postgresql())
        url = stack.enter_context(servers.new_database(server))
        (folder / "world").mkdir()
        world = stack.enter_context(make_world(folder / "world"))
        on_server = {"database_url": url, "database_password_file": server.password_file}
        for kind, chosen in (("sqlite", {}), ("postgresql", on_server)):
            (folder / kind).mkdir()
            with world.home(folder / kind) as home:
                asyncio.run(_make(world, home, chosen, folder / kind / "backups"))
            with tarfile.open(out / f"first-release-{kind}.tar.xz", "w:xz") as tar:
                tar.add(folder / kind / "backups", "backups", filter=_nobody)


async def _make(world: World, home: Path, chosen: dict[str, Any], to: Path) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home, serving=True, **chosen) as house:
        root = Anchor(world.pki.certificate("root"), provenance="the test world")
        await house.rooms.trusted.add(root, confirmed_by="test")

        def agency(session: Any) -> None:
            if session.get(AgencyRow, world.agency) is None:
                name = "Ủy ban nhân dân xã An Phước"
                session.add(
                    AgencyRow(agency=world.agency, name=name, short_name=name, created_at=world.clock())
                )

        db: Any = house.opened.watch.db
        await db.transact(world.agency, agency)
        document = await house.upload(caller, disclosure=Disclosure.PUBLIC)
        await house.sign(caller, document.id, CHAIRMAN_KEY, level=Level.B_LTA)
        await house.upload(caller, name="chua-ky.pdf")
        await asyncio.sleep(21)  # until the audit trail has a checkpoint
    settings, times = settings_for(home, world, **chosen), Times(world.clock, world.clock.monotonic)
    await backup.make(settings, to, backup.Wish(token=False), times=times, told=lambda *_: None)


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main(Path(sys.argv[1]))
