"""A large document goes through the door without ever being whole in memory."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import AsyncIterator

from tests.rooms.web.conftest import Api
from tests.rooms.web.test_api_documents import PDF

SIZE = 200 * 1024 * 1024
GROWTH = 60 * 1024  # KiB that the process, its client included, may grow by
CHUNK = bytes(1 << 20)


def parts() -> tuple[bytes, bytes]:
    """What stands before and behind the bytes of a stream that no page shows."""
    objects = [
        b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n",
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>\nendobj\n",
        b"4 0 obj\n<< /Length %d >>\nstream\n" % SIZE,
    ]
    head, offsets = b"%PDF-1.7\n", []
    for one in objects:
        offsets.append(len(head))
        head += one
    tail = b"\nendstream\nendobj\n"
    start = len(head) + SIZE + len(tail)
    table = b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % one for one in offsets)
    return head, tail + table + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


async def test_200_megabytes_stream_through(api: Api) -> None:
    head, tail = parts()
    digest = hashlib.sha256(head)

    async def paper() -> AsyncIterator[bytes]:
        yield head
        for _ in range(SIZE // len(CHUNK)):
            digest.update(CHUNK)
            yield CHUNK
        digest.update(tail)
        yield tail

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await api.http.post("/api/v1/documents", content=paper(), headers=PDF)
    assert answer.status_code == 201, answer.text
    assert answer.json()["sha256"] == digest.hexdigest()
    assert answer.json()["pages"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH
    part = await api.http.get(
        f"/api/v1/documents/{answer.json()['id']}/content", headers={"Range": "bytes=0-99"}
    )
    assert part.status_code == 206 and part.content == (head + CHUNK)[:100]
    assert part.headers["content-range"] == f"bytes 0-99/{len(head) + SIZE + len(tail)}"
