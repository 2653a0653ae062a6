"""Seed values (ISO 32000-1 12.7.4.5): this file refuses what a field demands of its signature and we would not give.

What a field only recommends is no reason to refuse. A demand that we do not know is refused too: silence would break it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pikepdf

from signing.pdf.form import Field, names_in
from signing.pdf.opening import NotOpened
from signing.pdf.pages import as_number, is_array, is_dictionary

_FILTER, _SUBFILTER, _V, _REASONS, _LEGAL, _REVOCATION, _DIGEST, _LOCK_DOCUMENT, _APPEARANCE = (
    1 << bit for bit in range(9)
)
_HASHES = {"sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}
_NEWEST_VERSION = 2


@dataclass(frozen=True)
class Offer:
    """What the signature will be like."""

    hash_name: str
    reason: str | None
    certify: int | None
    timestamped: bool
    certificate: bytes
    chain: tuple[bytes, ...]


def refuse_unmet(field: Field, offer: Offer) -> None:
    """Raises NotOpened `seed-value` with the name of the demand."""
    seed = field.node.get("/SV")
    if not is_dictionary(seed):
        return
    demanded = _flag(seed)
    unmet = {
        "Filter": demanded & _FILTER and seed.get("/Filter", "/Adobe.PPKLite") != "/Adobe.PPKLite",
        "SubFilter": demanded & _SUBFILTER and "/ETSI.CAdES.detached" not in names_in(seed.get("/SubFilter")),
        "V": demanded & _V and (as_number(seed.get("/V")) or 0) > _NEWEST_VERSION,
        "Reasons": demanded & _REASONS and not _reason_agrees(seed, offer.reason),
        "LegalAttestation": bool(demanded & _LEGAL),
        "AddRevInfo": demanded & _REVOCATION and bool(seed.get("/AddRevInfo")),
        "DigestMethod": demanded & _DIGEST
        and is_array(seed.get("/DigestMethod"))
        and _HASHES[offer.hash_name] not in names_in(seed.get("/DigestMethod")),
        "LockDocument": bool(demanded & _LOCK_DOCUMENT),
        "AppearanceFilter": bool(demanded & _APPEARANCE),
        "MDP": not _certification_agrees(seed, offer.certify),
        "TimeStamp": _flag(seed.get("/TimeStamp")) & 1 and not offer.timestamped,
        "Cert": not _certificate_agrees(seed.get("/Cert"), offer),
    }
    for name, bad in unmet.items():
        if bad:
            raise NotOpened("seed-value", name)


def _flag(value: object) -> int:
    found = value.get("/Ff") if is_dictionary(value) else 0
    return found if isinstance(found, int) else 0


def _reason_agrees(seed: pikepdf.Object, reason: str | None) -> bool:
    """A lone full stop, or none, means that no reason may be given."""
    allowed = names_in(seed.get("/Reasons"))
    if allowed in ([], ["."]):
        return not reason
    return reason in allowed


def _certification_agrees(seed: pikepdf.Object, certify: int | None) -> bool:
    """/P 0 is an ordinary signature, 1 to 3 a certification (table 234)."""
    mdp = seed.get("/MDP")
    if not is_dictionary(mdp) or not isinstance(mdp.get("/P"), int):
        return True
    return (int(mdp["/P"]) or None) == certify


def _certificate_agrees(wanted: object, offer: Offer) -> bool:
    """Subject and issuer are compared; other demands (table 235) are not known here."""
    if not is_dictionary(wanted):
        return True
    demanded = _flag(wanted)
    if demanded & 1 and offer.certificate not in _octets(wanted.get("/Subject")):
        return False
    if demanded & 2 and not set(offer.chain) & set(_octets(wanted.get("/Issuer"))):
        return False
    return not demanded & ~3


def _octets(value: object) -> list[bytes]:
    return (
        [bytes(one) for one in list(value)[:100] if isinstance(one, pikepdf.Object)]
        if is_array(value)
        else []
    )
