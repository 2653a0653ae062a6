"""The same story on PostgreSQL and S3 as on one host: signed, judged, kept under a lock, and there after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from documents.document import RequestState
from signing.profile import Level
from signing.trust.anchors import Anchor
from signing.verification.report import Verdict
from tests import servers
from tests.house import CHAIRMAN_KEY, World, open_world_house


@pytest.fixture
def on_servers(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        postgresql, s3 = stack.enter_context(servers.postgresql()), stack.enter_context(servers.minio())
        credentials = tmp_path / "credentials"
        credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")
        yield {
            "database_url": stack.enter_context(servers.new_database(postgresql)),
            "database_password_file": postgresql.password_file,
            "jobs_database_url": stack.enter_context(servers.new_database(postgresql)),
            "s3_endpoint": f"{'https' if s3.secure else 'http'}://{s3.endpoint}",
            "s3_credentials_file": credentials,
        }


async def test_signed_and_there_after_a_restart(world: World, home: Path, on_servers: dict[str, Any]) -> None:
    caller = world.chairman.caller
    async with open_world_house(world, home, serving=True, **on_servers) as house:
        root = Anchor(world.pki.certificate("root"), provenance="the test world")
        await house.rooms.trusted.add(root, confirmed_by="test")
        document, request = (await house.upload(caller)).id, house.id()
        done = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LTA, request=request)
        assert (done.state, done.reached) == (RequestState.DONE, Level.B_LTA)
        signed = await house.bytes_of(caller, document)
        assert [one for one in await house.opened.watch.troubles() if one.stops] == []
    async with open_world_house(world, home, serving=True, **on_servers) as house:
        again = await house.sign(caller, document, CHAIRMAN_KEY, level=Level.B_LTA, request=request)
        assert again.state is RequestState.DONE
        assert await house.bytes_of(caller, document) == signed
        report = await house.rooms.verifying.verify_kept(caller, document)
        assert report.verdict is Verdict.VALID
        await house.check()
