"""`POST /tsa`: our own time-stamp authority, as any RFC 3161 client asks it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.rooms.signing.stamping import ours
from tests.rooms.web.conftest import running
from tests.rooms.web.rooms import Wishes
from tests.rooms.web.test_doors_files import told

QUERY = {"Content-Type": "application/timestamp-query"}


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["openssl", "ts", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_openssl_asks_and_believes(wishes: Wishes, tmp_path: Path) -> None:
    made = ours(lambda: datetime.now(UTC))
    (tmp_path / "root.pem").write_bytes(made.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "data").write_bytes(b"what is to be dated")
    openssl("-query", "-data", tmp_path / "data", "-sha256", "-cert", "-out", tmp_path / "query")
    query = (tmp_path / "query").read_bytes()
    async with running(
        replace(wishes, authority=made.authority), client=("192.0.2.7", 1)
    ) as api:  # a listed network: no key is wanted
        del api.http.headers["Authorization"]
        # Through a proxy that nobody listed: who asks is not known.
        through = QUERY | {"X-Forwarded-For": "93.184.216.34"}
        told(await api.http.post("/tsa", content=query, headers=through), 401, "not-logged-in")
        answer = await api.http.post("/tsa", content=query, headers=QUERY)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/timestamp-reply")
        (tmp_path / "reply").write_bytes(answer.content)
        verified = openssl(
            "-verify", "-data", tmp_path / "data", "-in", tmp_path / "reply", "-CAfile", tmp_path / "root.pem"
        )
        assert "OK" in verified
        # Each question has its own answer, unless it says that it is the same question.
        assert (await api.http.post("/tsa", content=query, headers=QUERY)).content != answer.content
        key = {"Idempotency-Key": "mot"}
        first = await api.http.post("/tsa", content=query, headers=QUERY | key)
        again = await api.http.post("/tsa", content=query, headers=QUERY | key)
        assert again.content == first.content and again.headers["idempotent-replayed"] == "true"
        told(await api.http.post("/tsa", content=b"y", headers=QUERY | key), 422, "other-body")
        # What is wrong in the question is told in the answer, as the RFC says.
        junk = await api.http.post("/tsa", content=b"junk", headers=QUERY)
        assert junk.status_code == 200 and junk.content[:1] == b"\x30"
        told(
            await api.http.post("/tsa", content=query, headers={"Content-Type": "text/plain"}),
            415,
            "media-type",
        )
        told(await api.http.post("/tsa", content=b"x" * 70_000, headers=QUERY), 413, "body-too-large")


async def test_from_elsewhere_a_key_is_wanted(wishes: Wishes) -> None:
    async with running(replace(wishes, authority=ours().authority), client=("93.184.216.34", 1)) as api:
        told(
            await api.http.post("/tsa", content=b"x", headers=QUERY | {"Authorization": ""}),
            401,
            "not-logged-in",
        )
        key = {"Idempotency-Key": "mot"}
        first = await api.http.post("/tsa", content=b"x", headers=QUERY | key)
        again = await api.http.post("/tsa", content=b"x", headers=QUERY | key)
        assert first.status_code == again.status_code == 200
        assert again.content == first.content and again.headers["idempotent-replayed"] == "true"
        told(await api.http.post("/tsa", content=b"y", headers=QUERY | key), 422, "other-body")


async def test_without_an_authority_there_is_none(wishes: Wishes) -> None:
    async with running(wishes) as api:
        told(await api.http.post("/tsa", content=b"x", headers=QUERY), 404, "no-authority")
