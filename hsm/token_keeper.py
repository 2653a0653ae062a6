"""The keeper of one token: this file serves signing orders, and is the last line before the key (K2, K3, K5).

    1. Refuse what may not be signed, whatever the token would say.
    2. Is the token there, and is the key what it should be? If not, no intent is spent.
    3. Write down what is about to be signed; refuse what stands there already, and what a later worker took over.
    4. Ask the token, once for each line.

- One thread uses it. What waits is taken together: one durable transaction for all (group commit).
- A line of the use log is one operation of the token at most, whatever happens between them.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pkcs11
from cryptography.exceptions import InvalidSignature

from hsm import token_keys, token_signing
from hsm.forms import PROBE_TEXT
from hsm.health import TokenHealth
from hsm.key import (
    KeyDescription,
    KeyUnavailable,
    NoSuchKey,
    Purpose,
    Refusal,
    Refused,
    Signed,
    SigningOrder,
    SigningResult,
)
from hsm.key_book import KeyBook, KeyEntry
from hsm.mechanisms import UnsupportedKey, mechanisms_of
from hsm.open_book import OpenBook
from hsm.order_check import refusal_of
from hsm.public_keys import verify
from hsm.token_session import TokenSession
from hsm.use_log import SIGNED, LogUnavailable, Use, UseLog

Answer = list[SigningResult] | Exception

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignJob:
    """One caller's list of orders for one key. `answer` is called once; `wanted` says whether anybody still waits."""

    name: str
    orders: tuple[SigningOrder, ...]
    answer: Callable[[Answer], None]
    wanted: Callable[[], bool]


class Progress(Protocol):
    """Called before each question to the token. `grace`: seconds that this one may take beyond the usual."""

    def __call__(self, grace: float = 0.0) -> None: ...


class TokenFailed(Exception):
    """The token was asked and gave no signature."""


@dataclass
class _Work:
    job: SignJob
    entry: KeyEntry
    results: list[SigningResult | None] = field(default_factory=list)

    def open_orders(self) -> Iterable[tuple[int, SigningOrder]]:
        return [(at, self.job.orders[at]) for at, one in enumerate(self.results) if one is None]


