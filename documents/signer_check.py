"""Who signs, and whether their certificate may: this file asks before the key is touched, at every signature (V4, K1, K2).

- A certificate that is known to be expired, revoked or suspended, that has no path or another purpose, is refused.
- What cannot be known is no refusal: `established` is False, the document waits for the answer (REVOCATION_PENDING).
- Everything that was used to know it is kept as evidence, and becomes the document's validation material.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hsm.key import KeyDescription, Mechanism, NoSuchKey, Purpose, Refusal
from hsm.mechanisms import UnsupportedKey, mechanisms_of
from signing.longterm import Material
from signing.timestamping.token import NotAToken, read_token
from signing.trust.anchors import TrustSnapshot, Use
from signing.trust.certificate import Certificate, NotACertificate, read
from signing.trust.path import NoPath, StandingPath, find_path
from signing.trust.purpose import unfit_to_sign
from signing.trust.revocation import Revocation
from signing.trust.status import CertificateStatus, Gathered, Status


class CertificateRefused(Exception):
    """`reason` is EXPIRED, NOT_YET_VALID, REVOKED, ON_HOLD, NO_PATH or WRONG_PURPOSE; `detail` names what is at fault."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class KeyRefused(Exception):
    """The key may not be used so, or its holder would not sign."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class MaterialOwed(Exception):
    """What the revocation of the time-stamp authority is known by cannot be had now."""


@dataclass(frozen=True)
class SignerOf:
    """Whose signature it will be. Certificates are DER; `key` names the key, or the certificate where the key is not
    ours."""

    certificate: bytes
    chain: tuple[bytes, ...]
    mechanism: Mechanism
    key: str

    @staticmethod
    def external(certificate: bytes, chain: tuple[bytes, ...], mechanism: Mechanism | None) -> SignerOf:
        """Raises CertificateRefused for what is no certificate, KeyRefused."""
        try:
            seen = read(certificate)
        except NotACertificate as wrong:
            raise CertificateRefused("NO_PATH", str(wrong)) from wrong
        return SignerOf(
            certificate, chain, _mechanism(seen.key, mechanism), f"certificate:{seen.sha256[:16]}"
        )

    @staticmethod
    def holding(key: KeyDescription, mechanism: Mechanism | None, *, agency: UUID, who: UUID) -> SignerOf:
        """Signing and seal keys only (K1), of the own agency, for who may use them (K2). Raises NoSuchKey for another
        agency's, as for one that is not there (P3); KeyRefused."""
        if key.agency != agency:
            raise NoSuchKey(key.name)
        if key.purpose not in {Purpose.SIGNING, Purpose.SEAL}:
            raise KeyRefused(Refusal.WRONG_PURPOSE, key.name)
        if not key.may_be_used_by(who):
            raise KeyRefused(Refusal.NOT_THE_HOLDER, key.name)
        if mechanism is None and not key.mechanisms:
            raise KeyRefused(Refusal.WRONG_MECHANISM, key.name)
        chosen = mechanism or key.mechanisms[0]
        if chosen not in key.mechanisms:
            raise KeyRefused(Refusal.WRONG_MECHANISM, chosen.value)
        return SignerOf(key.certificate, key.chain, chosen, key.name)


def _mechanism(public_key: bytes, wished: Mechanism | None) -> Mechanism:
    try:
        possible = mechanisms_of(public_key)
    except UnsupportedKey as wrong:
        raise KeyRefused(Refusal.WRONG_MECHANISM, str(wrong)) from wrong
    if wished is not None and wished not in possible:
        raise KeyRefused(Refusal.WRONG_MECHANISM, wished.value)
    return wished or possible[0]


@dataclass(frozen=True)
class Checked:
    """What is known of a certificate at a time. `chain` is what goes into a signature beside it: from the issuer up,
    without the anchor's own certificate where that is self-signed. `certificates` are all that were used."""

    at: datetime
    chain: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    statuses: tuple[CertificateStatus, ...] = ()
    flaw: str | None = None  # why there is no path

    @property
    def established(self) -> bool:
        """Whether each certificate below the anchor is known to be good; an anchor by itself is."""
        return self.flaw is None and all(one.status is Status.GOOD for one in self.statuses)

    @property
    def status(self) -> Status:
        if self.flaw is not None:
            return Status.UNKNOWN
        return Gathered(self.at, self.statuses, ()).status

    def to_stored(self) -> dict[str, Any]:
        """JSON values: what is shown, and kept with the request."""
        return {
            "at": self.at.isoformat(),
            "established": self.established,
            "status": self.status.value,
            "flaw": self.flaw,
            "certificates": [_stored(one) for one in self.statuses],
        }

    def warning(self) -> dict[str, Any] | None:
        """What a document that is out already must be shown with; None where nothing speaks against it."""
        if self.status not in {Status.REVOKED, Status.ON_HOLD}:
            return None
        worst = next(one for one in self.statuses if one.status is self.status)
        return {
            "code": "certificate-revoked" if self.status is Status.REVOKED else "certificate-on-hold",
            "detail": read(worst.certificate).subject_text,
            "since": worst.since.isoformat() if worst.since else None,
        }


