"""A desk of one's own, and a paper to lay on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.papers import letter
from tests.rooms.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    file = tmp_path / "[đỏ] tờ trình.pdf"
    file.write_bytes(letter())
    return file