class TokenKeeper:
    def __init__(
        self,
        folder: Path,
        token: TokenSession,
        books: OpenBook,
        *,
        clock: Callable[[], datetime],
        progress: Progress,
    ) -> None:
        """Raises LogUnavailable."""
        self.token, self.books, self.clock, self.progress = token, books, clock, progress
        self._log = UseLog(folder)
        self._examined: dict[str, tuple[KeyEntry, str]] = {}
        self._described: dict[str, tuple[KeyEntry, KeyDescription]] = {}

    @property
    def book(self) -> KeyBook:
        return self.books.now

    def close(self) -> None:
        self._log.close()
        self.token.drop()

    def idle(self) -> None:
        """For when nobody waits."""
        self._log.note_results()
        self.books.look()

    # -- keys

    def descriptions(self) -> list[KeyDescription]:
        """Every key that can be used; what is wrong with the others stands in `health`. Raises KeyUnavailable."""
        return [self.describe(one) for one in self.book.keys if not self.problem_of(one)]

    def describe(self, entry: KeyEntry) -> KeyDescription:
        known = self._described.get(entry.name)
        if known is None or known[0] is not entry:
            known = self._described[entry.name] = (entry, entry.describe())
        return known[1]

    def problem_of(self, entry: KeyEntry) -> str:
        """As `token_keys.problem_of`, once per session and entry. Raises KeyUnavailable."""
        if not self.token.is_open:
            self._examined.clear()
        known = self._examined.get(entry.name)
        if known is None or known[0] is not entry:
            self.progress()
            try:
                known = self._examined[entry.name] = (entry, token_keys.problem_of(self.token, entry))
            except pkcs11.PKCS11Error as wrong:
                raise self._away(wrong) from wrong
            if known[1]:
                log.error("key %s cannot be used: %s", entry.name, known[1])
        return known[1]

    # -- signing

    def sign(self, jobs: Sequence[SignJob]) -> None:
        """Answers each job, in order. Raises nothing that a caller or a token could cause."""
        self.books.look()
        # 1. Refuse what may not be signed, whatever the token would say.
        works = [work for job in jobs if (work := self._accept(job)) is not None]

        # 2. Is the token there, and is the key what it should be? If not, no intent is spent.
        works = [work for work in works if self._ready(work)]

        # 3. Write down what is about to be signed; refuse what stands there already.
        try:
            self._record(works)
        except LogUnavailable as wrong:
            log.error("use log: %s", wrong)
            for work in works:
                work.job.answer(KeyUnavailable(work.job.name, why="log-unavailable", retry_after=30))
            return

        # 4. Ask the token, once for each line.
        for work in works:
            self._serve(work)

    def _accept(self, job: SignJob) -> _Work | None:
        entry = self.book.find(job.name)
        if not job.wanted():
            job.answer(KeyUnavailable(job.name, why="too-late", retry_after=1))
        elif entry is None:
            job.answer(NoSuchKey(job.name))
        else:
            try:
                key = self.describe(entry)
            except UnsupportedKey:
                job.answer(KeyUnavailable(job.name, why="unsupported", retry_after=60))
                return None
            return _Work(job, entry, [refusal_of(key, one, persons=self.book.persons) for one in job.orders])
        return None

    def _ready(self, work: _Work) -> bool:
        if not work.open_orders():
            return True  # all refused: the token has no part in it
        try:
            problem = self.problem_of(work.entry)
        except KeyUnavailable as away:
            work.job.answer(away)
            return False
        if problem:
            work.job.answer(KeyUnavailable(work.job.name, why=problem, retry_after=60))
        return not problem

    def _record(self, works: Sequence[_Work]) -> None:
        wanted = [(work, at, order) for work in works for at, order in work.open_orders()]
        if not wanted:
            return
        served = self._log.served([order.intent for _, _, order in wanted])
        leases = self._log.highest_leases([order.request for _, _, order in wanted])
        now, uses = self.clock(), []
        for work, at, order in wanted:
            if order.intent in served:
                work.results[at] = Refused(Refusal.ALREADY_SERVED)
            elif order.lease < leases.get(order.request, 0):
                work.results[at] = Refused(Refusal.STALE_LEASE)
            else:
                served.add(order.intent)
                leases[order.request] = order.lease
                uses.append(_use(work.entry.name, order, now))
        if uses:
            self._log.record(uses)

    def _serve(self, work: _Work) -> None:
        lost = []
        for at, order in work.open_orders():
            try:
                signature = self._ask(work.entry, order)
            except TokenFailed as failed:
                lost.append(str(failed))
                self._log.result(order.intent, f"failed: {failed}")
                # Spent without a signature: this intent is LOST.
                work.results[at] = Refused(Refusal.ALREADY_SERVED, f"lost: {failed}")
            else:
                self._log.result(order.intent, SIGNED)
                work.results[at] = Signed(signature)
        done = [one for one in work.results if one is not None]
        if lost and not any(isinstance(one, Signed) for one in done):
            work.job.answer(KeyUnavailable(work.job.name, why=lost[0], asked=True))
        else:
            work.job.answer(done)

    def _ask(self, entry: KeyEntry, order: SigningOrder) -> bytes:
        """One signature for one line of the log, which is durable already. Raises TokenFailed.

        A session dies when its token was away. Then the module says so before it does anything, and the same line is
        served by a new session, once. Every other failure may hide a signature that was made and lost on its way, so
        asking again could make two under one line: the line is spent, its intent LOST, and whoever asked
        comes again with a new intent, a new line. No third way: between two lines the log counts right."""
        for again in (False, True):
            self.progress()
            try:
                private = token_keys.find(self.token, entry)
                return token_signing.sign(private, order.mechanism, order.to_sign, self.token.supported)
            except token_signing.CERTAINLY_NOT_DONE as dead:
                self.token.drop()
                if again:
                    raise TokenFailed(type(dead).__name__) from dead
            except pkcs11.PKCS11Error as wrong:
                self.token.drop()
                log.error("key %s: the token failed: %s", entry.name, type(wrong).__name__)
                raise TokenFailed(type(wrong).__name__) from wrong
            except (KeyUnavailable, token_keys.NotFound) as away:
                raise TokenFailed(getattr(away, "why", "not-found")) from away
        raise AssertionError("the second time returns or raises")

    def sign_request(self, entry: KeyEntry, request_info: bytes) -> bytes:
        """For enrolment alone: a signature over CertificationRequestInfo, with its line in the log. Raises
        KeyUnavailable, LogUnavailable."""
        number = UUID(bytes=secrets.token_bytes(16), version=4)
        order = SigningOrder(
            to_sign=request_info, mechanism=mechanisms_of(entry.public_key)[0], intent=number, lease=0,
            request=number, agency=entry.agency, person=entry.holder.id,
        )  # fmt: skip
        self._log.record([_use(entry.name, order, self.clock())])
        try:
            signature = self._ask(entry, order)
        except TokenFailed as failed:
            raise KeyUnavailable(entry.name, why=str(failed), asked=True) from failed
        self._log.result(order.intent, SIGNED)
        return signature

    # -- health

    def health(self, waiting: int) -> TokenHealth:
        """Signs with the probe key, if there is one: the keys of documents are not touched, and no line is written."""
        why, probed, uses = "", False, 0
        problems: list[tuple[str, str]] = []
        try:
            uses = self._log.check()
            self.token.get()
            problems = [(one.name, self.problem_of(one)) for one in self.book.keys]
            probed = self._probe()
        except KeyUnavailable as away:
            why = away.why
        except LogUnavailable as wrong:
            log.error("use log: %s", wrong)
            why = "log-unavailable"
        found = self.token.token
        return TokenHealth(
            ready=not why,
            probed=probed,
            why=why,
            label=found.label if found else "",
            serial=found.serial.decode(errors="replace") if found else "",
            manufacturer=found.manufacturer_id if found else "",
            model=found.model if found else "",
            usable=tuple(name for name, problem in problems if not problem),
            unusable=tuple(one for one in problems if one[1]),
            waiting=waiting,
            uses=uses,
        )

    def _probe(self) -> bool:
        probe = next((one for one in self.book.keys if one.purpose is Purpose.PROBE), None)
        if probe is None or self.problem_of(probe):
            return False
        text = PROBE_TEXT + secrets.token_hex(8).encode()
        mechanism = mechanisms_of(probe.public_key)[0]
        for again in (False, True):
            self.progress()
            try:
                private = token_keys.find(self.token, probe)
                verify(
                    probe.public_key,
                    mechanism,
                    text,
                    token_signing.sign(private, mechanism, text, self.token.supported),
                )
                return True
            except pkcs11.PKCS11Error as wrong:
                # Nothing counts a probe: it is simply done again with a new session.
                self.token.drop()
                if again:
                    raise self._away(wrong) from wrong
            except (InvalidSignature, token_keys.NotFound) as wrong:
                raise KeyUnavailable(probe.name, why="probe-failed", retry_after=30) from wrong
        return False

    def _away(self, wrong: Exception) -> KeyUnavailable:
        self.token.drop()
        log.error("the token failed: %s", type(wrong).__name__)
        return KeyUnavailable("token", why="token-away")


def _use(key: str, order: SigningOrder, now: datetime) -> Use:
    return Use(
        intent=order.intent,
        key=key,
        to_sign_sha256=hashlib.sha256(order.to_sign).digest(),
        mechanism=order.mechanism.value,
        request=order.request,
        lease=order.lease,
        agency=order.agency,
        person=order.person,
        at=now,
    )
