"""This file does what the five steps of `sign_document.py` say, each with the room that can do it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from documents import finishing
from documents.document import RequestState, SigningRequest, recorded
from documents.evidence import EvidenceKeeper
from documents.finishing import Answer, Finished, Proof
from documents.progress import Delivered, Progress
from documents.requests import HOLDER_ANSWERS_WITHIN, Held
from documents.signer_check import Checked, KeyRefused, MaterialOwed, SignerCheck, SignerOf
from hsm.key import KeyDescription, KeyUnavailable, KeyVault, Refusal, Refused, Signed, SigningOrder, Waiting
from signing import pades
from signing.longterm import Material
from signing.pades import Signer, Wish
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.timestamping.source import TimestampSource, TimestampUnavailable, Token, obtain
from signing.timestamping.token import read_token
from signing.trust.anchors import TrustSnapshot
from signing.verification.own_work import NotAccepted
from signing.workshop import Workshop
from storage.folder_access import passing
from storage.identifiers import uuid7
from storage.store import KeptName, NotKept, ObjectStore, StoreUnavailable, WorkingName, first_retention

__all__ = ["KeyRefused", "SigningSteps", "Timestamping", "Tools"]

HSM_ANSWERS_WITHIN = timedelta(minutes=15)
# The prepared file waits so long for time-stamps, then an operator looks.
FINISHED_WITHIN = timedelta(days=30)
OWED = {"code": "revocation-unknown"}
ATTEMPTS = 5  # LOST intents over the same bytes before an operator must look
SECONDS, MEMORY = 120.0, 1 << 30  # of a child process, per file


@dataclass(frozen=True)
class Timestamping:
    """Where time-stamps come from, and the size in bytes of the largest token that was seen (S3)."""

    source: TimestampSource
    room: int


@dataclass(frozen=True)
class Tools:
    """What the steps need, chosen by the roof. `clock` raises ClockUnsure: signing stops when the clock is off;
    `later` makes a durable job carry an agency's request on."""

    progress: Progress
    store: ObjectStore
    keys: KeyVault
    check: SignerCheck
    timestamping: Timestamping
    trust: Callable[[], TrustSnapshot]
    workshop: Workshop
    evidence: EvidenceKeeper
    clock: Callable[[], datetime]
    later: Callable[[UUID, UUID], Awaitable[None]]
    allow_javascript: bool = False
    allow_embedded_files: bool = True


@dataclass(frozen=True)
class Filled:
    """A signed file, whether more is owed than could be had, and whether its time-stamp lies inside the signature."""

    file: Path
    reached: Level
    owed: bool
    timestamped: bool


