"""Our own reader of PDF revisions against qpdf: the same objects at every end, or nothing said at all."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.pdf.objects import Array, Dictionary, Name, Plain, Reference, Stream, Text
from signing.pdf.parsing import Odd, object_at, value_at
from signing.pdf.revisions import PlainFile, Revision
from tests.papers import letter
from tests.rooms.signing import pens
from tests.rooms.signing.kinds import hybrid, linearised, streams

SECTION = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*")


def updated(
    data: bytes, *objects: tuple[int, bytes], lines: bytes = b"", size: int = 60, more: bytes = b""
) -> bytes:
    """With an update of these objects; `lines`: of its table, besides theirs."""
    previous = int(SECTION.findall(data)[-1])
    table = b""
    for number, body in objects:
        table += b"%d 1\n%010d 00000 n \n" % (number, len(data))
        data += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    end = b"trailer\n<</Size %d/Root 1 0 R/Prev %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        previous,
        more,
        len(data),
    )
    return data + b"xref\n" + table + lines + end


def revisions(data: bytes) -> list[tuple[int, Revision]]:
    """With their ends."""
    file, found = PlainFile(data), list[tuple[int, Revision]]()
    for one in SECTION.finditer(data):
        newer = file.next(found[-1][1], int(one[1])) if found else file.first(int(one[1]))
        found.append((one.end(), newer))
    return found


def as_qpdf_says(value: object) -> object:
    """A value of either reader, without its reader."""
    if isinstance(value, pikepdf.Object) and value.is_indirect:
        return Reference(*value.objgen)
    return directly(value)


def directly(value: object) -> object:
    if isinstance(value, pikepdf.Object):
        kind = value._type_code
        if kind == pikepdf.ObjectType.dictionary:
            return {name: as_qpdf_says(one) for name, one in value.items()}
        if kind == pikepdf.ObjectType.array:
            return [as_qpdf_says(one) for one in list(value)]
        return Name(str(value)) if kind == pikepdf.ObjectType.name_ else Text(bytes(value))
    return value


def members_of(found: object) -> object:
    if isinstance(found, pikepdf.Stream):
        return {name: as_qpdf_says(one) for name, one in found.stream_dict.items()}
    if isinstance(found, pikepdf.Dictionary):
        return {name: as_qpdf_says(one) for name, one in found.items()}
    return directly(found)


FILES: dict[str, Callable[[Path], bytes]] = {
    "table": lambda _: letter(pages=3),
    "streams": lambda folder: streams(folder)[0].read_bytes(),
    "updates": lambda _: updated(
        updated(letter(), (40, b"<</A 41 0 R/B[1 2.50 (x\\051) <0A> /N#20a null true]>>"), (41, b"(one)")),
        (41, pens.stream(b"two")), (40, b"[/gone]"),
    ),
    "deleted": lambda _: updated(
        updated(letter(), (40, b"(here)"), (41, b"7")), lines=b"41 1\n0000000000 00001 f \n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_the_same_objects_at_every_end(kind: str, tmp_path: Path) -> None:
    data = FILES[kind](tmp_path)
    found = revisions(data)
    assert len(found) == len(SECTION.findall(data))
    for end, revision in found:
        with pikepdf.open(io.BytesIO(data[:end]), attempt_recovery=False) as pdf:
            table = {number: one for (number, _), one in pdf.get_xref_table().items() if one.type in {1, 2}}
            assert revision.places.keys() == table.keys()
            for number in table:
                other, mine = pdf.get_object(number, 0), revision.get_object(number, 0)
                assert revision.plain(number) == members_of(other), number
                assert isinstance(mine, Stream) == isinstance(other, pikepdf.Stream)
                if isinstance(mine, Stream) and isinstance(other, pikepdf.Stream):
                    assert mine.read_raw_bytes() == other.read_raw_bytes()
            assert isinstance(revision.Root, Dictionary) and revision.Root.objgen == pdf.Root.objgen


def test_an_earlier_revision_leads_to_what_stood_there_then() -> None:
    data = updated(updated(letter(), (40, b"[41 0 R]"), (41, b"(old)")), (41, b"(new)"))
    shown = [[str(one) for one in revision.get_object(40, 0)] for _, revision in revisions(data)[1:]]
    assert shown == [["old"], ["new"]]
    assert revisions(data)[0][1].get_object(40, 0) is None


def packed_stream(lines: bytes, head: bytes) -> bytes:
    body = zlib.compress(lines)
    return (
        b"<</Type/XRef/Filter/FlateDecode/Length %d%s>>\nstream\n" % (len(body), head) + body + b"\nendstream"
    )


def predicted(rows: list[bytes], kind: int) -> bytes:
    """As PNG predicts from the line above (kind 2), or not at all (0)."""
    above, said = bytes(len(rows[0])), b""
    for row in rows:
        line = (
            bytes((one - before) & 0xFF for one, before in zip(row, above, strict=True)) if kind == 2 else row
        )
        said, above = said + bytes([kind]) + line, row
    return said


@pytest.mark.parametrize("kind", [0, 2])
def test_sections_that_are_streams(kind: int) -> None:
    data = letter()
    previous, at = int(SECTION.findall(data)[-1]), len(data)
    data += b"40 0 obj\n(forty)\nendobj\n"
    rows = [b"\x01" + place.to_bytes(4, "big") + b"\0" for place in (at, len(data))]
    head = (
        b"/Size 60/Root 1 0 R/Prev %d/Index[40 2]/W[1 4 1]/DecodeParms<</Predictor 12/Columns 6>>" % previous
    )
    section = len(data)
    data += b"41 0 obj\n" + packed_stream(predicted(rows, kind), head) + b"\nendobj\n"
    data += b"startxref\n%d\n%%%%EOF\n" % section
    revision = revisions(data)[-1][1]
    assert str(revision.get_object(40, 0)) == "forty"
    with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        assert str(pdf.get_object(40, 0)) == "forty"


# -- what readers may differ over is not read here


def signed_over(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(updated(letter(), (40, b"<</A 1>>")))


ODD: dict[str, Callable[[], bytes]] = {
    "two entries of one name": lambda: updated(letter(), (40, b"<</A 1/A 2>>")),
    "a comment inside an object": lambda: updated(letter(), (40, b"<</A %x\n 1>>")),
    "a key without its value": lambda: updated(letter(), (40, b"<</A>>")),
    "a key that is no name": lambda: updated(letter(), (40, b"<<(A) 1>>")),
    "a bracket of another kind": lambda: updated(letter(), (40, b"<</A [1>>]")),
    "a name beyond ASCII": lambda: updated(letter(), (40, b"/\xe1")),
    "a name with a NUL": lambda: updated(letter(), (40, b"/A#00B")),
    "a number of another form": lambda: updated(letter(), (40, b"[--1]")),
    "a number without end": lambda: updated(letter(), (40, b"1" * 30)),
    "hexadecimal that is none": lambda: updated(letter(), (40, b"<0g>")),
    "a text without end": lambda: updated(letter(), (40, b"(a")),
    "too deep": lambda: updated(letter(), (40, b"[" * 70 + b"]" * 70)),
    "something behind a value": lambda: updated(letter(), (40, b"1 2")),
    "a stream of another length": lambda: updated(letter(), (40, b"<</Length 3>>\nstream\nlonger\nendstream")),
    "a stream without a length": lambda: updated(letter(), (40, b"<<>>\nstream\nx\nendstream")),
    "a stream behind no dictionary": lambda: updated(letter(), (40, b"[]\nstream\nx\nendstream")),
    "a reference to a reference": lambda: updated(letter(), (40, b"1 0 R")),
    "another object at its place": signed_over(lambda data: data.replace(b"40 0 obj", b"39 0 obj")),
    "an object within another's number": signed_over(
        lambda data: data.replace(b"40 0 obj", b"940 0 obj").replace(b"%010d" % data.index(b"40 0 obj"), b"%010d" % (data.index(b"40 0 obj") + 1))
    ),
    "/Size too small": lambda: updated(letter(), (40, b"1"), size=40),
    "encrypted": lambda: updated(letter(), (40, b"1"), more=b"/Encrypt 40 0 R"),
    "hybrid": hybrid,
    "an object twice in a section": lambda: updated(letter(), (40, b"1"), (40, b"2")),
    "a reference to a later generation": lambda: updated(letter(), (40, b"[1 7 R]")),
    "a later generation": lambda: updated(letter(), lines=b"40 1\n0000000020 00001 n \n"),
    "a place outside of the file": lambda: updated(letter(), lines=b"40 1\n0009999999 00000 n \n"),
    "a line that is none": lambda: updated(letter(), lines=b"40 1\n000000002x 00000 n \n"),
    "lines that are not there": lambda: updated(letter(), lines=b"40 99999999\n"),
    "/Prev that leads round": signed_over(
        lambda data: re.sub(rb"/Prev \d+", b"/Prev %d" % int(SECTION.findall(data)[-1]), data)
    ),
    "/Prev that is no number": signed_over(lambda data: re.sub(rb"/Prev \d+", b"/Prev (1)", data)),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_is_not_read(what: str) -> None:
    data = ODD[what]()
    section = int(SECTION.findall(data)[-1])
    with pytest.raises(Odd):
        revision = PlainFile(data).first(section)
        for number in revision.places:
            revision.get_object(number, 0)


def test_a_stream_of_objects_that_is_written_anew(tmp_path: Path) -> None:
    """What it held would stand elsewhere, and no section would say so."""
    data = streams(tmp_path)[0].read_bytes()
    first = revisions(data)[0][1]
    holder = next(iter(first.told.holders))
    changed = updated(data, (holder, pens.stream(b"1 0 <<>>", b"<</Type/ObjStm/N 1/First 4/Length 8>>")))
    with pytest.raises(Odd):
        revisions(changed)


def test_objects_inside_of_each_others_strings_are_not_read_again_and_again() -> None:
    count = 3000
    begin, data, lines = b"(", b"%PDF-1.7\n", b""
    for number in range(1, count):
        lines += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj " % number + begin
    data += b")" * (count - 1) + b" endobj\n"
    table = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % count + lines
    data += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, table)
    revision = PlainFile(data).first(table)
    with pytest.raises(Odd):
        for number in revision.places:
            revision.get_object(number, 0)


def test_linearised_files_are_read_or_left(tmp_path: Path) -> None:
    """Their two sections are one revision."""
    data = linearised(tmp_path)[0].read_bytes()
    revision = PlainFile(data).first(int(SECTION.findall(data)[-1]))
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert revision.Root.objgen == pdf.Root.objgen
        assert {(number, 0) for number in revision.places} == {
            key for key, one in pdf.get_xref_table().items() if one.type in {1, 2}
        }


# -- values


names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.binary(max_size=20).map(Text),
    names.filter(lambda one: not set(one) & set("#/()<>[]{}%")).map(lambda one: Name("/" + one)),
    st.decimals(-1000, 1000, places=3), st.builds(Reference, st.integers(1, 9), st.just(0)),
)  # fmt: skip
values = st.recursive(
    atoms, lambda one: st.lists(one, max_size=4) | st.dictionaries(names.filter(str.isalnum).map(lambda n: Name("/" + n)), one, max_size=4)
)  # fmt: skip


def spelt(value: object) -> bytes:
    match value:
        case None:
            return b"null"
        case bool():
            return b"true" if value else b"false"
        case Reference():
            return b"%d %d R" % value
        case Name():
            return value.encode()
        case bytes():
            return b"<" + value.hex().encode() + b">"
        case list():
            return b"[" + b" ".join(map(spelt, value)) + b"]"
        case dict():
            return b"<<" + b" ".join(spelt(name) + b" " + spelt(one) for name, one in value.items()) + b">>"
        case _:
            return f"{value:f}".encode() if isinstance(value, Decimal) else str(value).encode()


def without_nulls(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in sorted(value.items()) if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@given(values)
def test_what_was_written_is_read(value: Plain) -> None:
    read, end = value_at(spelt(value) + b" ", 0)
    assert repr(read) == repr(without_nulls(value))
    assert end == len(spelt(value))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_odd(data: bytes) -> None:
    with suppress(Odd):
        value_at(data, 0)
    with suppress(Odd):
        object_at(b"1 0 obj " + data + b" endobj", 0, 1, 0)


def test_values_are_asked_as_those_of_the_other_reader() -> None:
    """Whoever walks a file need not know who read it."""
    data = updated(letter(), (40, b"<</K[(a) /b 2.50 41 0 R null]/D<</N 41 0 R>>/G 99 0 R>>"), (41, b"[3 4]"))
    mine = revisions(data)[-1][1].get_object(40, 0)
    with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        other = pdf.get_object(40, 0)
        assert isinstance(mine, Dictionary)
        for one in (mine, other):
            assert ("/K" in one, "/G" in one, one.get("/G"), one.get("/Z", 5)) == (True, False, None, 5)
        listed, theirs = list(mine["/K"]), list(other["/K"])
        assert [str(one) for one in listed[:2]] == [str(one) for one in theirs[:2]] == ["a", "/b"]
        assert listed[2] == theirs[2] == Decimal("2.50")
        assert isinstance(listed[3], Array) and listed[3].objgen == theirs[3].objgen == (41, 0)
        assert listed[4] is theirs[4] is None
        assert mine["/D"]["/N"].is_indirect and not mine["/D"].is_indirect and len(mine["/D"]) == 1
        assert dict(mine["/D"].items())["/N"].objgen == next(iter(mine["/D"].values())).objgen


@pytest.mark.parametrize(
    "content", [b"plain", b"\xfe\xff\x1e\xa4\x00n", b"\xef\xbb\xbf\xe1\xba\xa4n", b"D\xe1u"]
)
def test_texts_are_spelt_as_the_other_reader_spells_them(content: bytes) -> None:
    assert str(Text(content)) == str(pikepdf.String(content))
