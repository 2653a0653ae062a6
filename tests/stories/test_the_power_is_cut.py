"""What an answer says is on the disk before the answer is on the line: shown by what the service really asked of its kernel
during an upload and a signature, as no test can cut the power."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hsm.use_log import read_uses
from storage.schema import SERVICE
from tests.load import SEAL, service
from tests.papers import letter
from tests.system_calls import Call, read_calls, watched

WRITES = {"write", "writev", "pwrite64", "pwritev"}
SYNCS = {"fsync", "fdatasync"}
NAMES = {"rename", "renameat", "renameat2", "link", "linkat"}
FOLDERS = {"mkdir", "mkdirat"}
SENDS = {"sendto", "sendmsg", "write", "writev"}
CREATED = b"HTTP/1.1 201"


@dataclass(frozen=True)
class Traced:
    """`upload` and `signature` are what the rows of their answers hold and no other row: the hash of their key."""

    lines: list[str]
    store: str
    database: str  # its write-ahead log
    uses: str  # of the token's use log
    upload: bytes
    signature: bytes
    intents: list[bytes]
    signed: str  # the SHA-256 of the signed file


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    folder = tmp_path_factory.mktemp("power")
    home, out, keys = folder / "home", folder / "trace", [str(uuid.uuid4()) for _ in range(2)]
    with service(home) as served:
        bearer = {"Authorization": f"Bearer {served.api_key}"}
        before = {one.intent for one in read_uses(home / "token")}
        with httpx.Client(base_url=served.address, headers=bearer, timeout=60) as http:
            with watched([served.process.pid, *_children(served.process.pid)], out):
                once = {"Idempotency-Key": keys[0], "Content-Type": "application/pdf"}
                uploaded = http.post("/api/v1/documents?name=a.pdf", content=letter(), headers=once)
                address = f"/api/v1/documents/{uploaded.json()['id']}"
                wish = {"mode": "sign", "key": SEAL, "level": "B-B"}
                signed = http.post(f"{address}/signatures", json=wish, headers={"Idempotency-Key": keys[1]})
            assert (uploaded.status_code, signed.status_code) == (201, 201)
            content = http.get(f"{address}/content").content
        uses = [one for one in read_uses(home / "token") if one.intent not in before and one.key == SEAL]
    assert len(uses) == 1
    upload, signature = (hashlib.sha256(one.encode()).digest() for one in keys)
    return Traced(
        out.read_text().splitlines(), str(home / "store"), str(home / "antin.sqlite-wal"),
        str(home / "token" / "uses.sqlite-wal"), upload, signature, [one.intent.bytes for one in uses],
        hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _children(child)


def lost_at_a_power_cut(traced: Traced, calls: Sequence[Call]) -> list[str]:
    """What an answer told of, and was not on the disk when its first bytes were sent. Raises AssertionError when what is to
    be looked at is not there."""
    sent = [one.begun for one in calls if one.name in SENDS and _is_created(one)]
    assert len(sent) == 2, "the answers of the upload and of the signature"
    lost: list[str] = []
    for number, (answer, key) in enumerate(zip(sent, (traced.upload, traced.signature), strict=True)):
        earlier = [one for one in calls if one.begun < answer]
        lost += _unsynced(earlier, answer, traced.database, key)
        named = [(call, _target(call)) for call in earlier if call.name in NAMES | FOLDERS]
        named = [(call, path) for call, path in named if _is_of_a_document(path, traced.store)]
        assert any(call.name in NAMES for call, _ in named)
        for call, path in named:
            lost += _unnamed(earlier, answer, call, path)
        if number == 1:
            assert any(path.endswith(f"/{traced.signed}") for _, path in named), "the signed file"
            for intent in traced.intents:
                lost += _unsynced(earlier, answer, traced.uses, intent)
    return lost


def _is_created(call: Call) -> bool:
    return call.of.startswith(("socket:", "TCP")) and any(one.startswith(CREATED) for one in call.strings)


def _target(call: Call) -> str:
    return call.paths[-1]


def _is_of_a_document(path: str, store: str) -> bool:
    """Checkpoints of the audit trail go their own way beside."""
    return path.startswith((f"{store}/kept/", f"{store}/working/")) and str(SERVICE) not in path


def _unsynced(calls: Iterable[Call], answer: int, file: str, words: bytes) -> Iterator[str]:
    """Lines of a database: what was written before the answer, and not fsynced after."""
    calls = [one for one in calls if one.of == file]
    writes = [one for one in calls if one.name in WRITES and any(words in text for text in one.strings)]
    assert writes, f"nothing of it was written to {file}"
    if not _synced(calls, file, writes[-1].ended, answer):
        yield f"written: {file}"


def _unnamed(calls: Sequence[Call], answer: int, call: Call, path: str) -> Iterator[str]:
    """A new name in the store: its bytes were on the disk before it, its folder before the answer."""
    if call.name in NAMES:
        source = call.paths[0]
        writes = [one for one in calls if one.of == source and one.name in WRITES and one.begun < call.begun]
        assert writes, f"nobody wrote {source}"
        if not _synced(calls, source, writes[-1].ended, call.begun):
            yield f"bytes: {path}"
    if not _synced(calls, str(Path(path).parent), call.ended, answer):
        yield f"name: {path}"


def _synced(calls: Iterable[Call], file: str, after: int, before: int) -> bool:
    return any(
        one.name in SYNCS and one.of == file and one.begun > after and one.ended < before for one in calls
    )


def test_what_is_answered_is_on_the_disk(traced: Traced) -> None:
    assert lost_at_a_power_cut(traced, read_calls(traced.lines)) == []


@pytest.mark.parametrize(
    ("forgotten", "told"),
    [
        (r"/antin\.sqlite-wal$", "written: .*/antin"),
        (r"/uses\.sqlite-wal$", "written: .*/uses"),
        (r"/scratch/", "bytes: .*/(kept|working)/"),
        (r"/working/[^/]*$", "name: .*/working/"),
        (r"/kept/[^/]*/[0-9a-f]{2}$", "name: .*/kept/[^/]*/../"),
        (r"/kept/[^/]*$", "name: .*/kept/[^/]*/..$"),
    ],
)
def test_a_service_that_forgot_one_would_be_seen(traced: Traced, forgotten: str, told: str) -> None:
    """The same calls without the fsync of one thing."""
    calls = read_calls(traced.lines)
    left = [one for one in calls if one.name not in SYNCS or not re.search(forgotten, one.of)]
    assert len(left) < len(calls)
    lost = lost_at_a_power_cut(traced, left)
    assert lost
    assert all(re.match(told, one) for one in lost), lost


def test_an_fsync_that_comes_after_the_answer_is_none(traced: Traced) -> None:
    """The last one of the database, moved behind the bytes on the line."""
    calls = read_calls(traced.lines)
    answer = [one.begun for one in calls if one.name in SENDS and _is_created(one)][-1]
    last = [one for one in calls if one.of == traced.database and one.name in SYNCS and one.ended < answer][
        -1
    ]
    late = Call(len(traced.lines), len(traced.lines), last.name, last.of, ())
    lost = lost_at_a_power_cut(traced, [*(one for one in calls if one is not last), late])
    assert lost == [f"written: {traced.database}"]
