"""Codes that citizens type (C1): found whatever the spaces, wrong ones told as wrong, nothing readable in the database."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.codes import ALPHABET, Codes
from storage.sealed import Sealer

CODE = "ZRFCMB0X0RSES18KSDSH"  # as Codes.new() makes them; with 0 and 1, which people mistake


def test_they_are_long_enough_and_never_the_same() -> None:
    made = {Codes.new() for _ in range(2000)}
    assert len(made) == 2000
    assert all(len(one) == 20 and set(one) <= set(ALPHABET) for one in made)


@pytest.mark.parametrize(
    "typed",
    [CODE, CODE.lower(), Codes.spaced(CODE), f"  {Codes.spaced(CODE).replace('-', ' ')}\n", CODE.replace("0", "O").replace("1", "l")],
)  # fmt: skip
def test_they_are_read_as_people_type(typed: str) -> None:
    assert Codes.read(typed) == CODE


@pytest.mark.parametrize("place", range(20))
def test_one_wrong_character_is_seen(place: int) -> None:
    wrong = "X" if CODE[place] != "X" else "Y"
    assert Codes.read(CODE[:place] + wrong + CODE[place + 1 :]) is None


@given(st.text(max_size=200))
def test_whatever_is_typed(typed: str) -> None:
    read = Codes.read(typed)
    assert read is None or Codes.read(read) == read


def test_they_stand_hashed_and_sealed(tmp_path: Path) -> None:
    codes = Codes(Sealer(tmp_path / "seal.key"), "https://antin.example")
    document = UUID(int=7)
    sealed = codes.seal(CODE, document)
    assert CODE.encode() not in sealed + codes.hash(CODE)
    assert codes.open(sealed, document) == CODE
    assert codes.hash(CODE) == Codes(Sealer(tmp_path / "seal.key"), "").hash(CODE)
    assert codes.hash(CODE) != Codes(Sealer(tmp_path / "other.key"), "").hash(CODE)
    assert codes.url(CODE) == f"https://antin.example/v/{Codes.spaced(CODE)}"
