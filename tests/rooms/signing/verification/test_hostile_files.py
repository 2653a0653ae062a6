"""Files that were made to fool or to break a reader: every one ends in a verdict, and none in VALID."""

from __future__ import annotations

import io
import re
import zlib
from functools import cache

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.profile import Level
from signing.verification.pdf_facts import CannotRead
from signing.verification.plain_reading import read_pdf
from signing.verification.report import Coverage
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, brief, codes

FAILED = ("INVALID", ["FORMAT_FAILURE"])


def swapped(signed: bytes, old: bytes, new: bytes) -> bytes:
    """Of the same length, so that no offset moves."""
    assert len(old) == len(new)
    assert signed.count(old) >= 1
    at = signed.rindex(old)
    return signed[:at] + new + signed[at + len(old) :]


def byte_range(signed: bytes) -> tuple[bytes, list[int]]:
    found = list(re.finditer(rb"/ByteRange ?\[([\d ]+)\]", signed))[-1]
    return found[0], [int(one) for one in found[1].split()]


def with_range(signed: bytes, *numbers: object) -> bytes:
    old, _ = byte_range(signed)
    return swapped(signed, old, (b"/ByteRange [" + b" ".join(b"%s" % str(one).encode() for one in numbers)).ljust(
        len(old) - 1) + b"]")  # fmt: skip


# -- universal signature forgery: something of the signature is missing or odd


def test_no_byte_range(world: World) -> None:
    report = world.judge(swapped(world.ours(letter()), b"/ByteRange", b"/BiteRange"))
    assert brief(report) == FAILED
    assert codes(report, 0) >= {"BYTE_RANGE"}


def test_no_contents(world: World) -> None:
    assert brief(world.judge(swapped(world.ours(letter()), b"/Contents <", b"/Kontents <"))) == FAILED


@pytest.mark.parametrize(
    "numbers",
    [
        ("null",), (), (0,), (0, 0, 0, 0), (0, 10, 10, 10), (-1, 100, 200, 300), (0, "x", 20, 30), (0, 1e3, 20, 30),
        (5, 10, 20, 30), (0, 10, 20, 30, 40, 50),
    ],
)  # fmt: skip
def test_byte_ranges_that_are_none(world: World, numbers: tuple[object, ...]) -> None:
    report = world.judge(with_range(world.ours(letter()), *numbers))
    assert brief(report) == FAILED
    assert report.signatures[0].coverage is Coverage.PARTIAL


@pytest.mark.parametrize(
    "shift", [(0, 1, 0, 0), (0, -1, 0, 0), (0, 0, 1, -1), (0, 0, -1, 1), (0, 0, 0, -1), (0, 0, 0, -9)]
)
def test_a_byte_range_beside_the_hole(world: World, shift: tuple[int, ...]) -> None:
    signed = world.ours(letter())
    moved = [one + by for one, by in zip(byte_range(signed)[1], shift, strict=True)]
    assert brief(world.judge(with_range(signed, *moved)))[0] == "INVALID"


def test_contents_that_are_nothing(world: World) -> None:
    signed = world.ours(letter())
    _, numbers = byte_range(signed)
    empty = signed[: numbers[1] + 1] + b"0" * (numbers[2] - numbers[1] - 2) + signed[numbers[2] - 1 :]
    report = world.judge(empty)
    assert brief(report) == FAILED
    assert codes(report, 0) >= {"FORM_BROKEN"}


def test_another_kind_of_signature(world: World) -> None:
    signed = swapped(world.ours(letter()), b"/ETSI.CAdES.detached", b"/adbe.x509.rsa_sha1x")
    report = world.judge(signed)
    assert report.verdict == "INDETERMINATE"
    assert "FORMAT_UNKNOWN" in codes(report, 0)


def test_a_number_that_no_reader_holds(world: World) -> None:
    """Then the dictionary is none, and what is left of the signature is told."""
    report = world.judge(with_range(world.ours(letter()), 0, 10, 20, 99999999999999999999))
    assert report.verdict == "NO_SIGNATURE"
    assert codes(report) >= {"SIGNATURE_TAKEN_AWAY"}


# -- wrapping: the hole holds more than the signature


def test_a_forged_revision_in_the_hole(world: World) -> None:
    """Everything behind the signature comes twice: forged where readers look, and as it was where the digest looks."""
    signed = world.theirs(letter())
    old, (zero, begin, after, _) = byte_range(signed)
    tail = signed[after:]
    new = (b"/ByteRange [%d %d %d %d" % (zero, begin, after + len(tail), len(tail))).ljust(
        len(old) - 1
    ) + b"]"
    assert old in tail  # behind the hole, so it need not be covered
    forged = signed[:after] + tail.replace(old, new) + tail
    report = world.judge(forged)
    assert brief(report) == FAILED
    assert codes(report, 0) >= {"BYTE_RANGE"}


