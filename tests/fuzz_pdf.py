"""Signed PDFs changed at random: `python -m tests.fuzz_pdf [COUNT] [SEED] [PROCESSES]`. Prints figures; ends with 1 where one is wrong.

- What is changed: bits, bytes, words of PDF, references, lengths inside a signature, whole updates (cut off, doubled, swapped), and
  objects written anew in an update of their own.
- Wrong is an exception that is no verdict, a signature that passes over other bytes than were signed, and a file that two readers
  see otherwise while it is called VALID. Each wrong input is kept under its number.
- A reader that crashes takes its process along, as it takes a child of the service: the number is told, and the next one begins.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from signing.profile import Level
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.verification.pdf import Question, judge
from signing.verification.pdf_facts import CannotRead
from signing.verification.plain_reading import read_pdf
from signing.verification.policy import load_policy
from signing.verification.report import Indication, TimeSource, Verdict
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World

WORDS = (
    b"/Kids", b"/Fields", b"/Annots", b"/Pages", b"/Contents", b"/Root", b"/Prev", b"/Size", b"/AP", b"/FT", b"/DSS",
    b"/AcroForm", b"/Type", b"/Length", b"/ByteRange", b"endobj", b"stream", b"xref", b"null", b"<<", b">>", b"[", b"]", b" R",
)  # fmt: skip
_OBJECT = re.compile(rb"(?<!\d)(\d+) 0 obj(.{0,3000}?)endobj", re.DOTALL)
_REFERENCE, _END = re.compile(rb"(?<![\w.])(\d+) 0 R"), re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*")
_HOLE = re.compile(rb"/Contents ?<([0-9A-Fa-f]{200,})>")


def changed(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(WAYS)(data, chance)
    return data


def _bit(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(_begin(data, chance), len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _digit(data: bytes, chance: random.Random) -> bytes:
    begin = _begin(data, chance)
    digits = [one.start() for one in re.finditer(rb"\d", data[begin:])]
    if not digits:
        return data
    at = begin + chance.choice(digits)
    return data[:at] + b"%d" % chance.randrange(10) + data[at + 1 :]


def _word(data: bytes, chance: random.Random) -> bytes:
    found = [one.span() for one in re.finditer(re.escape(chance.choice(WORDS)), data)]
    if not found:
        return data
    begin, end = chance.choice(found)
    return data[:begin] + chance.choice([one for one in WORDS if len(one) == end - begin]) + data[end:]


def _reference(data: bytes, chance: random.Random) -> bytes:
    found = [one.span(1) for one in _REFERENCE.finditer(data)]
    if not found:
        return data
    (begin, end), other = chance.choice(found), data[slice(*chance.choice(found))]
    return data[:begin] + other.rjust(end - begin, b"0")[: end - begin] + data[end:]


def _inside_a_signature(data: bytes, chance: random.Random) -> bytes:
    """A length, or any octet, of what stands in hexadecimal."""
    found = [one.span(1) for one in _HOLE.finditer(data)]
    if not found:
        return data
    begin, end = chance.choice(found)
    end -= (end - begin) % 2
    der = bytearray(bytes.fromhex(data[begin:end].decode()))
    lengths = [at for at, octet in enumerate(der[:-1]) if octet in {0x30, 0x31, 0x02, 0x04, 0x06, 0xA0}]
    at = chance.choice(lengths) + 1 if chance.random() < 0.6 else chance.randrange(len(der))
    der[at] = chance.choice((0, 0x7F, 0x80, 0x81, 0x82, 0xFF, der[at] ^ 1 << chance.randrange(8)))
    return data[:begin] + der.hex().encode() + data[end:]


def _updates(data: bytes, chance: random.Random) -> bytes:
    """Cut off behind one, one doubled at the end, two swapped."""
    ends = [0, *(one.end() for one in _END.finditer(data))]
    if len(ends) < 3:
        return data
    parts = [data[begin:end] for begin, end in itertools.pairwise(ends)]
    match chance.randrange(3):
        case 0:
            parts = parts[: chance.randrange(1, len(parts))]
        case 1:
            parts.append(chance.choice(parts))
        case _:
            one, other = chance.randrange(len(parts)), chance.randrange(len(parts))
            parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def _piece(data: bytes, chance: random.Random) -> bytes:
    """Taken out, doubled, or put over something else."""
    at, to, count = chance.randrange(len(data)), chance.randrange(len(data)), chance.randint(1, 80)
    piece = data[at : at + count]
    match chance.randrange(3):
        case 0:
            return data[:at] + data[at + count :]
        case 1:
            return data[:to] + piece + data[to:]
    return data[:to] + piece + data[to + len(piece) :]


def _anew(data: bytes, chance: random.Random) -> bytes:
    """An object in an update of its own: as it was, as another one is, or with something of it changed."""
    objects, ends = list(_OBJECT.finditer(data)), _END.findall(data)
    roots = re.findall(rb"/Root\s+\d+ 0 R", data)
    if not objects or not ends or not roots:
        return data
    number, body = chance.choice(objects)[1], chance.choice(objects)[2]
    if chance.random() < 0.5:
        body = chance.choice((_bit, _digit, _reference))(body, chance)
    data = data if data.endswith(b"\n") else data + b"\n"
    out = data + b"%b 0 obj%bendobj\n" % (number, body)
    table = b"xref\n%b 1\n%010d 00000 n \n" % (number, len(data))
    trailer = b"trailer\n<</Size 9999 %b/Prev %b>>\nstartxref\n%d\n%%%%EOF\n" % (
        roots[-1],
        ends[-1],
        len(out),
    )
    return out + table + trailer


def _begin(data: bytes, chance: random.Random) -> int:
    """Most of what readers look at stands near the end."""
    return max(0, len(data) - chance.choice((600, 6000, len(data))))


WAYS = (_bit, _digit, _word, _reference, _inside_a_signature, _updates, _piece, _anew, _anew)


# -- what comes of it


@dataclass(frozen=True)
class Seeds:
    files: tuple[bytes, ...]
    signed: frozenset[str]  # digests of the bytes that each signature in them is over
    trust: TrustSnapshot

    def keep(self, folder: Path) -> None:
        for number, one in enumerate(self.files):
            (folder / f"{number}.pdf").write_bytes(one)
        (folder / "roots").write_text(json.dumps([one.certificate.hex() for one in self.trust.anchors]))

    @staticmethod
    def kept(folder: Path) -> Seeds:
        files = tuple(one.read_bytes() for one in sorted(folder.glob("?.pdf")))
        facts = [read_pdf(one) for one in sorted(folder.glob("?.pdf"))]
        signed = frozenset(f"sha256:{one.signed_sha256}" for each in facts for one in each.signatures)
        roots = json.loads((folder / "roots").read_text())
        return Seeds(files, signed, TrustSnapshot(tuple(Anchor(bytes.fromhex(one)) for one in roots)))


def make_seeds(world: World) -> Seeds:
    twice = world.ours(world.ours(letter(pages=2)), Level.B_T)
    files = (
        world.ours(letter()), twice, world.ours(world.ours(letter(), Level.B_LT), Level.B_LT),
        world.ours(letter(), Level.B_LTA), world.theirs(world.theirs(letter(), stamped=True), field="S2", lta=True),
    )  # fmt: skip
    return Seeds(files, frozenset(), world.pki.trust)


def outcome(data: bytes, seeds: Seeds, file: Path) -> str:
    """The verdict, or what was wrong."""
    file.write_bytes(data)
    try:
        facts = read_pdf(file)
    except CannotRead as wrong:
        return f"UNREADABLE {wrong.code}"
    except Exception as fault:  # what is looked for
        return f"WRONG: {type(fault).__name__} while reading"
    question = Question(
        name="x.pdf", sha256="", trust=seeds.trust, policy=load_policy("integrity"), at=datetime.now(UTC),
        time_source=TimeSource.NOW,
    )  # fmt: skip
    try:
        report = asyncio.run(judge(facts, question, None))
    except Exception as fault:  # what is looked for
        return f"WRONG: {type(fault).__name__} while judging"
    passed = [one for one in report.signatures if one.indication is Indication.TOTAL_PASSED]
    if any(said["digest"] not in seeds.signed for one in passed for said in one.signed_objects):
        return "WRONG: passes over other bytes"
    if report.verdict is Verdict.VALID and not passed:
        return "WRONG: VALID by nobody"
    return report.verdict.value


def work(folder: Path, begin: int, end: int) -> None:
    """A line of JSON for each number."""
    seeds = Seeds.kept(folder)
    with tempfile.TemporaryDirectory() as place:
        for number in range(begin, end):
            chance = random.Random(number)
            data = changed(chance.choice(seeds.files), chance)
            began = time.perf_counter()
            said = outcome(data, seeds, Path(place, "changed.pdf"))
            print(json.dumps([number, said, time.perf_counter() - began]), flush=True)


def _run(folder: Path, begin: int, end: int) -> Generator[tuple[int, str, float], None, None]:
    """In processes of their own, each until it ends or crashes."""
    while begin < end:
        command = [sys.executable, "-m", "tests.fuzz_pdf", "--work", str(folder), str(begin), str(end)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                number, said, took = json.loads(line)
                yield number, said, took
                begin = number + 1
        if begin < end:
            if process.returncode >= 0:
                raise RuntimeError(f"a worker ended with {process.returncode}")
            yield begin, f"crash of a reader (signal {-process.returncode})", 0.0
            begin += 1


def run(seeds: Seeds, count: int, seed: int, processes: int) -> int:
    ends: Counter[str] = Counter()
    slowest, wrong = (0.0, 0), 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        seeds.keep(folder)
        share = -(-count // processes)
        ranges = [
            (seed + one * share, min(seed + (one + 1) * share, seed + count)) for one in range(processes)
        ]
        running = [_run(folder, *one) for one in ranges]
        for one in running:
            stack.callback(one.close)
        while running:
            for one in list(running):
                found = next(one, None)
                if found is None:
                    running.remove(one)
                    continue
                number, said, took = found
                ends[said] += 1
                if ends.total() % 10_000 == 0:
                    print(f"{ends.total()} of {count}", file=sys.stderr, flush=True)
                slowest = max(slowest, (took, number))
                if said.startswith("WRONG"):
                    wrong += 1
                    chance = random.Random(number)
                    kept = Path(tempfile.gettempdir(), f"wrong-{number}.pdf")
                    kept.write_bytes(changed(chance.choice(seeds.files), chance))
                    print(f"seed {number}: {said}: {kept}", flush=True)
    print(f"{count} inputs from seed {seed}, slowest {slowest[0] * 1000:.0f} ms (seed {slowest[1]})")
    for said, times in ends.most_common():
        print(f"{times:>9} {said}")
    return 1 if wrong else 0


def main(words: Sequence[str]) -> int:
    if words[:1] == ["--work"]:
        work(Path(words[1]), int(words[2]), int(words[3]))
        return 0
    count, seed, processes = [int(one) for one in words] + [20_000, 1, 2][len(words) :]
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        return run(make_seeds(world), count, seed, processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
