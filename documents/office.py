"""This file knows agencies, people and programs, and who is asking.

- A password is kept as argon2id, a session's or program's token as a SHA-256 of 256 random bits.
- A wrong password and an unknown name answer alike, in the same time; failures back off and then lock for a while.
- Every change of who may do what is audited in the same transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select

from storage.database import WHOLE_SERVICE, Database, Door
from storage.identifiers import uuid7
from storage.log.records import record
from storage.schema import SERVICE, AgencyRow, ClientRow, PersonRow, SessionRow

Clock = Callable[[], datetime]

SESSION_LASTS = timedelta(hours=10)  # one working day
FREE_TRIES = 3
BELIEVED_FOR, REMEMBERED = timedelta(seconds=1), 1024  # programs whose key was looked up
LONGEST_WAIT = timedelta(minutes=15)


class CallerKind(StrEnum):
    PERSON = "person"
    CLIENT = "client"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Caller:
    """Who is asking, and for which agency. A person may do all that its agency's people may; a client what its scopes
    name: `documents:write`, `documents:read`, `sign:<key name>` or `sign:*`, `verify`, `timestamp`."""

    id: UUID
    agency: UUID
    kind: CallerKind
    name: str
    title: str
    agency_name: str
    scopes: frozenset[str] = frozenset()

    def may(self, scope: str) -> bool:
        if self.kind is not CallerKind.CLIENT:
            return True
        return scope in self.scopes or f"{scope.split(':', maxsplit=1)[0]}:*" in self.scopes


class NotAllowed(Exception):
    """The caller lacks a scope or the key is not for it (K2)."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class LogInRefused(Exception):
    """Name or password wrong, or too many tries: which of them is not said. `retry_after` in seconds."""

    def __init__(self, retry_after: float = 0.0) -> None:
        super().__init__("log-in refused")
        self.retry_after = retry_after


class NameTaken(Exception):
    """Somebody has this log-in name."""


class NoSuchPerson(LookupError):
    """Nobody has this log-in name or identifier."""


@dataclass(frozen=True)
class Agency:
    id: UUID
    name: str
    short_name: str


@dataclass(frozen=True)
class Person:
    id: UUID
    agency: UUID
    login: str
    name: str
    title: str
    disabled: bool


@dataclass(frozen=True)
class Client:
    id: UUID
    agency: UUID
    name: str
    scopes: frozenset[str]
    revoked: bool


