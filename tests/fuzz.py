"""Signatures changed at random, by hand: `python -m tests.fuzz [COUNT] [SEED]`. Prints figures; ends with 1 where one is wrong.

The seed chooses what is changed; keys are made anew per run, so the input of a wrong answer is printed too. Wrong is an
exception that is no verdict, and a signature that still holds though something that was signed differs.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.key import Mechanism
from signing.verification.signed_data import (
    Broken,
    NotSignedData,
    SignedData,
    check_signed_data,
    read_signed_data,
)
from tests.rooms.signing.test_signed_data import EC, EC_CERTIFICATE, OURS, made

DOCUMENT = b"the document"  # whose digest the signatures of that module are made over


def changed(der: bytes, chance: random.Random) -> bytes:
    """A bit, a byte, a length, a piece taken out, doubled, or put elsewhere; up to four times."""
    data = bytearray(der)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        piece = bytes(data[at : at + chance.randint(1, 64)])
        match chance.randrange(6):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.randrange(256)
            case 2:
                data[at] = chance.choice((0, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFF))
            case 3 if len(data) > 128:
                del data[at : at + len(piece)]
            case 4:
                data[at:at] = piece
            case _:
                to = chance.randrange(len(data))
                data[to : to + len(piece)] = piece
    return bytes(data)


def signed_parts(data: SignedData) -> tuple[object, ...]:
    return (data.content, data.signer, data.signed_attributes, data.message_digest, data.digest_name)


def run(count: int, seed: int) -> int:
    kept = (
        OURS,
        made(Mechanism.ECDSA_SHA256, lambda said: EC.sign(said, ec.ECDSA(hashes.SHA256())), EC_CERTIFICATE),
    )
    truth = [signed_parts(read_signed_data(one)) for one in kept]
    ends: Counter[str] = Counter()
    wrong, slowest = 0, 0.0
    for number in range(seed, seed + count):
        chance = random.Random(number)
        which = chance.randrange(len(kept))
        tried = changed(kept[which], chance)
        began = time.perf_counter()
        try:
            read = read_signed_data(tried)
            # As every judge does: by the algorithm that the signature names.
            check_signed_data(read, hashlib.new(read.digest_name, DOCUMENT).digest())
            end = "holds, unsigned part differs" if signed_parts(read) == truth[which] else "WRONG: holds"
        except NotSignedData:
            end = "no SignedData"
        except Broken as broken:
            end = broken.sub
        except Exception as fault:  # what is looked for
            end = f"WRONG: {type(fault).__name__}"
        slowest = max(slowest, time.perf_counter() - began)
        ends[end] += 1
        if end.startswith("WRONG"):
            wrong += 1
            print(f"seed {number}: {end}: {tried.hex()}")
    print(f"{count} inputs from seed {seed}, slowest {slowest * 1000:.1f} ms")
    for end, times in ends.most_common():
        print(f"{times:>9} {end}")
    return 1 if wrong else 0


def main(words: Sequence[str]) -> int:
    count, seed = [int(one) for one in words] + [20_000, 1][len(words) :]
    return run(count, seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
