"""The keys that a person may sign with, as a page shows them (K1, K2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from catalogue import N_
from documents.office import Caller
from documents.rooms import Rooms
from hsm.key import KeyDescription, KeyUnavailable, Purpose

KINDS = {Purpose.SIGNING: N_("Chữ ký cá nhân"), Purpose.SEAL: N_("Con dấu cơ quan")}
AWAY = N_("Thiết bị giữ khóa chưa trả lời, nên lúc này chưa ký được. Hãy mở lại trang sau ít phút.")
NONE = N_("Bạn chưa có khóa ký nào. Hãy hỏi người quản trị của cơ quan.")


@dataclass(frozen=True)
class KeyView:
    name: str
    owner: str
    kind: str  # a sentence of the catalogue
    days_left: int


@dataclass(frozen=True)
class Keys:
    """`why_not` is a sentence of the catalogue where there are none."""

    usable: Sequence[KeyView]
    why_not: str | None


async def keys_of(rooms: Rooms, caller: Caller) -> Keys:
    try:
        found = await rooms.sign.usable_keys(caller)
    except KeyUnavailable:
        return Keys((), AWAY)
    views = [view for one in found if (view := _view(one, rooms.clock())) is not None]
    # Their own before the agency's seal.
    views.sort(key=lambda one: (one.kind != KINDS[Purpose.SIGNING], one.owner))
    return Keys(views, None if views else NONE)


def _view(key: KeyDescription, now: datetime) -> KeyView | None:
    try:
        certificate = x509.load_der_x509_certificate(key.certificate)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None  # no certificate yet: there is nothing to sign with
    owner = str(names[0].value) if names else certificate.subject.rfc4514_string()
    left = certificate.not_valid_after_utc - now
    # The last day counts as one.
    return KeyView(key.name, owner, KINDS[key.purpose], left.days + 1 if left.total_seconds() > 0 else 0)