class Office:
    def __init__(self, db: Database, clock: Clock, *, hasher: PasswordHasher | None = None) -> None:
        self._db, self._clock = db, clock
        self._programs: dict[bytes, tuple[datetime, Caller]] = {}
        self._hasher = hasher or PasswordHasher()
        # Verified against when the name is unknown, so that the answer takes as long.
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    # -- agencies and people

    async def make_agency(self, name: str, short_name: str, *, by: str) -> Agency:
        now = self._clock()
        agency = Agency(uuid7(now), name, short_name)

        def work(session: Door) -> Agency:
            session.add(AgencyRow(agency=agency.id, name=name, short_name=short_name, created_at=now))
            facts = {"by": by, "name": name, "short_name": short_name}
            record(session, agency=agency.id, kind="agency.made", at=now, about=agency.id, facts=facts)
            return agency

        return await self._db.transact(agency.id, work)

    async def agencies(self) -> Sequence[Agency]:
        def work(session: Door) -> list[Agency]:
            return [Agency(r.agency, r.name, r.short_name) for r in session.scalars(select(AgencyRow))]

        return await self._db.read(WHOLE_SERVICE, work)

    async def make_person(
        self, agency: UUID, login: str, *, name: str, title: str, by: str
    ) -> tuple[Person, str]:
        """A person with a first password of 80 random bits, given back once. Raises NameTaken."""
        now = self._clock()
        password = secrets.token_urlsafe(12)
        hashed = self._hasher.hash(password)
        person = Person(uuid7(now), agency, login.strip().casefold(), name, title, disabled=False)

        def work(session: Door) -> Person:
            if session.scalar(select(PersonRow.id).where(PersonRow.login == person.login)):
                raise NameTaken(person.login)
            session.add(
                PersonRow(
                    id=person.id, agency=agency, login=person.login, name=name, title=title, password_hash=hashed,
                    failures=0, created_at=now,
                )
            )  # fmt: skip
            _tell(session, person, "person.made", at=now, by=by, password=_committed(hashed))
            return person

        return await self._db.transact(WHOLE_SERVICE, work), password

    async def reset_password(self, login: str, *, by: str, password: str | None = None) -> str:
        """A new password (random unless given); open sessions end. Raises NoSuchPerson."""
        now = self._clock()
        new = password or secrets.token_urlsafe(12)
        hashed = self._hasher.hash(new)

        def work(session: Door) -> None:
            row = _person_row(session, login)
            row.password_hash, row.failures, row.locked_until = hashed, 0, None
            session.execute(delete(SessionRow).where(SessionRow.person == row.id))
            _tell(session, _person(row), "person.password-reset", at=now, by=by, password=_committed(hashed))

        await self._db.transact(WHOLE_SERVICE, work)
        return new

    async def disable_person(self, login: str, *, by: str) -> Person:
        """Nobody signs in by this name any more; open sessions end. Raises NoSuchPerson."""
        now = self._clock()

        def work(session: Door) -> Person:
            row = _person_row(session, login)
            row.disabled_at = row.disabled_at or now
            session.execute(delete(SessionRow).where(SessionRow.person == row.id))
            _tell(session, _person(row), "person.disabled", at=now, by=by)
            return _person(row)

        return await self._db.transact(WHOLE_SERVICE, work)

    async def people(self) -> Sequence[Person]:
        def work(session: Door) -> list[Person]:
            return [_person(row) for row in session.scalars(select(PersonRow).order_by(PersonRow.login))]

        return await self._db.read(WHOLE_SERVICE, work)

    # -- logging in

    async def log_in(self, login: str, password: str) -> str:
        """The token of a new session, 256 random bits. Raises LogInRefused."""
        now = self._clock()
        # Halves of letters and control characters are in nobody's name, and no database takes them.
        name = "".join(c for c in login[:200].strip().casefold() if c.isprintable())[:64]
        row = await self._db.transact(WHOLE_SERVICE, lambda s: _begin_log_in(s, name, now))
        wait = (row.locked_until - now).total_seconds() if row and row.locked_until else 0.0
        usable = row is not None and row.hash is not None and not row.disabled and wait <= 0
        hashed = row.hash if usable and row and row.hash else self._nobody
        # Beside the event loop: it is meant to take long.
        matches = await asyncio.to_thread(self._matches, hashed, password)
        if not (matches and usable and row):
            if wait <= 0:
                await self._db.transact(WHOLE_SERVICE, lambda s: _note_failure(s, name, now))
            raise LogInRefused(max(0.0, wait))
        token = secrets.token_urlsafe(32)

        def work(session: Door) -> None:
            person = session.get_one(PersonRow, row.id)
            person.failures, person.locked_until = 0, None
            session.execute(delete(SessionRow).where(SessionRow.expires_at < now))
            session.add(
                SessionRow(
                    token_hash=_hash(token), agency=row.agency, person=row.id, created_at=now,
                    expires_at=now + SESSION_LASTS,
                )
            )  # fmt: skip
            _tell_of_log_in(session, _person(person), "person.logged-in", at=now, by="self")

        await self._db.transact(row.agency, work)
        return token

    async def log_out(self, token: str) -> None:
        await self._db.transact(
            WHOLE_SERVICE,
            lambda s: s.execute(delete(SessionRow).where(SessionRow.token_hash == _hash(token))),
        )

    async def by_session(self, token: str) -> Caller | None:
        now = self._clock()

        def work(session: Door) -> Caller | None:
            found = session.execute(
                select(PersonRow, AgencyRow.short_name)
                .join(SessionRow, SessionRow.person == PersonRow.id)
                .join(AgencyRow, AgencyRow.agency == PersonRow.agency)
                .where(SessionRow.token_hash == _hash(token), SessionRow.expires_at > now)
                .where(PersonRow.disabled_at.is_(None))
            ).first()
            if found is None:
                return None
            person, agency_name = found
            return Caller(person.id, person.agency, CallerKind.PERSON, person.name, person.title, agency_name)

        return await self._db.read(WHOLE_SERVICE, work)

    # -- programs

    async def make_client(
        self, agency: UUID, name: str, scopes: Sequence[str], *, by: str
    ) -> tuple[Client, str]:
        """A program and its API key, `antin_` and 256 random bits, given back once."""
        now = self._clock()
        key = "antin_" + secrets.token_urlsafe(32)
        client = Client(uuid7(now), agency, name, frozenset(scopes), revoked=False)

        def work(session: Door) -> Client:
            session.add(
                ClientRow(
                    id=client.id, agency=agency, name=name, key_hash=_hash(key), scopes=sorted(scopes), created_at=now
                )
            )  # fmt: skip
            facts = {"scopes": sorted(scopes), "by": by, "name": name, "key_sha256": _hash(key).hex()}
            record(session, agency=agency, kind="client.made", at=now, about=client.id, facts=facts)
            return client

        return await self._db.transact(agency, work), key

    async def revoke_client(self, client: UUID, *, by: str) -> None:
        """Raises NoSuchPerson."""
        now = self._clock()

        def work(session: Door) -> None:
            row = session.get(ClientRow, client)
            if row is None:
                raise NoSuchPerson(str(client))
            row.revoked_at = row.revoked_at or now
            self._programs.pop(row.key_hash, None)
            record(session, agency=row.agency, kind="client.revoked", at=now, about=client, facts={"by": by})

        await self._db.transact(WHOLE_SERVICE, work)

    async def clients(self) -> Sequence[Client]:
        def work(session: Door) -> list[Client]:
            return [_client(row) for row in session.scalars(select(ClientRow).order_by(ClientRow.created_at))]

        return await self._db.read(WHOLE_SERVICE, work)

    async def by_api_key(self, key: str) -> Caller | None:
        """Who that was is believed for a second: a key that was taken back is refused a second later at most."""
        now, hashed = self._clock(), _hash(key)
        known = self._programs.get(hashed)
        if known is not None and now - BELIEVED_FOR < known[0] <= now:
            return known[1]

        def work(session: Door) -> Caller | None:
            found = session.execute(
                select(ClientRow, AgencyRow.short_name)
                .join(AgencyRow, AgencyRow.agency == ClientRow.agency)
                .where(ClientRow.key_hash == hashed, ClientRow.revoked_at.is_(None))
            ).first()
            if found is None:
                return None
            row, agency_name = found
            return Caller(
                row.id, row.agency, CallerKind.CLIENT, row.name, "", agency_name, scopes=frozenset(row.scopes)
            )

        found = await self._db.read(WHOLE_SERVICE, work)
        if found is not None:
            if len(self._programs) >= REMEMBERED:
                self._programs.clear()
            self._programs[hashed] = (now, found)
        return found

    async def operator(self, system_user: str) -> Caller:
        """Who works at the command line of the host: no row, known by the system's name for it."""
        return Caller(SERVICE, SERVICE, CallerKind.OPERATOR, system_user, "", "")

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


