"""What authorities forbid those below them: this file judges name constraints and policies over a whole path.

- RFC 5280 6.1.3 (b), (c) and 6.1.4 (g); what is constrained in a form that we cannot compare is refused.
- Policies are asked for only where an authority says so (requireExplicitPolicy, 6.1.5): then one policy must run
  through all certificates below it. Mapped policies are refused there, not followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signing.trust.certificate import MALFORMED, Certificate

ANY_POLICY = "2.5.29.32.0"


class Forbidden(Exception):
    """An authority on the path does not allow a name or asks for a policy that is not there."""


def check_constraints(path: Sequence[Certificate]) -> None:
    """`path` goes from the signer to the anchor. Raises Forbidden."""
    try:
        for number, authority in enumerate(path[1:], 1):
            _check_names(authority, path[:number])
            _check_policies(authority, path[:number])
    except MALFORMED as wrong:
        raise Forbidden("constraints that cannot be read") from wrong


def _check_names(authority: Certificate, below: Sequence[Certificate]) -> None:
    constraints = authority.extensions.get("name_constraints")
    if constraints is None:
        return
    for number, one in enumerate(below):
        # Authorities that only renewed themselves are not bound, but the signer always is (6.1.3 b).
        if one.self_issued and number:
            continue
        for form, name in _names(one):
            _check_name(constraints, form, name)


def _check_name(constraints: Any, form: str, name: Any) -> None:
    for excluded in constraints["excluded_subtrees"] or ():
        if excluded["base"].name == form and _within(form, name, excluded["base"]):
            raise Forbidden(f"an excluded name ({form})")
    permitted = [one["base"] for one in constraints["permitted_subtrees"] or () if one["base"].name == form]
    if permitted and not any(_within(form, name, one) for one in permitted):
        raise Forbidden(f"a name outside what is permitted ({form})")


def _names(certificate: Certificate) -> list[tuple[str, Any]]:
    subject = _subject(certificate)
    named: list[tuple[str, Any]] = [("directory_name", subject)] if len(subject.chosen) else []
    alternative = list(certificate.extensions.get("subject_alt_name") or ())
    named += [(one.name, one.chosen if one.name == "directory_name" else one.native) for one in alternative]
    if not any(form == "rfc822_name" for form, _ in named):
        emails = [attribute for rdn in subject.chosen for attribute in rdn]
        named += [
            ("rfc822_name", one["value"].native) for one in emails if one["type"].native == "email_address"
        ]
    return named


def _subject(certificate: Certificate) -> Any:
    from asn1crypto import x509

    return x509.Certificate.load(certificate.der).subject


def _within(form: str, name: Any, base: Any) -> bool:
    if form == "directory_name":
        wanted, given = list(base.chosen.chosen), list(name.chosen)
        return len(wanted) <= len(given) and all(
            one.hashable == other.hashable for one, other in zip(wanted, given, strict=False)
        )
    limit = str(base.native).lower()
    value = str(name).lower()
    if form == "rfc822_name":
        host = value.rpartition("@")[2]
        if "@" in limit:
            return value == limit
        return host.endswith(limit) if limit.startswith(".") else host == limit
    if form == "dns_name":
        return not limit or value == limit or value.endswith("." + limit.removeprefix("."))
    raise Forbidden(f"a constraint on names of a form that cannot be compared ({form})")


def _check_policies(authority: Certificate, below: Sequence[Certificate]) -> None:
    constraints = authority.extensions.get("policy_constraints")
    required = constraints["require_explicit_policy"].native if constraints is not None else None
    if required is None:
        return
    # So many certificates may follow before a policy is asked for; self-issued ones do not count.
    bound = [one for one in reversed(below) if not one.self_issued or one is below[0]]
    if len(bound) <= required:
        return
    running: set[str] | None = None  # None: any policy
    for one in (authority, *reversed(below)):
        if one.extensions.get("policy_mappings") is not None:
            raise Forbidden("mapped policies below an authority that asks for one")
        stated = {
            policy["policy_identifier"].dotted for policy in one.extensions.get("certificate_policies") or ()
        }
        if ANY_POLICY not in stated:
            running = stated if running is None else running & stated
        if running is not None and not running:
            raise Forbidden("no policy runs through the path, though an authority asks for one")
