"""One world for all tests that tell a story; what it stands on is imported when the first of them asks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# What lands is tried by the same examples each time; whoever works on it meets new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

if TYPE_CHECKING:
    from tests.house import House, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from tests.house import make_world

    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def home(world: World, tmp_path: Path) -> Iterator[Path]:
    world.clock.reset()
    with world.home(tmp_path) as home:
        yield home


@pytest.fixture
async def house(world: World, home: Path) -> AsyncIterator[House]:
    from tests.house import open_world_house

    async with open_world_house(world, home) as house:
        yield house


# The modules that take the longest, the longest first: begun last, one of them would keep one process busy alone.
LONG = (
    "test_everything_goes_wrong", "test_the_store_fails", "test_jobs", "test_another_takes_over", "test_somebody_edits_the_database",
    "test_we_crash_between_two_steps", "test_home", "test_a_backup_is_refused", "test_pdf_refusals",
    "test_no_secret_is_left", "test_sign_document", "test_we_restore_a_backup", "test_a_hundred_wait_for_an_upgrade",
    "test_a_demonstration_is_not_production", "test_dss", "test_people", "test_every_page", "test_signing_form",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's driver keeps a loop of its own running once it was asked: what needs another comes before."""
    first = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda one: ("pages" in one.path.parts, first.get(one.path.stem, len(LONG))))
