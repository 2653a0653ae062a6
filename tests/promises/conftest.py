"""Servers for the promises' suites, started when first asked for and shared by all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def minio_server() -> Iterator[servers.S3Server]:
    with servers.minio() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.PostgresqlServer]:
    with servers.postgresql() as server:
        yield server