class SigningSteps:
    def __init__(self, tools: Tools) -> None:
        self._ = tools
        self._room = tools.timestamping.room

    def now(self) -> datetime:
        return self._.clock()

    async def keys(self) -> Sequence[KeyDescription]:
        return await self._.keys.descriptions()

    @staticmethod
    def check_answer(prepared: PreparedSignature, signature: bytes) -> None:
        """Raises AnswerDoesNotFit."""
        pades.check_answer(prepared, signature)

    # -- step 1

    async def keep_original(self, held: Held) -> None:
        if held.base.upload is not None:
            async with self._.store.working.fetch(WorkingName(held.agency, held.base.upload)) as upload:
                await self._keep(held, held.base.sha256, upload)

    def original(self, held: Held) -> AbstractAsyncContextManager[Path]:
        return recorded(self._.store, KeptName(held.agency, held.base.sha256))

    # -- step 2

    async def prepare(self, held: Held, original: Path) -> tuple[Held, Checked]:
        """Certificate and file are judged before the token is touched; then the bytes to be signed are made durable,
        with the intent and its audit record. Raises CannotSign, CertificateRefused, NotAllowed."""
        signer_of = await self._signer_of(held)
        checked = await self._.check.before(signer_of)
        now, external = self.now(), held.wish.certificate is not None
        signer = Signer(
            certificate=signer_of.certificate, chain=checked.chain, mechanism=signer_of.mechanism, key=signer_of.key,
            agency=held.agency, person=held.caller, request=held.id,
            expires=now + (HOLDER_ANSWERS_WITHIN if external else HSM_ANSWERS_WITHIN),
        )  # fmt: skip
        wish = Wish(
            level=held.wish.level, field=held.wish.field, reason=held.wish.reason, location=held.wish.location,
            claimed_time=now, certify=held.wish.certify, mark=held.wish.mark,
            allow_javascript=self._.allow_javascript, allow_embedded_files=self._.allow_embedded_files,
        )  # fmt: skip
        name = uuid7(now)
        out = self._.store.scratch() / f"{name}.pdf"
        room = self._room if held.wish.level >= Level.B_T else 0
        with passing(out):
            prepared = await self._.workshop.run(
                pades.prepare, original, out, wish=wish, signer=signer, password=held.wish.password,
                timestamp_room=room, seconds=SECONDS, memory=MEMORY,
            )  # fmt: skip
            # Durable before the intent that names it.
            await self._.store.working.put(WorkingName(held.agency, name), out, expires=now + FINISHED_WITHIN)
        held = await self._.progress.intend(
            held, prepared, name, check=checked.to_stored(), external=external
        )
        return held, checked

    async def _signer_of(self, held: Held) -> SignerOf:
        wish = held.wish
        if wish.certificate is not None:
            return SignerOf.external(wish.certificate, wish.chain, wish.mechanism)
        key = (await self._.keys.open(wish.key or "")).description
        return SignerOf.holding(key, wish.mechanism, agency=held.agency, who=held.caller)

    # -- step 3

    async def ask_for_signature(self, held: Held) -> Held | SigningRequest:
        """One order for one intent. What was perhaps signed before a crash is LOST, and the same bytes are signed
        again under a new number; the token's own use log refuses the old one (K3, K5)."""
        prepared = _prepared(held)
        key = await self._.keys.open(prepared.key)
        for _ in range(ATTEMPTS):
            if held.intent is None or held.intent.state in {"VOID", "LOST"}:
                held = await self._.progress.intend_again(held)
            intent = held.intent
            if intent is None:
                break
            order = SigningOrder(
                to_sign=prepared.to_sign, mechanism=prepared.mechanism, intent=intent.id, lease=held.lease,
                request=held.id, agency=held.agency, person=held.caller,
            )  # fmt: skip
            try:
                result = await key.collect(intent.ticket) if intent.ticket else (await key.sign([order]))[0]
            except KeyUnavailable as away:
                if away.asked:
                    await self._.progress.attempt_ended(held, "LOST", why=away.why)
                raise
            if isinstance(result, Signed):
                return await self._.progress.signed(held, result.signature)
            if isinstance(result, Waiting):
                return await self._.progress.waiting_for_holder(held, result.ticket, result.until)
            held = await self._attempt_refused(held, result)
        raise KeyUnavailable(prepared.key, why="every attempt was lost", asked=True)

    async def _attempt_refused(self, held: Held, result: Refused) -> Held:
        if result.reason is Refusal.ALREADY_SERVED and held.intent is not None:
            await self._.progress.attempt_ended(held, "LOST", why=result.reason)
            return replace(held, intent=replace(held.intent, state="LOST"))
        await self._.progress.attempt_ended(held, "VOID", why=result.reason)
        raise KeyRefused(result.reason, result.detail)

    async def check_again(self, held: Held) -> Checked:
        """After a wait or a restart, before the token is touched and before anything is released: whoever lost the
        right to sign meanwhile, or a certificate that was revoked, signs nothing any more (V4, K2). Raises
        CertificateRefused, KeyRefused."""
        prepared = _prepared(held)
        if held.wish.certificate is None and not held.answered:
            await self._signer_of(held)
        return await self._.check.before(
            SignerOf(prepared.certificate, prepared.chain, prepared.mechanism, prepared.key)
        )

    async def timestamp(self, held: Held) -> Token | None:
        """Raises TimestampUnavailable."""
        if not _prepared(held).level >= Level.B_T:
            return None
        return await self._obtain(hashlib.sha256(_signature(held)).digest(), "sha256")

    async def _obtain(self, digest: bytes, hash_name: str) -> Token:
        source = self._.timestamping.source
        token = await obtain(source, digest, hash_name=hash_name, trust=self._.trust(), now=self.now())
        self._room = max(self._room, len(token.der))  # the next document keeps room for it
        return token

    @asynccontextmanager
    async def filled(self, held: Held, stamp: Token | None, checked: Checked) -> AsyncIterator[Filled]:
        """The signed file in scratch, at the highest level that can be had up to the one asked for (V4). A token for which
        there is no room in the signature is left out, and a document time-stamp dates it instead (S3). Raises
        TimestampUnavailable."""
        prepared, password = _prepared(held), held.wish.password
        signature, token = _signature(held), stamp.der if stamp else None
        if token is not None and not finishing.takes(prepared, signature, token):
            token = None
        outside = stamp is not None and token is None
        with self._scratch() as file:
            async with self._.store.working.fetch(WorkingName(held.agency, _working(held))) as waiting:
                await asyncio.to_thread(shutil.copyfile, waiting, file)
            material = None if outside else await self._material(held, checked, token)
            await self._run(
                finishing.fill, prepared, file, Answer(signature, token, material), password=password
            )
            if outside:
                stamp = await self._archive(file, password)
                material = await self._material(held, checked, stamp.der)
                if material is not None:
                    await self._run(finishing.augment, file, material, password=password)
            missed = material is None and prepared.level >= Level.B_LT
            reached = Level.B_T if missed else prepared.level
            if reached >= Level.B_LTA:
                await self._archive(file, password)
            owed = not checked.established or reached != prepared.level
            yield Filled(file, reached, owed, timestamped=token is not None)

    async def _material(self, held: Held, checked: Checked, token: bytes | None) -> Material | None:
        """None: it is not wished for, or some of it cannot be had now, so that no level may be claimed that needs it."""
        if not checked.established or not _prepared(held).level >= Level.B_LT:
            return None
        try:
            return await self._.check.material(checked, token)
        except MaterialOwed:
            return None

    async def _archive(self, file: Path, password: str | None) -> Token:
        """A document time-stamp over all that stands there. Each round has at least twice the room of the one before, and no
        token is larger than an answer may be. Raises TimestampUnavailable."""
        before, room = await asyncio.to_thread(file.stat), self._room
        while True:
            hole = await self._run(finishing.archive, file, room=room, password=password)
            token = await self._obtain(hole.digest, hole.hash_name)
            if len(token.der) <= hole.hole.room:
                await self._run(finishing.seal_archive, file, hole, token.der)
                return token
            os.truncate(file, before.st_size)
            room = 2 * len(token.der)

    # -- step 4

    async def judge(
        self, held: Held, original: Path, file: Path, *, timestamped: bool
    ) -> tuple[dict[str, Any], Finished]:
        """Raises NotAccepted."""
        judgement, finished = await self._run(
            finishing.judge_and_name, original, file, _prepared(held), trust=self._.trust(),
            password=held.wish.password, timestamped=timestamped, at=self.now(),
        )  # fmt: skip
        return judgement, finished

    # -- step 5

    async def keep(self, held: Held, file: Path, finished: Finished) -> None:
        """Behind `finishing`, which looked at the lease and named this."""
        await self._keep(held, finished.sha256, file)

    async def _keep(self, held: Held, sha256: str, file: Path) -> None:
        until = first_retention(self.now())
        await self._.store.kept.keep(KeptName(held.agency, sha256), file, retain_until=until)

    async def kept_already(self, held: Held) -> Delivered | None:
        """What a worker before us kept and could not record any more. What it kept of the evidence gets its name too."""
        if held.finished is None:
            return None
        done = Delivered.from_stored(held.finished)
        kept = [one for one in done.evidence if await self._is_kept(held.agency, one[1])]
        await self._.progress.keep_evidence(held, kept)
        return done if await self._is_kept(held.agency, done.sha256) else None

    async def _is_kept(self, agency: UUID, sha256: str) -> bool:
        try:
            await self._.store.kept.stat(KeptName(agency, sha256))
        except NotKept:
            return False
        return True

    def evidence_names(self, held: Held, checked: Checked) -> tuple[tuple[str, str], ...]:
        return self._.evidence.names(_prepared(held).certificate, checked)

    async def keep_evidence(self, held: Held, checked: Checked) -> Sequence[tuple[str, str]]:
        """Kind and SHA-256 of each, which the next transaction names."""
        await self._.progress.still_ours(held)
        return await self._.evidence.keep(held, _prepared(held).certificate, checked)

    async def clear(self, held: Held) -> None:
        if held.working is not None:
            with suppress(StoreUnavailable):  # it is signed all the same: the sweep takes it away
                await self._.store.working.delete(WorkingName(held.agency, held.working))

    async def later(self, held: Held) -> None:
        await self._.later(held.agency, held.id)

    # -- what was owed comes later

    async def augment(self, held: Held) -> SigningRequest:
        """REVOCATION_PENDING: the signed document stands and was released at the level it reached; what could not be
        had then is asked for again, kept, and put into the document where a higher level was wanted."""
        if held.signed is None:
            raise ValueError("nothing is signed")
        before = await self.kept_already(held)
        if before is not None and before.sha256 != held.signed.sha256:
            return await self._.progress.augmented(held, before)
        with self._scratch() as file:
            async with recorded(self._.store, KeptName(held.agency, held.signed.sha256)) as signed:
                await asyncio.to_thread(shutil.copyfile, signed, file)
            return await self._augmented(held, file)

    async def _augmented(self, held: Held, file: Path) -> SigningRequest:
        prepared, progress = _prepared(held), self._.progress
        proof: Proof | None = None
        if prepared.level >= Level.B_T:
            proof = await self._run(finishing.proof_in, file, prepared)
        at = read_token(proof.token).time if proof else None
        checked = await self._.check.known(prepared.certificate, prepared.chain, at=at)
        speaks_against = checked.warning()
        if not checked.established and speaks_against is None:
            return await progress.pending(held, RequestState.REVOCATION_PENDING, OWED)
        await progress.about_to_keep(held, self.evidence_names(held, checked))
        await progress.keep_evidence(held, await self.keep_evidence(held, checked))
        await progress.checked(held, checked.to_stored())
        if speaks_against is not None or not prepared.level >= Level.B_LT:
            return await progress.ended(held, RequestState.DONE, speaks_against)
        material = await self._material(held, checked, proof.token if proof else None)
        if material is None:
            return await progress.pending(held, RequestState.REVOCATION_PENDING, OWED)
        await self._run(finishing.augment, file, material, password=held.wish.password)
        if prepared.level >= Level.B_LTA:
            try:
                await self._archive(file, held.wish.password)
            except TimestampUnavailable as away:
                problem = {"code": "timestamp-unavailable", "tried": list(away.tried)}
                return await progress.pending(held, RequestState.REVOCATION_PENDING, problem)
        try:
            async with self.original(held) as original:
                judgement, finished = await self.judge(
                    held, original, file, timestamped=proof is not None and proof.inside
                )
        except NotAccepted as refused:
            # What was released stands as it is; only this rendition of it is not.
            problem = {"code": "augmentation-not-accepted", "detail": str(refused)[:500]}
            return await progress.ended(held, RequestState.DONE, problem)
        done = Delivered(
            finished.sha256, finished.size, prepared.level, finished.revision, judgement, still_pending=False
        )
        await progress.finishing(held, done)
        await self.keep(held, file, finished)
        return await progress.augmented(held, done)

    def _scratch(self) -> AbstractContextManager[Path]:
        return passing(self._.store.scratch() / f"{uuid7(self.now())}.pdf")

    async def _run(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return await self._.workshop.run(function, *args, seconds=SECONDS, memory=MEMORY, **more)


def _prepared(held: Held) -> PreparedSignature:
    if held.prepared is None:
        raise ValueError("nothing is prepared")
    return held.prepared


def _signature(held: Held) -> bytes:
    if held.intent is None or held.intent.signature is None:
        raise ValueError("nothing is signed")
    return held.intent.signature


def _working(held: Held) -> UUID:
    if held.working is None:
        raise ValueError("the prepared file is gone")
    return held.working
