"""How keys begin, what they are in the token, and who may speak to the process that holds them (K1-K3)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from hsm import enrolment, key_book, soft_token
from hsm.enrolment import EnrolmentRefused, KeyWish
from hsm.key import Holder, HolderKind, KeyUnavailable, NoSuchKey, Purpose, Refusal, Refused
from hsm.key_book import KeyEntry
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess
from hsm.use_log import read_uses
from tests.rooms.hsm.test_token_signs import check
from tests.rooms.hsm.tokens import (
    AGENCY,
    CHAIRMAN,
    CLERK,
    ROOT,
    SERVICE,
    certificate_for,
    in_token,
    let_in,
    order_for,
    run_token,
)

NOBODY = 65534
SEAL = KeyWish(
    "new-seal", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), "CN=UBND xã An Phước,O=An Phước,C=VN"
)


def test_keys_never_left_the_token_and_can_do_nothing_but_sign(token: Path) -> None:
    told = in_token(
        token,
        "for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}):\n"
        "    on = [a.name for a in (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.EXTRACTABLE,\n"
        "        Attribute.NEVER_EXTRACTABLE, Attribute.SIGN, Attribute.DECRYPT, Attribute.UNWRAP, Attribute.DERIVE,\n"
        "        Attribute.SIGN_RECOVER, Attribute.MODIFIABLE, Attribute.LOCAL) if key[a]]\n"
        "    print(*on)\n",
    )
    lines = told.splitlines()
    assert len(lines) == 7
    assert set(lines) == {"SENSITIVE ALWAYS_SENSITIVE NEVER_EXTRACTABLE SIGN LOCAL"}


def put_in(token: Path, name: str, kind: str, templates: str) -> None:
    """A key that we did not make, under our name and in our book."""
    make = {
        "rsa": f"made = session.generate_keypair(KeyType.RSA, 2048, label={name!r}, id=b'id-{name}', store=True, {templates})\n"
        "from pkcs11.util.rsa import encode_rsa_public_key\n"
        "from cryptography.hazmat.primitives.serialization import *\n"
        "from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers\n"
        "n, e = made[0][Attribute.MODULUS], made[0][Attribute.PUBLIC_EXPONENT]\n"
        "key = RSAPublicNumbers(int.from_bytes(e, 'big'), int.from_bytes(n, 'big')).public_key()\n"
        "print(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex())\n",
    }[kind]
    public_key = bytes.fromhex(in_token(token, make).strip())
    uri = Pkcs11Uri(object=name, id=f"id-{name}".encode(), type="private")
    holder = Holder(HolderKind.SERVICE, SERVICE)
    book = key_book.load(token)
    entry = KeyEntry(name, SERVICE, Purpose.AUDIT, holder, str(uri), public_key)
    key_book.save(token, book.with_key(entry))


@pytest.mark.parametrize(
    ("templates", "problem"),
    [
        ("private_template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}", "extractable"),
        ("private_template={Attribute.DECRYPT: True}", "not-sign-only"),
        ("private_template={Attribute.UNWRAP: True}", "not-sign-only"),
    ],
)
async def test_a_key_that_could_do_more_is_not_used(token: Path, templates: str, problem: str) -> None:
    put_in(token, "loose", "rsa", templates)
    async with opened(token) as (_, vault):
        assert ("loose", problem) in (await vault.probe()).unusable
        assert "loose" not in [one.name for one in await vault.descriptions()]
        with pytest.raises(NoSuchKey):
            await vault.open("loose")


async def test_a_key_that_is_not_its_certificates_is_not_used(token: Path) -> None:
    book = key_book.load(token)
    seal, other = book.find("seal"), book.find("chairman")
    assert seal is not None and other is not None
    key_book.save(token, book.with_key(replace(seal, certificate=other.certificate)))
    async with opened(token) as (_, vault):
        assert ("seal", "other-key") in (await vault.probe()).unusable
        key_book.save(token, book.with_key(replace(seal, public_key=other.public_key)))
        await asyncio.sleep(0.5)
        assert ("seal", "other-key") in (await vault.probe()).unusable
        missing = Pkcs11Uri(object="seal", id=b"nothing", type="private")
        key_book.save(token, book.with_key(replace(seal, uri=str(missing))))
        await asyncio.sleep(0.5)
        assert ("seal", "not-found") in (await vault.probe()).unusable


@pytest.mark.parametrize("algorithm", ["ec-p256", "ec-p384", "rsa-2048"])
async def test_a_key_from_request_to_first_signature(
    process: TokenProcess, vault: Pkcs11Vault, token: Path, algorithm: str
) -> None:
    request = await enrolment.make_key(process.socket, replace(SEAL, algorithm=algorithm))
    read = x509.load_der_x509_csr(request)
    assert read.is_signature_valid
    assert read.subject == x509.Name.from_rfc4514_string(SEAL.subject)
    with pytest.raises(NoSuchKey):
        await vault.open("new-seal")
    assert x509.load_der_x509_csr(
        await enrolment.request(process.socket, "new-seal", SEAL.subject)
    ).public_key() == read.public_key()  # fmt: skip

    await enrolment.install(process.socket, "new-seal", certificate_for(request), [])
    key = await vault.open("new-seal")
    order = order_for(key.description, person=CLERK)
    assert await key.sign([order]) == [Refused(Refusal.NOT_THE_HOLDER)]
    await enrolment.grant(process.socket, "new-seal", CLERK)
    check(key, order, (await key.sign([order]))[0])
    await enrolment.revoke(process.socket, "new-seal", CLERK)
    again = order_for(key.description, person=CLERK)
    assert await key.sign([again]) == [Refused(Refusal.NOT_THE_HOLDER)]
    assert len(list(read_uses(token))) == 3  # two requests, one document


async def test_certificates_that_are_not_taken_in(process: TokenProcess) -> None:
    request = await enrolment.make_key(process.socket, SEAL)
    stamp = replace(SEAL, name="new-stamp", purpose=Purpose.TIME_STAMPING)
    stamp_request = await enrolment.make_key(process.socket, stamp)
    not_critical = certificate_for(stamp_request, purpose=Purpose.TIME_STAMPING, critical=False)
    ended = certificate_for(request, until=datetime(2021, 1, 1, tzinfo=UTC))
    for name, certificate, chain, reason in [
        ("new-seal", certificate_for(stamp_request), [], "other-key"),
        ("new-seal", b"not a certificate", [], "certificate-bad"),
        ("new-seal", certificate_for(request), [b"not a certificate"], "certificate-bad"),
        ("new-seal", ended, [], "expired"),
        ("new-seal", certificate_for(request), [not_critical], "chain-broken"),
        ("new-stamp", certificate_for(stamp_request), [], "usage-wrong"),
        ("new-stamp", not_critical, [], "usage-wrong"),
    ]:
        with pytest.raises(EnrolmentRefused) as refused:
            await enrolment.install(process.socket, name, certificate, chain)
        assert refused.value.reason == reason
    with pytest.raises(NoSuchKey):
        await enrolment.install(process.socket, "nobody", certificate_for(request), [])


async def test_a_later_certificate_takes_the_earlier_ones_place(
    process: TokenProcess, vault: Pkcs11Vault
) -> None:
    request = await enrolment.make_key(process.socket, SEAL)
    for certificate in (certificate_for(request), certificate_for(request)):
        for _ in range(2):  # whoever does not know whether it was taken in brings it again
            await enrolment.install(process.socket, SEAL.name, certificate, [])
            assert (await vault.open(SEAL.name)).description.certificate == certificate


async def test_a_crash_before_the_book_knew_of_the_key(token: Path) -> None:
    """The pair lies in the token and nobody knows its name: a key is made beside it, and never mistaken for it."""
    in_token(
        token,
        "curve = {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters('secp256r1')}\n"
        "session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(\n"
        f"    id=b'half made', label={SEAL.name!r}, store=True)\n",
    )
    async with opened(token) as (process, vault):
        request = await enrolment.make_key(process.socket, replace(SEAL, granted=frozenset({CLERK})))
        await enrolment.install(process.socket, SEAL.name, certificate_for(request), [])
        key = await vault.open(SEAL.name)
        order = order_for(key.description)
        check(key, order, (await key.sign([order]))[0])


async def test_a_token_of_somebody_else_is_begun_without_being_touched(token: Path, tmp_path: Path) -> None:
    """A folder is begun for a token that is there; what it holds stays, and a lost log is begun anew by this alone."""
    folder, uri = tmp_path / "begun", str(key_book.load(token).token)
    command = [sys.executable, "-m", "hsm.token_process", "--folder", str(folder), "--begin"]

    def begin(uri: str, *more: str) -> int:
        return subprocess.run([*command, uri, *more], cwd=ROOT, check=False, capture_output=True).returncode

    for wrong in ("pkcs11:token=a", "token", uri + "&pin-value=1"):
        assert begin(wrong) == 2
    assert begin(uri, "--user", "nobody of this name") == 2
    assert not (folder / key_book.FILE).exists()
    assert begin(uri, "--user", "nobody") == 0
    book = key_book.load(folder)
    assert (str(book.token), book.uids, book.persons, book.keys) == (uri, frozenset({NOBODY}), False, ())
    assert folder.stat().st_mode & 0o077 == 0
    shutil.copy(token / "pin", folder / "pin")
    shutil.copy(token / "softhsm2.conf", folder / "softhsm2.conf")
    async with opened(folder) as (process, vault):
        request = await enrolment.make_key(process.socket, replace(SEAL, granted=frozenset({CLERK})))
        await enrolment.install(process.socket, SEAL.name, certificate_for(request), [])
        key = await vault.open(SEAL.name)
        order = order_for(key.description)
        check(key, order, (await key.sign([order]))[0])
    (folder / "uses.sqlite").unlink()
    assert begin("pkcs11:token=other?module-path=/usr/lib/other.so") == 2
    assert begin(uri) == 0
    assert [one.name for one in key_book.load(folder).keys] == [SEAL.name]


def test_no_token_but_softhsms_is_initialised(tmp_path: Path) -> None:
    """Another module's token may hold somebody's keys."""
    (spy,) = Path("/usr/lib").glob("*/opensc-pkcs11.so")
    with pytest.raises(soft_token.NoSoftHsm, match="not SoftHSM"):
        soft_token.make(tmp_path / "token", module=spy)
    assert not (tmp_path / "token" / key_book.FILE).exists()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (replace(SEAL, name="seal"), "name-taken"),
        (replace(SEAL, name="../seal"), "name-bad"),
        (replace(SEAL, subject="nobody"), "subject-bad"),
        (replace(SEAL, subject=""), "subject-bad"),
        (replace(SEAL, algorithm="rsa-1024"), "unsupported"),
    ],
)
async def test_keys_that_are_not_made(process: TokenProcess, wish: KeyWish, reason: str) -> None:
    with pytest.raises(EnrolmentRefused) as refused:
        await enrolment.make_key(process.socket, wish)
    assert refused.value.reason == reason


async def test_a_persons_key_is_nobody_elses_and_in_production_not_made_at_all(token: Path) -> None:
    key_book.save(token, replace(key_book.load(token), persons=False))
    async with opened(token) as (process, vault):
        for doing in (
            enrolment.grant(process.socket, "chairman", CLERK),
            enrolment.make_key(process.socket, replace(SEAL, holder=Holder(HolderKind.PERSON, CHAIRMAN))),
        ):
            with pytest.raises(EnrolmentRefused) as refused:
                await doing
            assert refused.value.reason == "person"
        key = await vault.open("chairman")
        assert await key.sign([order_for(key.description)]) == [Refused(Refusal.NOT_RELEASED)]


async def test_a_book_that_another_wrote_holds_at_once(token: Path, vault: Pkcs11Vault) -> None:
    key = await vault.open("seal")
    book = key_book.load(token)
    seal = book.find("seal")
    assert seal is not None
    key_book.save(token, book.with_key(replace(seal, granted=frozenset())))
    assert await key.sign([order_for(key.description)]) == [Refused(Refusal.NOT_THE_HOLDER)]
    (token / key_book.FILE).write_bytes(b"damaged")
    assert await key.sign([order_for(key.description)]) == [Refused(Refusal.NOT_THE_HOLDER)]


def test_a_token_that_is_there_is_left_alone(token: Path) -> None:
    before = (token / key_book.FILE).read_bytes()
    soft_token.make(token)
    assert (token / key_book.FILE).read_bytes() == before


def test_a_token_half_made_is_made_anew_and_nothing_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "token"
    soft_token.make(folder)
    (folder / key_book.FILE).unlink()
    soft_token.make(folder)
    assert [one.purpose for one in key_book.load(folder).keys] == [Purpose.PROBE]
    (aside,) = folder.glob("tokens.without-book-*")
    assert list(aside.rglob("*.object"))


def test_a_soft_token_says_what_it_is(token: Path) -> None:
    async def ask() -> bool:
        async with opened(token) as (_, vault):
            return (await vault.probe()).softhsm

    assert asyncio.run(ask())


# -- callers

AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from hsm import enrolment
from hsm.enrolment import KeyWish
from hsm.key import Holder, HolderKind, KeyUnavailable, Purpose, Signed
from hsm.pkcs11_vault import Pkcs11Vault
from tests.rooms.hsm.tokens import AGENCY, order_for

async def main():
    socket = Path(sys.argv[1])
    try:
        vault = Pkcs11Vault(socket)
        key = await vault.open("seal")
        (result,) = await key.sign([order_for(key.description)])
        print(type(result).__name__)
        wish = KeyWish("mine", AGENCY, Purpose.SEAL, Holder(HolderKind.AGENCY, AGENCY), "CN=mine")
        print(await enrolment.make_key(socket, wish))
    except KeyUnavailable as away:
        print(away.why)

# Everything is loaded before the rights are given up: the interpreter may lie where nobody may read.
import encodings.idna, concurrent.futures.thread
os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("uids", "told"),
    [((), ["token-process-away"]), ((1,), ["connection-lost"]), ((NOBODY,), ["Signed", "not-allowed"])],
)
async def test_who_calls_is_asked_of_the_kernel(token: Path, uids: tuple[int, ...], told: list[str]) -> None:
    """Other users are not let in, those named in the book may have signed, nobody but the owner makes keys."""
    let_in(token, *uids)
    # pytest's own folders are closed to others.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        async with run_token(token, socket=folder / "socket"):
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            command = [*as_root, sys.executable, "-c", AS_NOBODY, str(folder / "socket")]
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=True
            )
    finally:
        shutil.rmtree(folder)
    assert done.stdout.split() == told


async def test_a_caller_who_sends_no_frame_is_hung_up_on(process: TokenProcess, vault: Pkcs11Vault) -> None:
    for sent in (
        b"\xff\xff\xff\xff",
        b"\0\0\0\x02[]",
        b"\0\0\0\x0b" + b'{"id": "a"}',
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_unix_connection(process.socket)
        writer.write(sent)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert (await vault.probe()).ready


async def test_a_log_that_cannot_be_written_lets_nothing_be_signed(token: Path) -> None:
    async with opened(token) as (_, vault):
        key = await vault.open("seal")
        (token / "uses.sqlite").chmod(0o400)
        # Root writes in spite of modes, so the table is taken away instead.
        subprocess.run(
            [sys.executable, "-c", f"import sqlite3; sqlite3.connect({str(token / 'uses.sqlite')!r}).execute('DROP TABLE uses')"],
            check=True,
        )  # fmt: skip
        with pytest.raises(KeyUnavailable) as away:
            await key.sign([order_for(key.description)])
        assert (away.value.why, away.value.asked) == ("log-unavailable", False)


@asynccontextmanager
async def opened(token: Path) -> AsyncIterator[tuple[TokenProcess, Pkcs11Vault]]:
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        try:
            yield process, vault
        finally:
            await vault.close()
