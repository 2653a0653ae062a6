"""A host where several users live: this file runs commands as one user or another, where each of them may read this checkout and
its Python but nobody else's folders (`python -m tests.machine`, as root: a line of JSON in, a line out).

- The interpreter and the checkout may lie where only root comes. In a mount namespace of its own each folder above them that
  is closed gives way to one that holds nothing else; what the host's other processes see stays as it is.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IDS = 65536
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
ENDS_WITHIN = 60  # seconds


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.out.splitlines()]


class Machine:
    """Not for several threads at once."""

    def __init__(self, host: subprocess.Popen[str]) -> None:
        self._host = host

    def run(self, user: int, *command: str | Path, given: str = "", **environment: str | Path) -> Ran:
        return Ran(
            **self._ask({"do": "run", "given": given, **self._what(user, command, environment)})
        )  # fmt: skip

    def start(self, user: int, log: Path, *command: str | Path, **environment: str | Path) -> int:
        """Its number, for `end`."""
        what = self._what(user, command, environment)
        number: int = self._ask({"do": "start", "log": str(log), **what})["number"]
        return number

    def end(self, number: int) -> int:
        """By SIGTERM; its exit status."""
        status: int = self._ask({"do": "end", "number": number})["status"]
        return status

    @staticmethod
    def _what(user: int, command: Sequence[str | Path], environment: dict[str, str | Path]) -> dict[str, Any]:
        return {
            "user": user, "command": [str(one) for one in command],
            "environment": {name: str(value) for name, value in environment.items()},
        }  # fmt: skip

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._host.stdin is not None and self._host.stdout is not None
        print(json.dumps(what), file=self._host.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._host.stdout.readline())
        return answer


@contextmanager
def machine() -> Iterator[Machine]:
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    host = subprocess.Popen(
        [*as_root, sys.executable, "-m", "tests.machine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip
    try:
        assert host.stdout is not None and host.stdout.readline() == "ready\n"
        yield Machine(host)
    finally:
        if host.stdin is not None:
            host.stdin.close()
        host.wait(ENDS_WITHIN)
        if host.stdout is not None:
            host.stdout.close()


# -- inside


def _enter() -> None:
    """Into namespaces in which we are root and may mount; who maps the users has to stay outside."""
    inside, outside = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.read(inside[0], 1)
        for kind in ("gid", "uid"):
            Path(f"/proc/{child}/{kind}_map").write_text(f"0 0 {IDS}")
        os.write(outside[1], b"x")
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.write(inside[1], b"x")
    os.read(outside[0], 1)
    os.setgroups([])
    os.setgid(0)
    os.setuid(0)


def _open_the_way(*places: Path) -> None:
    """To these folders, for everybody."""
    aside = Path(tempfile.mkdtemp())
    for number, place in enumerate(places):
        (aside / str(number)).mkdir()
        _mount("--bind", place, aside / str(number))
    for place in places:
        for above in reversed(place.parents):
            if not above.stat().st_mode & 0o001:
                _mount("-t", "tmpfs", "-o", "mode=755", "none", above)
                break
    for number, place in enumerate(places):
        place.mkdir(parents=True, exist_ok=True)
        _mount("--bind", aside / str(number), place)
        subprocess.run(["umount", "--lazy", aside / str(number)], check=True)
        (aside / str(number)).rmdir()
    aside.rmdir()


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def main() -> None:
    _enter()
    _open_the_way(Path(sys.base_prefix).resolve(), ROOT)
    os.chdir(ROOT)
    print("ready", flush=True)
    running: list[subprocess.Popen[bytes]] = []
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "run":
            done = subprocess.run(
                asked["command"], input=asked["given"], capture_output=True, text=True, check=False, timeout=120, **_as(asked)
            )  # fmt: skip
            answer: dict[str, Any] = {"status": done.returncode, "out": done.stdout, "err": done.stderr}
        elif asked["do"] == "start":
            with Path(asked["log"]).open("ab") as log:
                running.append(
                    subprocess.Popen(asked["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as(asked))
                )  # fmt: skip
            answer = {"number": len(running) - 1}
        else:
            one = running[asked["number"]]
            one.terminate()
            answer = {"status": one.wait(ENDS_WITHIN)}
        print(json.dumps(answer), flush=True)
    for one in running:
        one.kill()


def _as(asked: dict[str, Any]) -> dict[str, Any]:
    user = asked["user"]
    return {
        "user": user, "group": user, "extra_groups": [], "env": {**os.environ, "HOME": "/", **asked["environment"]}
    }  # fmt: skip


if __name__ == "__main__":
    main()
