"""The last line before a key is used: this file says whether an order may be served at all (K1, K2).

- Every keeper asks it, whoever checked before.
- It knows nothing of what was served: that is the use log's question.
"""

from __future__ import annotations

from hsm.forms import fits
from hsm.key import HolderKind, KeyDescription, Purpose, Refusal, Refused, SigningOrder

TO_SIGN_LIMIT = 2 * 1024 * 1024  # bytes; a large CRL. Signed attributes have a few hundred.


def refusal_of(key: KeyDescription, order: SigningOrder, *, persons: bool) -> Refused | None:
    """None if the order may be served. `persons`: whether persons' keys in this keeper may be used without their
    holder's own release (K2: development alone)."""
    if order.agency != key.agency:
        return Refused(Refusal.WRONG_AGENCY)
    if not key.may_be_used_by(order.person):
        return Refused(Refusal.NOT_THE_HOLDER)
    if key.holder.kind is HolderKind.PERSON and not persons:
        return Refused(Refusal.NOT_RELEASED)
    return _refusal_of_what(key, order)


def _refusal_of_what(key: KeyDescription, order: SigningOrder) -> Refused | None:
    if order.lease < 1 and key.purpose in {Purpose.SIGNING, Purpose.SEAL}:
        # What a document's key serves under no lease is a request for its certificate, which no order asks for: the use
        # log's lines of that kind are not held against the record.
        return Refused(Refusal.STALE_LEASE, "no lease")
    if len(order.to_sign) > TO_SIGN_LIMIT or not fits(key.purpose, order.to_sign):
        return Refused(Refusal.WRONG_PURPOSE, f"not what a key for {key.purpose} signs")
    if order.mechanism not in key.mechanisms:
        return Refused(Refusal.WRONG_MECHANISM)
    return None
