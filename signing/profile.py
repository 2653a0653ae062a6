"""Levels of a signature (ETSI EN 319 142-1 clause 6) and the mechanisms a key of each kind may use."""

from __future__ import annotations

from enum import StrEnum

from hsm.key import Mechanism


class Level(StrEnum):
    """Each holds what the one before it holds, and more."""

    B_B = "B-B"  # signature and certificate
    B_T = "B-T"  # proof of existence: a signature time-stamp
    B_LT = "B-LT"  # validation material inside
    B_LTA = "B-LTA"  # an archive time-stamp over all of it

    # In this order by every operator: as text B-LT would come before B-T.
    def __ge__(self, other: str) -> bool:
        return self._place >= Level(other)._place

    def __gt__(self, other: str) -> bool:
        return self._place > Level(other)._place

    def __le__(self, other: str) -> bool:
        return self._place <= Level(other)._place

    def __lt__(self, other: str) -> bool:
        return self._place < Level(other)._place

    @property
    def _place(self) -> int:
        return list(Level).index(self)


RSA_MECHANISMS = (
    Mechanism.RSA_PKCS1_SHA256,
    Mechanism.RSA_PKCS1_SHA384,
    Mechanism.RSA_PKCS1_SHA512,
    Mechanism.RSA_PSS_SHA256,
    Mechanism.RSA_PSS_SHA384,
    Mechanism.RSA_PSS_SHA512,
)
P256_MECHANISMS = (Mechanism.ECDSA_SHA256,)
P384_MECHANISMS = (Mechanism.ECDSA_SHA384,)
