"""The round trip to the token process, against the same SoftHSM token asked directly: this file measures it.

- Directly: python-pkcs11 in this process, one session, the key's handle at hand; nobody is asked whether they may, and
  nothing is written down.
- The physical limit is what the promise asks for and no more: a socket to another process, one durable line for the
  list (K3), and the token's own work.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11.util.ec import encode_ecdsa_signature

from bench.table import Row, interleaved_async, show
from hsm import key_book
from hsm.frames import pack, plain_orders, plain_result
from hsm.key import Mechanism, Signed, SigningOrder
from hsm.pkcs11_uri import Pkcs11Uri
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.public_keys import verify
from hsm.token_process import TokenProcess
from tests.rooms.hsm import tokens

ROUNDS = 60
KEYS = {"seal": "P-256", "seal-rsa": "RSA-2048"}
LISTS = (1, 32)
LINE = bytes(300)  # about what a use of the log weighs
DIRECT, LIMIT = "python-pkcs11, one session", "socket + durable line + token"


def main(rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as folder, _echo() as line:
        token = Path(folder) / "token"
        tokens.make_token(token)
        os.environ["SOFTHSM2_CONF"] = str(token / "softhsm2.conf")
        show(asyncio.run(_measured(token, line, rounds)))


async def _measured(token: Path, line: socket.socket, rounds: int) -> list[Row]:
    book = key_book.load(token)
    async with TokenProcess.start(token) as process:
        library = pkcs11.lib(str(book.token.module_path))
        pin = (token / "pin").read_text().strip()
        vault = Pkcs11Vault(process.socket)
        rows = []
        with closing(library.get_token(token_label=book.token.token).open(user_pin=pin)) as session:
            for name in KEYS:
                label = Pkcs11Uri.parse(next(one.uri for one in book.keys if one.name == name)).object
                private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
                for count in LISTS:
                    rows += await _round_trips(vault, name, private, (count, rounds, line, token))
        await vault.close()
    return rows


async def _round_trips(
    vault: Pkcs11Vault, name: str, private: Any, how: tuple[int, int, socket.socket, Path]
) -> list[Row]:
    count, rounds, line, folder = how
    key = await vault.open(name)
    lists = iter([[tokens.order_for(key.description) for _ in range(count)] for _ in range(rounds + 1)])
    orders = [tokens.order_for(key.description) for _ in range(count)]
    answered = await key.sign(orders)
    _look(key.description.public_key, orders, answered)
    question = pack({"id": 1, "verb": "sign", "name": name, "within": 30.0, "orders": plain_orders(orders)})
    answer = pack({"id": 1, "result": [plain_result(one) for one in answered]})
    sign = _directly(private, key.description.mechanisms[0])

    async def by_us() -> None:
        await key.sign(next(lists))

    async def directly() -> None:
        for one in orders:
            sign(one.to_sign)

    async def through_socket() -> None:
        line.sendall(len(question).to_bytes(4, "big") + len(answer).to_bytes(4, "big") + question)
        _exactly(line, len(answer))

    with (folder / "line").open("ab", buffering=0) as log:

        async def written() -> None:
            log.write(LINE * count)
            os.fdatasync(log.fileno())

        ours, direct, wire, line_ms = await interleaved_async(
            rounds, by_us, directly, through_socket, written
        )
    case = f"sign a list of {count}, {KEYS[name]}"
    return [
        Row("token", case, ours, direct, DIRECT, "ms"),
        Row("token", case, ours, wire, "the socket alone", "ms"),
        Row("token", case, ours, wire + line_ms + direct, LIMIT, "ms"),
    ]


def _directly(private: Any, mechanism: Mechanism) -> Callable[[bytes], bytes]:
    if mechanism is Mechanism.ECDSA_SHA256:
        return lambda to_sign: bytes(
            encode_ecdsa_signature(
                private.sign(hashlib.sha256(to_sign).digest(), mechanism=pkcs11.Mechanism.ECDSA)
            )
        )
    return lambda to_sign: bytes(private.sign(to_sign, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))


def _look(public_key: bytes, orders: list[SigningOrder], answered: Any) -> None:
    """A fast refusal would be no signature. Raises InvalidSignature."""
    for order, one in zip(orders, answered, strict=True):
        if not isinstance(one, Signed):
            raise SystemExit(f"what was measured is no signature: {one}")
        verify(public_key, order.mechanism, order.to_sign, one.signature)


# -- another process that answers as many bytes as it is asked for

ANSWERING = """
import socket, sys
line = socket.socket(fileno=int(sys.argv[1]))
while head := line.recv(8, socket.MSG_WAITALL):
    size = int.from_bytes(head[:4], "big")
    while size:
        size -= len(line.recv(size, socket.MSG_WAITALL))
    line.sendall(bytes(int.from_bytes(head[4:], "big")))
"""


@contextmanager
def _echo() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", ANSWERING, str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]):
        theirs.close()
        yield ours
        ours.close()


def _exactly(line: socket.socket, size: int) -> None:
    while size:
        size -= len(line.recv(size, socket.MSG_WAITALL))


if __name__ == "__main__":
    main()
