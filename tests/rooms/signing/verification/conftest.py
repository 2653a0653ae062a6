from collections.abc import Iterator

import pytest

from tests.rooms.signing.verification.judging_world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("judging")) as made:
        yield made
