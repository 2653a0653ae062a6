"""What an authority answers (RFC 3161 2.4.2): this file writes a TimeStampResp, and finds the token in one.

- A token is believed when it answers our very question (imprint, nonce), at our time, by a signer whom we believe.
- Whatever the bytes are, nothing is raised but Rejected.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from signing.cms import SEQUENCE, der
from signing.timestamping.query import BadQuery, Failure, Query, read_query
from signing.timestamping.token import NotAToken, Token, TokenRefused, check_token, read_token
from signing.trust.anchors import TrustSnapshot
from signing.verification.der import INTEGER, Malformed, Walk
from signing.verification.der import SEQUENCE as A_SEQUENCE

MAX_RESPONSE = 64 << 10  # bytes
TIME_APART = timedelta(minutes=5)  # an authority's time may lie so far from ours
_GRANTED = der(SEQUENCE, b"\x02\x01\x00")
_FAILURES, _BIT_STRING = {one.value: one for one in Failure}, 0x03
_STATES = {2: "rejection", 3: "waiting", 4: "revocation warning", 5: "revocation notification"}


class Rejected(Exception):
    """No token that could be believed. `why` is short, and none of it is secret; `passing`: asking the same authority
    again later may help, so that it says something of the authority and not of the question."""

    def __init__(self, why: str, *, passing: bool = True) -> None:
        super().__init__(why)
        self.why, self.passing = why, passing


def granted(token: bytes) -> bytes:
    """DER TimeStampResp around a DER token."""
    return der(SEQUENCE, _GRANTED, token)


def rejection(failure: Failure) -> bytes:
    """DER TimeStampResp without a token."""
    # A BIT STRING of named bits ends with its last one (X.690 11.2.2).
    octets = bytearray(failure // 8 + 1)
    octets[-1] = 0x80 >> failure % 8
    bits = der(b"\x03", bytes([7 - failure % 8]), bytes(octets))
    return der(SEQUENCE, der(SEQUENCE, b"\x02\x01\x02", bits))


def token_in(response: bytes) -> bytes:
    """The DER token of a granted response, whatever it says. Raises Rejected."""
    if len(response) > MAX_RESPONSE:
        raise Rejected("an answer larger than any time-stamp")
    try:
        walk = Walk(response)
        outer = walk.element(0, len(response))
        members = walk.members(outer, 2)
        if outer.tag != A_SEQUENCE or outer.after != len(response) or not members:
            raise Malformed("no TimeStampResp")
        status, *stated = walk.members(members[0], 3)
        state = int.from_bytes(walk.content(status, INTEGER), "big")
        if state in {0, 1} and len(members) == 2:
            return walk.whole(members[1])
        failures = [walk.content(one, _BIT_STRING) for one in stated if one.tag == _BIT_STRING]
    except (Malformed, ValueError) as wrong:
        raise Rejected("an answer that is no TimeStampResp") from wrong
    raise _rejected(state, failures[0] if failures else b"")


def _rejected(state: int, bits: bytes) -> Rejected:
    said = {
        _FAILURES[number]
        for number in range(min(8 * (len(bits) - 1), 32))
        if bits[1 + number // 8] & 0x80 >> number % 8 and number in _FAILURES
    }
    names = ", ".join(_camel(one) for one in sorted(said)) or _STATES.get(state, "an unknown status")
    passing = not said or bool(said & {Failure.TIME_NOT_AVAILABLE, Failure.SYSTEM_FAILURE})
    return Rejected(f"rejected: {names}", passing=passing)


def _camel(failure: Failure) -> str:
    """As RFC 3161 spells it."""
    first, *rest = failure.name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def believe(
    request: bytes,
    response: bytes,
    *,
    trust: TrustSnapshot,
    now: datetime,
    waited: timedelta = timedelta(),
) -> Token:
    """The token that answers the request; `now` is when it was asked, `waited` how long ago that is. Raises
    Rejected."""
    query = _query(request)
    # 1. Granted, and a token.
    try:
        token = read_token(token_in(response))
    except NotAToken as wrong:
        raise Rejected(f"no token: {wrong}") from wrong
    # 2. The answer to this very question.
    if token.nonce != query.nonce:
        raise Rejected("the nonce of another request")
    if query.policy is not None and token.policy != query.policy:
        raise Rejected("under another policy than was asked for")
    # 3. At our time.
    if not now - TIME_APART <= token.time <= now + waited + TIME_APART:
        raise Rejected("its time lies far from ours")
    # 4. Over our bytes, by somebody whom we believe.
    try:
        check_token(token, digest=query.imprint, hash_name=query.hash_name, trust=trust, at=now)
    except TokenRefused as refused:
        raise Rejected(refused.why) from refused
    return token


def _query(request: bytes) -> Query:
    try:
        return read_query(request)
    except BadQuery as wrong:
        raise Rejected("our own request is none", passing=False) from wrong
