"""What a form makes has its identifier before it is sent: this file puts it into the form, and reads it back.

- Sent twice, gone back to, or reloaded, a form makes the same thing once: the rooms know the identifier already (K5).
- The identifier counts for the person who was shown the form alone; nothing is stored for it.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from documents.office import Caller
from documents.rooms import Rooms
from storage.identifiers import uuid7
from web.identity import FormRefused


def new_form(rooms: Rooms, caller: Caller) -> str:
    """For the hidden field `lan`."""
    made = uuid7(rooms.clock())
    return f"{made.hex}{_proof(rooms, caller, made)}"


def read_form_token(rooms: Rooms, caller: Caller, given: str | None) -> UUID:
    """Raises FormRefused."""
    text = given or ""
    try:
        made = UUID(hex=text[:32])
    except ValueError as wrong:
        raise FormRefused from wrong
    if not hmac.compare_digest(text[32:].encode(), _proof(rooms, caller, made).encode()):
        raise FormRefused
    return made


def _proof(rooms: Rooms, caller: Caller, made: UUID) -> str:
    return rooms.seal.keyed_hash(b"form of " + caller.id.bytes + made.bytes)[:16].hex()
