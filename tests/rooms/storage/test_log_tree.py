"""The tree over the log, against the vectors of Certificate Transparency's reference (RFC 6962 implementations)."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.log.merkle import (
    EMPTY,
    CompactRange,
    inclusion_proof,
    leaf_hash,
    node_hash,
    perfect,
    root_from_proof,
)

LEAVES = [bytes.fromhex(one) for one in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grow(leaves: list[bytes]) -> CompactRange:
    range = CompactRange()
    for leaf in leaves:
        range = range.append(leaf)
    return range


def test_roots_are_those_of_the_reference() -> None:
    assert CompactRange().root() == EMPTY
    found = [grow([leaf_hash(one) for one in LEAVES[:n]]).root().hex() for n in range(1, 9)]
    assert found == ROOTS


@given(st.integers(0, 300))
def test_a_range_goes_on_from_its_stored_form(size: int) -> None:
    leaves = [leaf_hash(str(n).encode()) for n in range(size + 5)]
    stored = grow(leaves[:size]).to_stored()
    range_ = CompactRange.from_stored(stored)
    for leaf in leaves[size:]:
        range_ = range_.append(leaf)
    assert range_ == grow(leaves)


@given(st.integers(1, 200), st.data())
def test_a_proof_leads_to_the_root_and_to_no_other(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(str(n).encode()) for n in range(size)]
    number = data.draw(st.integers(0, size - 1))

    def node(level: int, position: int) -> bytes:
        return perfect(leaves[position << level : (position + 1) << level])

    proof = inclusion_proof(number, size, node)
    root = grow(leaves).root()
    assert root_from_proof(leaves[number], number, size, proof) == root
    assert root_from_proof(leaf_hash(b"another"), number, size, proof) != root
    with pytest.raises(ValueError, match="too long"):
        root_from_proof(leaves[number], number, size, [*proof, os.urandom(32)])
    if proof:
        with pytest.raises(ValueError, match="too short"):
            root_from_proof(leaves[number], number, size, proof[:-1])


def test_leaves_and_nodes_do_not_hash_alike() -> None:
    one, other = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(one, other) != leaf_hash(one + other)


@given(st.binary(max_size=100))
def test_a_stored_range_that_is_none_is_refused(junk: bytes) -> None:
    try:
        range_ = CompactRange.from_stored(junk)
    except ValueError:
        return
    assert range_.to_stored() == junk
