"""What a process really asked of its kernel, in order: this file has strace watch processes, and reads what it wrote."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WATCHED = (
    "write,writev,pwrite64,pwritev,copy_file_range,sendfile,sendto,sendmsg,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,mkdir,mkdirat"
)
LONGEST = 8192  # bytes of a string: a page of SQLite is whole
_BEGUN = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_RESULT = re.compile(r"\) += (?P<result>-?\d+)")
_UNFINISHED = " <unfinished ...>"
_FIRST = re.compile(r"\d+<(?P<of>[^>]*)>")  # of -y: what stands behind the descriptor
_STRING = re.compile(r'"(?P<hex>(?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """`begun` and `ended` count the lines of the trace. `of` is what stands behind the first descriptor."""

    begun: int
    ended: int
    name: str
    of: str
    strings: tuple[bytes, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(one.decode() for one in self.strings)


@contextmanager
def watched(pids: Sequence[int], out: Path) -> Iterator[None]:
    """All their threads and children. Raises RuntimeError where nobody may watch."""
    attach = [part for pid in pids for part in ("-p", str(pid))]
    command = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        str(LONGEST),
        "-e",
        f"trace={WATCHED}",
        "-o",
        str(out),
        *attach,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for pid in pids:
            while not _traced(pid, process.pid):
                if process.poll() is not None:
                    raise RuntimeError(process.stderr.read() if process.stderr else "")
                time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _traced(pid: int, by: int) -> bool:
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    return all(f"TracerPid:\t{by}\n" in (task / "status").read_text() for task in tasks)


def read_calls(lines: Iterable[str]) -> list[Call]:
    """Those that succeeded, in the order of their begin."""
    open_: dict[str, tuple[int, str, str]] = {}
    calls = []
    for number, line in enumerate(lines):
        if resumed := _RESUMED.match(line):
            pid = resumed["pid"]
            if pid not in open_:
                continue  # begun before anybody watched
            begun, name, rest = open_.pop(pid)
            rest += resumed["rest"]
        elif met := _BEGUN.match(line):
            begun, name, rest = number, met["name"], met["rest"]
            if rest.endswith(_UNFINISHED):
                open_[met["pid"]] = (begun, name, rest.removesuffix(_UNFINISHED))
                continue
        else:
            continue
        result = _RESULT.search(rest)
        if result is None or int(result["result"]) < 0:
            continue
        first = _FIRST.match(rest)
        strings = tuple(bytes.fromhex(one["hex"].replace("\\x", "")) for one in _STRING.finditer(rest))
        calls.append(Call(begun, number, name, _plain(first["of"]) if first else "", strings))
    return sorted(calls, key=lambda one: one.begun)


def _plain(path: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda met: chr(int(met[1], 16)), path)
