"""Tokens for tests: this file makes one SoftHSM token with keys of each kind, and copies of it that a test may break."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsm import enrolment, key_book, soft_token, use_log
from hsm.enrolment import KeyWish
from hsm.health import TokenHealth
from hsm.key import (
    Holder,
    HolderKind,
    KeyDescription,
    KeyUnavailable,
    Mechanism,
    Purpose,
    SigningOrder,
)
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess

ROOT = Path(__file__).parents[3]
AGENCY, OTHER_AGENCY = UUID(int=0xA0), UUID(int=0xA1)
CHAIRMAN, CLERK, STRANGER = UUID(int=0xB0), UUID(int=0xB1), UUID(int=0xB2)
SERVICE = UUID(int=0)

_ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DEMO CA of a test")])
_ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())

WISHES = (
    KeyWish(
        "seal", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), "CN=UBND xã An Phước,C=VN",
        granted=frozenset({CLERK}),
    ),
    KeyWish(
        "seal-rsa", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), "CN=UBND xã An Phước,C=VN", "rsa-2048",
        granted=frozenset({CLERK}),
    ),
    KeyWish(
        "seal-p384", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), "CN=UBND xã An Phước,C=VN", "ec-p384",
        granted=frozenset({CLERK}),
    ),
    KeyWish("chairman", AGENCY, Purpose.SIGNING, Holder(HolderKind.PERSON, CHAIRMAN), "CN=Trần Thị Bình,C=VN"),
    KeyWish("stamp", SERVICE, Purpose.TIME_STAMPING, Holder(HolderKind.SERVICE, SERVICE), "CN=DEMO TSA"),
    KeyWish("audit", SERVICE, Purpose.AUDIT, Holder(HolderKind.SERVICE, SERVICE), "CN=audit"),
)  # fmt: skip


def signed_attributes(seed: bytes | None = None, *, content_type: str = "2a864886f70d010701") -> bytes:
    """DER as a signer of CMS signs it (RFC 5652 5.4)."""
    digest = hashlib.sha256(seed if seed is not None else uuid4().bytes).digest()
    oid = bytes.fromhex(content_type)
    value = b"\x06" + bytes([len(oid)]) + oid
    name = bytes.fromhex("06092a864886f70d010903")
    kind = name + b"\x31" + bytes([len(value)]) + value
    attributes = b"\x30" + bytes([len(kind)]) + kind
    attributes += bytes.fromhex("302f06092a864886f70d01090431220420") + digest
    return b"\x31" + bytes([len(attributes)]) + attributes


def order_for(key: KeyDescription, **other: object) -> SigningOrder:
    """An order that the key serves, but for what is given otherwise."""
    stamps = key.purpose is Purpose.TIME_STAMPING
    text = b"log.example\n12\nroot\n" if key.purpose is Purpose.AUDIT else None
    content_type = "2a864886f70d0109100104" if stamps else "2a864886f70d010701"
    person = next(iter(key.granted), key.holder.id)
    order = SigningOrder(
        text or signed_attributes(content_type=content_type),
        key.mechanisms[0],
        uuid4(),
        1,
        uuid4(),
        key.agency,
        person,
    )
    return replace(order, **other)  # type: ignore[arg-type]


def certificate_for(
    request: bytes,
    *,
    purpose: Purpose = Purpose.SEAL,
    critical: bool = True,
    until: datetime = datetime(2040, 1, 1, tzinfo=UTC),
) -> bytes:
    """Certificate (DER) for a PKCS#10 request (DER)."""
    wanted = x509.load_der_x509_csr(request)
    assert wanted.is_signature_valid
    usage = (
        ExtendedKeyUsageOID.TIME_STAMPING
        if purpose is Purpose.TIME_STAMPING
        else ExtendedKeyUsageOID.EMAIL_PROTECTION
    )
    builder = x509.CertificateBuilder(
        _ISSUER, wanted.subject, wanted.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(until)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=critical)
    return builder.sign(_ISSUER_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def make_token(folder: Path) -> None:
    """A token with a key for each wish."""
    soft_token.make(folder)
    asyncio.run(_enrol(folder))


async def _enrol(folder: Path) -> None:
    async with TokenProcess.start(folder) as process:
        for wish in WISHES:
            request = await enrolment.make_key(process.socket, wish)
            if wish.purpose is not Purpose.AUDIT:
                certificate = certificate_for(request, purpose=wish.purpose)
                await enrolment.install(process.socket, wish.name, certificate, [])


def copy_token(made: Path, folder: Path) -> Path:
    """The same token again, with a use log of its own."""
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("socket", "lock", "uses.sqlite*"))
    use_log.begin(folder)
    settings = folder / "softhsm2.conf"
    settings.write_text(settings.read_text().replace(str(made), str(folder)))
    return folder


def let_in(folder: Path, *uids: int) -> None:
    key_book.save(folder, replace(key_book.load(folder), uids=frozenset(uids)))


def in_token(folder: Path, script: str) -> str:
    """Runs Python beside the token, with `session` open for writing; what it prints."""
    before = (
        "import sys, pkcs11; from pathlib import Path; from pkcs11 import *; from hsm import key_book\n"
        "folder = Path(sys.argv[1]); uri = key_book.load(folder).token\n"
        "token = pkcs11.lib(str(uri.module_path)).get_token(token_label=uri.token)\n"
        "session = token.open(rw=True, user_pin=(folder / 'pin').read_text().strip())\n"
    )
    environment = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    done = subprocess.run(
        [sys.executable, "-c", before + script, str(folder)], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


def run_token(folder: Path, **how: object) -> AbstractAsyncContextManager[TokenProcess]:
    return TokenProcess.start(folder, **how)  # type: ignore[arg-type]


EVERY_MECHANISM = [
    *(("seal-rsa", one) for one in Mechanism if one.value.startswith("rsa")),
    ("seal", Mechanism.ECDSA_SHA256),
    ("seal-p384", Mechanism.ECDSA_SHA384),
]


def through_spy(folder: Path, log: Path) -> dict[str, str]:
    """Puts OpenSC's pkcs11-spy between the token and us; the environment that it wants."""
    (spy,) = Path("/usr/lib").glob("*/pkcs11-spy.so")
    book = key_book.load(folder)
    module = str(book.token.module_path)
    key_book.save(folder, replace(book, token=replace(book.token, module_path=spy)))
    return {"PKCS11SPY": module, "PKCS11SPY_OUTPUT": str(log)}


def calls_in(log: Path, function: str) -> int:
    """How often the spy saw the function called."""
    return len(re.findall(rf"^\d+: {function}$", log.read_text(errors="replace"), re.MULTILINE))


async def until_ready(vault: Pkcs11Vault, *, seconds: float = 15.0) -> TokenHealth:
    """Waits for a token process that is being started again, or a token that comes back."""
    until = time.monotonic() + seconds
    while True:
        try:
            health = await vault.probe()
            if health.ready:
                return health
        except KeyUnavailable:
            pass
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
