"""Certificate policies over a whole path: this file carries them from the anchor to the signer and says which are valid
(RFC 5280 6.1.2 to 6.1.5), with mappings, requireExplicitPolicy, inhibitPolicyMapping and inhibitAnyPolicy.

- The standard's tree grows with every mapping as a power of the path's length. Nodes of one level that have one policy
  are one node here, which says the same and grows with what stands in the certificates only.
- An anchor is believed as it stands: its constraints bind from the first certificate on, its own policies are not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from signing.trust.certificate import MALFORMED, Certificate

ANY_POLICY = "2.5.29.32.0"


class PolicyRefused(Exception):
    """No policy runs through the path though one is asked for, or a mapping makes no sense."""


@dataclass(frozen=True)
class PolicyInputs:
    """What the relying party asks (RFC 5280 6.1.1 (c), (e) to (g)); OIDs, dotted. `explicit`: one of `wanted` must run through
    the path, whatever the authorities ask."""

    wanted: frozenset[str] = frozenset({ANY_POLICY})
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


NOTHING_ASKED = PolicyInputs()


@dataclass
class _Node:
    """A policy at one level. `parents` name nodes of the level above, `expected` what may follow below."""

    parents: set[str]
    expected: set[str]


_Level = dict[str, _Node]


@dataclass
class _State:
    """The variables of 6.1.2, named as there."""

    explicit_policy: int
    policy_mapping: int
    inhibit_any_policy: int
    levels: list[_Level] = field(default_factory=lambda: [{ANY_POLICY: _Node(set(), {ANY_POLICY})}])


def check_policies(path: Sequence[Certificate], inputs: PolicyInputs = NOTHING_ASKED) -> frozenset[str]:
    """`path` goes from the signer to the anchor. The policies, in the anchor's terms, that are valid for the path and
    wanted; 2.5.29.32.0 where any is. Raises PolicyRefused."""
    try:
        return _checked(path, inputs)
    except MALFORMED as wrong:
        raise PolicyRefused("policies that cannot be read") from wrong


def _checked(path: Sequence[Certificate], inputs: PolicyInputs) -> frozenset[str]:
    below = path[-2::-1] if len(path) > 1 else path[:0]
    many = len(below) + 1
    state = _State(
        0 if inputs.explicit else many, 0 if inputs.inhibit_mapping else many, 0 if inputs.inhibit_any else many
    )  # fmt: skip
    _constrain(path[-1], state)
    for number, one in enumerate(below, 1):
        last = number == len(below)
        state.levels.append(_level(one, state, last=last))
        if not state.explicit_policy and not state.levels[-1]:
            raise PolicyRefused("no policy runs through the path, though one is asked for")
        if not last:
            _map(one, state)
            _count_down(one, state)
            _constrain(one, state)
        elif _required(one) == 0:
            state.explicit_policy = 0
        elif state.explicit_policy:
            state.explicit_policy -= 1
    valid = _valid(state.levels, inputs.wanted)
    if not state.explicit_policy and not valid and below:
        raise PolicyRefused("none of the policies that are asked for runs through the path")
    return valid


def _stated(one: Certificate) -> set[str]:
    policies = [each["policy_identifier"].dotted for each in one.extensions.get("certificate_policies") or ()]
    return set(policies)


def _level(one: Certificate, state: _State, *, last: bool) -> _Level:
    """6.1.3 (d), (e)."""
    above, stated, level = state.levels[-1], _stated(one), _Level()
    followers: dict[str, set[str]] = {}
    for name, node in above.items():
        for expected in node.expected:
            followers.setdefault(expected, set()).add(name)
    for policy in stated - {ANY_POLICY}:
        parents = followers.get(policy) or ({ANY_POLICY} if ANY_POLICY in above else None)
        if parents:
            level[policy] = _Node(set(parents), {policy})
    if ANY_POLICY in stated and (state.inhibit_any_policy or (one.self_issued and not last)):
        for policy, parents in followers.items():
            if policy in level:
                level[policy].parents |= parents
            else:
                level[policy] = _Node(set(parents), {policy})
    return level


def _map(one: Certificate, state: _State) -> None:
    """6.1.4 (a), (b)."""
    mapped: dict[str, set[str]] = {}
    for each in one.extensions.get("policy_mappings") or ():
        issuer, subject = each["issuer_domain_policy"].dotted, each["subject_domain_policy"].dotted
        if ANY_POLICY in {issuer, subject}:
            raise PolicyRefused("a mapping from or to any policy")
        mapped.setdefault(issuer, set()).add(subject)
    level = state.levels[-1]
    for policy, subjects in mapped.items():
        if not state.policy_mapping:
            level.pop(policy, None)
        elif policy in level:
            level[policy].expected = subjects
        elif ANY_POLICY in level:
            level[policy] = _Node({ANY_POLICY}, subjects)


def _count_down(one: Certificate, state: _State) -> None:
    """6.1.4 (h)."""
    if not one.self_issued:
        state.explicit_policy = max(0, state.explicit_policy - 1)
        state.policy_mapping = max(0, state.policy_mapping - 1)
        state.inhibit_any_policy = max(0, state.inhibit_any_policy - 1)


def _constrain(one: Certificate, state: _State) -> None:
    """6.1.4 (i), (j)."""
    required = _required(one)
    if required is not None:
        state.explicit_policy = min(state.explicit_policy, required)
    constraints = one.extensions.get("policy_constraints")
    mapping = constraints["inhibit_policy_mapping"].native if constraints is not None else None
    if mapping is not None:
        state.policy_mapping = min(state.policy_mapping, mapping)
    any_policy = one.extensions.get("inhibit_any_policy")
    if any_policy is not None:
        state.inhibit_any_policy = min(state.inhibit_any_policy, any_policy.native)


def _required(one: Certificate) -> int | None:
    constraints = one.extensions.get("policy_constraints")
    required: int | None = constraints["require_explicit_policy"].native if constraints is not None else None
    return required


def _valid(levels: Sequence[_Level], wanted: frozenset[str]) -> frozenset[str]:
    """6.1.5 (g): the policies right below an any-policy node from which the signer's level is reached, and wanted."""
    alive = set(levels[-1])
    any_at_end = ANY_POLICY in alive
    found: set[str] = set()
    for level in reversed(levels[1:]):
        above: set[str] = set()
        for policy in alive:
            parents = level[policy].parents
            above |= parents
            if ANY_POLICY in parents and policy != ANY_POLICY:
                found.add(policy)
        alive = above
    if ANY_POLICY in wanted:
        return frozenset(found | ({ANY_POLICY} if any_at_end else set()))
    return frozenset(wanted if any_at_end else found & wanted)
