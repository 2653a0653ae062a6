"""Keys in tokens and HSMs: this file keeps the promise `KeyVault` by asking the token process over its socket.

- No PKCS#11 here: a driver's crash ends the token process, not the service (T5).
- Descriptions are kept until the process says that its book changed, so that opening a key costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsm.descriptions import read_description
from hsm.frames import ORDERS_LIMIT, BadFrame, plain_orders, read_results, take, take_list
from hsm.health import TokenHealth
from hsm.key import (
    KeyDescription,
    KeyUnavailable,
    NoSuchKey,
    SigningKey,
    SigningOrder,
    SigningResult,
)
from hsm.token_client import TokenClient

SECONDS = 30.0  # a token that signs once a second and has 30 waiting
KEYS_LIMIT = 100_000


class Pkcs11Vault:
    """`seconds`: how long an answer is waited for; afterwards the orders count as asked."""

    def __init__(self, socket: Path, *, seconds: float = SECONDS) -> None:
        self._client = TokenClient(socket, seconds=seconds, book_changed=self._forget)
        self._known: dict[str, KeyDescription] | None = None
        self._edition = 0  # of the book, as far as we heard

    async def open(self, name: str) -> SigningKey:
        """Raises NoSuchKey, KeyUnavailable."""
        known = self._known or {}
        if name not in known:
            known = await self._fetch()
        if name not in known:
            raise NoSuchKey(name)
        return Pkcs11Key(known[name], self._client)

    async def descriptions(self) -> Sequence[KeyDescription]:
        """Raises KeyUnavailable."""
        known = self._known if self._known is not None else await self._fetch()
        return [known[name] for name in sorted(known)]

    async def probe(self) -> TokenHealth:
        """Has the probe key sign. Raises KeyUnavailable when the token process itself is away."""
        return _health(await self._client.ask("probe"))

    async def close(self) -> None:
        await self._client.close()

    def _forget(self) -> None:
        self._known = None
        self._edition += 1

    async def _fetch(self) -> dict[str, KeyDescription]:
        """Remembered only if the book stayed the same meanwhile."""
        found: dict[str, KeyDescription] = {}
        edition, after, more = self._edition, "", True
        while more:
            page, more = _page(await self._client.ask("keys", after=after))
            found |= {one.name: one for one in page}
            if len(found) > KEYS_LIMIT or (more and not page):
                raise KeyUnavailable("token", why="answer-not-understood")
            after = max(found, default="")
        if edition == self._edition:
            self._known = found
        return found


class Pkcs11Key:
    """Keeps the promise `SigningKey`."""

    def __init__(self, description: KeyDescription, client: TokenClient) -> None:
        self._description, self._client = description, client

    @property
    def description(self) -> KeyDescription:
        return self._description

    async def sign(self, orders: Sequence[SigningOrder]) -> Sequence[SigningResult]:
        """At most 256 orders in one list. Raises KeyUnavailable, PinRefused, NoSuchKey (the key was taken away)."""
        if len(orders) > ORDERS_LIMIT:
            raise ValueError(f"more than {ORDERS_LIMIT} orders")
        name = self._description.name
        answer = await self._client.ask("sign", name=name, orders=plain_orders(orders))
        try:
            return read_results(answer, len(orders))
        except BadFrame as wrong:
            raise KeyUnavailable(name, why="answer-not-understood", asked=True) from wrong

    async def collect(self, ticket: str) -> SigningResult:
        """A token never lets one wait, so there is no ticket."""
        raise LookupError(ticket)


def _page(plain: object) -> tuple[list[KeyDescription], bool]:
    try:
        if not isinstance(plain, Mapping):
            raise BadFrame("keys")
        return [read_description(one) for one in take_list(plain, "keys", KEYS_LIMIT)], plain.get(
            "more"
        ) is True
    except BadFrame as wrong:
        raise KeyUnavailable("token", why="answer-not-understood") from wrong


def _health(plain: object) -> TokenHealth:
    if not isinstance(plain, Mapping):
        raise KeyUnavailable("token", why="answer-not-understood")
    try:
        words: dict[str, Any] = {
            one: take(plain, one, str) for one in ("why", "label", "serial", "manufacturer", "model")
        }
        return TokenHealth(
            **words,
            ready=plain.get("ready") is True,
            probed=plain.get("probed") is True,
            usable=tuple(str(one) for one in take_list(plain, "usable", KEYS_LIMIT)),
            unusable=tuple((str(a), str(b)) for a, b in take_list(plain, "unusable", KEYS_LIMIT)),
            waiting=take(plain, "waiting", int),
            uses=take(plain, "uses", int),
        )
    except (BadFrame, TypeError, ValueError) as wrong:
        raise KeyUnavailable("token", why="answer-not-understood") from wrong
