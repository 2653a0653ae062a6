"""What is not signed: every reason has a file that brings it about, and hostile files bring about nothing else."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from signing import pades
from signing.appearance import Mark
from signing.pades import Unsignable, Wish
from signing.workshop import Workshop
from tests.papers import letter
from tests.rooms.signing.kinds import hybrid
from tests.rooms.signing.pens import (
    CATALOG,
    FONT,
    PLAIN,
    TREE,
    page,
    pen,
    reason,
    saved,
    simple,
    stream,
    wish,
    written,
)

BOX = (20.0, 20.0, 220.0, 80.0)


def _with_catalog(more: bytes) -> bytes:
    return simple(b"<</Type/Catalog/Pages 2 0 R" + more + b">>")


def _field(more: bytes, *others: bytes) -> bytes:
    return simple(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>", None,
        b"<</Type/Annot/Subtype/Widget/T(a)/Rect[0 0 0 0]/P 3 0 R" + more + b">>", *others,
    )  # fmt: skip


def _locked(more: bytes) -> bytes:
    return _field(b"/FT/Sig/V 7 0 R", b"<</Type/Sig/Reference[<<" + more + b">>]>>")


def _by_certificate() -> bytes:
    return written(CATALOG, TREE, page(), stream(), FONT, b"<</Filter/Adobe.PubSec/V 4>>",
                   trailer=b"/Root 1 0 R/Encrypt 6 0 R/ID[<00><00>]")  # fmt: skip


def _protected() -> bytes:
    with pikepdf.open(BytesIO(letter())) as pdf:
        return saved(pdf, encryption=pikepdf.Encryption(owner="o", user="u", R=6))


def _signed_and_damaged() -> bytes:
    data = _field(b"/FT/Sig/V 7 0 R", b"<</Type/Sig/Contents<00>/ByteRange[0 1 2 3]>>")
    return re.sub(rb"startxref\n\d+", b"startxref\n3", data)


def _picture() -> bytes:
    out = BytesIO()
    Image.new("RGBA", (9, 9), (1, 2, 3, 99)).save(out, "PNG")
    return out.getvalue()


def _archive() -> bytes:
    about = b'<rdf:Description pdfaid:part="1"/>'
    metadata = stream(about, b"<</Type/Metadata/Subtype/XML/Length %d>>" % len(about))
    return simple(b"<</Type/Catalog/Pages 2 0 R/Metadata 6 0 R>>", None, metadata)


SCRIPT = b"<</S/JavaScript/JS(app.alert\\(1\\))>>"
EVERY: dict[Unsignable, tuple[Callable[[], bytes], Wish]] = {
    Unsignable.NOT_A_PDF: (lambda: b"PK\x03\x04 no", PLAIN),
    Unsignable.BYTES_BEFORE_HEADER: (lambda: b"\xef\xbb\xbf" + simple(), PLAIN),
    Unsignable.DAMAGED: (lambda: b"%PDF-1.7\nnothing else", PLAIN),
    Unsignable.DAMAGED_CROSS_REFERENCES: (_signed_and_damaged, PLAIN),
    Unsignable.NO_PAGES: (lambda: written(CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"), PLAIN),
    Unsignable.TOO_COMPLEX: (
        lambda: _with_catalog(b"/AcroForm<</Fields[" + b"<</T(a)>>" * 200_001 + b"]>>"), PLAIN),
    Unsignable.PASSWORD_NOT_GIVEN: (_protected, PLAIN),
    Unsignable.ENCRYPTION_UNKNOWN: (_by_certificate, PLAIN),
    Unsignable.XFA: (lambda: _with_catalog(b"/AcroForm<</Fields[]/XFA[]>>"), PLAIN),
    Unsignable.JAVASCRIPT: (lambda: _with_catalog(b"/OpenAction" + SCRIPT), PLAIN),
    Unsignable.EMBEDDED_FILES: (lambda: _with_catalog(b"/Names<</EmbeddedFiles<</Names[]>>>>"),
                                wish(allow_embedded_files=False)),
    Unsignable.CERTIFIED_NO_CHANGES: (lambda: _locked(b"/TransformMethod/DocMDP/TransformParams<</P 1>>"), PLAIN),
    Unsignable.CERTIFICATION_NOT_FIRST: (lambda: _locked(b""), wish(certify=2)),
    Unsignable.FIELD_LOCKED: (
        lambda: _locked(b"/TransformMethod/FieldMDP/TransformParams<</Action/Exclude/Fields[(b)]>>"), PLAIN),
    Unsignable.NO_SUCH_FIELD: (simple, wish(field="a.b")),
    Unsignable.FIELD_NOT_FOR_SIGNATURES: (lambda: _field(b"/FT/Tx"), wish(field="a")),
    Unsignable.FIELD_ALREADY_SIGNED: (lambda: _locked(b""), wish(field="a")),
    Unsignable.SEED_VALUE: (lambda: _field(b"/FT/Sig/SV<</Ff 128>>").replace(b"Ff 128", b"Ff 32 /AddRevInfo true"),
                            wish(field="a")),
    Unsignable.NO_SUCH_PAGE: (simple, wish(mark=Mark(page=2, box=BOX, text="a"))),
    Unsignable.MARK_OFF_PAGE: (simple, wish(mark=Mark(box=(500, 20, 700, 60), text="a"))),
    Unsignable.MARK_DOES_NOT_FIT: (simple, wish(mark=Mark(box=(20, 20, 30, 24), text="Trần Thị Bình"))),
    Unsignable.MARK_IMAGE_REFUSED: (simple, wish(mark=Mark(box=BOX, image=b"GIF89a"))),
    Unsignable.MARK_LETTER_UNKNOWN: (simple, wish(mark=Mark(box=BOX, text="\U0001f600"))),
    Unsignable.PDFA_TRANSPARENCY: (_archive, wish(mark=Mark(box=BOX, image=_picture()))),
    Unsignable.WORDS_TOO_LONG: (simple, wish(reason="a" * 1001)),
}  # fmt: skip


@pytest.mark.parametrize("why", EVERY)
def test_every_reason_has_its_file(why: Unsignable, tmp_path: Path) -> None:
    paper, asked = EVERY[why]
    assert reason(paper(), tmp_path, asked) == why


def test_a_key_that_is_not_as_long_as_is_stated(tmp_path: Path) -> None:
    """qpdf tries other lengths, and most readers do not, so that not all of them would open what we sign."""
    with pikepdf.open(BytesIO(letter())) as pdf:
        paper = saved(pdf, encryption=pikepdf.Encryption(owner="o", user="", R=3, aes=False, metadata=False))
    assert reason(paper, tmp_path) == "signed"
    assert reason(paper.replace(b"/Length 128", b"/Wength 128"), tmp_path) == Unsignable.ENCRYPTION_UNKNOWN


def test_encrypted_strings_that_a_mending_reader_reads_too_soon(tmp_path: Path) -> None:
    with pikepdf.open(BytesIO(letter())) as pdf:
        pdf.Root.Lang = pikepdf.String("vi-VN")
        paper = saved(pdf, encryption=pikepdf.Encryption(owner="o", user="", R=6))
    assert reason(paper, tmp_path) == "signed"
    damaged = re.sub(rb"startxref\n\d+", b"startxref\n7", paper)
    assert reason(damaged, tmp_path) == Unsignable.DAMAGED_CROSS_REFERENCES


def test_a_reason_tells_nothing_of_our_folders(tmp_path: Path) -> None:
    source = tmp_path / "in.pdf"
    source.write_bytes(b"%PDF-1.7\nnothing else")
    with pytest.raises(pades.CannotSign) as refused:
        pades.prepare(source, tmp_path / "out.pdf", wish=PLAIN, signer=pen().signer)
    assert refused.value.detail.startswith("unable to find")


def test_a_wrong_password_is_said_to_be_wrong(tmp_path: Path) -> None:
    assert reason(_protected(), tmp_path, password="x") == Unsignable.PASSWORD_WRONG


def test_an_update_beyond_what_a_table_can_tell_is_too_large(tmp_path: Path) -> None:
    """A file of eleven digits, most of it a hole in the file system."""
    source, paper = tmp_path / "large.pdf", simple()
    table = paper.index(b"xref\n")
    with source.open("wb") as out:
        out.write(paper[:table])
        out.seek(10_000_000_000)
        begin = out.tell()
        out.write(re.sub(rb"startxref\n\d+", b"startxref\n%d" % begin, paper[table:]))
    with pytest.raises(pades.CannotSign) as refused:
        pades.prepare(source, tmp_path / "out.pdf", wish=PLAIN, signer=pen().signer)
    assert refused.value.reason == Unsignable.TOO_LARGE


def test_no_reason_is_without_a_file() -> None:
    told_apart = {Unsignable.PASSWORD_WRONG, Unsignable.TOO_LARGE}
    assert set(EVERY) | told_apart == set(Unsignable)


@pytest.mark.parametrize(
    "script",
    [
        _with_catalog(b"/Names<</JavaScript<</Names[]>>>>"),
        _with_catalog(b"/AA<</WC" + SCRIPT + b">>"),
        _with_catalog(b"/OpenAction<</S/GoTo/Next[" + SCRIPT + b"]>>"),
        _with_catalog(b"/OpenAction<</S/GoTo/Next[<</S/GoTo>><</S/GoTo/Next" + SCRIPT + b">>]>>"),
        _with_catalog(
            b"/Outlines<</First<</Title(a)/Next<</Title(b)/First<</Title(c)/A" + SCRIPT + b">>>>>>>>"
        ),
        simple(CATALOG, page(b"/AA<</O" + SCRIPT + b">>")),
        simple(CATALOG, page(b"/Annots[<</Subtype/Link/Rect[0 0 1 1]/A" + SCRIPT + b">>]")),
        _field(b"/FT/Tx/AA<</K" + SCRIPT + b">>"),
    ],
)
def test_scripts_are_found_wherever_they_stand_and_signed_when_allowed(script: bytes, tmp_path: Path) -> None:
    assert reason(script, tmp_path) == Unsignable.JAVASCRIPT
    pen().signed(script, tmp_path, wish(allow_javascript=True))


def _bomb() -> bytes:
    """An object stream that unpacks to 300 MB."""
    packed = zlib.compress(b"1 0 " + b" " * 300_000_000, 9)
    head = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>" % len(packed)
    return simple(CATALOG, None, stream(packed, head))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a page tree of itself": lambda: written(CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"),
    "actions of themselves": lambda: simple(
        b"<</Type/Catalog/Pages 2 0 R/OpenAction 6 0 R>>", None, b"<</S/GoTo/Next[6 0 R 6 0 R]>>"),
    "bookmarks of themselves": lambda: simple(
        b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R>>", None, b"<</First 6 0 R/Next 6 0 R>>"),
    "pages of pages": lambda: written(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                                      b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 1>>"),
    "deep arrays": lambda: _with_catalog(b"/A" + b"[" * 100_000 + b"]" * 100_000),
    "deep dictionaries": lambda: _with_catalog(b"/A" + b"<</A" * 50_000 + b" 1" + b">>" * 50_000),
    "no end": lambda: simple().replace(b"/Pages 2 0 R>>", b"/Pages 2 0 R" + b"(" * 9999),
    "a huge count": lambda: written(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 2147483647>>", page(), stream(), FONT),
    "a huge size": lambda: written(CATALOG, TREE, page(), stream(), FONT, size=99999999999),
    "a negative size": lambda: simple().replace(b"/Size 6", b"/Size -6"),
    "fields of themselves": lambda: _with_catalog(b"/AcroForm 6 0 R").replace(
        b"xref\n0 6", b"6 0 obj\n<</Fields[6 0 R 7 0 R]/Kids[6 0 R]/T(a)>>\nendobj\nxref\n0 6"),
    "a table that leads to itself": lambda: simple().replace(b"/Size 6", b"/Size 6/Prev %d" % simple().index(b"xref\n")),
    "a catalog that is its page": lambda: written(b"<</Type/Catalog/Pages 2 0 R/MediaBox[0 0 9 9]>>",
                                                  b"<</Type/Pages/Kids[1 0 R]/Count 1>>"),
    "a stream for a catalog": lambda: written(stream(b"x"), TREE, page(), stream(), FONT),
    "a start without end": lambda: simple().replace(b"startxref\n", b"startxref\n" + b"9" * 4000),
    "a bomb": _bomb,
    "a bomb that holds an object": lambda: hybrid(packed=zlib.compress(b"5 0 " + FONT + b" " * 300_000_000, 9)),
    "odd boxes": lambda: simple(CATALOG, page(b"/MediaBox[1e99 (a) null <</A 1>>]/Rotate 1e9/UserUnit -1/Contents 4 0 R")),
    "an encryption of nonsense": lambda: written(
        CATALOG, TREE, page(), trailer=b"/Root 1 0 R/ID[1 2]/Encrypt<</Filter/Standard/V 99/R -1/O 1/U[]/P(a)>>"),
}  # fmt: skip


@pytest.mark.parametrize("form", HOSTILE)
async def test_hostile_files_are_signed_or_refused_soon_and_in_little_memory(
    form: str, tmp_path: Path
) -> None:
    (source := tmp_path / "in.pdf").write_bytes(HOSTILE[form]())
    async with Workshop(1) as workshop:
        for asked in (PLAIN, wish(mark=Mark(box=BOX, text="Đã ký"))):
            with suppress(pades.CannotSign):
                await workshop.run(
                    pades.prepare, source, tmp_path / "out.pdf", wish=asked, signer=pen().signer,
                    seconds=30, memory=256 << 20,
                )  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.data())
def test_no_broken_file_raises_anything_but_its_reason(tmp_path: Path, data: some.DataObject) -> None:
    paper = bytearray(data.draw(some.sampled_from(_WHOLE)))
    for _ in range(data.draw(some.integers(1, 4))):
        at = data.draw(some.integers(0, len(paper) - 1))
        end = at + data.draw(some.integers(0, 30))
        paper[at:end] = data.draw(
            some.sampled_from([b"", b"<<", b"]", b"(", b" 3 0 R", b"null", b"9999999999", b"\xff"])
        )
    reason(bytes(paper), tmp_path, data.draw(some.sampled_from([PLAIN, wish(field="a"), wish(certify=3)])))


def _streams() -> bytes:
    with pikepdf.open(BytesIO(simple())) as pdf:
        return saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=False)


_WHOLE = [simple(), _field(b"/FT/Sig/Lock<</Action/All>>"), _locked(b"/TransformMethod/FieldMDP"), _streams()]
