"""One demonstration authority with its server, for all tests that leave it as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from demonstration.authority import DemonstrationAuthority
from demonstration.certificates import Kind
from demonstration.server import DemonstrationServer


@dataclass(frozen=True)
class Served:
    server: DemonstrationServer
    authority: DemonstrationAuthority

    def issue(self, kind: Kind = "signing", subject: str = "CN=Nguyễn Văn An (DEMO),C=VN") -> bytes:
        return self.authority.issue(request(subject), kind=kind)


def request(subject: str) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name.from_rfc4514_string(subject))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    folder = tmp_path / "demonstration"
    async with DemonstrationServer.start(folder) as server:
        yield Served(server, DemonstrationAuthority.open(folder, server.address))


@pytest.fixture
def pem(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes a certificate or list (DER) for `openssl`; the file's name."""

    def write(name: str, der: bytes) -> str:
        file = tmp_path / name
        file.write_bytes(der)
        return str(file)

    return write
