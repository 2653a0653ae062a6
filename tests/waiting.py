"""Documents that wait for a time-stamp authority that is away for an hour: this file signs them, lets the hour pass by the
steered clock, and counts (`python -m tests.waiting [DOCUMENTS]`, 1,000: the figures of docs/reliability.md).

Everything is real but the hour: rows, the token's signatures, the authority behind HTTP.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asn1crypto.cms
import asn1crypto.tsp
import pikepdf
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from documents.document import RequestState
from hsm.use_log import read_uses
from storage.schema import AuditRecordRow, SigningRequestRow
from tests.house import CHAIRMAN_KEY, House, World, make_world, open_world_house
from tests.papers import letter

SWEEP = timedelta(seconds=15)  # chores.py: how often what waits is looked at
OUTAGE = timedelta(hours=1)
LONGEST = timedelta(
    seconds=300 + 15
)  # remote.py: an authority is left in peace for so long, and then comes a sweep


@dataclass
class Waited:
    requests: list[UUID] = field(default_factory=list)  # as they were signed
    documents: list[UUID] = field(default_factory=list)
    asked: int = 0  # of the authority, while it was away
    taken: int = 0  # how often a waiting request was taken in hand meanwhile
    records: int = 0  # audit records written meanwhile
    noticed: timedelta = timedelta()  # by the steered clock, until it was noticed that it is back
    signing: float = 0.0  # seconds of the machine
    hour: float = 0.0
    finishing: float = 0.0


def _leases(session: Session) -> int:
    return session.scalar(select(func.sum(SigningRequestRow.lease))) or 0


def _records(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(AuditRecordRow)) or 0


def _open(session: Session) -> int:
    waiting = RequestState.TIMESTAMP_PENDING.value
    return session.scalar(select(func.count()).where(SigningRequestRow.state == waiting)) or 0


def delivered(session: Session) -> list[UUID]:
    """Requests, as they came to their end."""
    row, told = AuditRecordRow, []
    for body in session.scalars(select(row.body).order_by(row.generation, row.number)):
        record = json.loads(body)
        if record["kind"] == "signature.delivered":
            told.append(UUID(record["facts"]["request"]))
    return told


async def sign_while_away(house: House, count: int) -> Waited:
    """The authority is away: `with house.world.pki.answering("tsa")`."""
    waited, caller, began = Waited(), house.world.chairman.caller, time.monotonic()
    for number in range(count):
        waited.documents.append((await house.upload(caller, letter(f"van ban {number}"))).id)
        waited.requests.append(house.id())
        signed = await house.sign(caller, waited.documents[-1], CHAIRMAN_KEY, request=waited.requests[-1])
        assert signed.state is RequestState.TIMESTAMP_PENDING
    waited.signing = time.monotonic() - began
    return waited


async def let_the_hour_pass(house: House, waited: Waited) -> None:
    asked, leases = house.world.pki.asked["tsa"], await house.facts(_leases)
    records, began = await house.facts(_records), time.monotonic()
    for _ in range(OUTAGE // SWEEP):
        house.clock.move(SWEEP)
        await house.opened.sweeping.take_up()
    waited.asked = house.world.pki.asked["tsa"] - asked
    waited.taken = await house.facts(_leases) - leases
    waited.records = await house.facts(_records) - records
    waited.hour = time.monotonic() - began


async def until_all_are_finished(house: House, waited: Waited, *, sweeps: int = 1) -> None:
    """The authority is back. So many processes sweep at once."""
    began, finished = time.monotonic(), False
    while not finished:
        house.clock.move(SWEEP)
        before = await house.facts(_open)
        await asyncio.gather(*(house.opened.sweeping.take_up() for _ in range(sweeps)))
        left = await house.facts(_open)
        if left == before == len(waited.requests):
            waited.noticed += SWEEP
        assert waited.noticed <= LONGEST, "nobody notices that the authority is back"
        finished = not left
    waited.finishing = time.monotonic() - began
    await house.opened.log_keeper.sequence()


async def serials_in(house: House, document: UUID) -> list[int]:
    """Of each time-stamp in a document, in its signatures and beside them."""
    found: list[int] = []
    content = await house.bytes_of(house.world.chairman.caller, document)
    with pikepdf.open(io.BytesIO(content)) as pdf:
        for one in pdf.Root.AcroForm.Fields:
            der = bytes(one.V.Contents)
            signed = asn1crypto.cms.ContentInfo.load(der)["content"]
            if str(one.V.SubFilter) == "/ETSI.RFC3161":
                found.append(_serial(signed))
            for attribute in signed["signer_infos"][0]["unsigned_attrs"] or ():
                if attribute["type"].native == "signature_time_stamp_token":
                    found += [_serial(token["content"]) for token in attribute["values"]]
    return found


def _serial(signed: asn1crypto.cms.SignedData) -> int:
    return int(
        asn1crypto.tsp.TSTInfo.load(signed["encap_content_info"]["content"].contents)["serial_number"].native
    )


def granted(stamps: list[bytes]) -> list[int]:
    answers = [asn1crypto.tsp.TimeStampResp.load(one) for one in stamps]
    return [_serial(one["time_stamp_token"]["content"]) for one in answers]


async def check(house: House, waited: Waited, stamps: list[bytes], *, lost: int = 0) -> None:
    """One use of the key for each request and one time-stamp in each document, each another; the authority gave no more
    than these and what was lost on its way. Raises AssertionError."""
    uses = Counter(one.request for one in read_uses(house.settings.token))
    assert [uses[one] for one in waited.requests] == [1] * len(waited.requests)
    found = [await serials_in(house, one) for one in waited.documents]
    assert [len(one) for one in found] == [1] * len(found), "stamped twice, or not at all"
    given, used = granted(stamps), {one for (one,) in found}
    assert len(used) == len(found) and used <= set(given)
    assert len(given) == len(found) + lost
    await house.check()


async def _run(world: World, home: Path, count: int) -> None:
    async with open_world_house(world, home) as house:
        with world.pki.answering("tsa"):
            waited = await sign_while_away(house, count)
            size = _database(home)
            await let_the_hour_pass(house, waited)
            grown = _database(home) - size
        stamps = len(world.pki.stamps)
        await until_all_are_finished(house, waited)
        assert await house.facts(delivered) == waited.requests, "not in order"
        await check(house, waited, world.pki.stamps[stamps:])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{count} documents: signed in {waited.signing:.0f} s; in the hour {waited.asked} questions to the authority, "
        f"{waited.taken} requests taken in hand, {waited.records} audit records, the database grew by {grown >> 10} KiB, "
        f"{waited.hour:.1f} s of work; noticed after {waited.noticed}; all finished in order {waited.finishing:.0f} s "
        f"later ({count / waited.finishing:.1f}/s); memory {memory} MiB"
    )


def _database(home: Path) -> int:
    return sum(one.stat().st_size for one in home.glob("*.sqlite*"))


if __name__ == "__main__":
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with (
        tempfile.TemporaryDirectory() as place,
        make_world(Path(place)) as world,
        world.home(Path(place) / "of") as home,
    ):
        asyncio.run(_run(world, home, documents))
