"""What no tool looks at: this file looks at sizes of modules, and for names that belong to one machine only.

- A module longer than 400 lines is two modules (lists of codes and wording apart).
- No package index and no path of somebody's machine is named in anything committed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WALL = 400
LISTS = {"signing/verification/wording.py"}
# Written so that this file does not name them either.
FOREIGN = re.compile(
    r"pypi\.org|pythonh[o]sted|deb\.debian|snapshot\.debian|registry\.npmjs|repo\.maven|crates\.io|proxy\.golang"
    r"|/wor[k]/(main|shared)|/far[m]/|/roo[t]/|/home/[a-z]"
)
BINARY = {".pdf", ".png", ".ttf", ".otf", ".der", ".woff2", ".ico", ".jpg"}


def main() -> int:
    wrong = [*too_long(), *foreign()]
    for one in wrong:
        print(one, file=sys.stderr)
    return 1 if wrong else 0


def too_long() -> Iterator[str]:
    for path in files():
        if path.suffix == ".py" and path.as_posix() not in LISTS:
            lines = path.read_text().count("\n")
            if lines > WALL:
                yield f"{path}: {lines} lines; the wall is {WALL}"


def foreign() -> Iterator[str]:
    for path in files():
        if path.suffix not in BINARY:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if found := FOREIGN.search(line):
                    yield f"{path}:{number}: names {found.group()}"


def files() -> Iterator[Path]:
    """What is committed or would be."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, capture_output=True, check=True).stdout.decode()
    return (Path(name) for name in sorted(listed.split("\0")) if name and Path(name).is_file())


if __name__ == "__main__":
    sys.exit(main())
