"""Odd entries in a book of keys harm no other, large books are told whole, and what is told is never old (K1, K2)."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm import key_book
from hsm.descriptions import plain_description
from hsm.frames import BOOK_CHANGED, FRAME_LIMIT, FrameReader, pack
from hsm.key import KeyUnavailable, PinRefused
from hsm.key_book import BookDamaged
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.token_process import TokenProcess
from tests.rooms.hsm.test_order_check import KEY
from tests.rooms.hsm.test_token_signs import check
from tests.rooms.hsm.tokens import (
    CLERK,
    calls_in,
    in_token,
    order_for,
    run_token,
    through_spy,
)

ED25519 = (
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"certificate": b"no certificate"}, "other-key"),
        ({"public_key": ED25519}, "unsupported"),
        ({"public_key": b"no key"}, "unsupported"),
        ({"uri": "pkcs11:token=another;object=seal"}, "not-found"),
        ({"uri": "pkcs11:serial=00;object=seal"}, "not-found"),
        ({"uri": "pkcs11:object=seal;type=public"}, "not-found"),
    ],
)
async def test_one_odd_entry_harms_no_other_key(token: Path, wrong: dict[str, object], problem: str) -> None:
    book = key_book.load(token)
    seal = book.find("seal")
    assert seal is not None
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        odd, good, child = await vault.open("seal"), await vault.open("seal-rsa"), process.pid
        key_book.save(token, book.with_key(replace(seal, **wrong)))  # type: ignore[arg-type]
        with pytest.raises(KeyUnavailable) as away:
            await odd.sign([order_for(odd.description)])
        assert (away.value.why, away.value.asked) == (problem, False)
        order = order_for(good.description)
        check(good, order, (await good.sign([order]))[0])
        assert process.pid == child
        await vault.close()
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        health = await vault.probe()
        assert health.ready
        assert health.unusable == (("seal", problem),)
        await vault.close()


async def test_a_private_key_without_its_exponent_is_known_by_the_public_key_beside_it(token: Path) -> None:
    """PKCS#11 asks of a private RSA key its modulus alone. SoftHSM always adds the exponent, so nothing is taken away
    here: the public key beside must say the same."""
    told = in_token(
        token,
        "from hsm.token_keys import public_key_of; from hsm.pkcs11_uri import Pkcs11Uri\n"
        "entry = key_book.load(folder).find('seal-rsa'); uri = Pkcs11Uri.parse(entry.uri)\n"
        "(private,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: uri.id})\n"
        "class Bare:\n"
        "    key_type = private.key_type\n"
        "    def __getitem__(self, one):\n"
        "        if one is Attribute.PUBLIC_EXPONENT: raise AttributeTypeInvalid\n"
        "        return private[one]\n"
        "print(public_key_of(session, Bare(), uri) == entry.public_key)\n",
    )
    assert told == "True\n"


def test_a_key_that_is_named_too_loosely(token: Path) -> None:
    book = key_book.load(token)
    seal = book.find("seal")
    assert seal is not None
    key_book.save(token, book.with_key(replace(seal, uri="pkcs11:type=private")))
    with pytest.raises(BookDamaged):
        key_book.load(token)


async def test_more_keys_than_one_answer_holds(token: Path) -> None:
    book = key_book.load(token)
    seal = book.find("seal")
    assert seal is not None
    many = [replace(seal, name=f"seal-{number:04}", chain=(seal.certificate,) * 8) for number in range(1200)]
    key_book.save(token, replace(book, keys=tuple(sorted([*book.keys, *many], key=lambda one: one.name))))
    assert sum(len(pack(plain_description(one.describe()))) for one in many) > FRAME_LIMIT
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        names = [one.name for one in await vault.descriptions()]
        assert names == sorted([*(one.name for one in book.keys), *(one.name for one in many)])
        key = await vault.open("seal-1199")
        order = order_for(key.description)
        check(key, order, (await key.sign([order]))[0])
        await vault.close()


async def test_who_does_not_read_is_hung_up_on_and_the_others_are_told(
    token: Path, process: TokenProcess, vault: Pkcs11Vault
) -> None:
    deaf = [await asyncio.open_unix_connection(process.socket) for _ in range(3)]
    for _, writer in deaf:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(8):
            writer.write(
                b"".join(pack({"id": 1, "verb": "keys", "name": "x", "after": ""}) for _ in range(500))
            )
    assert (await vault.probe()).ready
    book = key_book.load(token)
    seal = book.find("seal")
    assert seal is not None
    before = await vault.descriptions()
    key_book.save(token, book.with_key(replace(seal, granted=frozenset())))
    for _ in range(500):
        if await vault.descriptions() != before:
            break
        await asyncio.sleep(0.02)
    assert not (await vault.open("seal")).description.granted
    for _, writer in deaf:
        writer.close()


async def test_what_was_on_its_way_while_the_book_changed_is_not_remembered(tmp_path: Path) -> None:
    """The answer and the word that the book changed arrive in one piece: what is told next is the new book."""
    granted = [frozenset[object](), frozenset({CLERK})]

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        while data := await reader.read(65536):
            for question in frames.feed(data):
                key = replace(KEY, granted=granted.pop(0))  # type: ignore[arg-type]
                answer = {"keys": [plain_description(key)], "more": False}
                writer.write(pack({"id": question["id"], "result": answer}) + pack({"id": BOOK_CHANGED}))
        writer.close()

    async with await asyncio.start_unix_server(tell, tmp_path / "socket"):
        vault = Pkcs11Vault(tmp_path / "socket")
        assert [one.granted for one in await vault.descriptions()] == [frozenset()]
        assert [one.granted for one in await vault.descriptions()] == [frozenset({CLERK})]
        await vault.close()


async def test_two_tokens_of_one_name(token: Path) -> None:
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "antin", "--pin", "1234", "--so-pin", "5678"],
        env={**os.environ, "SOFTHSM2_CONF": str(token / "softhsm2.conf")}, check=True, capture_output=True,
    )  # fmt: skip
    async with run_token(token) as process:  # by its serial it is known all the same
        vault = Pkcs11Vault(process.socket)
        assert (await vault.probe()).ready
        await vault.close()
    book = key_book.load(token)
    loose = Pkcs11Uri(token="antin", manufacturer="SoftHSM project", module_path=book.token.module_path)
    key_book.save(token, replace(book, token=loose))
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        assert (await vault.probe()).why == "token-ambiguous"
        await vault.close()


@pytest.mark.parametrize("flag", [0x20000, 0x40000])
async def test_a_token_on_its_last_try_is_not_tried(token: Path, tmp_path: Path, flag: int) -> None:
    """CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED: the last try is a person's."""
    (file,) = (token / "tokens").glob("*/token.object")
    kind = struct.pack(">QQ", 0x8000534B, 2)  # SoftHSM's own CKA_OS_TOKENFLAGS, a number
    before, _, after = file.read_bytes().partition(kind)
    (flags,) = struct.unpack(">Q", after[:8])
    file.write_bytes(before + kind + struct.pack(">Q", flags | flag) + after[8:])
    spied = tmp_path / "spy"
    async with run_token(token, environment=through_spy(token, spied)) as process:
        vault = Pkcs11Vault(process.socket)
        with pytest.raises(PinRefused):
            await vault.descriptions()
        await vault.close()
    assert calls_in(spied, "C_Login") == 0


async def test_a_pin_is_taken_as_it_stands(token: Path) -> None:
    """It is no part of a URI: a percent sign is a percent sign."""
    old = (token / "pin").read_text().strip()
    in_token(token, f"session.set_pin({old!r}, 'a%41 b;&')\n")
    (token / "pin").write_text("a%41 b;&\n")
    async with run_token(token) as process:
        vault = Pkcs11Vault(process.socket)
        assert (await vault.probe()).ready
        await vault.close()
