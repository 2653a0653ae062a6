"""Who holds the token is asked of the kernel, from the near end of the socket (K3)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm.token_user import user_of
from tests.rooms.hsm.tokens import run_token

NOBODY = 65534


async def test_the_kernel_says_who_holds_the_token(token: Path) -> None:
    assert user_of(token / "socket") is None
    async with run_token(token) as process:
        assert user_of(process.socket) == os.geteuid()


LISTENING = """
import os, socket, sys
# Everything is loaded by now: the interpreter may lie where nobody may read.
os.setgroups([]); os.setgid(65534); os.setuid(65534)
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listening.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def another_user() -> Iterator[Path]:
    """A socket at which a process of another user listens."""
    # pytest's own folders are closed to others.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    command = [*as_root, sys.executable, "-c", LISTENING, str(folder / "socket")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"listening\n"
        yield folder / "socket"
        process.communicate()
    shutil.rmtree(folder)


def test_a_token_process_of_its_own_user_is_seen_as_that(another_user: Path) -> None:
    assert user_of(another_user) == NOBODY != os.geteuid()
