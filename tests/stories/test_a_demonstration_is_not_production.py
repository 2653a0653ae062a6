"""A demonstration home copied and started in production mode: refused, each reason named; what was signed there is never
valid under production trust (K6)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from documents.office import Caller, CallerKind
from ground import Times
from hsm.token_process import TokenProcess
from service import WillNotStart, open_house
from settings import Settings
from signing.verification.report import Verdict
from storage.schema import SERVICE
from tests import servers
from tests.house import World, open_world_house
from tests.rooms.hsm.tokens import copy_token

ROOT = Path(__file__).parents[2]
ALWAYS = {
    "softhsm-in-production", "token-files-readable", "persons-key-in-production", "demonstration-anchor",
    "demonstration-key", "demonstration-authority", "no-anchor", "no-sources", "public-url-without-tls", "weak-setting",
}  # fmt: skip
WARNED = {"sqlite-in-production", "checkpoints-at-home", "folder-in-production"}


@dataclass(frozen=True)
class Made:
    home: Path
    signed: Path
    code: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A demonstration home with its sample, signed by person and seal."""
    folder = tmp_path_factory.mktemp("demonstration")

    async def make() -> str:
        async with open_house(Settings(home=folder / "home", workers=1)) as house:
            rooms = house.rooms
            assert house.told is not None and house.told.code is not None
            caller = Caller(SERVICE, house.told.agency.id, CallerKind.OPERATOR, "", "", "")
            (listed,) = (await rooms.documents.list(caller)).documents
            async with rooms.documents.open(caller, await rooms.documents.get(caller, listed.id)) as file:
                shutil.copy(file, folder / "signed.pdf")
            return house.told.code

    code = asyncio.run(make())
    return Made(folder / "home", folder / "signed.pdf", code)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "copied"
    shutil.copytree(made.home, home, ignore=shutil.ignore_patterns("token", "socket", "*.lock", "scratch"))
    copy_token(made.home / "token", home / "token")
    yield home


@dataclass(frozen=True)
class Ended:
    status: int
    said: str
    lines: list[dict[str, Any]]