def test_the_signature_of_another_file(world: World) -> None:
    one = world.ours(letter())
    _, numbers = byte_range(one)
    other = next(two for two in (world.ours(letter()) for _ in range(500)) if byte_range(two)[1] == numbers)
    report = world.judge(one[: numbers[1]] + other[numbers[1] : numbers[2]] + one[numbers[2] :])
    assert brief(report) == ("INVALID", ["HASH_FAILURE"])
    assert codes(report, 0) >= {"BYTES_CHANGED"}


def test_an_unsigned_file_with_a_signed_ones_field(world: World) -> None:
    """The dictionary of one file, byte range and all, in an update of another."""
    signed, paper = world.ours(letter()), letter()
    dictionary = re.search(
        rb"\d+ 0 obj\s*(<<[^>]*/ByteRange.*?/Contents <[0-9a-fA-F]*>.*?>>)\s*endobj", signed, re.S
    )
    assert dictionary
    forged = world.raw_update(paper, {
        1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /SigFlags 3 /Fields [50 0 R] >> >>",
        50: b"<< /FT /Sig /T (S) /Subtype /Widget /Rect [0 0 0 0] /V 51 0 R >>",
        51: dictionary[1],
    })  # fmt: skip
    assert brief(world.judge(forged)) == FAILED


def test_two_fields_share_a_signature(world: World) -> None:
    signed = world.ours(letter())
    form = int(re.findall(rb"/AcroForm (\d+) 0 R", signed)[-1])
    field = int(re.findall(rb"/Fields ?\[ ?(\d+) 0 R", signed)[-1])
    value = int(re.findall(rb"/V (\d+) 0 R", signed)[-1])
    forged = world.raw_update(signed, {
        form: b"<< /SigFlags 3 /Fields [%d 0 R 90 0 R] >>" % field,
        90: b"<< /FT /Sig /T (Hai) /Subtype /Widget /Rect [0 0 0 0] /V %d 0 R >>" % value,
    })  # fmt: skip
    report = world.judge(forged)
    assert report.verdict != "VALID"
    assert "DUPLICATE_FIELD" in codes(report, 0)


def test_padding_with_something_in_it(world: World) -> None:
    signed = world.theirs(letter())
    _, numbers = byte_range(signed)
    forged = signed[: numbers[2] - 3] + b"ff" + signed[numbers[2] - 1 :]
    report = world.judge(forged)
    assert brief(report) == ("VALID", ["B-B"])
    assert codes(report, 0) >= {"PADDING_NOT_ZERO"}


# -- broken and hostile files


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "EMPTY_FILE"), (b"Xin chao" * 500, "NOT_A_PDF"), (b"%PDF-1.7\n", "DAMAGED"), (b"%PDF-1.7\n%%EOF", "DAMAGED")],
)  # fmt: skip
def test_what_is_no_pdf(world: World, content: bytes, code: str) -> None:
    report = world.judge(content)
    assert report.verdict == "UNREADABLE"
    assert codes(report) == {code}


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99, 0.999])
def test_a_file_cut_short(world: World, keep: float) -> None:
    signed = world.ours(letter(), Level.B_T)
    report = world.judge(signed[: int(len(signed) * keep)])
    assert report.verdict in {"INVALID", "NO_SIGNATURE", "UNREADABLE"}
    if report.signatures:
        assert codes(report, 0) >= {"TRUNCATED"}


def test_bytes_before_the_header(world: World) -> None:
    assert world.judge(b"rac\n" + world.ours(letter())).verdict in {"INVALID", "INDETERMINATE"}


def test_a_file_that_must_be_mended(world: World) -> None:
    signed = world.ours(letter())
    broken = re.sub(rb"startxref\n\d+", lambda found: found[0][:-3] + b"999", signed)
    report = world.judge(broken)
    assert report.verdict not in {"VALID", "NO_SIGNATURE"}
    assert codes(report) >= {"MENDED"}


@cache
def locked(password: str, owner: str = "chu") -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(letter())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(user=password, owner=owner))
    return out.getvalue()


