"""Dictionaries and arrays are cut out of a file byte for byte, and what is none is said to be none."""

from __future__ import annotations

import time

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as some

from signing.pdf.tokens import NotPlain, array_at, dictionary_at, with_strings
from signing.pdf.values import dictionary, literal, name


def test_a_dictionary_keeps_the_bytes_of_its_values() -> None:
    entries = dictionary_at(
        b" %c >>\n<</A 1 0 R/B[1 2 0\nR (a\\)(b)) <</C<</D[]>> >>]/N#20x (x)/E/F /G%z\n null>> x"
    )
    assert [(one.name, one.value) for one in entries] == [
        ("/A", b"1 0 R"), ("/B", b"[1 2 0\nR (a\\)(b)) <</C<</D[]>> >>]"), ("/N x", b"(x)"), ("/E", b"/F"),
        ("/G", b"null"),
    ]  # fmt: skip


def test_an_array_keeps_what_is_null() -> None:
    assert array_at(b"[[1]2 0 R null true(()) <41 4>]") == [
        b"[1]",
        b"2 0 R",
        b"null",
        b"true",
        b"(())",
        b"<41 4>",
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"<<", b"<</A>>", b"<<1 2>>", b"<</A[>>]", b"[1]", b"<</A(>>", b"<</A 1", b"<</A<zz>>", b"stream"],
)
def test_what_is_no_dictionary(data: bytes) -> None:
    with pytest.raises(NotPlain):
        with_strings(dictionary(dict((one.name, one.value) for one in dictionary_at(data))), literal)


@given(some.binary(max_size=400))
def test_whatever_stands_there_is_read_or_refused(data: bytes) -> None:
    for reading in (dictionary_at, array_at):
        try:
            reading(data)
        except NotPlain as refused:
            assert str(refused)


@given(some.lists(some.binary(max_size=30)))
def test_strings_read_as_qpdf_reads_them(strings: list[bytes]) -> None:
    value = b"[" + b" ".join(literal(one) for one in strings) + b"]"
    found: list[bytes] = []

    def keep(content: bytes) -> bytes:
        found.append(content)
        return b"()"

    with_strings(value, keep)
    assert found == strings == [bytes(one) for one in pikepdf.Object.parse(value)]


@given(some.text(alphabet=some.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_names_read_as_they_were_written(text: str) -> None:
    (entry,) = dictionary_at(b"<<" + name("/" + text) + b" 1>>")
    assert entry.name == "/" + text


@pytest.mark.parametrize(
    "data", [b"[" * 10**6, b"<<" * 10**6, b"[" + b"(" * 10**6, b"<</A " + b"%" * 10**6, b"[" + b"<1>" * 10**6]
)
def test_hostile_nesting_costs_its_length(data: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(NotPlain):
        array_at(data)
    assert time.process_time() - begun < 10
