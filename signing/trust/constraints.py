"""Which names an authority allows below it: this file judges name constraints over a whole path (RFC 5280 4.2.1.10,
6.1.3 (b), (c), 6.1.4 (g)).

- Names of a form that cannot be compared are refused where an authority constrains that form; so are constraints that
  are no constraints (a distance, a mask with holes).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from signing.trust.certificate import MALFORMED, Certificate

MAX_COMPARISONS = 100_000  # of names with subtrees, for one authority


class Forbidden(Exception):
    """An authority on the path does not allow a name."""


def check_constraints(path: Sequence[Certificate]) -> None:
    """`path` goes from the signer to the anchor. Raises Forbidden."""
    try:
        for number, authority in enumerate(path[1:], 1):
            _check_names(authority, path[:number])
    except MALFORMED as wrong:
        raise Forbidden("constraints that cannot be read") from wrong


def _check_names(authority: Certificate, below: Sequence[Certificate]) -> None:
    constraints = authority.extensions.get("name_constraints")
    if constraints is None:
        return
    excluded, permitted = (_subtrees(constraints[one]) for one in ("excluded_subtrees", "permitted_subtrees"))
    spent = 0
    for number, one in enumerate(below):
        # Authorities that only renewed themselves are not bound, but the signer always is (6.1.3 b).
        if one.self_issued and number:
            continue
        for form, name in _names(one):
            spent += len(excluded) + len(permitted)
            if spent > MAX_COMPARISONS:
                raise Forbidden("more names than we compare")
            _check_name(excluded, permitted, form, name)


def _subtrees(listed: Any) -> list[tuple[str, Any]]:
    found = []
    for one in listed or ():
        if one["minimum"].native or one["maximum"].native is not None:
            raise Forbidden("a constraint with a distance")  # RFC 5280 4.2.1.10: never used
        found.append((one["base"].name, _plain(one["base"])))
    return found


def _check_name(
    excluded: list[tuple[str, Any]], permitted: list[tuple[str, Any]], form: str, name: Any
) -> None:  # fmt: skip
    for shape, base in excluded:
        if shape == form and (_within(form, name, base) or _covers(form, name, base)):
            raise Forbidden(f"an excluded name ({form})")
    allowed = [base for shape, base in permitted if shape == form]
    if allowed and not any(_within(form, name, base) for base in allowed):
        raise Forbidden(f"a name outside what is permitted ({form})")


def _names(certificate: Certificate) -> list[tuple[str, Any]]:
    subject = _subject(certificate)
    named: list[tuple[str, Any]] = [("directory_name", _rdns(subject))] if len(subject.chosen) else []
    alternative = list(certificate.extensions.get("subject_alt_name") or ())
    named += [(one.name, _plain(one)) for one in alternative]
    if not any(form == "rfc822_name" for form, _ in named):
        emails = [attribute for rdn in subject.chosen for attribute in rdn]
        named += [
            ("rfc822_name", one["value"].native.lower())
            for one in emails
            if one["type"].native == "email_address"
        ]
    return named


def _subject(certificate: Certificate) -> Any:
    from asn1crypto import x509

    return x509.Certificate.load(certificate.der).subject


def _rdns(name: Any) -> tuple[str, ...]:
    return tuple(one.hashable for one in name.chosen)


def _plain(general: Any) -> Any:
    """A GeneralName so that it can be compared: as it is written, not as asn1crypto would show it."""
    if general.name == "directory_name":
        return _rdns(general.chosen)
    content = bytes(general.chosen.contents)
    return content if general.name == "ip_address" else content.decode("ascii", "replace").lower()


def _within(form: str, name: Any, base: Any) -> bool:
    match form:
        case "directory_name":
            return bool(name[: len(base)] == base)
        case "rfc822_name":
            return name == base if "@" in base else _host_within(name.rpartition("@")[2], base)
        case "dns_name":
            return not base or name == base or name.endswith("." + base.removeprefix("."))
        case "uniform_resource_identifier":
            return _host_within(_host(name), base)
        case "ip_address":
            return _address_within(name, base)
    raise Forbidden(f"a constraint on names of a form that cannot be compared ({form})")


def _covers(form: str, name: Any, base: Any) -> bool:
    """A name with a wildcard stands for the excluded one among others."""
    return form == "dns_name" and name.startswith("*.") and base.endswith(name[1:])


def _host_within(host: str, base: str) -> bool:
    """A leading point asks for hosts below, none for this very host."""
    return not base or (host.endswith(base) and host != base if base.startswith(".") else host == base)


def _host(address: str) -> str:
    host = urlsplit(address).hostname
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        if host:
            return host
    raise Forbidden("an address without a name of a host, where those are constrained")


def _address_within(address: bytes, base: bytes) -> bool:
    half = len(base) // 2
    if len(base) not in {8, 32}:
        raise Forbidden("a constraint on addresses that is none")
    network, mask = (int.from_bytes(one, "big") for one in (base[:half], base[half:]))
    holes = ~mask & ((1 << 8 * half) - 1)
    if holes & (holes + 1):
        raise Forbidden("a constraint on addresses whose mask has holes")
    return len(address) == half and int.from_bytes(address, "big") & mask == network & mask
