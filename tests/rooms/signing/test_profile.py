"""Levels keep the order of ETSI EN 319 142-1, by every operator and whoever sorts them."""

from __future__ import annotations

from itertools import combinations

from signing.profile import Level


def test_each_level_is_above_those_before_it() -> None:
    in_order = [Level.B_B, Level.B_T, Level.B_LT, Level.B_LTA]
    assert sorted(reversed(in_order)) == in_order
    for lower, higher in combinations(in_order, 2):
        assert min(higher, lower) is lower and max(lower, higher) is higher
        assert lower < higher and lower <= higher and higher > lower and higher >= lower
        assert not (higher < lower or higher <= lower or lower > higher or lower >= higher)
    assert all(one <= one and one >= one for one in in_order)
