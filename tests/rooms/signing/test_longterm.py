"""Files at every level: what long-term material and archive time-stamps make of them, and what strangers say."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from documents import finishing
from signing.longterm import (
    Material,
    PreparedTimestamp,
    TokenDoesNotFit,
    add_material,
    complete_archive_timestamp,
    prepare_archive_timestamp,
)
from signing.pdf.opening import NotOpened
from signing.prepared import Hole, PreparedSignature
from signing.profile import Level
from signing.timestamping.token import read_token
from tests import strangers
from tests.papers import letter
from tests.rooms.signing.kinds import EVERY, FILES, STAMP, VALID, ltv, plain, stored_in
from tests.rooms.signing.levels import ROOM, Hand


@pytest.mark.parametrize(("kind", "level"), EVERY)
async def test_every_kind_of_file_at_every_level(hand: Hand, tmp_path: Path, kind: str, level: Level) -> None:
    original, password = FILES[kind](tmp_path)
    file = tmp_path / "signed.pdf"
    prepared = await hand.sign(original, file, level, password)
    assert file.read_bytes().startswith(original.read_bytes())
    # Our own judge, and qpdf, poppler, pdfium.
    judgement, finished = hand.judge(original, file, prepared, password)
    assert judgement and finished.size == file.stat().st_size
    assert finished.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert strangers.qpdf_check(file, password) == (0, "")
    said = strangers.pdfsig(file, password)
    assert [one.validation for one in said] == [VALID, *[STAMP] * (level >= Level.B_LTA)]
    assert said[-1].whole is (level is not Level.B_LT)
    assert strangers.rendered(file, password) == strangers.rendered(original, password)
    with pikepdf.open(file, password=password or "") as pdf:
        assert ("/DSS" in pdf.Root) is (level >= Level.B_LT)
        if kind.startswith("PDF/A"):
            _still_pdfa(pdf)


def _still_pdfa(pdf: pikepdf.Pdf) -> None:
    """ISO 19005: each field is printed, and has an appearance where it has a place; part 1 wants one everywhere."""
    with pdf.open_metadata() as metadata:
        part = metadata.pdfa_status[:1]
    assert part
    for field in pdf.Root.AcroForm.Fields:
        assert field.F == 132
        assert "/AP" in field or (part != "1" and list(field.Rect) == [0, 0, 0, 0])


@pytest.mark.parametrize(("kind", "level"), [("table", Level.B_LT), *EVERY[3:]])
async def test_pyhanko_needs_nothing_but_the_file(
    hand: Hand, tmp_path: Path, kind: str, level: Level
) -> None:
    original, password = FILES[kind](tmp_path)
    file = tmp_path / "signed.pdf"
    await hand.sign(original, file, level, password)
    status = await ltv(file, hand, password)
    assert status.bottom_line and status.timestamp_validity.valid and status.timestamp_validity.trusted
    # PDF/A-1 asks for an appearance, though nothing is seen.
    filled = kind == "PDF/A-1" and level >= Level.B_LTA
    assert status.modification_level.name == ("FORM_FILLING" if filled else "LTA_UPDATES")


# -- the store


def _dated(file: Path, prepared: PreparedSignature) -> bytes:
    proof = finishing.proof_in(file, prepared)
    assert proof is not None and proof.inside
    return proof.token


async def _signed(hand: Hand, folder: Path, level: Level = Level.B_T) -> tuple[Path, Material]:
    file = folder / "signed.pdf"
    prepared = await hand.sign(plain(folder)[0], file, level)
    return file, await hand.material(_dated(file, prepared))


async def test_the_store_holds_each_thing_once(hand: Hand, tmp_path: Path) -> None:
    file, material = await _signed(hand, tmp_path)
    assert material.certificates and material.crls and material.ocsps
    twice = Material(material.certificates * 2, material.crls * 2, material.ocsps * 2)
    add_material(file, twice)
    found = stored_in(file)
    assert found["/Certs"] == list(material.certificates)
    assert found["/CRLs"] == list(material.crls) and found["/OCSPs"] == list(material.ocsps)
    once = file.read_bytes()
    add_material(file, twice)
    assert file.read_bytes() == once, "what stands there already changes nothing"


async def test_the_entry_of_the_newest_signature(hand: Hand, tmp_path: Path) -> None:
    file, material = await _signed(hand, tmp_path)
    add_material(file, material)
    with file.open("rb") as opened:
        (signature,) = PdfFileReader(opened).embedded_signatures
        name = "/" + hashlib.sha1(signature.pkcs7_content).hexdigest().upper()
    everything = [*material.certificates, *material.crls, *material.ocsps]
    assert stored_in(file)[name] == everything
    # An archive time-stamp is no signature: the entry stays the signature's.
    await hand.archive(file)
    add_material(file, replace(material, certificates=(*material.certificates, hand.pki.certificate("root"))))
    found = stored_in(file)
    assert [key for key in found if len(key) > 10] == [name]
    assert set(everything) <= set(found[name])
    assert strangers.qpdf_check(file) == (0, "")
    assert (await ltv(file, hand)).bottom_line


async def test_a_second_signature_extends_the_store(hand: Hand, tmp_path: Path) -> None:
    first, second = tmp_path / "first.pdf", tmp_path / "second.pdf"
    await hand.sign(plain(tmp_path)[0], first, Level.B_LTA)
    before = stored_in(first)
    prepared = await hand.sign(first, second, Level.B_LTA)
    hand.judge(first, second, prepared)
    after = stored_in(second)
    for key, contents in before.items():
        assert after[key][: len(contents)] == contents, "what stood in the store stands there"
    assert len([key for key in after if len(key) > 10]) == 2
    assert len(set(after["/Certs"])) == len(after["/Certs"])
    assert [one.validation for one in strangers.pdfsig(second)] == [VALID, STAMP] * 2


def _direct(pdf: pikepdf.Pdf, contents: bytes) -> None:
    stream = pdf.make_stream(contents)
    entry = pikepdf.Dictionary(Cert=[stream], TU=pikepdf.String("D:20200101000000Z"))
    pdf.Root.DSS = pikepdf.Dictionary(
        Certs=[stream], VRI=pikepdf.Dictionary({"/" + 40 * "A": entry}), Own=pikepdf.String("giữ")
    )


def _indirect(pdf: pikepdf.Pdf, contents: bytes) -> None:
    _direct(pdf, contents)
    store = pdf.Root.DSS
    store.Certs = pdf.make_indirect(store.Certs)
    store.VRI = pdf.make_indirect(store.VRI)
    pdf.Root.DSS = pdf.make_indirect(store)


def _inside_out(pdf: pikepdf.Pdf, contents: bytes) -> None:
    """The entries of signatures are an object of their own, the store is none."""
    _direct(pdf, contents)
    pdf.Root.DSS.VRI = pdf.make_indirect(pdf.Root.DSS.VRI)


@pytest.mark.parametrize("put", [_direct, _indirect, _inside_out])
@pytest.mark.parametrize("secret", [False, True])
async def test_a_strangers_store_stays(hand: Hand, tmp_path: Path, put: Any, secret: bool) -> None:
    issuing = hand.pki.certificate("issuing")
    original, file = tmp_path / "stranger.pdf", tmp_path / "signed.pdf"
    with pikepdf.open(plain(tmp_path)[0]) as pdf:
        put(pdf, issuing)
        encryption = pikepdf.Encryption(owner="chu", user="mat khau", R=6) if secret else False
        pdf.save(original, encryption=encryption)
    password = "mat khau" if secret else None
    prepared = await hand.sign(original, file, Level.B_LT, password)
    hand.judge(original, file, prepared, password)
    found = stored_in(file, password)
    assert found["/Certs"][0] == issuing and found["/Certs"].count(issuing) == 1
    assert found["/" + 40 * "A"] == [issuing]
    with pikepdf.open(file, password=password or "") as pdf:
        assert str(pdf.Root.DSS.Own) == "giữ"
        assert str(pdf.Root.DSS.VRI["/" + 40 * "A"].TU) == "D:20200101000000Z"
    assert strangers.qpdf_check(file, password) == (0, "")
    status = await ltv(file, hand, password)
    assert status.intact and status.trusted


def _bomb(pdf: pikepdf.Pdf) -> object:
    return pikepdf.Array([pdf.make_stream(bytes(80 << 20))])


HOSTILE: dict[str, Callable[[pikepdf.Pdf], Any]] = {
    "a number": lambda pdf: 7,
    "members that are none": lambda pdf: pikepdf.Array([1, pikepdf.Name.A, pikepdf.Dictionary(A=1)]),
    "a bomb": _bomb,
    "another filter": lambda pdf: pikepdf.Array([pikepdf.Stream(pdf, b"x", Filter=pikepdf.Name.JBIG2Decode)]),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_store_of_any_kind_hurts_nothing(hand: Hand, tmp_path: Path, case: str) -> None:
    original, file = tmp_path / "hostile.pdf", tmp_path / "signed.pdf"
    with pikepdf.open(plain(tmp_path)[0]) as pdf:
        pdf.Root.DSS = pikepdf.Dictionary(Certs=HOSTILE[case](pdf), VRI=HOSTILE[case](pdf))
        pdf.save(original, compress_streams=True)
    prepared = await hand.sign(original, file, Level.B_LT)
    hand.judge(original, file, prepared)
    assert strangers.qpdf_check(file) == (0, "")
    material = await hand.material(_dated(file, prepared))
    with pikepdf.open(file) as pdf:
        added = list(pdf.Root.DSS.Certs)[-len(material.certificates) :]
        assert [one.read_bytes() for one in added] == list(material.certificates)


async def test_a_store_without_an_end_is_refused(hand: Hand, tmp_path: Path) -> None:
    file = tmp_path / "endless.pdf"
    with pikepdf.open(plain(tmp_path)[0]) as pdf:
        pdf.Root.DSS = pikepdf.Dictionary(Certs=pikepdf.Array([pdf.make_stream(b"1")] * 10_001))
        pdf.save(file)
    before = file.read_bytes()
    with pytest.raises(NotOpened, match="too-complex"):
        add_material(file, await hand.material())
    assert file.read_bytes() == before


async def test_the_developer_extension_is_declared_once(hand: Hand, tmp_path: Path) -> None:
    original, file = plain(tmp_path)[0], tmp_path / "signed.pdf"
    await hand.sign(original, file, Level.B_LT)
    with pikepdf.open(file) as pdf:
        assert pdf.Root.Extensions.ESIC.BaseVersion == "/1.7"
    with pikepdf.open(plain(tmp_path)[0]) as pdf:
        pdf.Root.Extensions = pikepdf.Dictionary(GLGR=pikepdf.Dictionary(BaseVersion=pikepdf.Name("/1.7")))
        pdf.save(original := tmp_path / "other.pdf")
    await hand.sign(original, file, Level.B_LT)
    with pikepdf.open(file) as pdf:
        assert set(pdf.Root.Extensions.keys()) == {"/GLGR", "/ESIC"}


# -- archive time-stamps


async def test_a_token_over_other_bytes_is_refused(hand: Hand, tmp_path: Path) -> None:
    file, _ = await _signed(hand, tmp_path)
    prepared = prepare_archive_timestamp(file, ROOM)
    before = file.read_bytes()
    other = (await hand.token(bytes(32))).der
    right = (await hand.token(prepared.digest)).der
    small = replace(prepared, hole=replace(prepared.hole, length=200))
    nowhere = PreparedTimestamp(Hole(10, prepared.hole.length), prepared.digest, "sha256")
    for hole, token in ((prepared, other), (prepared, b"junk"), (small, right), (nowhere, right)):
        with pytest.raises(TokenDoesNotFit):
            complete_archive_timestamp(file, hole, token)
        assert file.read_bytes() == before
    complete_archive_timestamp(file, prepared, right)
    with pytest.raises(TokenDoesNotFit, match="no empty hole"):
        complete_archive_timestamp(file, prepared, right)
    with file.open("rb") as opened:
        (stamp,) = PdfFileReader(opened).embedded_timestamp_signatures
        assert read_token(bytes(stamp.pkcs7_content)).der == right


async def test_many_archive_timestamps(hand: Hand, tmp_path: Path) -> None:
    """Renewal again and again: each covers all before it, and has a name of its own."""
    file, material = await _signed(hand, tmp_path)
    for _ in range(3):
        add_material(file, material)
        await hand.archive(file)
    with file.open("rb") as opened:
        names = [one.field_name for one in PdfFileReader(opened).embedded_timestamp_signatures]
    assert names == ["Timestamp1", "Timestamp2", "Timestamp3"]
    assert (await ltv(file, hand)).bottom_line
    assert [one.validation for one in strangers.pdfsig(file)] == [VALID, STAMP, STAMP, STAMP]


async def test_a_file_without_a_signature_may_be_dated_and_kept(hand: Hand, tmp_path: Path) -> None:
    file, _ = plain(tmp_path)
    add_material(file, await hand.material())
    await hand.archive(file)
    assert [key for key in stored_in(file) if len(key) > 10] == []
    assert [one.validation for one in strangers.pdfsig(file)] == [STAMP]


async def test_what_comes_later_raises_the_level(hand: Hand, tmp_path: Path) -> None:
    """REVOCATION_PENDING: signed at B-T, the material and the archive time-stamp come when they can be had."""
    original, file = plain(tmp_path)[0], tmp_path / "signed.pdf"
    prepared = await hand.sign(original, file, Level.B_T)
    stamp = _dated(file, prepared)
    assert read_token(stamp).der == stamp
    finishing.augment(file, await hand.material(stamp), password=None)
    await hand.archive(file)
    hand.judge(original, file, prepared)
    assert (await ltv(file, hand)).bottom_line


async def test_what_is_no_pdf_or_locked_is_refused(hand: Hand, tmp_path: Path) -> None:
    (tmp_path / "text.pdf").write_bytes(b"not a PDF at all")
    locked, _ = FILES["AES-256"](tmp_path)
    for file in (tmp_path / "text.pdf", locked):
        before = file.read_bytes()
        with pytest.raises(NotOpened):
            add_material(file, await hand.material())
        with pytest.raises(NotOpened):
            prepare_archive_timestamp(file, ROOM)
        assert file.read_bytes() == before


_BIG = """
import sys
from pathlib import Path
from signing.longterm import Material, add_material, prepare_archive_timestamp
file = Path(sys.argv[1])
add_material(file, Material((b"1" * 1000,), (b"2" * 1000,), ()))
prepare_archive_timestamp(file, 6000)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "large.pdf"
    file.write_bytes(letter(weight=192 << 20))
    assert file.stat().st_size > 190 << 20
    done = subprocess.run([sys.executable, "-c", _BIG, str(file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 << 10  # KiB
