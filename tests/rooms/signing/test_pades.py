"""What is signed: every form of file as it is in the world, judged by our judge and by strangers (see `pens.py`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as some

from hsm.key import Mechanism
from signing import pades
from signing.appearance import Mark
from signing.pades import Wish
from signing.prepared import Hole, NotPrepared, PreparedSignature
from signing.profile import Level
from tests import strangers
from tests.papers import letter
from tests.rooms.signing import pens
from tests.rooms.signing.kinds import hybrid
from tests.rooms.signing.pens import (
    CATALOG,
    FONT,
    SHOWN,
    TREE,
    make,
    page,
    pen,
    reason,
    saved,
    simple,
    stream,
    wish,
    written,
)


def _letter(**how: object) -> bytes:
    with pikepdf.open(BytesIO(letter(pages=2))) as pdf:
        return saved(pdf, **how)


FORMS: dict[str, Callable[[], bytes]] = {
    "classic": lambda: _letter(object_stream_mode=pikepdf.ObjectStreamMode.disable),
    "streams": lambda: _letter(object_stream_mode=pikepdf.ObjectStreamMode.generate),
    "linearised": lambda: _letter(linearize=True),
    "pdf 2.0": lambda: _letter(force_version="2.0"),
    "without an id": simple,
    "a direct info": lambda: written(
        CATALOG, TREE, page(), stream(), FONT, trailer=b"/Root 1 0 R/Info<</Title(x)>>"
    ),
    "names with escapes": lambda: simple(b"<</Type/Catalog/Pages 2 0 R/Tr#e1#bb#8bnh#20x(1)/#41 null>>"),
    "annotations in an array of their own": lambda: simple(
        CATALOG, page(b"/Contents 4 0 R/Annots 6 0 R"), b"[7 0 R null]",
        b"<</Type/Annot/Subtype/Text/Rect[10 10 30 30]/Contents(ghi ch\\372)>>",
    ),
    "direct annotations": lambda: simple(
        CATALOG, page(b"/Contents 4 0 R/Annots[<</Subtype/Text/Rect[1 1 9 9]/Contents(\\(a)>> null]")
    ),
    "a form in the catalog": lambda: simple(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R null]/DA(/Helv 0 Tf)>>>>", None,
        b"<</FT/Tx/T(a)/Subtype/Widget/Rect[0 0 0 0]>>",
    ),
    "a form with fields in an array of their own": lambda: simple(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R>>", None, b"<</Fields 7 0 R/SigFlags 1>>", b"[]"
    ),
    "a form that is none": lambda: simple(b"<</Type/Catalog/Pages 2 0 R/AcroForm null>>"),
    "comments everywhere": lambda: simple(b"%c\n<</Type/Catalog%>>\n/Pages 2 0 R>>"),
    "a tree that loops": lambda: written(
        CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1/Parent 2 0 R>>", page(), stream(), FONT
    ),
    "a name that is no text": lambda: simple(b"<</Type/Catalog/Pages 2 0 R/Tr#ec 1>>"),
    "a hybrid": hybrid,
    "a hybrid whose stream misplaces itself": lambda: hybrid(told=7),
    "a high object number": lambda: simple().replace(b"/Size 6", b"/Size 900000"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_file_is_signed_and_looks_as_before(form: str, tmp_path: Path) -> None:
    source = tmp_path / "paper.pdf"
    source.write_bytes(FORMS[form]())
    signed = pen().signed(source, tmp_path)
    assert strangers.rendered(signed) == strangers.rendered(source)
    assert (b"\nxref\n" in signed.read_bytes()[source.stat().st_size :]) == (form != "streams")


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_every_mechanism(mechanism: Mechanism, tmp_path: Path) -> None:
    pen(mechanism).signed(letter(), tmp_path)


ENCRYPTIONS = {
    "rc4-40": pikepdf.Encryption(owner="o", user="u", R=2, aes=False, metadata=False),
    "rc4-128": pikepdf.Encryption(owner="o", user="u", R=3, aes=False, metadata=False),
    "aes-128": pikepdf.Encryption(owner="o", user="u", R=4),
    "aes-256": pikepdf.Encryption(owner="o", user="u", R=6),
}


@pytest.mark.parametrize("method", ENCRYPTIONS)
@pytest.mark.parametrize("streams", [False, True])
def test_an_encrypted_file_is_signed_with_its_password(method: str, streams: bool, tmp_path: Path) -> None:
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    paper = _letter(encryption=ENCRYPTIONS[method], object_stream_mode=mode)
    assert reason(paper, tmp_path) == "password-not-given"
    assert reason(paper, tmp_path, password="x") == "password-wrong"
    for password in ("u", "o"):
        asked = wish(reason="Duyệt (tại Huế)", location="Hà Nội")
        signed = pen().signed(paper, tmp_path, asked, password=password)
        with pikepdf.open(signed, password="u") as pdf:
            value = pdf.Root.AcroForm.Fields[0].V
            assert (str(value.Reason), str(value.Location)) == ("Duyệt (tại Huế)", "Hà Nội")
            assert str(pdf.Root.AcroForm.Fields[0].T) == "Signature1"


def test_an_encrypted_file_that_opens_without_a_password_asks_for_none(tmp_path: Path) -> None:
    paper = _letter(encryption=pikepdf.Encryption(owner="o", user="", R=6))
    pen().signed(paper, tmp_path, wish(mark=Mark(box=(20, 20, 220, 80), text="Đã ký")))


def test_signatures_keep_one_another_valid(tmp_path: Path) -> None:
    pens_of_three = [pen(), pen(Mechanism.RSA_PSS_SHA256), make()]
    file, sizes = tmp_path / "paper.pdf", []
    file.write_bytes(letter())
    for one in pens_of_three:
        file = one.signed(file, tmp_path)
        sizes.append(file.stat().st_size)
    said = strangers.pdfsig(file)
    assert [one.validation for one in said] == 3 * ["Signature is Valid."]
    assert [one.whole for one in said] == [False, False, True]
    for number, one in enumerate(pens_of_three):
        status = strangers.pyhanko(file, one.signer.certificate, number=number)
        assert status.intact and status.valid and status.trusted and status.bottom_line


def test_a_certification_stands_and_others_may_follow(tmp_path: Path) -> None:
    certified = pen().signed(letter(), tmp_path, wish(certify=2))
    with pikepdf.open(certified) as pdf:
        assert pdf.Root.Perms.DocMDP.Reference[0].TransformParams.P == 2
    pen().signed(certified, tmp_path)
    assert reason(certified.read_bytes(), tmp_path, wish(certify=2)) == "certification-not-first"
    closed = pen().signed(letter(), tmp_path, wish(certify=1))
    assert reason(closed.read_bytes(), tmp_path) == "certified-no-changes"


def _with_field(more: bytes = b"", rect: bytes = b"100 100 300 160") -> bytes:
    field = b"<</Type/Annot/Subtype/Widget/FT/Sig/T(chu.ky)/F 4/P 3 0 R/Rect[" + rect + b"]" + more + b">>"
    return simple(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>",
        page(b"/Contents 4 0 R/Annots[6 0 R]"),
        field.replace(b"chu.ky", b"chuky"),
    )


def test_an_existing_field_is_filled_where_it_stands(tmp_path: Path) -> None:
    signed = pen().signed(_with_field(), tmp_path, wish(field="chuky", mark=Mark(text="Trần Thị Bình")))
    with pikepdf.open(signed) as pdf:
        (field,) = pdf.Root.AcroForm.Fields
        assert field.V.SubFilter == "/ETSI.CAdES.detached" and "/AP" in field
        assert [float(one) for one in field.Rect] == [100, 100, 300, 160]
    assert reason(signed.read_bytes(), tmp_path, wish(field="chuky")) == "field-already-signed"


def test_a_lock_of_a_field_becomes_its_signature_s(tmp_path: Path) -> None:
    lock = b"/Lock<</Type/SigFieldLock/Action/All>>"
    signed = pen().signed(_with_field(lock), tmp_path, wish(field="chuky"))
    with pikepdf.open(signed) as pdf:
        (reference,) = pdf.Root.AcroForm.Fields[0].V.Reference
        assert reference.TransformMethod == "/FieldMDP" and reference.TransformParams.Action == "/All"
    assert reason(signed.read_bytes(), tmp_path) == "field-locked"


SEEDS = {
    "Reasons": (b"<</Ff 8/Reasons[(Duyet)]>>", wish(field="chuky")),
    "SubFilter": (b"<</Ff 2/SubFilter[/adbe.pkcs7.detached]>>", wish(field="chuky")),
    "DigestMethod": (b"<</Ff 64/DigestMethod[(SHA512)]>>", wish(field="chuky")),
    "MDP": (b"<</MDP<</P 2>>>>", wish(field="chuky")),
    "TimeStamp": (b"<</TimeStamp<</Ff 1/URL(http://a)>>>>", wish(field="chuky")),
    "Cert": (b"<</Cert<</Ff 1/Subject[(x)]>>>>", wish(field="chuky")),
}


@pytest.mark.parametrize("demand", SEEDS)
def test_what_a_field_demands_and_we_do_not_give(demand: str, tmp_path: Path) -> None:
    seed, asked = SEEDS[demand]
    assert reason(_with_field(b"/SV" + seed), tmp_path, asked) == "seed-value"


def test_what_a_field_demands_and_we_give(tmp_path: Path) -> None:
    seed = b"/SV<</Ff 74/SubFilter[/ETSI.CAdES.detached]/Reasons[(Duyet)]/DigestMethod[(SHA256)]>>"
    pen().signed(_with_field(seed), tmp_path, wish(field="chuky", reason="Duyet"))


def _pdfa(part: int) -> bytes:
    about = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="%d"/></rdf:RDF></x:xmpmeta>'
    ) % part
    metadata = stream(about, b"<</Type/Metadata/Subtype/XML/Length %d>>" % len(about))
    return simple(b"<</Type/Catalog/Pages 2 0 R/Metadata 6 0 R>>", None, metadata)


def test_a_file_for_archives_stays_one(tmp_path: Path) -> None:
    from PIL import Image

    seal = BytesIO()
    Image.new("RGBA", (30, 30), (200, 0, 0, 120)).save(seal, "PNG")
    asked = wish(mark=Mark(box=(20, 20, 80, 80), image=seal.getvalue()))
    assert reason(_pdfa(1), tmp_path, asked) == "pdfa-transparency"
    for part in (1, 2):
        with pikepdf.open(pen().signed(_pdfa(part), tmp_path)) as pdf:
            field = pdf.Root.AcroForm.Fields[0]
            assert "/N" in field.AP and int(field.F) & 4
            assert "/DR" not in pdf.Root.AcroForm  # nothing that would have to be embedded
    pen().signed(_pdfa(2), tmp_path, asked)


def test_text_without_an_appearance_is_drawn_as_before_in_a_file_for_archives(tmp_path: Path) -> None:
    """Which is against ISO 19005; pdfium draws it by the resources of the form, or by its own where there is none."""
    text = b"/Annots[<</Subtype/FreeText/Rect[50 50 250 90]/Contents(ghi)/DA(/Helv 11 Tf 0 g)/F 4>>]"
    source = tmp_path / "in.pdf"
    source.write_bytes(_pdfa(2).replace(b"/Contents 4 0 R", b"/Contents 4 0 R" + text))
    with pikepdf.open(source) as pdf:
        pdf.save(tmp_path / "sound.pdf")
    signed = pen().signed(tmp_path / "sound.pdf", tmp_path)
    with pypdfium2.PdfDocument(source) as before, pypdfium2.PdfDocument(signed) as after:
        pictures = [bytes(one[0].render(draw_annots=True).buffer) for one in (before, after)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("reference", [b"%d 0 R", b"[%d\r\n0\tR]", b"<</B[1 %d  0 R]>>", b"[%d 1 R]"])
@pytest.mark.parametrize("streams", [False, True])
def test_what_led_nowhere_leads_nowhere(reference: bytes, streams: bool, tmp_path: Path) -> None:
    """The numbers that come next are referred to already, though nothing has them (T1)."""
    room = b"(" + b"x" * 150 + b")"
    paper = simple(b"<</Type/Catalog/Pages 2 0 R/A 6 0 R>>", None, b"[" + room + b"]")
    if streams:
        with pikepdf.open(BytesIO(paper)) as pdf:
            mode = pikepdf.ObjectStreamMode.generate
            paper = saved(pdf, object_stream_mode=mode, compress_streams=False)
    size = int(re.findall(rb"/Size (\d+)", paper)[-1])
    nowhere = b" ".join(reference % number for number in range(size, size + 8, 2))
    pen().signed(paper.replace(room, nowhere.ljust(len(room))), tmp_path)


@pytest.mark.parametrize("at", ["behind", "trailer"])
def test_what_led_nowhere_from_behind_a_large_stream(at: str, tmp_path: Path) -> None:
    large = stream(SHOWN + b" " * 400_000)
    behind, trailer = b"[7 0 R]" if at == "behind" else b"[]", b"/Root 1 0 R"
    bodies = (CATALOG.replace(b">>", b"/A 6 0 R>>"), TREE, page(), large, FONT, behind)
    for paper in (
        written(*bodies, trailer=trailer + (b"/K 7 0 R" if at == "trailer" else b"")),
        written(*bodies[:3], FONT, FONT, behind, large, trailer=trailer + b"/K 8 0 R"),
    ):
        pen().signed(paper, tmp_path)


# -- damage


def _stream_without_length() -> bytes:
    """qpdf cannot read the stream, so it leaves it out of the page; the page must keep it all the same."""
    return written(CATALOG, TREE, page(), stream(entries=b"<</Qength 44>>"), FONT)


def _size_too_small() -> bytes:
    return written(CATALOG, TREE, page(), stream(), FONT, size=3)


def _objects_moved() -> bytes:
    """Every offset is wrong by one."""
    return simple().replace(b"%PDF-1.7\n", b"%PDF-1.7 \n")


def _start_points_nowhere() -> bytes:
    return re.sub(rb"startxref\n\d+", b"startxref\n7", simple())


def _stray_in_trailer() -> bytes:
    return simple().replace(b"/Root 1 0 R>>", b"/Root 1 0 R/K ) >>")


DAMAGES = (_stream_without_length, _size_too_small, _objects_moved, _start_points_nowhere, _stray_in_trailer)


@pytest.mark.parametrize("damaged", DAMAGES)
def test_what_can_be_mended_is_signed_and_shows_what_it_showed(
    damaged: Callable[[], bytes], tmp_path: Path
) -> None:
    source = tmp_path / "damaged.pdf"
    source.write_bytes(damaged())
    before = strangers.rendered(source)
    signed = pen().signed(source, tmp_path)
    assert strangers.rendered(signed) == before
    with pypdfium2.PdfDocument(signed) as pdf:
        assert "Cong van" in pdf[0].get_textpage().get_text_bounded()


def test_a_signed_file_with_damaged_cross_references_is_not_mended(tmp_path: Path) -> None:
    signed = pen().signed(letter(), tmp_path).read_bytes()
    begin = signed.rindex(b"startxref")
    assert reason(signed[:begin] + b"startxref\n7\n%%EOF\n", tmp_path) == "damaged-cross-references"


def test_what_only_some_readers_see_is_not_signed(tmp_path: Path) -> None:
    """qpdf finds the page by looking through the file; pdfium does not read such a file at all."""
    paper = simple()
    cut = paper[: paper.index(b"xref\n")].replace(b"/Type/Catalog", b"/Type /Catalog")
    broken = cut.replace(b"3 0 obj", b"3 0 xbj") + b"trailer\n<</Root 1 0 R/Size 6>>\n"
    assert reason(broken, tmp_path) in {"damaged", "damaged-cross-references", "no-pages"}


# -- what was prepared


@given(some.data())
def test_what_was_prepared_survives_its_stored_form(data: some.DataObject) -> None:
    octets, words = some.binary(max_size=200), some.text(max_size=40)
    prepared = PreparedSignature(
        format="PAdES", to_sign=data.draw(octets), mechanism=data.draw(some.sampled_from(Mechanism)),
        certificate=data.draw(octets), chain=tuple(data.draw(some.lists(octets, max_size=3))),
        document_digest=data.draw(octets), key=data.draw(words), agency=data.draw(some.uuids()),
        person=data.draw(some.uuids()), request=data.draw(some.uuids()),
        expires=data.draw(some.datetimes(timezones=some.just(UTC))), level=data.draw(some.sampled_from(Level)),
        field=data.draw(words), hole=Hole(data.draw(some.integers(0, 2**40)), data.draw(some.integers(2, 2**20))),
        file_size=data.draw(some.integers(0, 2**40)), file_sha256=data.draw(words),
        original_size=data.draw(some.integers(0, 2**40)),
    )  # fmt: skip
    again = PreparedSignature.from_stored(prepared.to_stored())
    assert again == prepared and again.to_stored() == prepared.to_stored()


@given(some.binary(max_size=300) | some.text(max_size=100).map(str.encode))
def test_what_is_no_stored_form_is_refused(stored: bytes) -> None:
    with pytest.raises(NotPrepared):
        PreparedSignature.from_stored(stored)


def test_only_the_prepared_file_and_the_right_signature_are_completed(tmp_path: Path) -> None:
    source, out = tmp_path / "in.pdf", tmp_path / "out.pdf"
    source.write_bytes(letter())
    prepared = pades.prepare(source, out, wish=wish(), signer=pen().signer)
    signature, before = pen().sign(prepared), out.read_bytes()
    for wrong in (b"", signature[:-1], make().sign(prepared)):
        with pytest.raises(pades.AnswerDoesNotFit):
            pades.complete(prepared, out, signature=wrong)
    with pytest.raises(pades.AnswerDoesNotFit):
        pades.complete(prepared, out, signature=signature, timestamp=bytes(5000))
    assert out.read_bytes() == before
    # As long as before and with the times that it had: the moment of the change itself cannot be set back.
    told = out.stat()
    while out.stat().st_ctime_ns == told.st_ctime_ns:
        out.write_bytes(before.replace(b"MediaBox", b"MediaBOX"))
    os.utime(out, ns=(told.st_atime_ns, told.st_mtime_ns))
    with pytest.raises(pades.NotThePreparedFile):
        pades.complete(prepared, out, signature=signature)
    # The same bytes in another file are the prepared file.
    out.unlink()
    out.write_bytes(before)
    pades.complete(prepared, out, signature=signature)
    pen().accepted(source, out, prepared, None)


def test_a_hole_is_no_larger_than_what_may_come(tmp_path: Path) -> None:
    signed = pen().signed(letter(), tmp_path).read_bytes()
    _, begin, end, _ = pens.byte_range(signed)
    assert (end - begin - 2) // 2 - len(pens.cms_in(signed)) <= 8


def test_an_out_file_of_another_time_is_written_over(tmp_path: Path) -> None:
    source, out = tmp_path / "in.pdf", tmp_path / "out.pdf"
    source.write_bytes(letter())
    out.write_bytes(os.urandom(300_000))
    prepared = pades.prepare(source, out, wish=wish(), signer=pen().signer)
    assert out.stat().st_size == prepared.file_size
    pades.complete(prepared, out, signature=pen().sign(prepared))
    pen().accepted(source, out, prepared, None)


def test_words_are_as_they_were_given(tmp_path: Path) -> None:
    asked = Wish(Level.B_B, reason="Phê duyệt (số 12\\HĐND)", location="Xã An Phước", claimed_time=pens.NOW)
    with pikepdf.open(pen().signed(letter(), tmp_path, asked)) as pdf:
        value = pdf.Root.AcroForm.Fields[0].V
        assert str(value.Reason) == asked.reason and str(value.Location) == asked.location
        assert str(value.M).endswith("+07'00'")
