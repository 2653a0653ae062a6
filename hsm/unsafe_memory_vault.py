"""Keys that lie open in this process' memory: this file keeps the promise `KeyVault` for development and tests.

- UNSAFE: whoever reads the memory has the keys, and nothing outlives the process. It warns when it is built.
- Otherwise it promises what a token does, for as long as it lives: an intent is served once, a stale lease never.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm.key import (
    KeyDescription,
    Mechanism,
    NoSuchKey,
    Refusal,
    Refused,
    Signed,
    SigningKey,
    SigningOrder,
    SigningResult,
)
from hsm.mechanisms import mechanisms_of
from hsm.order_check import refusal_of
from hsm.public_keys import hash_of, padding_of

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class UnsafeKeysWarning(UserWarning):
    """Private keys lie in this process' memory."""


class UnsafeMemoryVault:
    def __init__(self) -> None:
        warnings.warn("private keys lie in this process' memory", UnsafeKeysWarning, stacklevel=2)
        self._keys: dict[str, UnsafeMemoryKey] = {}
        self._served: set[UUID] = set()
        self._leases: dict[UUID, int] = {}

    def add(self, description: KeyDescription, private_key: PrivateKey) -> None:
        """`mechanisms` and `public_key` of the description are taken from the key."""
        public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        told = replace(description, public_key=public, mechanisms=mechanisms_of(public))
        self._keys[told.name] = UnsafeMemoryKey(told, private_key, self)

    async def open(self, name: str) -> SigningKey:
        if name not in self._keys:
            raise NoSuchKey(name)
        return self._keys[name]

    async def descriptions(self) -> Sequence[KeyDescription]:
        return [self._keys[name].description for name in sorted(self._keys)]

    def spend(self, order: SigningOrder) -> Refused | None:
        """The use log in small. None: the intent is spent now, and may be served."""
        if order.intent in self._served:
            return Refused(Refusal.ALREADY_SERVED)
        if order.lease < self._leases.get(order.request, 0):
            return Refused(Refusal.STALE_LEASE)
        self._served.add(order.intent)
        self._leases[order.request] = order.lease
        return None


class UnsafeMemoryKey:
    """Keeps the promise `SigningKey`."""

    def __init__(
        self, description: KeyDescription, private_key: PrivateKey, vault: UnsafeMemoryVault
    ) -> None:
        self._description, self._private_key, self._vault = description, private_key, vault

    @property
    def description(self) -> KeyDescription:
        return self._description

    async def sign(self, orders: Sequence[SigningOrder]) -> Sequence[SigningResult]:
        return [self._serve(one) for one in orders]

    async def collect(self, ticket: str) -> SigningResult:
        raise LookupError(ticket)

    def _serve(self, order: SigningOrder) -> SigningResult:
        refused = refusal_of(self._description, order, persons=True) or self._vault.spend(order)
        if refused is not None:
            return refused
        # At once: a thread would cost more than most of its signatures.
        return Signed(_sign(self._private_key, order.mechanism, order.to_sign))


def _sign(key: PrivateKey, mechanism: Mechanism, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding_of(mechanism), hash_of(mechanism))
    return key.sign(data, ec.ECDSA(hash_of(mechanism)))