def _stored(status: CertificateStatus) -> dict[str, Any]:
    certificate = read(status.certificate)
    times = {"since": status.since, "this_update": status.this_update, "next_update": status.next_update}
    return {
        "subject": certificate.subject_text,
        "sha256": certificate.sha256,
        "status": status.status.value,
        "reason": status.reason,
        "why": status.why.value if status.why else None,
        "source": status.source,
        **{name: time.isoformat() if time else None for name, time in times.items()},
    }


class SignerCheck:
    """Safe to call from many tasks of one event loop. A certificate that was asked about lately costs a fraction of a
    millisecond."""

    def __init__(
        self,
        revocation: Revocation,
        *,
        trust: Callable[[], TrustSnapshot],
        clock: Callable[[], datetime],
    ) -> None:
        self._revocation, self._trust, self._clock = revocation, trust, clock

    async def before(self, signer: SignerOf) -> Checked:
        """Before the key is asked, and again before a signature that had to wait is released. Raises
        CertificateRefused."""
        now = self._clock()
        try:
            certificate = read(signer.certificate)
        except NotACertificate as wrong:
            raise CertificateRefused("NO_PATH", str(wrong)) from wrong
        _refuse_by_itself(certificate, now)
        try:
            path = find_path(signer.certificate, signer.chain, self._trust(), now)
        except NoPath as none:
            raise CertificateRefused("NO_PATH", str(none)) from none
        checked = await self._checked(path, now)
        _refuse_revoked(checked)
        return checked

    async def known(
        self, certificate: bytes, chain: tuple[bytes, ...], *, at: datetime | None = None
    ) -> Checked:
        """What can be known of a signature that is out already, at the time when it was made (now without `at`).
        Raises nothing."""
        when = at or self._clock()
        try:
            path = find_path(certificate, chain, self._trust(), when)
        except NoPath as none:
            return Checked(when, chain, (certificate, *chain), flaw=none.flaw.value)
        return await self._checked(path, when)

    async def material(self, checked: Checked, token: bytes | None) -> Material:
        """Certificates and revocation data of the signer's path and of the time-stamp authority's (DER `token`), each
        once. Raises MaterialOwed."""
        gathered = [Gathered(checked.at, checked.statuses, checked.certificates, checked.crls, checked.ocsps)]
        if token is not None:
            gathered.append(await self._authority(token))
        whole = gathered[0] if len(gathered) == 1 else gathered[0].joined(gathered[1])
        return Material(whole.certificates, whole.crls, whole.ocsps)

    async def _authority(self, token: bytes) -> Gathered:
        try:
            said = read_token(token)
            path = find_path(said.signer, said.certificates, self._trust(), self._clock(), use=Use.TIMESTAMPS)
        except (NotAToken, NoPath) as wrong:
            raise MaterialOwed(f"time-stamp authority: {wrong}") from wrong
        gathered = await self._revocation.check(path, at=said.time)
        if gathered.status is not Status.GOOD:
            raise MaterialOwed(f"time-stamp authority: {gathered.status}")
        return gathered

    async def _checked(self, path: StandingPath, at: datetime) -> Checked:
        found = await self._revocation.check(path, at=at)
        above = path[1:]
        if above and read(above[-1]).self_issued:
            above = above[:-1]
        return Checked(at, above, found.certificates, found.crls, found.ocsps, found.statuses)


def _refuse_by_itself(certificate: Certificate, now: datetime) -> None:
    if now < certificate.not_before:
        raise CertificateRefused("NOT_YET_VALID", certificate.not_before.isoformat())
    if now > certificate.not_after:
        raise CertificateRefused("EXPIRED", certificate.not_after.isoformat())
    unfit = unfit_to_sign(certificate)
    if unfit is not None:
        raise CertificateRefused("WRONG_PURPOSE", unfit.value)


def _refuse_revoked(checked: Checked) -> None:
    reasons = {Status.REVOKED: "REVOKED", Status.ON_HOLD: "ON_HOLD"}
    for one in checked.statuses:
        if one.status in reasons:
            raise CertificateRefused(reasons[one.status], read(one.certificate).subject_text)
