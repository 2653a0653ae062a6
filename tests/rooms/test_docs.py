"""The docs say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import settings

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]


def test_the_table_of_settings_is_current() -> None:
    assert settings.PAGE.read_text() == settings.page(), "run: python -m scripts.settings"


def test_the_story_carries_the_numbers_of_its_page() -> None:
    page = (TOP / "docs" / "how-a-signature-is-made.md").read_text()
    told = dict(re.findall(r"^## (\d)\. (.+)$", page, re.MULTILINE))
    code = (TOP / "documents" / "sign_document.py").read_text()
    docstring = dict(re.findall(r"^    (\d)\. (.+)\.$", code, re.MULTILINE))
    comments = re.findall(r"^ +# (\d)\. (.+)\.$", code, re.MULTILINE)
    assert list(told) == list("12345")
    assert told == docstring == dict(comments)
    assert [number for number, _ in comments] == sorted(number for number, _ in comments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_decision_is_in_the_index() -> None:
    folder = TOP / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    for page in folder.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_what_proves_a_promise_is_there() -> None:
    files = [one for folder in ("tests", "storage") for one in (TOP / folder).rglob("*.py")]
    paths = [f"/{one.relative_to(TOP)}" for one in files]
    written = "".join(one.read_text() for one in files)
    for page in (TOP / "docs").glob("reliability*.md"):
        for name in re.findall(r"`((?:\w+/)*test_\w+\.py|\w+(?:/\w+)+\.py)`", page.read_text()):
            assert any(one.endswith(f"/{name}") for one in paths), (page.name, name)
        for name in re.findall(r"`(test_\w+)`", page.read_text()):
            assert f"def {name}(" in written, (page.name, name)


def test_pages_that_the_code_names_are_there() -> None:
    for room in ("agent", "bench", "commands", "documents", "hsm", "scripts", "signing", "storage", "web"):
        for file in (TOP / room).rglob("*.py"):
            for page in re.findall(r"docs/[\w/-]+\.md", file.read_text()):
                assert (TOP / page).exists(), (file.name, page)
