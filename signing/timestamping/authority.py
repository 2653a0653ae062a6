"""Our own time-stamp authority (RFC 3161): this file keeps the promise `TimestampSource` with a key of ours (S6).

- What is wrong in a request is told in a TimeStampResp with its PKIFailureInfo, also in process.
- A clock that is unsure is `timeNotAvailable`: an authority that does not know the time says so, as any other does.
- Only a key that cannot be had is raised: then nobody was there to answer.
- `accuracy` is never below the guarded bound of the clock, and the digits that are cut off are added to it.
- A certificate that is not for time-stamps alone, or not valid now, stamps nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hsm.key import KeyUnavailable, Mechanism, NoSuchKey, Purpose, Signed, SigningKey, SigningOrder
from signing import cms
from signing.cms import OCTETS, SEQUENCE, SET, NotCms, der
from signing.timestamping.answer import granted, rejection
from signing.timestamping.clock import ClockUnsure, steady_clock
from signing.timestamping.query import BadQuery, Failure, Query, integer, object_identifier, read_query
from signing.timestamping.source import TimestampUnavailable
from signing.trust.certificate import TIME_STAMPING, NotACertificate
from signing.trust.certificate import read as read_certificate
from storage.identifiers import uuid7
from storage.schema import SERVICE

SERIAL_BITS = 128
CUT_OFF = timedelta(milliseconds=1)  # times are told in whole milliseconds

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_CONTENT_TYPE = der(SEQUENCE, bytes.fromhex("06092a864886f70d010903"), der(SET, _TST_INFO))
_VERSION_1, _VERSION_3 = integer(1), integer(3)


class Authority:
    """`key` opens the time-stamping key; `clock` is UTC and may raise ClockUnsure; `accuracy` is the guarded bound of
    the clock; `policy` a dotted object identifier. Raises ValueError for one that is none."""

    def __init__(
        self,
        key: Callable[[], Awaitable[SigningKey]],
        *,
        clock: Callable[[], datetime],
        accuracy: Callable[[], timedelta],
        policy: str,
        monotonic: Callable[[], float] = steady_clock,
    ) -> None:
        self._key, self._clock, self._accuracy, self._monotonic = key, clock, accuracy, monotonic
        self._rests_until = 0.0
        self._policy, self._policy_der = policy, object_identifier(policy)

    async def stamp(self, request: bytes) -> bytes:
        """Granted or rejected. Raises TimestampUnavailable."""
        try:
            response = await self._stamp(request)
        except TimestampUnavailable as away:
            self._rests_until = self._monotonic() + away.retry_after
            raise
        self._rests_until = 0.0
        return response

    def resting(self) -> float:
        return max(0.0, self._rests_until - self._monotonic())

    async def _stamp(self, request: bytes) -> bytes:
        # 1. What is asked for, and whether we do that.
        try:
            query = read_query(request)
        except BadQuery as bad:
            return rejection(bad.failure)
        if query.policy not in {None, self._policy}:
            return rejection(Failure.UNACCEPTED_POLICY)
        # 2. Who stamps.
        try:
            key = await self._key()
        except (KeyUnavailable, NoSuchKey) as away:
            raise _unavailable(away) from away
        description = key.description
        if description.purpose is not Purpose.TIME_STAMPING:
            raise TimestampUnavailable((f"the key {description.name} is not for time-stamps",))
        # 3. What time it is: as late as can be, and only where it is known.
        try:
            now, accuracy = self._clock(), self._accuracy()
            form = _form(description.certificate, description.chain, description.mechanisms[0])
        except ClockUnsure:
            return rejection(Failure.TIME_NOT_AVAILABLE)
        except (NotCms, NotACertificate, IndexError) as wrong:
            raise TimestampUnavailable((f"the certificate of {description.name} cannot stamp",)) from wrong
        if not form.not_before <= now <= form.not_after:
            return rejection(Failure.SYSTEM_FAILURE)
        # 4. The token.
        info = self._info(query, now, accuracy)
        to_sign = form.to_sign(info)
        signature = await _signed(key, to_sign, now)
        return granted(form.token(info, to_sign, signature, certificates=query.wants_certificate))

    def _info(self, query: Query, now: datetime, accuracy: timedelta) -> bytes:
        """TSTInfo (RFC 3161 2.4.2), without ordering, which by default nobody may rely on."""
        return der(
            SEQUENCE,
            _VERSION_1,
            self._policy_der,
            query.imprint_der,
            integer(secrets.randbits(SERIAL_BITS)),
            _time(now),
            _accuracy(accuracy + CUT_OFF),
            query.nonce_der,
        )


def _unavailable(away: KeyUnavailable | NoSuchKey) -> TimestampUnavailable:
    if isinstance(away, KeyUnavailable):
        return TimestampUnavailable((f"our own authority: {away.why}",), retry_after=away.retry_after)
    return TimestampUnavailable(("our own authority: it has no key",), retry_after=300.0)


async def _signed(key: SigningKey, to_sign: bytes, now: datetime) -> bytes:
    """One order with a number of its own: a time-stamp is never asked for again, a later one is another."""
    number, description = uuid7(now), key.description
    order = SigningOrder(
        to_sign=to_sign, mechanism=description.mechanisms[0], intent=number, lease=0, request=number,
        agency=description.agency, person=SERVICE,
    )  # fmt: skip
    try:
        (result,) = await key.sign([order])
    except KeyUnavailable as away:
        raise _unavailable(away) from away
    if not isinstance(result, Signed):
        reason = getattr(result, "reason", "somebody must release it")
        raise TimestampUnavailable((f"our own authority: the key refused: {reason}",))
    return result.signature


@dataclass(frozen=True)
class _Form:
    """What is the same in every token of one certificate."""

    hash_name: str
    not_before: datetime
    not_after: datetime
    attributes: tuple[bytes, ...]  # content-type and signing-certificate-v2
    before: bytes  # version, digest algorithms
    certificates: bytes  # [0] IMPLICIT
    signer: bytes  # version, issuer and serial number, digest algorithm
    algorithm: bytes  # signature algorithm

    def to_sign(self, info: bytes) -> bytes:
        digest = hashlib.new(self.hash_name, info).digest()
        stated = der(SEQUENCE, _MESSAGE_DIGEST, der(SET, der(OCTETS, digest)))
        return cms.set_of([stated, *self.attributes])

    def token(self, info: bytes, to_sign: bytes, signature: bytes, *, certificates: bool) -> bytes:
        content = der(SEQUENCE, _TST_INFO, der(b"\xa0", der(OCTETS, info)))
        attributes = b"\xa0" + to_sign[1:]  # [0] IMPLICIT of the SET OF that was signed (RFC 5652 5.4)
        signer = der(SEQUENCE, self.signer, attributes, self.algorithm, der(OCTETS, signature))
        # RFC 3161 2.4.1: where certReq is not set no certificate may be there.
        chain = self.certificates if certificates else b""
        data = der(SEQUENCE, self.before, content, chain, der(SET, signer))
        return der(SEQUENCE, _SIGNED_DATA, der(b"\xa0", data))


@lru_cache(maxsize=16)
def _form(certificate: bytes, chain: tuple[bytes, ...], mechanism: Mechanism) -> _Form:
    """Raises NotACertificate, NotCms."""
    read = read_certificate(certificate)
    if read.purposes != frozenset({TIME_STAMPING}) or "extended_key_usage" not in read.critical:
        raise NotCms("the certificate is not for time-stamps alone")
    hash_algorithm = cms.digest_algorithm(mechanism.hash_name)
    return _Form(
        hash_name=mechanism.hash_name,
        not_before=read.not_before,
        not_after=read.not_after,
        attributes=(
            _CONTENT_TYPE,
            cms.signing_certificate(certificate, mechanism.hash_name, hash_algorithm),
        ),
        # RFC 5652 5.1: version 3, for the content is not id-data.
        before=_VERSION_3 + der(SET, hash_algorithm),
        certificates=cms.set_of(list({certificate, *chain}), b"\xa0"),
        signer=_VERSION_1 + cms.issuer_and_serial(certificate) + hash_algorithm,
        algorithm=cms.signature_algorithm(mechanism, hash_algorithm),
    )


def _time(now: datetime) -> bytes:
    """GeneralizedTime to the millisecond, cut off and not rounded, without zeros at its end (X.690 11.7)."""
    utc = now.astimezone(UTC)
    told = f"{utc:%Y%m%d%H%M%S}.{utc.microsecond // 1000:03}".rstrip("0").rstrip(".")
    return der(b"\x18", f"{told}Z".encode())


def _accuracy(bound: timedelta) -> bytes:
    """In seconds and milliseconds, rounded up."""
    seconds, millis = divmod(-(-bound // timedelta(milliseconds=1)), 1000)
    return der(
        SEQUENCE,
        integer(seconds) if seconds else b"",
        b"\x80" + integer(millis)[1:] if millis else b"",
    )
