"""A desk of its own for each test, below the authorities of one world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.pki import Pki
from tests.rooms.documents.desk import Desk, open_desk
from tests.steering import SteerableClock


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pki, SteerableClock]]:
    clock = SteerableClock()
    with Pki(Path(tmp_path_factory.mktemp("pki")), clock) as pki:
        yield pki, clock


@pytest.fixture
async def desk(authorities: tuple[Pki, SteerableClock], tmp_path: Path) -> AsyncIterator[Desk]:
    pki, clock = authorities
    clock.reset()
    async with open_desk(tmp_path, pki, clock) as made:
        yield made
