"""Every sentence said to a person, and its English: this file finds what is missing, and puts locale/en.po in order.

`python -m scripts.words` takes locale/parts/*.po into locale/en.po, sorted, each sentence once, and removes the parts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

TOP = Path(__file__).resolve().parent.parent
ENGLISH = TOP / "locale" / "en.po"
PARTS = TOP / "locale" / "parts"
ROOMS = ("commands", "hsm", "storage", "signing", "documents", "web", "demonstration")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")
HEADER = "# English of every sentence. `python -m scripts.words` keeps it sorted."


def said() -> dict[str, str]:
    """Each sentence marked with `N_` or standing in a template, with the first place that says it."""
    found: dict[str, str] = {}
    for path, method in _sources():
        options = {"trimmed": "true"} if method == "jinja2" else {}
        for line, message, _, _ in extract_from_file(
            method, path, keywords={"N_": None, "_": None}, options=options
        ):
            if isinstance(message, str) and message:
                found.setdefault(message, f"{path.relative_to(TOP)}:{line}")
    return found


def english() -> Catalog:
    """en.po and the parts that wait to be taken into it."""
    whole = Catalog(locale="en")
    for path in [ENGLISH, *sorted(PARTS.glob("*.po"))]:
        if path.exists():
            for one in entries(path):
                if one.id and (one.string or one.id not in whole):
                    whole.add(one.id, one.string)
    return whole


def problems() -> list[str]:
    """What is said without English, English that nobody says, and gaps that would be filled differently."""
    spoken, known = said(), english()
    found = [
        f"{place}: no English for {sentence!r}"
        for sentence, place in spoken.items()
        if not _of(known, sentence)
    ]
    found += [f"en.po: said nowhere: {one.id!r}" for one in known if one.id and one.id not in spoken]
    for one in known:
        if one.id and sorted(PLACEHOLDER.findall(str(one.id))) != sorted(
            PLACEHOLDER.findall(str(one.string))
        ):
            found.append(f"en.po: other gaps than {one.id!r}: {one.string!r}")
    return found


def merge() -> None:
    whole = english()
    spoken = said()
    for sentence in [one.id for one in whole if one.id and one.id not in spoken]:
        whole.delete(str(sentence))
    buffer = BytesIO()
    write_po(buffer, whole, sort_output=True, no_location=True, omit_header=True, width=110)
    ENGLISH.write_text(
        f'{HEADER}\nmsgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        + buffer.getvalue().decode()
    )
    for part in PARTS.glob("*.po"):
        part.unlink()


def _sources() -> Iterator[tuple[Path, str]]:
    for path in sorted(TOP.glob("*.py")):
        yield path, "python"
    for room in ROOMS:
        for path in sorted((TOP / room).rglob("*.py")):
            yield path, "python"
    for path in sorted((TOP / "web" / "templates").rglob("*")):
        if path.is_file():
            yield path, "jinja2"


def entries(path: Path) -> list[Message]:
    with path.open("rb") as file:
        return list(read_po(file, locale="en", charset="utf-8"))


def _of(known: Catalog, sentence: str) -> str:
    entry = known.get(sentence)
    return str(entry.string) if entry and not entry.fuzzy else ""


if __name__ == "__main__":
    merge()
    for problem in problems():
        print(problem, file=sys.stderr)
