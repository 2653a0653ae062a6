"""For which certificates, and for which reasons, a CRL speaks: this file compares the list's issuing distribution point
with the certificate's distribution points (RFC 5280 4.2.1.13, 5.2.5, 6.3.3 (b), (d))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asn1crypto.crl import IssuingDistributionPoint

from signing.trust.certificate import Certificate

ALL_REASONS = frozenset(
    {
        "key_compromise", "ca_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
        "certificate_hold", "privilege_withdrawn", "aa_compromise",
    }
)  # fmt: skip
Names = frozenset[tuple[str, bytes | str]]
"""GeneralNames as they are compared: their form, and their bytes or, of a directory's name, its words."""


@dataclass(frozen=True)
class Scope:
    """What a list says of itself. `names` None: of no distribution point in particular."""

    names: Names | None = None
    users_only: bool = False
    authorities_only: bool = False
    attributes_only: bool = False
    indirect: bool = False
    reasons: frozenset[str] = ALL_REASONS


@dataclass(frozen=True)
class Point:
    """Where a certificate says that its status is told. `issuers`: names of those who sign the list where that is not the
    certificate's own issuer."""

    names: Names
    issuers: frozenset[str] = frozenset()
    reasons: frozenset[str] = ALL_REASONS


WHOLE = Scope()


def scope_of(point: bytes, issuer: str) -> Scope:
    """`point`: DER IssuingDistributionPoint of a list by `issuer`. Raises ValueError and its like."""
    read = IssuingDistributionPoint.load(point, strict=True)
    where = read["distribution_point"]
    return Scope(
        names=_names(where, issuer) if where.native is not None else None,
        users_only=read["only_contains_user_certs"].native,
        authorities_only=read["only_contains_ca_certs"].native,
        attributes_only=read["only_contains_attribute_certs"].native,
        indirect=read["indirect_crl"].native,
        reasons=_reasons(read["only_some_reasons"]),
    )


def points_of(certificate: Certificate) -> list[Point]:
    """The last one stands for every list of the certificate's own issuer (6.3.3, at its end). Raises ValueError and its
    like."""
    found = []
    for one in certificate.extensions.get("crl_distribution_points") or ():
        issuers = [each.chosen for each in one["crl_issuer"] or () if each.name == "directory_name"]
        own = issuers[0].hashable if issuers else certificate.issuer
        where = one["distribution_point"]
        names: Names = _names(where, own) if where.native is not None else frozenset()
        # (b)(2)(i): where the point has no name, the names of those who sign stand for it.
        names = names or frozenset(("directory_name", each.hashable) for each in issuers)
        found.append(Point(names, frozenset(each.hashable for each in issuers), _reasons(one["reasons"])))
    return [*found, Point(frozenset({("directory_name", certificate.issuer)}))]


def in_scope(scope: Scope, point: Point, certificate: Certificate) -> bool:
    """6.3.3 (b)(2): whether the list speaks of this certificate, asked by this point."""
    if scope.attributes_only or (point.issuers and not scope.indirect):
        return False
    if scope.users_only if certificate.ca else scope.authorities_only:
        return False
    return scope.names is None or not scope.names.isdisjoint(point.names)


def _names(where: Any, issuer: str) -> Names:
    if where.name == "full_name":
        return frozenset(
            (one.name, one.chosen.hashable if one.name == "directory_name" else bytes(one.chosen.contents))
            for one in where.chosen
        )
    # As asn1crypto joins the parts of a name that is to be compared.
    return frozenset({("directory_name", f"{issuer}\x1e{where.chosen.hashable}")})


def _reasons(flags: Any) -> frozenset[str]:
    return ALL_REASONS if flags.native is None else ALL_REASONS & frozenset(flags.native)
