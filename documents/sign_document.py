"""This file tells how one document is signed: five steps, the same for every device and after every crash.

    1. Keep what the official saw, before anything is done to it.
    2. Record what is about to be signed: were we to crash now, we would know.
    3. The signature goes in, and the timestamp with it.
    4. Judge our own work, as a stranger would. Nothing leaves that we would not accept.
    5. Keep it, record it, and only then say so.

- Recovery enters at the same place as the first call and skips what is done already; there is no second path.
- The bytes to be signed are stored before the key is asked; a retry signs these bytes and no others (K5).
- `docs/how-a-signature-is-made.md` tells it at length, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from documents.document import RequestState, SigningRequest
from documents.office import Caller, NotAllowed
from documents.progress import Delivered, Progress
from documents.requests import OUTSIDE, Held, RequestEnded, Requests
from documents.signer_check import CertificateRefused, Checked, KeyRefused
from documents.signing_steps import SigningSteps
from documents.wish import SignWish
from hsm.key import KeyDescription, NoSuchKey, Purpose
from signing.longterm import TokenDoesNotFit
from signing.pades import AnswerDoesNotFit, CannotSign, NotThePreparedFile, Unsignable
from signing.timestamping.source import TimestampUnavailable
from signing.verification.own_work import NotAccepted
from signing.workshop import WorkshopFailed
from storage.folder_access import disk_faults
from storage.store import NotKept

# What was prepared and what came for it do not belong together: asking again would end the same way.
OUR_FAULTS = (NotAccepted, NotThePreparedFile, AnswerDoesNotFit, TokenDoesNotFit)


class AnswerRefused(Exception):
    """The answer from outside is no signature of the prepared bytes under the named certificate."""


class WorkNotAccepted(Exception):
    """Step 4 would not accept what step 3 made. Nothing was released; the request has FAILED."""

    def __init__(self, request: SigningRequest) -> None:
        super().__init__(str(request.id))
        self.request = request


class SignDocument:
    def __init__(self, requests: Requests, progress: Progress, steps: SigningSteps) -> None:
        self._requests, self._progress, self._steps = requests, progress, steps

    # -- doors

    async def sign(self, caller: Caller, document: UUID, request: UUID, wish: SignWish) -> SigningRequest:
        """One call: the key is one that we may use. Comes back DONE, or waiting for the world (TIMESTAMP_PENDING,
        REVOCATION_PENDING). The same `request` again goes on, or gives the same end.

        Raises NoSuchDocument, NoSuchKey, NotAllowed, DocumentBusy, RequestHeld, CannotSign, CertificateRefused,
        KeyRefused, KeyUnavailable, WorkNotAccepted, ClockUnsure, StoreUnavailable, WorkshopFailed, WorkshopKilled."""
        if wish.key is None or not caller.may(f"sign:{wish.key}"):
            raise NotAllowed(f"sign:{wish.key or ''}")
        held = await self._requests.claim(caller, document, request, wish)
        return await self._go_on(held) if isinstance(held, Held) else held

    async def prepare(self, caller: Caller, document: UUID, request: UUID, wish: SignWish) -> SigningRequest:
        """First of two calls: whoever holds the key of `wish.certificate` signs `to_sign`. Raises as `sign`."""
        if wish.certificate is None or not caller.may("sign:certificate"):
            raise NotAllowed("sign:certificate")
        held = await self._requests.claim(caller, document, request, wish)
        return await self._go_on(held) if isinstance(held, Held) else held

    async def complete(self, caller: Caller, request: UUID, signature: bytes) -> SigningRequest:
        """Second of two calls. The same answer again gives the same end; a wrong one changes nothing. Raises
        AnswerRefused, RequestEnded (EXPIRED), and as `sign`."""
        held = await self._requests.claim_again(caller, request)
        if not isinstance(held, Held):
            return held
        async with self._requests.in_hand(held):
            if held.prepared is None or held.intent is None or held.wish.certificate is None:
                raise AnswerRefused("nothing waits for an answer from outside")
            if held.intent.signature is None:
                if held.prepared.expires < self._steps.now():
                    raise RequestEnded(await self._expired(held))
                try:
                    self._steps.check_answer(held.prepared, signature)
                except AnswerDoesNotFit as wrong:
                    raise AnswerRefused(str(wrong)) from wrong
                held = await self._progress.signed(held, signature)
            return await self._story(held)

    async def cancel(self, caller: Caller, request: UUID) -> SigningRequest:
        """Only while nobody has answered; a request that ended keeps its end. Raises NoSuchDocument, RequestHeld,
        RequestEnded."""
        held = await self._requests.claim_again(caller, request)
        if not isinstance(held, Held):
            raise RequestEnded(held)
        async with self._requests.in_hand(held):
            if held.answered:
                raise RequestEnded(await self._story(held))
            return await self._progress.ended(held, RequestState.REFUSED, {"code": "cancelled"})

    async def usable_keys(self, caller: Caller) -> Sequence[KeyDescription]:
        """Signing and seal keys only (K1) that the caller may use (K2). Raises KeyUnavailable."""
        return [
            one
            for one in await self._steps.keys()
            if one.purpose in {Purpose.SIGNING, Purpose.SEAL}
            and one.agency == caller.agency
            and one.may_be_used_by(caller.id)
            and caller.may(f"sign:{one.name}")
        ]

    async def go_on(self, request: UUID, *, orphaned: bool = False) -> SigningRequest | None:
        """For recovery and durable jobs: carries the request on if nobody holds it; None if somebody does or it has
        ended. `orphaned`: its holder is known to be dead. Raises as `sign`."""
        held = await self._requests.take(request, orphaned=orphaned)
        return await self._go_on(held) if held is not None else None

    # -- the story

    async def _go_on(self, held: Held) -> SigningRequest:
        async with self._requests.in_hand(held):
            return await self._story(held)

    async def _story(self, held: Held) -> SigningRequest:
        with disk_faults():
            return await self._steps_left(held)

    async def _steps_left(self, held: Held) -> SigningRequest:
        if held.prepared is not None and held.prepared.expires < self._steps.now() and not held.answered:
            return await self._expired(held)
        if held.state is RequestState.REVOCATION_PENDING:
            return await self._steps.augment(held)
        try:
            return await self._five_steps(held)
        except (CannotSign, CertificateRefused, KeyRefused, NoSuchKey, NotAllowed, *OUR_FAULTS) as refused:
            if isinstance(refused, NoSuchKey) and held.prepared is not None:
                raise  # it was there when the bytes were prepared: it may come back, or their time runs out
            # What step 1 kept gets its name, whatever comes of it.
            await self._progress.received(held)
            state = RequestState.FAILED if isinstance(refused, OUR_FAULTS) else RequestState.REFUSED
            ended = await self._progress.ended(held, state, problem_of(refused))
            if isinstance(refused, OUR_FAULTS):
                raise WorkNotAccepted(ended) from refused
            raise
        except NotKept:
            # The upload, or what was prepared of it, has had its time: nobody can go on with this request.
            await self._progress.ended(held, RequestState.EXPIRED, {"code": "bytes-gone"})
            raise
        except WorkshopFailed as failed:
            if held.prepared is not None or failed.why == "crashed":
                raise
            # No key was touched, and the file would take as long the next time.
            too_much = CannotSign(Unsignable.TOO_COMPLEX, failed.why)
            await self._progress.received(held)
            await self._progress.ended(held, RequestState.REFUSED, problem_of(too_much))
            raise too_much from failed

    async def _expired(self, held: Held) -> SigningRequest:
        return await self._progress.ended(held, RequestState.EXPIRED, {"code": "expired"})

    async def _five_steps(self, held: Held) -> SigningRequest:
        steps = self._steps

        # 1. Keep what the official saw, before anything is done to it.
        await steps.keep_original(held)

        async with steps.original(held) as original:
            # 2. Record what is about to be signed: were we to crash now, we would know.
            checked = None
            if held.prepared is None:
                held, checked = await steps.prepare(held, original)

            # 3. The signature goes in, and the timestamp with it.
            if not held.answered:
                if held.wish.certificate is not None:
                    return await self._progress.waiting_for_holder(held, OUTSIDE, None)
                checked = checked or await steps.check_again(held)
                outcome = await steps.ask_for_signature(held)
                if isinstance(outcome, SigningRequest):
                    return outcome
                held = outcome
            checked = checked or await steps.check_again(held)
            try:
                done = await steps.kept_already(held)
                if done is None:
                    done = await self._finish(held, original, checked)
                else:
                    await self._progress.about_to_keep(held, steps.evidence_names(held, checked))
            except TimestampUnavailable as away:
                problem = {"code": "timestamp-unavailable", "tried": list(away.tried)}
                # The sweep goes on with those that wait for the authority, in their order.
                return await self._progress.pending(held, RequestState.TIMESTAMP_PENDING, problem)
            evidence = await steps.keep_evidence(held, checked)
            request = await self._progress.delivered(held, done, evidence)
        await steps.clear(held)
        if not request.state.ended:
            await steps.later(held)
        return request

    async def _finish(self, held: Held, original: Path, checked: Checked) -> Delivered:
        """From the signature's value to the kept file: the end of step 3, step 4, and the begin of step 5."""
        steps = self._steps
        stamp = await steps.timestamp(held)
        async with steps.filled(held, stamp, checked) as filled:
            # 4. Judge our own work, as a stranger would. Nothing leaves that we would not accept.
            judgement, finished = await steps.judge(
                held, original, filled.file, timestamped=filled.timestamped
            )

            # 5. Keep it, record it, and only then say so.
            done = Delivered(
                finished.sha256, finished.size, filled.reached, finished.revision, judgement,
                still_pending=filled.owed, evidence=steps.evidence_names(held, checked),
            )  # fmt: skip
            await self._progress.finishing(held, done)
            await steps.keep(held, filled.file, finished)
        return done


def problem_of(refused: Exception) -> dict[str, Any]:
    """How a refusal stands in the request's row: its class, its reason and its data, never a trace."""
    reason = getattr(refused, "reason", None)
    return {
        "code": type(refused).__name__,
        "reason": str(reason) if reason is not None else None,
        "detail": str(refused)[:500],
    }
