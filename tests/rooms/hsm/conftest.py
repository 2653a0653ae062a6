"""One token is made for all tests of the room; each test gets a copy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess
from tests.rooms.hsm.tokens import copy_token, make_token


@pytest.fixture(scope="session")
def made_token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "token"
    make_token(folder)
    return folder


@pytest.fixture
def token(made_token: Path, tmp_path: Path) -> Path:
    return copy_token(made_token, tmp_path / "token")


@pytest.fixture
async def process(token: Path) -> AsyncIterator[TokenProcess]:
    async with TokenProcess.start(token) as running:
        yield running


@pytest.fixture
async def vault(process: TokenProcess) -> AsyncIterator[Pkcs11Vault]:
    opened = Pkcs11Vault(process.socket)
    yield opened
    await opened.close()
