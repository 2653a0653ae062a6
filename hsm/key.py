"""The promises `SigningKey` and `KeyVault`: one private key, whoever holds it.

- A key is asked with a list of orders and gives one result for each, in the same order (K3).
- An order carries the bytes to be signed, never a bare digest: who holds the key can look at what it signs (K4).
- A refusal is an answer. Only what keeps the holder from answering at all is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class Purpose(StrEnum):
    """One key, one purpose (K1). Only SIGNING and SEAL sign documents."""

    SIGNING = "signing"
    SEAL = "seal"
    TIME_STAMPING = "time-stamping"
    CA = "ca"
    REVOCATION = "revocation"
    JOBS = "jobs"
    REPORTS = "reports"
    AUDIT = "audit"
    PROBE = "probe"


class HolderKind(StrEnum):
    PERSON = "person"
    AGENCY = "agency"
    SERVICE = "service"


class Mechanism(StrEnum):
    """Signature algorithm with its parameters; PSS has MGF1 with the same hash and a salt as long as the hash."""

    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"

    @property
    def hash_name(self) -> str:
        """The hash's name as hashlib spells it."""
        return self.value.rsplit("-", 1)[1]


class Refusal(StrEnum):
    """Why a holder would not sign. Each has its sentence in `web/problems.py`."""

    ALREADY_SERVED = "already-served"  # the intent's number stands in the use log
    STALE_LEASE = "stale-lease"  # another worker took the request over
    NOT_THE_HOLDER = "not-the-holder"  # K2
    WRONG_AGENCY = "wrong-agency"
    WRONG_PURPOSE = "wrong-purpose"  # K1
    WRONG_MECHANISM = "wrong-mechanism"
    NOT_RELEASED = "not-released"  # a person's key that needs its holder's passkey
    DECLINED = "declined"  # a person said no
    EXPIRED = "expired"  # nobody answered in the device's own limit


@dataclass(frozen=True)
class Holder:
    """Who a key belongs to (K2): a person's, an agency's or the service's identifier."""

    kind: HolderKind
    id: UUID


@dataclass(frozen=True)
class KeyDescription:
    """What may be known of a key. Certificates are DER; `chain` goes from the issuer upwards, without the anchor's
    self-signed certificate where that is not at hand."""

    name: str
    agency: UUID
    purpose: Purpose
    holder: Holder
    granted: frozenset[UUID]  # persons and API clients who may use an agency's or service's key
    certificate: bytes
    chain: tuple[bytes, ...]
    mechanisms: tuple[Mechanism, ...]  # the first is the default
    public_key: bytes = b""  # SubjectPublicKeyInfo (DER), for keys that need no certificate (audit, jobs)

    def may_be_used_by(self, who: UUID) -> bool:
        """K2: a person's key by its holder alone, others by those granted."""
        if self.holder.kind is HolderKind.PERSON:
            return who == self.holder.id
        return who in self.granted or who == self.holder.id


@dataclass(frozen=True)
class SigningOrder:
    """One signature asked for. `intent` is the attempt's own number, served once; `lease` rises each time another
    worker takes the request over; `person` is the person or API client on whose behalf; `release` is the holder's
    proof where the key wants one; `document` says where the prepared document lies, for holders who look."""

    to_sign: bytes
    mechanism: Mechanism
    intent: UUID
    lease: int
    request: UUID
    agency: UUID
    person: UUID
    release: bytes | None = None
    document: str | None = None


@dataclass(frozen=True)
class Signed:
    signature: bytes  # PKCS#1 octets, or DER Ecdsa-Sig-Value


@dataclass(frozen=True)
class Refused:
    reason: Refusal
    detail: str = ""


@dataclass(frozen=True)
class Waiting:
    ticket: str
    until: datetime | None = None


SigningResult = Signed | Refused | Waiting


class KeyUnavailable(Exception):
    """The holder cannot be asked now. `asked` says whether the orders may have reached it: then their intents are
    LOST unless its use log says otherwise, never simply asked again."""

    def __init__(self, name: str, *, why: str, retry_after: float = 5.0, asked: bool = False) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why, self.retry_after, self.asked = name, why, retry_after, asked


class PinRefused(KeyUnavailable):
    """The token refused the PIN. Never tried again by itself (T7): an operator must give a new one."""


class NoSuchKey(LookupError):
    """No key of this name in any vault."""


class SigningKey(Protocol):
    """One private key, used through whoever holds it."""

    @property
    def description(self) -> KeyDescription: ...

    async def sign(self, orders: Sequence[SigningOrder]) -> Sequence[SigningResult]:
        """One result each, in order. Safe to call from many tasks. An intent that was served once is REFUSED
        afterwards, also after a restart. Raises KeyUnavailable (a token away, a queue full); where the token failed
        in the middle of a list, what was signed is given, and the orders that are spent without a signature are
        REFUSED as ALREADY_SERVED: their intents are LOST."""
        ...

    async def collect(self, ticket: str) -> SigningResult:
        """The answer to a WAITING order, or WAITING again. Asking twice gives the same answer."""
        ...


class KeyVault(Protocol):
    """Opens keys by name."""

    async def open(self, name: str) -> SigningKey:
        """Raises NoSuchKey, KeyUnavailable."""
        ...

    async def descriptions(self) -> Sequence[KeyDescription]:
        """Every key of the vault, in the order of names. Raises KeyUnavailable."""
        ...
