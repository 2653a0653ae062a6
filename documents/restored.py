"""What is done to facts that come from a backup, before anybody works with them: this file tells it, in one transaction.

    1. The log opens a new generation; its first record names the last checkpoint that is known (P4).
    2. What the token was asked since the backup and the facts do not know is LOST, and stands in the log.
    3. Requests that the token may have answered since are ended: their bytes are never signed a second time.
    4. Versions of documents go past every one that was ever told. Sessions are over, and uploads in parts begin anew: more
       of them was told to be there than is.

- A request whose signature stands in the facts goes on with it, and so does one that waits for somebody's answer from
  outside: neither asks a key of ours again.
- What was done after the backup is unknown here: whoever was shut out since has to be shut out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, delete, select, text, update

from documents.document import RequestState
from documents.requests import OPEN, end_request
from hsm.use_log import Use
from storage.database import Door
from storage.log.checkpoints import Checkpoint
from storage.log.records import record
from storage.log.sequencer import head, open_generation
from storage.schema import (
    SERVICE,
    DocumentRow,
    IntentRow,
    SessionRow,
    SigningRequestRow,
    UploadPartRow,
    UploadRow,
)

RESTORED = "restored"
VERSIONS = 1_000_000  # no document is changed so often between a backup and its loss


@dataclass(frozen=True)
class Settled:
    generation: int
    after: Checkpoint | None  # the last that is known of before
    held: int  # records of that generation that the backup holds, where it is that generation's
    lost: int  # intents that the token served and the facts do not know
    unlogged: int  # signatures in the facts that the token's use log does not know: it is older than they are
    ended: int  # requests that may have been answered since

    @property
    def missing(self) -> int:
        """Records that a checkpoint covers and the backup does not hold."""
        return max(0, self.after.size - self.held) if self.after else 0


def settle(
    session: Door,
    now: datetime,
    *,
    known: Iterable[Checkpoint],
    uses: Iterable[Use],
    facts: Mapping[str, str],
) -> Settled:
    """`known` checkpoints come from outside of the facts, `uses` are what document keys did by the token's use log;
    `facts` say who restored which backup."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL statement_timeout = 0"))  # it may touch every row

    # 1. The log opens a new generation.
    ours = head(session, now)
    after = max([*known, *([ours] if ours else [])], key=lambda one: (one.generation, one.size), default=None)
    generation = open_generation(session, now, after)

    # 2. What the token was asked since is LOST.
    left = {one.intent: one for one in uses}
    signed, unlogged = IntentRow.signature.is_not(None), 0
    for id, request, has in session.execute(select(IntentRow.id, IntentRow.request, signed)):
        if left.pop(id, None) is None and has:
            unlogged += not _outside(session.get_one(SigningRequestRow, request))
    for use in left.values():
        _lost(session, use, now)

    # 3. Requests that may have been answered since are ended.
    ended = 0
    for row in session.scalars(select(SigningRequestRow).where(SigningRequestRow.state.in_(OPEN))).all():
        row.lease_until = None
        if not _goes_on(session, row):
            end_request(session, row.id, row.document, RequestState.EXPIRED, now, {"code": RESTORED})
            told = {"request": str(row.id), "state": RequestState.EXPIRED.value, "code": RESTORED}
            record(session, agency=row.agency, kind="signature.ended", at=now, about=row.document, facts=told)
            ended += 1

    # 4. Versions go past every one that was told; sessions and uploads in parts are over.
    session.flush()
    session.execute(update(DocumentRow).values(version=DocumentRow.version + VERSIONS))
    session.execute(delete(SessionRow))
    session.execute(delete(UploadPartRow).where(UploadPartRow.upload.in_(_unfinished())))
    session.execute(delete(UploadRow).where(UploadRow.finished.is_(False)))
    held = ours.size if ours and after and ours.generation == after.generation else 0
    settled = Settled(generation, after, held, len(left), unlogged, ended)
    counted = {"lost": settled.lost, "unlogged": unlogged, "ended": ended, "missing": settled.missing}
    record(session, agency=SERVICE, kind="service.restored", at=now, facts={**facts, **counted})
    return settled


def _unfinished() -> Select[UUID]:
    return select(UploadRow.id).where(UploadRow.finished.is_(False))


def _goes_on(session: Door, row: SigningRequestRow) -> bool:
    if row.state == RequestState.REVOCATION_PENDING.value:
        return True
    last = select(IntentRow).where(IntentRow.request == row.id).order_by(IntentRow.ordinal.desc()).limit(1)
    intent = session.scalar(last)
    return intent is not None and (intent.signature is not None or _outside(row))


def _outside(row: SigningRequestRow) -> bool:
    """Its key is none of ours."""
    return row.wish["certificate"] is not None


def _lost(session: Door, use: Use, now: datetime) -> None:
    """The facts of the attempt, as far as the token wrote them down; its request may be unknown too."""
    request = session.get(SigningRequestRow, use.request)
    facts = {
        "request": str(use.request), "intent": str(use.intent), "state": "LOST", "why": RESTORED, "key": use.key,
        "to_sign_sha256": use.to_sign_sha256.hex(),
    }  # fmt: skip
    about = request.document if request is not None else use.request
    record(session, agency=use.agency, kind="signature.attempt-ended", at=now, about=about, facts=facts)
