"""The service is killed in the middle of an upload in parts: what it told as received is there, and the upload goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from tests.load import service
from tests.papers import letter

TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}


def test_killed_after_it_told_of_bytes_it_has_them(tmp_path: Path) -> None:
    paper, home = letter(weight=400_000), tmp_path / "home"
    with service(home) as first:
        bearer = {"Authorization": f"Bearer {first.api_key}"}
        with httpx.Client(base_url=first.address, headers=bearer | TUS, timeout=60) as http:
            begun = http.post("/api/v1/uploads", headers={"Upload-Length": str(len(paper))})
            address = begun.headers["location"]
            for at in (0, 100_000):
                sent = http.patch(
                    address, content=paper[at : at + 100_000], headers=PART | {"Upload-Offset": str(at)}
                )
                assert (sent.status_code, sent.headers["upload-offset"]) == (204, str(at + 100_000))
            first.process.kill()
            first.process.wait(60)
    with (
        service(home) as second,
        httpx.Client(base_url=second.address, headers=bearer | TUS, timeout=60) as http,
    ):
        assert http.head(address).headers["upload-offset"] == "200000"
        sent = http.patch(address, content=paper[200_000:], headers=PART | {"Upload-Offset": "200000"})
        assert sent.status_code == 204
        shown = [http.post(f"{address}/document") for _ in range(2)]
        assert [one.status_code for one in shown] == [201, 201]
        assert shown[0].json() == shown[1].json()
        assert shown[0].json()["sha256"] == hashlib.sha256(paper).hexdigest()
