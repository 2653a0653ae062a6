"""What is known of a certificate's revocation, as plain data (V3, V4): this file says when an answer counts.

- GOOD and ON_HOLD need an answer that speaks of the time asked for; REVOKED is for ever, so an old answer says it too.
- REVOKED carries since when. Whether that lies before or after a proven time is the judge's to decide (V3).
- An answer given after the certificate's end proves nothing, unless its authority says that it still keeps the expired.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from signing.trust.algorithms import Weakness
from signing.trust.certificate import Certificate

T = TypeVar("T")
AHEAD = timedelta(minutes=5)  # an authority's clock may run so far before ours


class Status(StrEnum):
    GOOD = "good"
    ON_HOLD = "on-hold"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """Why a status is UNKNOWN; the later in this list, the nearer an answer came."""

    NO_ADDRESS = "no-address"  # the certificate names none that we could ask
    NOT_REACHED = "not-reached"  # nobody answered, or too late, too much, from where we do not ask
    MALFORMED = "malformed"
    NOT_FOR_THIS = "not-for-this"  # of another issuer, indirect, delta, another part of the certificates
    BAD_SIGNATURE = "bad-signature"
    RESPONDER = "responder"  # who signed was not entitled to, or may itself be revoked
    NOT_KNOWN_THERE = "not-known-there"  # the responder says that it does not know the certificate
    FROM_THE_FUTURE = "from-the-future"
    AFTER_EXPIRY = "after-expiry"
    STALE = "stale"


@dataclass(frozen=True)
class Answer:
    """What one CRL or OCSP answer says of one certificate, its signature checked. `reaches_back_to`:
    ExpiredCertsOnCRL or archiveCutoff."""

    status: Status
    this_update: datetime | None = None
    next_update: datetime | None = None
    since: datetime | None = None
    reason: str | None = None  # RFC 5280 5.3.1, as key_compromise
    why: Why | None = None
    reaches_back_to: datetime | None = None
    weakness: Weakness | None = None
    responder: bytes | None = None  # DER of a delegated OCSP responder


@dataclass(frozen=True)
class CertificateStatus:
    """`why` stands with UNKNOWN only; `source` is "crl", "ocsp" or empty. `weakness`: of the answer's own signature at
    the time of its issue; whether that matters is the policy's to say."""

    certificate: bytes
    status: Status
    since: datetime | None = None
    reason: str | None = None
    why: Why | None = None
    source: str = ""
    this_update: datetime | None = None
    next_update: datetime | None = None
    weakness: Weakness | None = None


@dataclass(frozen=True)
class Gathered:
    """Of one path: a status for each certificate below the anchor, the signer's first, and everything that was used
    to know it (DER), for keeping and for embedding. What was fetched but not believed is not in it."""

    at: datetime
    statuses: tuple[CertificateStatus, ...]
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    @property
    def status(self) -> Status:
        """The worst of the path. An anchor alone is GOOD: it is believed, not asked about."""
        order = [Status.GOOD, Status.UNKNOWN, Status.ON_HOLD, Status.REVOKED]
        return max((one.status for one in self.statuses), key=order.index, default=Status.GOOD)

    def joined(self, other: Gathered) -> Gathered:
        """Signer's path and time-stamp authority's path as one collection, each thing once."""
        return Gathered(
            max(self.at, other.at),
            _once((*self.statuses, *other.statuses)),
            _once((*self.certificates, *other.certificates)),
            _once((*self.crls, *other.crls)),
            _once((*self.ocsps, *other.ocsps)),
        )


def _once(things: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(things))


@dataclass(frozen=True)
class Moment:
    """What is asked: the status at `at`, as known at `now`, by answers not older than `max_age` at `at`."""

    at: datetime
    now: datetime
    max_age: timedelta


def judged(answer: Answer, certificate: Certificate, moment: Moment) -> Answer:
    """The answer itself if it counts (V4), else UNKNOWN with the reason."""
    issued = answer.this_update
    if answer.status in {Status.REVOKED, Status.UNKNOWN} or issued is None:
        return answer
    why: Why | None = None
    if issued > moment.now + AHEAD:
        why = Why.FROM_THE_FUTURE
    elif issued > certificate.not_after and not (
        answer.reaches_back_to and answer.reaches_back_to <= certificate.not_after
    ):
        why = Why.AFTER_EXPIRY
    elif issued < moment.at and not _still_said(answer, issued, moment):
        why = Why.STALE
    return Answer(Status.UNKNOWN, issued, answer.next_update, why=why) if why else answer


def _still_said(answer: Answer, issued: datetime, moment: Moment) -> bool:
    ends = answer.next_update
    return moment.at - issued <= moment.max_age and (ends is None or moment.at <= ends)
