"""Files that our own reader reads, against qpdf: both say the same of them, or ours says nothing."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest

from signing.profile import Level
from signing.verification.plain_reading import all_that_is_plain, is_usual, read_pdf
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, readers_agree

MUTATIONS = 400  # in the suite; many more by hand (docs/decisions/own-pdf-reader.md)


def again(world: World, level: Level, count: int, paper: bytes | None = None) -> bytes:
    signed = paper or letter(pages=2)
    for _ in range(count):
        signed = world.ours(signed, level)
    return signed


def in_streams(paper: bytes) -> bytes:
    with pikepdf.open(io.BytesIO(paper)) as pdf:
        out = io.BytesIO()
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


PLAIN: dict[str, Callable[[World], bytes]] = {
    "B-B": lambda world: again(world, Level.B_B, 1),
    "B-T, three": lambda world: again(world, Level.B_T, 3),
    "B-LT, three": lambda world: again(world, Level.B_LT, 3),
    "B-LTA, two": lambda world: again(world, Level.B_LTA, 2),
    "streams": lambda world: again(world, Level.B_LT, 2, in_streams(letter())),
    "another program's": lambda world: world.theirs(world.theirs(letter(), stamped=True), field="S2", lta=True),
    "both": lambda world: world.ours(world.theirs(letter(), lt=True), Level.B_LT),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_both_say_the_same_and_ours_says_it(world: World, tmp_path: Path, name: str) -> None:
    file = tmp_path / "signed.pdf"
    file.write_bytes(PLAIN[name](world))
    assert readers_agree(file)
    with file.open("rb") as opened:
        mine = all_that_is_plain(file, opened)
    assert mine is not None and is_usual(mine), "and nobody else is asked"
    assert read_pdf(file) == mine


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Where readers look: numbers, references and words of the last updates; or one of their objects written anew."""
    changed, begin = bytearray(data), max(0, len(data) - chance.choice((600, 6000, len(data))))
    match chance.randrange(4):
        case 0:
            at = chance.randrange(begin, len(data))
            changed[at] ^= 1 << chance.randrange(8)
        case 1:
            digits = [at for at in range(begin, len(data)) if 48 <= changed[at] < 58]
            changed[chance.choice(digits)] = chance.randrange(48, 58)
        case 2:
            found = [one.span(1) for one in re.finditer(rb"(?<![\w.])(\d+) 0 R", data)]
            one, other = chance.choice(found), chance.choice(found)
            changed[slice(*one)] = data[slice(*other)].rjust(one[1] - one[0], b"0")[: one[1] - one[0]]
        case _:
            objects = list(re.finditer(rb"(?<!\d)(\d+) 0 obj(.{0,2000}?)endobj", data, re.DOTALL))
            number, body = chance.choice(objects)[1], chance.choice(objects)[2]
            root = re.findall(rb"/Root \d+ 0 R", data)[-1]
            previous = re.findall(rb"startxref\s+(\d+)", data)[-1]
            changed += b"%b 0 obj%bendobj\n" % (number, body)
            table = b"xref\n%b 1\n%010d 00000 n \n" % (number, len(data))
            trailer = b"trailer\n<</Size 900%b/Prev %b>>\nstartxref\n%d\n%%%%EOF\n" % (
                root,
                previous,
                len(changed),
            )
            changed += table + trailer
    return bytes(changed)


def test_what_was_changed_at_random_is_read_alike_or_left(world: World, tmp_path: Path) -> None:
    chance, file, read = random.Random(7), tmp_path / "changed.pdf", 0
    seeds = [PLAIN[name](world) for name in ("B-LT, three", "streams", "another program's")]
    for _ in range(MUTATIONS):
        data = mutated(chance.choice(seeds), chance)
        file.write_bytes(data)
        read += readers_agree(file)
    assert read > MUTATIONS / 10
