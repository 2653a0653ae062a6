"""A key's beginnings, as the operator's door asks for them: this file has a token process make a key pair, gives out the
request for its certificate (PKCS#10), brings the certificate in, and says who may use the key.

- The token process does it; it lets its own user and root alone, never whoever merely may ask for signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from hsm.frames import base64_of, take_bytes
from hsm.key import Holder, Purpose
from hsm.token_client import EnrolmentRefused, TokenClient

__all__ = ["EnrolmentRefused", "KeyWish", "grant", "install", "make_key", "request", "revoke"]

SECONDS = 120.0  # an RSA key takes its time in a small token


@dataclass(frozen=True)
class KeyWish:
    """A key to be made. `algorithm`: ec-p256 (fastest), ec-p384, rsa-2048, rsa-3072, rsa-4096. `subject` by RFC 4514
    ("CN=Trần Thị Bình,O=UBND xã An Phước,C=VN"). `granted`: who may use an agency's or service's key."""

    name: str
    agency: UUID
    purpose: Purpose
    holder: Holder
    subject: str
    algorithm: str = "ec-p256"
    granted: frozenset[UUID] = frozenset()


async def make_key(socket: Path, wish: KeyWish) -> bytes:
    """PKCS#10 (DER), signed by the new key. Raises EnrolmentRefused, KeyUnavailable."""
    answer = await _ask(
        socket,
        "make_key",
        name=wish.name,
        agency=wish.agency.hex,
        purpose=wish.purpose.value,
        holder_kind=wish.holder.kind.value,
        holder=wish.holder.id.hex,
        subject=wish.subject,
        algorithm=wish.algorithm,
        granted=[one.hex for one in sorted(wish.granted)],
    )
    return take_bytes({"request": answer}, "request")


async def request(socket: Path, name: str, subject: str) -> bytes:
    """PKCS#10 (DER) for a key that is there already: the first request was lost, or a certificate ends. Raises
    EnrolmentRefused, NoSuchKey, KeyUnavailable."""
    return take_bytes({"request": await _ask(socket, "request", name=name, subject=subject)}, "request")


async def install(socket: Path, name: str, certificate: bytes, chain: Sequence[bytes]) -> None:
    """Takes in the certificate (DER) and its chain, issuer first. A later one over the same key takes its place. Raises
    EnrolmentRefused, NoSuchKey, KeyUnavailable."""
    await _ask(
        socket,
        "install",
        name=name,
        certificate=base64_of(certificate),
        chain=[base64_of(one) for one in chain],
    )


async def grant(socket: Path, name: str, who: UUID) -> None:
    """`who`, a person or an API client, may use the key. Raises EnrolmentRefused (a person's key is its holder's alone,
    K2), NoSuchKey, KeyUnavailable."""
    await _ask(socket, "grant", name=name, who=who.hex)


async def revoke(socket: Path, name: str, who: UUID) -> None:
    """Takes the grant back; none there is fine. Raises NoSuchKey, KeyUnavailable."""
    await _ask(socket, "revoke", name=name, who=who.hex)


async def _ask(socket: Path, verb: str, *, name: str, **more: object) -> object:
    client = TokenClient(socket, seconds=SECONDS)
    try:
        return await client.ask(verb, name=name, **more)
    finally:
        await client.close()
