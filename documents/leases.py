"""Who holds a signing request, and which one rests: this file keeps the rules of its lease and of its failures.

- A lease that its holder does not lengthen is over in less than a minute, with the sweep that finds it.
- What fails by itself, or kills its worker, rests longer each time; then it is set aside: tried once a day, told to the
  operator with its reason, and at once gone on with where its caller asks again.
- A time further away than any that is given out was written by a clock that was wrong, and binds nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.schema import IntentRow, SigningRequestRow

LEASE = timedelta(seconds=40)  # lengthened while its holder lives, so that a large file may take its time
LONGEST_LEASE = timedelta(hours=1)  # one that ends later was given by a clock that was wrong
FIRST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(hours=1)
SET_ASIDE_AFTER, SET_ASIDE = 8, timedelta(days=1)  # failures; how long it rests then
FIRST_OWED, OWED_SHARE = timedelta(seconds=15), 8  # rests for an eighth of the time it waits already
DIED = "its worker died"
# It waits for the world now: what it failed of before is over.
WENT_WELL: Mapping[str, None] = {"failures": None, "failing": None, "rests_until": None}


def holds(row: SigningRequestRow, now: datetime) -> bool:
    return row.lease_until is not None and now < row.lease_until <= now + LONGEST_LEASE


def rests(row: SigningRequestRow, now: datetime) -> bool:
    return row.rests_until is not None and now < row.rests_until <= now + SET_ASIDE


def count_failure(row: SigningRequestRow, why: str, now: datetime) -> None:
    """What fails by itself rests, longer each time."""
    failures = (row.failures or 0) + 1
    rest = min(FIRST_REST * 2 ** min(failures - 1, 10), LONGEST_REST)
    row.failures, row.failing = failures, why
    row.rests_until = now + (SET_ASIDE if failures >= SET_ASIDE_AFTER else rest)


def owed_rest(waits: timedelta) -> timedelta:
    """What an issuer of revocation data owes is asked for again."""
    return min(max(waits / OWED_SHARE, FIRST_OWED), LONGEST_REST)


def died(row: SigningRequestRow, now: datetime) -> bool:
    """Its worker died. Once is bad luck, and it is taken up at once; what kills one after the other rests: then True."""
    again = row.failures is not None
    count_failure(row, DIED, now)
    row.lease_until = None
    if not again:
        row.rests_until = None
    return again


def asked_elsewhere(session: Session, row: SigningRequestRow) -> bool:
    """Its lease ran out because its key's holder has not answered yet, not because a worker died."""
    waiting = select(IntentRow.id).where(IntentRow.request == row.id, IntentRow.state == "WAITING")
    return session.scalar(waiting.limit(1)) is not None
