"""A demonstration home, furnished by the roof on real parts: once, however often it is killed meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pikepdf import Pdf

from catalogue import say
from demonstration.authority import DemonstrationAuthority
from demonstration.decision import decision
from demonstration.home import (
    AUDIT,
    CHAIRMAN,
    CLERK,
    COMMUNE,
    REPORTS,
    SEAL,
    STAMPS,
    Furnished,
    HomesMixed,
    sample_id,
)
from documents.document import Disclosure, RequestState
from documents.office import Caller, CallerKind
from service import open_house
from settings import Settings
from signing.profile import Level
from signing.verification.report import Verdict
from tests import strangers

ROOT = Path(__file__).parents[3]

# Each start comes a little further than the one before it, and is then killed.
POINTS = (
    "documents.office Office make_agency",
    "documents.office Office make_person",
    "hsm.enrolment None make_key",
    "hsm.enrolment None install",
    "documents.trusted Trusted add",
    "documents.intake Intake receive",
    "documents.progress Progress delivered",
)
DYING = """
import asyncio, importlib, os, signal, sys
from pathlib import Path
from service import open_house
from settings import Settings
module, owner, name = sys.argv[2].split()
place = importlib.import_module(module)
place = place if owner == "None" else getattr(place, owner)
told = getattr(place, name)

async def dying(*args, **more):
    await told(*args, **more)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(place, name, dying)

async def main():
    async with open_house(Settings(home=Path(sys.argv[1]), workers=1)):
        pass

asyncio.run(main())
"""


async def open_once(home: Path) -> Furnished:
    async with open_house(Settings(home=home, workers=1)) as house:
        assert house.told is not None
        return house.told


async def test_killed_after_each_step_it_is_furnished_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for point in POINTS:
        command = [sys.executable, "-c", DYING, str(home), point]
        died = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert died.returncode == -9, (point, died.stderr[-2000:])
    first = await open_once(home)
    async with open_house(Settings(home=home, workers=1)) as house:
        again, rooms = house.told, house.rooms
        assert again is not None
        for one in first.people:
            assert one.password is not None
            assert await rooms.office.log_in(one.login, one.password)
        assert [one.password for one in again.people] == [None, None]
        assert (again.code, again.url) == (first.code, first.url)
        assert (again.url or "").startswith(f"{rooms.address}/v/")

        (agency,) = await rooms.office.agencies()
        assert agency.name == COMMUNE
        assert {one.login for one in await rooms.office.people()} == {CHAIRMAN, CLERK}
        keys = {one.name: one for one in await rooms.keys.descriptions()}
        assert set(keys) == {CHAIRMAN, CLERK, SEAL, STAMPS, AUDIT, REPORTS, "probe"}
        clerk = next(one for one in await rooms.office.people() if one.login == CLERK)
        assert keys[SEAL].granted == {clerk.id}
        assert rooms.demonstration
        assert len(await rooms.trusted.list()) == 1

        caller = Caller(clerk.id, agency.id, CallerKind.PERSON, "", "", "")
        (listed,) = (await rooms.documents.list(caller)).documents
        sample = await rooms.documents.get(caller, listed.id)
        assert (sample.id, sample.disclosure) == (sample_id(agency.id), Disclosure.PUBLIC)
        signed = [(one.key, one.reached) for one in sample.requests if one.state is RequestState.DONE]
        assert signed == [(CHAIRMAN, Level.B_LT), (SEAL, Level.B_LT)]

        # Whoever has the code sees that it is genuine, and that the trust is for demonstration.
        result = await rooms.results.look_up(again.code or "")
        assert result is not None
        assert result.report.verdict is Verdict.VALID, result.report
        assert result.report.demonstration
        assert "DEMONSTRATION_TRUST" in [one.code for one in result.report.findings]

        # So does a stranger who trusts the same root, and is told of the seal that covers a third of the signature, as
        # Decree 30/2020 wants it.
        root = home / "demonstration" / "authority" / "root.cer"
        async with rooms.documents.open(caller, sample) as file:
            (said,) = await asyncio.to_thread(strangers.dss, root, (file, None))
        overlap = "BBB_FC_IAOD_ANS: Elements overlap on page(s) [1]"
        assert said == [*2 * ["TOTAL_PASSED PAdES-BASELINE-LT", overlap], *2 * ["PASSED"]]


async def test_two_that_furnish_at_once_make_one_home_and_its_token_is_no_other_homes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = DYING.replace("os.kill(os.getpid(), signal.SIGKILL)", "return None").replace(
        "dying)", "told)"
    )  # fmt: skip
    command = [sys.executable, "-c", script, str(home), POINTS[0]]
    running = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.PIPE) for _ in "ab"]
    for one in running:
        _, said = await one.communicate()
        assert one.returncode == 0, said.decode()[-2000:]
    async with open_house(Settings(home=home, workers=1)) as house:
        assert len(await house.rooms.office.agencies()) == 1
        assert len(await house.rooms.office.people()) == 2

    for file in home.glob("antin.sqlite*"):
        file.unlink()
    with pytest.raises(HomesMixed) as mixed:
        await open_once(home)
    assert mixed.value.key == CHAIRMAN
    assert CHAIRMAN in say(mixed.value.sentence, "en", key=mixed.value.key)


def test_the_paper_is_one_page_with_its_letters_inside(tmp_path: Path) -> None:
    from datetime import date

    made = decision(signer="Nguyễn Văn An", day=date(2026, 2, 5), address="https://ky.anphuoc.gov.vn")
    file = tmp_path / "paper.pdf"
    file.write_bytes(made.pdf)
    text = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, text=True, check=True).stdout
    for line in (
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc", "Số: 01/QĐ-UBND",
        "An Phước, ngày 05 tháng 02 năm 2026", "Nơi nhận:", "Nguyễn Văn An", "ky.anphuoc.gov.vn/v",
        "VĂN BẢN MẪU CỦA HỆ THỐNG THỬ NGHIỆM, KHÔNG CÓ GIÁ TRỊ PHÁP LÝ",
    ):  # fmt: skip
        assert line in text
    fonts = subprocess.run(["pdffonts", str(file)], capture_output=True, text=True, check=True).stdout
    assert fonts.splitlines()[-1].split()[-5:-2] == ["yes", "yes", "yes"]
    with Pdf.open(file) as pdf:
        assert len(pdf.pages) == 1
    subprocess.run(["qpdf", "--check", str(file)], capture_output=True, check=True)


def test_the_authority_is_the_homes_own(tmp_path: Path) -> None:
    authority = DemonstrationAuthority.open(tmp_path, "http://127.0.0.1:1")
    assert not [one for one in ROOT.glob("demonstration/**/*.key")]
    assert authority.folder == tmp_path