@dataclass(frozen=True)
class _LogIn:
    id: UUID
    agency: UUID
    hash: str | None
    locked_until: datetime | None
    disabled: bool


def _begin_log_in(session: Door, login: str, now: datetime) -> _LogIn | None:
    """Counted as a failure until it has succeeded: a hundred tries at the same moment are a hundred tries."""
    row = session.scalar(select(PersonRow).where(PersonRow.login == login).with_for_update())
    if row is None:
        return None
    found = _LogIn(row.id, row.agency, row.password_hash, row.locked_until, row.disabled_at is not None)
    if row.locked_until is None or row.locked_until <= now:
        row.failures += 1
        over = row.failures - FREE_TRIES
        if over > 0:
            row.locked_until = now + min(timedelta(seconds=2 ** min(over, 12)), LONGEST_WAIT)
    return found


def _note_failure(session: Door, login: str, now: datetime) -> None:
    row = session.scalar(select(PersonRow).where(PersonRow.login == login))
    if row is not None:
        _tell_of_log_in(session, _person(row), "person.log-in-refused", at=now, by="unknown")


def _tell(session: Door, person: Person, kind: str, *, at: datetime, by: str, **facts: str) -> None:
    record(
        session, agency=person.agency, kind=kind, at=at, about=person.id, facts={"by": by} | facts,
        personal={"login": person.login, "name": person.name, "title": person.title},
    )  # fmt: skip


def _tell_of_log_in(session: Door, person: Person, kind: str, *, at: datetime, by: str) -> None:
    """It changes nothing about the person, and there are many: what is recorded about a person stays short."""
    facts = {"by": by, "person": str(person.id)}
    record(session, agency=person.agency, kind=kind, at=at, facts=facts, personal={"login": person.login})


def _committed(password_hash: str) -> str:
    """What a record says of a password: the salted hash's own hash, so that nobody changes it unseen."""
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _person_row(session: Door, login: str) -> PersonRow:
    row = session.scalar(select(PersonRow).where(PersonRow.login == login.strip().casefold()))
    if row is None:
        raise NoSuchPerson(login)
    return row


def _person(row: PersonRow) -> Person:
    return Person(row.id, row.agency, row.login, row.name, row.title, row.disabled_at is not None)


def _client(row: ClientRow) -> Client:
    return Client(row.id, row.agency, row.name, frozenset(row.scopes), row.revoked_at is not None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