async def antin(home: Path, *arguments: str | Path, **more: str) -> Ended:
    """The command as an operator types it, in production mode."""
    environment = {
        **os.environ, "ANTIN_HOME": str(home), "ANTIN_MODE": "production", "ANTIN_PORT": str(servers.free_port()), **more,
    }  # fmt: skip
    command = [sys.executable, "-c", "from service import antin; antin()", *map(str, arguments)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    lines = [json.loads(one) for one in done.stdout.splitlines() if one.startswith("{")]
    return Ended(done.returncode, done.stderr, lines)


def codes(troubles: list[dict[str, Any]]) -> set[str]:
    return {one["code"] for one in troubles}


@pytest.mark.parametrize(
    "running", [True, False], ids=["its token process runs", "its token process is away"]
)
async def test_it_is_refused_with_each_reason_named_and_the_doctor_says_the_same_before(
    copied: Path, running: bool
) -> None:
    async def asked() -> tuple[Ended, Ended]:
        return await antin(copied, "doctor", "--json"), await antin(copied, "serve", "--json")

    if running:
        async with TokenProcess.start(copied / "token"):
            before, refused = await asked()
    else:
        before, refused = await asked()
    wanted = ALWAYS | {"token-same-user" if running else "token-away"}
    assert before.status == 2
    assert codes(before.lines) == wanted | WARNED
    assert refused.status == 2
    (told,) = refused.lines
    assert told["error"] == "will-not-start"
    assert codes(told["troubles"]) == wanted
    # Not only the same kinds: each key, file and setting by its name. The port is another at each call.
    stopping = [one["detail"] for one in before.lines if one["stops"]]
    assert [_portless(one["detail"]) for one in told["troubles"]] == [_portless(one) for one in stopping]
    named = {one["detail"] for one in told["troubles"] if one["code"] == "demonstration-key"}
    assert named == {"chu-tich", "van-thu", "con-dau", "tsa", "bao-cao"}
    # Each in both languages, and on the terminal in the operator's.
    for one in told["troubles"]:
        assert one["messages"]["vi"] in told["messages"]["vi"]
        assert one["messages"]["en"] in told["messages"]["en"]
        assert one["messages"]["vi"] != one["messages"]["en"]
        assert one["messages"]["vi"] in refused.said
    assert f"mã thoát 2). Số lý do: {len(told['troubles'])}" in refused.said


def _portless(detail: str) -> str:
    return detail.rsplit(":", 1)[0] if "127.0.0.1:" in detail else detail


async def test_what_was_signed_there_is_never_valid_under_production_trust(
    made: Made, copied: Path, world: World, home: Path
) -> None:
    # In the demonstration itself it is, and says what that is worth.
    there = await antin(copied, "verify", "--json", made.signed, ANTIN_MODE="development")
    assert (there.status, there.lines[0]["verdict"]) == (0, "VALID")
    assert "DEMONSTRATION_TRUST" in [one["code"] for one in there.lines[0]["findings"]]
    # The same home in production believes its own anchor no more, whoever confirmed it.
    for name, place in (("copied", copied), ("empty", copied.parent / "empty"), ("another", home)):
        here = await antin(place, "verify", "--json", made.signed)
        assert (here.status, here.lines[0]["verdict"]) == (2, "INDETERMINATE"), name
        assert not here.lines[0]["trust"]["demonstration"], name
        assert [one["sub_indication"] for one in here.lines[0]["signatures"]] == 2 * [
            "NO_CERTIFICATE_CHAIN_FOUND"
        ]
    # Nor does a page or an answer of its own, whatever it found before.
    async with TokenProcess.start(copied / "token"):
        async with open_house(Settings(home=copied, mode="production", workers=1)) as house:
            found = await house.rooms.results.look_up(made.code)
            assert found is not None and found.report.verdict is Verdict.INDETERMINATE
            assert not house.rooms.demonstration
            assert len(await house.rooms.trusted.list()) == 1, "the operator still sees what is to be removed"
        # And its keys sign nothing: nobody believes their certificates.
        out = copied.parent / "out.pdf"
        for key, status in (("con-dau", 1), ("chu-tich", 1)):
            done = await antin(copied, "sign", made.signed, "-o", out, "--key", key, "--level", "B-B")
            assert (done.status, out.exists()) == (status, False), done.said


async def test_a_home_that_was_never_for_demonstration_hears_nothing_of_it(world: World, home: Path) -> None:
    """Real anchors and keys: what is left is what this test does wrong itself."""
    home.chmod(0o700)
    production: dict[str, Any] = {
        "mode": "production", "public_url": "https://kyso.anphuoc.gov.vn", "checkpoint_folder": home.parent,
        "softhsm_in_production": "I accept that keys in SoftHSM are files", "clock_sources": [],
        "tsa_policy_oid": "1.3.6.1.4.1.4146.1",
    }  # fmt: skip
    async with TokenProcess.start(home / "token"):
        with pytest.raises(WillNotStart) as refused:
            async with open_world_house(world, home, serving=True, **production):
                pass
        assert {one.code for one in refused.value.troubles} == {
            "token-same-user", "token-files-readable", "persons-key-in-production", "no-sources",
        }  # fmt: skip


@pytest.mark.parametrize(("credentials", "code"), [("a\nb\n", "store-away"), (None, "settings-wrong")])
async def test_a_part_that_cannot_be_opened_hides_no_other(
    copied: Path, tmp_path: Path, credentials: str | None, code: str
) -> None:
    """Database, store, token and seal are all away, and the rest is heard too."""
    nowhere, file = f"127.0.0.1:{servers.free_port()}", tmp_path / "credentials"
    (copied / "seal.key").write_bytes(b"short")
    (copied / "seal.key").chmod(0o644)
    if credentials is not None:
        file.write_text(credentials)
        file.chmod(0o600)
    settings = Settings(
        home=copied, mode="production", public_url="https://kyso.anphuoc.gov.vn", s3_endpoint=f"http://{nowhere}",
        s3_credentials_file=file, database_url=f"postgresql://antin@{nowhere}/antin",
    )  # fmt: skip
    with pytest.raises(WillNotStart) as refused:
        async with open_house(settings, serving=True):
            pass
    # The anchors are in the database, so nobody knows of them.
    unknown = {"demonstration-anchor", "no-anchor", "public-url-without-tls"}
    away = {"database-away", code, "token-away", "open-to-others"}
    assert {one.code for one in refused.value.troubles} == (ALWAYS - unknown) | away
    details = [(one.part, one.code, one.detail) for one in refused.value.troubles]
    assert len(set(details)) == len(details), "each reason once"


@pytest.mark.parametrize("url", ["antin", "mysql://db/antin", "postgresql://antin:mat-khau@db/antin"])
async def test_an_address_that_is_none_is_a_reason_like_the_others(copied: Path, url: str) -> None:
    ended = await antin(copied, "serve", "--json", ANTIN_DATABASE_URL=url)
    assert ended.status == 2
    (told,) = ended.lines
    assert codes(told["troubles"]) >= {"settings-wrong", "token-away", "demonstration-key", "no-sources"}
    assert "mat-khau" not in ended.said + json.dumps(told)


@contextmanager
def _without_lock(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        s3 = stack.enter_context(servers.minio())
        client = Minio(s3.endpoint, s3.access_key, s3.secret_key, secure=s3.secure)
        for bucket in ("antin-kept", "antin-working"):
            client.make_bucket(bucket)
        credentials = tmp_path / "credentials"
        credentials.write_text(f"{s3.access_key}\n{s3.secret_key}\n")
        credentials.chmod(0o600)
        yield {"s3_endpoint": f"http://{s3.endpoint}", "s3_credentials_file": credentials}


async def test_a_bucket_without_lock_is_a_reason_beside_the_others(copied: Path, tmp_path: Path) -> None:
    with _without_lock(tmp_path) as s3:
        settings = Settings(home=copied, mode="production", **s3)
        with pytest.raises(WillNotStart) as refused:
            async with open_house(settings, serving=True):
                pass
    found = {(one.code, one.detail) for one in refused.value.troubles}
    assert found >= {("no-object-lock", "antin-kept"), ("no-versions", "antin-kept")}
    assert {code for code, _ in found} >= ALWAYS


async def test_a_second_process_on_the_same_sqlite_is_refused(copied: Path, world: World) -> None:
    """As `uvicorn --workers 2` or a second unit would be: the first serves on."""
    async with open_house(Settings(home=copied, workers=1), serving=True, times=Times()):
        with pytest.raises(WillNotStart) as refused:
            async with open_house(Settings(home=copied, mode="production", workers=1), serving=True):
                pass
    found = {one.code for one in refused.value.troubles}
    assert found >= {"sqlite-several-processes", "demonstration-anchor", "token-same-user"}
