"""The audit trail as the doors need it: this file writes down what an operator is about to do, and holds the log against
what is known outside (P4).

- What is done outside the database (a key made in the token, a grant in its book) is written down before it is done.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature

from documents import checked
from documents.checked import USES_AGAIN, Checked
from documents.facts_check import used_unrecorded
from documents.facts_look import FactsLook, batched
from documents.keys_told import KeyFacts, keys_differing
from hsm import key_book
from hsm.key import KeyDescription, KeyUnavailable, KeyVault, Purpose
from hsm.public_keys import verify
from hsm.use_log import Use, last_use, read_uses
from storage.database import WHOLE_SERVICE, Database, Door
from storage.log.check import Examined, Fault, Finding, Span, examine
from storage.log.checkpoints import SignedCheckpoint
from storage.log.records import record
from storage.log.second_place import SecondPlace

FOR_DOCUMENTS = {Purpose.SIGNING, Purpose.SEAL}

__all__ = ["Fault", "Finding", "LookedAt", "SignedCheckpoint", "Trail", "checkpoints_in"]


@dataclass(frozen=True)
class LookedAt:
    """`outside`: how many checkpoints from outside the database it was held against; `signatures`: whether the audit
    key's public half was at hand to judge them; `uses`, `keys`: whether the token's use log and its keys were. `old`:
    records that earlier checks found whole, `again`: how many of them were read again."""

    findings: Sequence[Finding]
    outside: int
    signatures: bool
    uses: bool
    keys: bool
    old: int
    again: int


class Trail:
    """`elsewhere` is the folder of checkpoints that the database's administrator cannot reach; `keys` knows the public
    half of the audit key; `token` is the folder of the token's use log, for who may read it."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        *,
        keys: KeyVault,
        elsewhere: Path,
        token: Path | None = None,
    ) -> None:
        self._db, self._clock, self._keys, self._elsewhere, self._token = db, clock, keys, elsewhere, token

    async def note(self, agency: UUID, kind: str, *, about: UUID | None, facts: Mapping[str, Any]) -> None:
        """Durable when it comes back. Raises DatabaseUnavailable: then nothing is to be done."""
        now = self._clock()

        def work(session: Door) -> None:
            record(session, agency=agency, kind=kind, at=now, about=about, facts=facts)

        await self._db.transact(agency, work)

    async def check(self, *, more: Sequence[SignedCheckpoint] = (), everything: bool = False) -> LookedAt:
        """What is wrong with the log and the facts that it tells of; `more` are checkpoints that an auditor brings.
        Without `everything` what earlier checks found whole is read again in part. Raises DatabaseUnavailable, OSError."""
        before = Checked() if everything else await asyncio.to_thread(checked.load, self._elsewhere)
        spans, again_from = before.spans()
        known = [*await asyncio.to_thread(self._known, before, spans), *more]
        keys = await audit_keys(self._keys)
        judge = partial(_signed_by, keys) if keys else None
        # Before the database is read: each of these has its intent there already.
        last_use = await asyncio.to_thread(self._last_use)
        there = await self._keys_there()

        def work(session: Door) -> tuple[Examined, dict[str, UUID]]:
            look = FactsLook(everything=not before.whole)
            done = examine(
                session, known=known, verify=judge, whole=before.whole, again=spans, heed=look.heed
            )
            done.findings += look.rows(session, before.rows_from)
            if last_use is not None:
                for uses in batched(self._uses(before.uses - USES_AGAIN, last_use)):
                    done.findings += used_unrecorded(session, uses)
            done.findings += keys_differing(session, there or ())
            return done, look.rows_from

        done, rows_from = await self._db.read(WHOLE_SERVICE, work)
        if not done.findings and judge is not None:
            now = Checked(done.whole, again_from, rows_from, before.uses if last_use is None else last_use)
            with suppress(OSError):  # whoever may only read there checks all of it each time
                await asyncio.to_thread(checked.save, self._elsewhere, now)
        read_again = sum(one.end - one.begin for one in spans)
        return LookedAt(
            done.findings, len(known), judge is not None, last_use is not None, there is not None, before.records,
            read_again,
        )  # fmt: skip

    def _known(self, before: Checked, spans: Sequence[Span]) -> list[SignedCheckpoint]:
        def wanted(place: tuple[int, int]) -> bool:
            generation, size = place
            done = before.whole.get(generation)
            read = any(one.generation == generation and one.begin <= size <= one.end for one in spans)
            return done is None or size >= done.size or read

        return [one for _, one in SecondPlace(self._elsewhere).read(wanted)]

    async def _keys_there(self) -> Sequence[KeyFacts] | None:
        """By the book where it may be read, else as the token process tells: that leaves out what cannot be used."""
        try:
            if self._token is not None:
                return (await asyncio.to_thread(key_book.load, self._token)).keys
        except (OSError, ValueError):
            pass
        try:
            return await self._keys.descriptions()
        except KeyUnavailable:
            return None

    def _last_use(self) -> int | None:
        """None where the use log cannot be read."""
        try:
            return last_use(self._token) if self._token is not None else None
        except (sqlite3.Error, OSError):
            return None

    def _uses(self, after: int, last: int) -> Iterator[Use]:
        """Of keys that sign documents. A request for a certificate is signed outside of any document, by no lease."""
        book = key_book.load(self._token) if self._token is not None else None
        ours = {one.name for one in book.keys if one.purpose in FOR_DOCUMENTS} if book is not None else set()
        if self._token is not None:
            yield from (
                one
                for one in read_uses(self._token, after=after, last=last)
                if one.key in ours and one.lease > 0
            )


async def audit_keys(keys: KeyVault) -> Sequence[KeyDescription]:
    """Those that sign checkpoints; none where the token is away."""
    try:
        return [one for one in await keys.descriptions() if one.purpose is Purpose.AUDIT]
    except KeyUnavailable:
        return []


def checkpoints_in(folder: Path) -> list[SignedCheckpoint]:
    """Every checkpoint that lies directly in a folder; what is none is passed over. Blocks. Raises OSError."""
    return [one for _, one in SecondPlace(folder).read()]


def _signed_by(keys: Sequence[KeyDescription], text: bytes, signature: bytes) -> bool:
    for one in keys:
        try:
            verify(one.public_key, one.mechanisms[0], text, signature)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
