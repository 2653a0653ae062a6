"""A furnished home, for who looks at the service for the first time: this file makes a commune, its people, keys and one
signed sample.

    1. The commune and its people.
    2. Keys in the token, with certificates of the demonstration authority.
    3. The demonstration root is believed, and shown as what it is (K6).
    4. One paper, signed by the chairman, then by the agency.

- Each step finds what is there and makes what is missing, so that a crash in the middle costs nothing; one process at
  a time does it, so that nothing is made twice.
- Whatever it does is recorded as done by "demonstration".
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from catalogue import N_
from demonstration import pictures
from demonstration.authority import DemonstrationAuthority
from demonstration.certificates import Kind
from demonstration.decision import NUMBER, SEAL_MM, SUBJECT, Decision, decision
from documents.document import Disclosure, Document, NoSuchDocument, RequestState
from documents.intake import Arrival
from documents.keys_told import key_id, making_facts
from documents.office import Agency, Caller, CallerKind, Person
from documents.requests import DocumentBusy, RequestHeld
from documents.rooms import Rooms
from documents.wish import SignWish
from hsm import enrolment
from hsm.enrolment import EnrolmentRefused, KeyWish
from hsm.key import Holder, HolderKind, KeyDescription, NoSuchKey, Purpose
from signing.pades import Mark
from signing.pdf.values import VIETNAM
from signing.profile import Level
from signing.trust.anchors import Anchor
from storage.identifiers import uuid7
from storage.schema import SERVICE

BY = "demonstration"
COMMUNE, SHORT = "Ủy ban nhân dân xã An Phước", "UBND xã An Phước"
CHAIRMAN, CLERK = "chu-tich", "van-thu"  # log-in names, and the names of their keys
SEAL, STAMPS, AUDIT, REPORTS = "con-dau", "tsa", "audit", "bao-cao"  # keys
SAMPLE_NAME = "quyet-dinh-01-van-ban-mau.pdf"
LOCK, TOLD = "home.lock", "passwords-told"  # files in the authority's folder

_PEOPLE = {
    CHAIRMAN: ("Nguyễn Văn An", "Chủ tịch (người mẫu)"),
    CLERK: ("Trần Thị Bình", "Văn thư (người mẫu)"),
}


class HomesMixed(Exception):
    """The token's keys belong to people whom this database does not know. `sentence` is said with `key`."""

    sentence = N_(
        "Khóa %(key)s trong token thuộc về một cơ sở dữ liệu khác. "
        "Hãy khôi phục cơ sở dữ liệu đi cùng token này, hoặc dùng một thư mục ANTIN_HOME mới."
    )

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} is of another home")
        self.key = key


@dataclass(frozen=True)
class LogIn:
    """`password`: the first one, told once; None afterwards."""

    login: str
    name: str
    title: str
    password: str | None


@dataclass(frozen=True)
class Furnished:
    """`code` and `url` verify the sample; None as long as it waits for the world."""

    agency: Agency
    people: tuple[LogIn, ...]
    code: str | None
    url: str | None


async def furnish(rooms: Rooms, socket: Path, authority: DemonstrationAuthority) -> Furnished:
    """`socket`: of the token process, which must let us make keys. Raises HomesMixed, EnrolmentRefused,
    KeyUnavailable, and as SignDocument.sign."""
    async with _alone(authority.folder):
        furnished = await _furnish(rooms, socket, authority)
        (authority.folder / TOLD).touch()
        return furnished


async def _furnish(rooms: Rooms, socket: Path, authority: DemonstrationAuthority) -> Furnished:
    # 1. The commune and its people.
    agency = await _agency(rooms)
    people = {one.login: one for one in await rooms.office.people() if one.agency == agency.id}
    told = people.keys() >= _PEOPLE.keys() and (authority.folder / TOLD).exists()
    passwords = {} if told else await _first_passwords(rooms, agency, people)

    # 2. Keys in the token, with certificates of the demonstration authority.
    for wish, kind in _wishes(agency, people[CHAIRMAN], people[CLERK]):
        await _enrol(rooms, socket, authority, wish, kind)

    # 3. The demonstration root is believed, and shown as what it is (K6).
    root = Anchor(authority.root, demonstration=True, provenance="demonstration")
    await rooms.trusted.add(root, confirmed_by=BY)

    # 4. One paper, signed by the chairman, then by the agency.
    chairman, clerk = _caller(people[CHAIRMAN], agency), _caller(people[CLERK], agency)
    if not _is_signed(await _sample(rooms, clerk)):
        # Who died while signing it holds it for a while: recovery goes on with it, and we at the next start.
        with suppress(RequestHeld, DocumentBusy):
            await _sign(rooms, chairman, clerk)
    sample = await _sample(rooms, clerk)
    code = await rooms.results.code_for(clerk, sample) if sample and _is_signed(sample) else None
    log_ins = tuple(
        LogIn(login, people[login].name, people[login].title, passwords.get(login)) for login in _PEOPLE
    )
    return Furnished(agency, log_ins, code.text if code else None, code.url if code else None)


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    with (folder / LOCK).open("a") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


# -- 1


async def _agency(rooms: Rooms) -> Agency:
    for one in await rooms.office.agencies():
        if one.name == COMMUNE:
            return one
    return await rooms.office.make_agency(COMMUNE, SHORT, by=BY)


async def _first_passwords(rooms: Rooms, agency: Agency, people: dict[str, Person]) -> dict[str, str]:
    """Makes who is missing. Whoever was made before a crash was never told a password, so there is a new one."""
    passwords = {}
    for login, (name, title) in _PEOPLE.items():
        if login in people:
            passwords[login] = await rooms.office.reset_password(login, by=BY)
        else:
            made, password = await rooms.office.make_person(agency.id, login, name=name, title=title, by=BY)
            people[login], passwords[login] = made, password
    return passwords


