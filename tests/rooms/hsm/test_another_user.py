"""A script with the service's user, files and socket: what it can do with the seal stays visible, and it can do nothing
else (K3). The service's user is `nobody` here, the token process' user is ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hsm.frames import plain_orders
from hsm.pkcs11_vault import Pkcs11Vault
from hsm.use_log import read_uses
from tests.rooms.hsm.tokens import STRANGER, copy_token, let_in, order_for, run_token

NOBODY = 65534
ROOT = Path(__file__).parents[3]

# Everything is loaded before it is `nobody`: the interpreter may lie where nobody may read.
SCRIPT = """
import ctypes, json, os, socket, struct, sys
from hsm.frames import FrameReader, pack
asked = json.load(sys.stdin)
libc = ctypes.CDLL(None, use_errno=True)
os.setgroups([]); os.setgid(65534); os.setuid(65534)

def tried(act):
    try:
        act()
    except OSError as why:
        return type(why).__name__
    return "done"

def attach():
    if libc.ptrace(16, asked["pid"], 0, 0):
        raise PermissionError(ctypes.get_errno())

folder, said = asked["folder"], {}
for name in ("pin", "uses.sqlite", "keys.json"):
    path = os.path.join(folder, name)
    said["read " + name] = tried(lambda: open(path, "rb"))
    said["write " + name] = tried(lambda: open(path, "ab"))
    said["replace " + name] = tried(lambda: os.rename(path, path + ".old"))
said["list"] = tried(lambda: os.listdir(os.path.join(folder, "tokens")))
said["memory"] = tried(lambda: open("/proc/%d/mem" % asked["pid"], "rb"))
said["environment"] = tried(lambda: open("/proc/%d/environ" % asked["pid"], "rb").read())
said["ptrace"] = tried(attach)
said["kill"] = tried(lambda: os.kill(asked["pid"], 9))
line, reader, answers = socket.socket(socket.AF_UNIX), FrameReader(), []
line.settimeout(30)
line.connect(asked["socket"])
for message in asked["messages"]:
    line.sendall(pack(message))
    heard = []
    while not heard:
        heard = [one for one in reader.feed(line.recv(65536)) if one["id"] == message["id"]]
    answers += heard
print(json.dumps({"said": said, "answers": answers}))
"""


@pytest.fixture
def apart(made_token: Path) -> Iterator[Path]:
    """A token's folder, and its socket where `nobody` comes: pytest's own folders are closed to others."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    folder = copy_token(made_token, place / "token")
    let_in(folder, NOBODY)
    yield folder
    shutil.rmtree(place)


async def test_nothing_but_orders_that_stay_in_the_use_log(apart: Path) -> None:
    place = apart.parent / "socket"
    async with run_token(apart, socket=place) as process:
        vault = Pkcs11Vault(process.socket)
        key = await vault.open("seal")
        served = order_for(key.description, lease=4)
        await key.sign([served])
        other = order_for(key.description)
        made_up = order_for(key.description)
        orders = [
            served,
            replace(other, intent=served.intent),
            replace(other, request=served.request, lease=3),
            replace(other, to_sign=b"\x00" * 32),
            replace(other, person=STRANGER),
            replace(other, lease=0),  # the use log's lines without one are not held against the record
            made_up,
        ]
        messages: list[dict[str, Any]] = [
            {"verb": "sign", "name": "seal", "orders": plain_orders([one]), "within": 20.0} for one in orders
        ]
        messages += [{"verb": verb, "name": "seal", "who": uuid4().hex} for verb in ("grant", "revoke")]
        messages += [{"verb": "request", "name": "seal", "subject": "CN=x"}]
        asked = {
            "pid": process.pid, "folder": str(apart), "socket": str(place),
            "messages": [{"id": number, **one} for number, one in enumerate(messages, 1)],
        }  # fmt: skip
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        done = subprocess.run(
            [*as_root, sys.executable, "-c", SCRIPT], input=json.dumps(asked), capture_output=True, text=True, cwd=ROOT, timeout=60
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        await vault.close()
    assert set(told["said"].values()) == {"PermissionError"}, told["said"]
    results = [one.get("result", [one.get("error")])[0] for one in told["answers"]]
    refused = [one.get("refused") or one.get("why") for one in results]
    assert refused == [
        "already-served", "already-served", "stale-lease", "wrong-purpose", "not-the-holder", "stale-lease", None, *3 * ["not-allowed"],
    ]  # fmt: skip
    assert "signed" in results[6], "as the service could: and it stays in the use log"
    assert [one.intent for one in read_uses(apart)] == [served.intent, made_up.intent]
