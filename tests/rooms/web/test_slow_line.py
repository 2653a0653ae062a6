"""A document goes over a line of 64 kbit/s that breaks again and again, sent by a stranger's client of the protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests import servers
from tests.papers import letter
from tests.promises.stores import minio_store
from tests.rooms.web.conftest import Served, left_behind
from tests.rooms.web.rooms import Wishes
from tests.slow_line import Break, slow_line

# The call that begins is answered at the second try; then bytes break off, in a head, in a body and at its very end, and
# answers get lost, those that tell of bytes received too.
BREAKS = (Break(down=10), Break(), Break(up=2500), Break(up=100), Break(), Break(up=6000), Break(), Break(down=0),
          Break(down=20), Break(), Break(up=4100), Break(), Break(down=0))  # fmt: skip


@pytest.fixture(scope="module")
def minio_server() -> Iterator[servers.S3Server]:
    with servers.minio() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def kept_in(request: pytest.FixtureRequest, wishes: Wishes, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield "folder"
        return
    store = minio_store(request.getfixturevalue("minio_server"), tmp_path)
    store.make_buckets()
    wishes.store = store
    yield "s3"
    store.close()


def test_it_arrives_whole_and_once(kept_in: str, serve: Callable[..., Served]) -> None:
    served = serve()
    paper = letter(weight=14_000)
    bearer = {"Authorization": f"Bearer {served.key}"}
    with slow_line(served.port, BREAKS) as line:
        client = TusClient(
            f"http://127.0.0.1:{line.port}/api/v1/uploads", headers=bearer | {"Idempotency-Key": "1"}
        )
        uploader = client.uploader(
            file_stream=BytesIO(paper),
            metadata={"filename": "quyết định.pdf", "number": "15/QĐ-UBND"},
        )
        url = None
        while url is None:
            try:
                url = uploader.create_url()
            except TusCommunicationError:
                continue
        assert len(line.breaks) == len(BREAKS) - 2
        received = [0]
        while received[-1] < len(paper):
            try:
                uploader = client.uploader(file_stream=BytesIO(paper), url=url)
                received.append(uploader.offset)
                uploader.upload()
                received.append(uploader.offset)
            except (TusCommunicationError, TusUploadFailed):
                continue
        assert received == sorted(received)
        assert len(set(received)) > 2  # it did not begin anew each time
        assert line.sent < 2 * len(paper)
        # How many more there were hangs on whether the server had counted what it got before it was asked for it.
        assert (before := line.broken) >= 5
        line.breaks.clear()
        line.breaks.append(Break(down=0))
        document = _until_answered(f"{url}/document", bearer | {"Idempotency-Key": "2"})
        assert line.broken == before + 1
    assert document["sha256"] == hashlib.sha256(paper).hexdigest()
    assert (document["name"], document["number"]) == ("quyết định.pdf", "15/QĐ-UBND")
    direct = f"http://127.0.0.1:{served.port}/api/v1/documents"
    assert len(httpx.get(direct, headers=bearer).json()["documents"]) == 1
    assert httpx.get(f"{direct}/{document['id']}/content", headers=bearer).content == paper
    if kept_in == "folder":
        until = time.monotonic() + 30  # the server lets go of what it sent after its last byte
        while len(left_behind(served.folder)) != 1 and time.monotonic() < until:
            time.sleep(0.02)
        assert len(left_behind(served.folder)) == 1


def _until_answered(address: str, headers: dict[str, str]) -> dict[str, str]:
    while True:
        try:
            answer = httpx.post(address, headers=headers, timeout=30)
        except httpx.TransportError:
            continue
        assert answer.status_code == 201, answer.text
        shown: dict[str, str] = answer.json()
        return shown