# -- 2


def _wishes(agency: Agency, chairman: Person, clerk: Person) -> list[tuple[KeyWish, Kind | None]]:
    """The service's own keys first: signatures want a time-stamp."""
    service = Holder(HolderKind.SERVICE, SERVICE)
    wishes: list[tuple[KeyWish, Kind | None]] = [
        (
            KeyWish(STAMPS, SERVICE, Purpose.TIME_STAMPING, service, "CN=Ấn Tín DEMO TSA,O=Ấn Tín DEMO,C=VN"),
            "time-stamping",
        ),
        (KeyWish(AUDIT, SERVICE, Purpose.AUDIT, service, "CN=Ấn Tín DEMO audit,C=VN"), None),
        (KeyWish(REPORTS, SERVICE, Purpose.REPORTS, service, "CN=Ấn Tín DEMO báo cáo,C=VN"), "signing"),
    ]
    for person in (chairman, clerk):
        holder = Holder(HolderKind.PERSON, person.id)
        subject = f"CN={person.name} (DEMO),O={SHORT},C=VN"
        wishes.append((KeyWish(person.login, agency.id, Purpose.SIGNING, holder, subject), "signing"))
    seal = KeyWish(
        SEAL, agency.id, Purpose.SEAL, Holder(HolderKind.AGENCY, agency.id), f"CN={SHORT} (DEMO),C=VN",
        granted=frozenset({clerk.id}),
    )  # fmt: skip
    return [*wishes, (seal, "seal")]


async def _enrol(
    rooms: Rooms, socket: Path, authority: DemonstrationAuthority, wish: KeyWish, kind: Kind | None
) -> None:
    if await _key(rooms, wish.name) is None:
        facts = making_facts(wish.name, wish.purpose, wish.holder, wish.granted)
        await rooms.trail.note(
            wish.agency, "key.making", about=key_id(wish.name), facts=facts | {"by": BY}
        )  # fmt: skip
        try:
            request = await enrolment.make_key(socket, wish)
        except EnrolmentRefused as refused:
            if refused.reason != "name-taken" or kind is None:
                raise
            # Made before a crash, without a certificate until now.
            request = await enrolment.request(socket, wish.name, wish.subject)
        if kind is not None:
            certificate = authority.issue(request, kind=kind)
            fingerprint = hashlib.sha256(certificate).hexdigest()
            await rooms.trail.note(
                wish.agency, "key.certifying", about=key_id(wish.name), facts={"key": wish.name, "certificate": fingerprint}
            )  # fmt: skip
            await enrolment.install(socket, wish.name, certificate, authority.chain)
    key = await _key(rooms, wish.name)
    if key is None or (key.agency, key.holder) != (wish.agency, wish.holder):
        raise HomesMixed(wish.name)


async def _key(rooms: Rooms, name: str) -> KeyDescription | None:
    try:
        return (await rooms.keys.open(name)).description
    except NoSuchKey:
        return None


# -- 4


def sample_id(agency: UUID) -> UUID:
    """Always the same in one home, and like every other a UUIDv7: the agency's time, other random bits."""
    other = int.from_bytes(hashlib.sha256(b"sample " + agency.bytes).digest()[:8]) >> 2
    return UUID(int=agency.int >> 62 << 62 | other)


async def _sample(rooms: Rooms, caller: Caller) -> Document | None:
    try:
        return await rooms.documents.get(caller, sample_id(caller.agency))
    except NoSuchDocument:
        return None


def _is_signed(sample: Document | None) -> bool:
    """By both keys."""
    done = {one.key for one in sample.requests if one.state is RequestState.DONE} if sample else set()
    return {CHAIRMAN, SEAL} <= done


async def _sign(rooms: Rooms, chairman: Caller, clerk: Caller) -> None:
    """As far as it can be signed now."""
    day = rooms.clock().astimezone(VIETNAM).date()
    paper = decision(signer=chairman.name, day=day, address=rooms.address)
    sample = await _sample(rooms, clerk) or await _receive(rooms, clerk, paper)
    code = await rooms.results.code_for(clerk, sample)
    hand = Mark(box=paper.signature, image=pictures.signature())
    stamp = Mark(
        box=paper.seal, image=pictures.seal(COMMUNE.upper(), "MẪU"), image_width_mm=SEAL_MM,
        qr=code.url if code else None,
    )  # fmt: skip
    for caller, key, mark in ((chairman, CHAIRMAN, hand), (clerk, SEAL, stamp)):
        mine = [one for one in sample.requests if one.key == key]
        if any(one.state is RequestState.DONE for one in mine):
            continue
        going_on = next((one.id for one in mine if not one.state.ended), None)
        wish = SignWish(level=Level.B_LT, key=key, mark=mark, by=BY)
        asked = await rooms.sign.sign(caller, sample.id, going_on or uuid7(rooms.clock()), wish)
        sample = await rooms.documents.get(clerk, sample.id)
        if asked.state is not RequestState.DONE:
            return  # it waits for the world; nothing may be signed after it (S3)


async def _receive(rooms: Rooms, clerk: Caller, paper: Decision) -> Document:
    arrival = Arrival(
        SAMPLE_NAME, declared_size=len(paper.pdf), disclosure=Disclosure.PUBLIC, subject=SUBJECT, number=NUMBER,
        issuer=COMMUNE,
    )  # fmt: skip
    return await rooms.intake.receive(clerk, sample_id(clerk.agency), _chunks(paper.pdf), arrival)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _caller(person: Person, agency: Agency) -> Caller:
    return Caller(person.id, agency.id, CallerKind.PERSON, person.name, person.title, agency.short_name)
