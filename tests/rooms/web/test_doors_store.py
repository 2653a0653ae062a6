"""The folder of the store is away: every door says so and when to ask again, and after that the same questions are answered."""

from __future__ import annotations

import httpx

from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.test_api_documents import PDF, upload
from tests.rooms.web.test_api_resumable import PART, TUS, UPLOADS
from tests.rooms.web.test_doors_files import told


async def test_a_store_that_is_away_is_told_at_every_door(api: Api) -> None:
    paper = letter()
    document = (await upload(api, paper))["id"]
    parts = (await api.http.post(UPLOADS, headers=TUS | {"Upload-Length": str(len(paper))})).headers[
        "location"
    ]
    at, wish = f"/api/v1/documents/{document}", {"mode": "sign", "key": "con-dau", "level": "B-B"}

    async def ask() -> list[httpx.Response]:
        return [
            await api.http.post("/api/v1/documents", content=paper, headers=PDF),
            await api.http.post("/api/v1/verifications", content=paper, headers=PDF),
            await api.http.post(f"{at}/signatures", json=wish, headers={"Idempotency-Key": "one"}),
            await api.http.get(f"{at}/content"),
            await api.http.get(f"{at}/evidence"),
            await api.http.patch(parts, content=paper, headers=PART | {"Upload-Offset": "0"}),
        ]  # fmt: skip

    folder = api.folder / "store"
    away = folder.rename(folder.with_name("away"))
    folder.touch()
    for answer in await ask():
        told(answer, 503, "store-unavailable")
        assert int(answer.headers["retry-after"]) > 0
    folder.unlink()
    away.rename(folder)
    assert [answer.status_code for answer in await ask()] == [201, 200, 201, 200, 200, 204]