def test_a_password_is_wanted(world: World) -> None:
    assert codes(world.judge(locked("bi mat"))) == {"PASSWORD_WANTED"}
    assert codes(world.judge(locked("bi mat"), password="sai")) == {"PASSWORD_WRONG"}
    assert world.judge(locked("bi mat"), password="bi mat").verdict == "NO_SIGNATURE"


def test_an_encrypted_file_that_was_signed(world: World) -> None:
    signed = world.ours(locked("bi mat"), password="bi mat")
    assert world.judge(signed, password="bi mat").verdict == "VALID"
    assert world.judge(world.ours(locked(""))).verdict == "VALID"


def test_a_bomb_in_the_security_store(world: World) -> None:
    bomb = zlib.compress(b"\0" * (300 << 20), 9)

    signed = world.ours(letter())
    forged = world.raw_update(signed, {
        1: re.findall(rb"\n1 0 obj\s*(<<.*?>>)\s*endobj", signed, re.S)[-1][:-2] + b" /DSS << /CRLs [95 0 R] >> >>",
        95: b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(bomb), bomb),
    })  # fmt: skip
    assert brief(world.judge(forged)) == ("VALID", ["B-B"])


def test_a_form_and_pages_that_go_round_in_circles(world: World) -> None:
    paper = world.raw_update(letter(), {
        1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [50 0 R] >> >>",
        50: b"<< /FT /Sig /T (a) /Kids [50 0 R 51 0 R] >>",
        51: b"<< /T (b) /Parent 50 0 R /Kids [50 0 R] /V 51 0 R >>",
    })  # fmt: skip
    assert world.judge(paper).verdict in {"INVALID", "NO_SIGNATURE"}


def test_one_changed_byte_never_passes(world: World) -> None:
    """Every third covered byte, by the reader alone; what it says is never "as signed"."""
    signed = world.ours(letter())
    file = world.folder / "flipped.pdf"
    _, numbers = byte_range(signed)
    for at in [*range(0, numbers[1], 3), *range(numbers[2], len(signed), 3)]:
        changed = bytearray(signed)
        changed[at] ^= 1
        file.write_bytes(changed)
        try:
            facts = read_pdf(file)
        except CannotRead:
            continue
        for one in facts.signatures:
            assert one.fault or one.broken or one.unjudged, at


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_bytes_are(world: World, data: st.DataObject) -> None:
    signed = _sound(world)
    how = data.draw(st.sampled_from(["noise", "cut", "splice", "insert"]))
    at = data.draw(st.integers(0, len(signed) - 1))
    noise = data.draw(st.binary(max_size=200))
    if how == "noise":
        content = b"%PDF-1.7\n" + noise + b"\nstartxref\n9\n%%EOF"
    elif how == "cut":
        content = signed[:at]
    elif how == "splice":
        content = signed[:at] + noise + signed[at + len(noise) :]
    else:
        content = signed[:at] + noise + signed[at:]
    report = world.judge(content, policy="integrity", offline=True)
    assert codes(report).isdisjoint({"OUR_LIMIT"})
    if report.verdict == "VALID":
        # What was signed stands there; what follows it is evidence, whole or not.
        _, (_, begin, after, rest) = byte_range(signed[: signed.index(b"/DSS")])
        assert (content[:begin], content[after : after + rest]) == (
            signed[:begin],
            signed[after : after + rest],
        )


_known: dict[int, bytes] = {}


def _sound(world: World) -> bytes:
    return _known.setdefault(id(world), world.ours(letter(), Level.B_LTA))


def test_names_that_are_no_text(world: World) -> None:
    """A name is bytes, and no reader of ours stumbles over them."""
    signed = world.ours(letter())
    for old, new in ((b"/ETSI.CAdES.detached", b"/ETS#80.CAdES.detac"), (b"/Type /Sig", b"/Type /#ff")):
        changed = signed.replace(old, new.ljust(len(old)))
        assert changed != signed
        assert "OUR_LIMIT" not in codes(world.judge(changed))
    form = world.raw_update(letter(), {
        1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [50 0 R] >> >>",
        50: b"<< /FT /S#80g /T /#ff#fe /V << /Type /#80 /SubFilter /#80 /ByteRange [0 1 2 3] /Contents <00> /M /#80 "
            b"/Reference [<< /TransformMethod /#80 /TransformParams << /Fields [/#80] /Action /#80 >> >>] >> >>",
    })  # fmt: skip
    assert "OUR_LIMIT" not in codes(world.judge(form))
    form = form.replace(b"/FT /S#80g", b"/FT /Sig  ")
    assert "OUR_LIMIT" not in codes(world.judge(form))
