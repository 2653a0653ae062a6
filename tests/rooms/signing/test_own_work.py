"""Our own work is accepted at every level (`test_longterm.py` signs every kind of file), and every single tampering of it is
refused, each for its own reason."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing import cms, pades
from signing.appearance import Mark
from signing.pdf import opening
from signing.pdf.opening import open_for_update
from signing.pdf.update import Update
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.verification.judgement import REASONS
from signing.verification.own_work import Judgement, NotAccepted, judge
from tests.papers import letter
from tests.pki import Pki
from tests.rooms.signing.kinds import with_fields
from tests.rooms.signing.levels import Hand
from tests.rooms.signing.stamping import Root
from tests.rooms.signing.tampering import (
    another_annotation,
    another_field,
    field_with_an_action,
    new_catalog,
    new_resources,
    number_from_the_past,
    one_page_more,
    page_content,
    page_dictionary,
    put_over,
)
from tests.steering import SteerableClock

clock = SteerableClock()


@dataclass(frozen=True)
class Work:
    """One signed file with all that the judge is given."""

    original: Path
    file: Path
    prepared: PreparedSignature
    trust: TrustSnapshot

    @property
    def data(self) -> bytes:
        return self.file.read_bytes()

    def judged(self, changed: bytes | None = None, **other: object) -> Judgement:
        """As it is, or with other bytes."""
        file = self.file
        if changed is not None:
            file = self.file.with_name("changed.pdf")
            file.write_bytes(changed)
        asked = {
            "trust": self.trust,
            "password": None,
            "timestamped": self.prepared.level >= Level.B_T,
            "at": clock(),
        }
        return judge(self.original, file, self.prepared, **{**asked, **other})  # type: ignore[arg-type]

    def refused(self, changed: bytes | None = None, **other: object) -> str:
        with pytest.raises(NotAccepted) as refusal:
            self.judged(changed, **other)
        assert refusal.value.reason in REASONS
        return refusal.value.reason


async def _work(hand: Hand, folder: Path, level: Level = Level.B_B, paper: bytes | None = None, **wish: object) -> Work:  # fmt: skip
    original, file = folder / "original.pdf", folder / "signed.pdf"
    original.write_bytes(paper or letter(pages=2))
    prepared = await hand.sign(original, file, level, **wish)  # type: ignore[arg-type]
    return Work(original, file, prepared, hand.trust)


@pytest.fixture
async def work(hand: Hand, tmp_path: Path) -> Work:
    return await _work(hand, tmp_path)


@pytest.fixture
async def stamped(hand: Hand, tmp_path: Path) -> Work:
    """With some room in the hole that nothing fills."""
    return await _work(hand, tmp_path, Level.B_T)


@pytest.mark.parametrize("level", list(Level))
async def test_what_was_made_is_accepted(hand: Hand, tmp_path: Path, level: Level) -> None:
    made = await _work(hand, tmp_path, level)
    judgement = made.judged()
    kinds = {"B-B": [], "B-T": ["SIGNATURE"], "B-LT": ["SIGNATURE"], "B-LTA": ["SIGNATURE", "ARCHIVE"]}
    assert [one.kind for one in judgement.timestamps] == kinds[level]
    assert judgement.certificate == hashlib.sha256(hand.certificate).hexdigest() == judgement.path[0]
    assert judgement.revisions == {"B-LT": 2, "B-LTA": 3}.get(level.value, 1)
    stored = judgement.to_stored()
    assert stored["accepted"] is True and stored["trust"] == hand.trust.digest
    # What one step more adds is accepted too: it is only material and document time-stamps.
    if level is Level.B_LTA:
        await hand.archive(made.file)
        assert made.judged().revisions == 4


async def test_a_second_signature_is_judged_by_itself(hand: Hand, tmp_path: Path) -> None:
    first = await _work(hand, tmp_path, Level.B_LTA)
    twice = tmp_path / "twice.pdf"
    prepared = await hand.sign(first.file, twice, Level.B_LTA)
    assert Work(first.file, twice, prepared, hand.trust).judged().field == prepared.field
    # Where the first is judged, the second is more than may follow it.
    assert replace(first, file=twice).refused() == "following"


@pytest.mark.parametrize("field", [None, "Chữ ký"])
async def test_a_mark_that_is_seen(hand: Hand, tmp_path: Path, field: str | None) -> None:
    mark = Mark(
        box=None if field else (72, 72, 272, 172), text="Trần Thị Bình\nChủ tịch", qr="https://x.vn/v/1"
    )
    made = await _work(hand, tmp_path, Level.B_LTA, with_fields(), mark=mark, field=field)
    assert made.judged().revisions == 3


async def test_a_certification_and_an_existing_field(hand: Hand, tmp_path: Path) -> None:
    assert (await _work(hand, tmp_path, certify=2)).judged()
    filled = await _work(hand, tmp_path, Level.B_T, with_fields(), field="Chữ ký")
    assert filled.judged().field == "Chữ ký"
    # Another empty field is not the one that was prepared.
    assert replace(filled, prepared=replace(filled.prepared, field="Khác")).refused() == "changes"


# -- bytes


def _edited(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _flip(data: bytes, at: int) -> bytes:
    return _edited(data, at, bytes([data[at] ^ 1]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_byte_passes(work: Work, place: float, bit: int) -> None:
    """Wherever: the document, the update, the hole."""
    data = work.data
    at = int(place * len(data))
    assert work.refused(_edited(data, at, bytes([data[at] ^ 1 << bit])))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_byte_of_the_update_passes(work: Work, place: float, bit: int) -> None:
    data, begin = work.data, work.prepared.original_size
    at = begin + int(place * (len(data) - begin))
    assert work.refused(_edited(data, at, bytes([data[at] ^ 1 << bit])))


def test_the_document_as_it_came(work: Work) -> None:
    data, size = work.data, work.prepared.original_size
    inside = data.index(b"stream") + 10
    assert work.refused(_flip(data, inside)) == "other-bytes"
    assert work.refused(data[1:]) == "unreadable"
    work.original.write_bytes(data[:size] + b"\n")
    assert work.refused() == "other-bytes"


def test_the_end(work: Work) -> None:
    data = work.data
    for tail in (b"\n", b"% a comment\n", b"\n99 0 obj\n<<>>\nendobj\n", b"PK\3\4"):
        assert work.refused(data + tail) == "unreadable"
    assert work.refused(data[:-1]) == "unreadable"
    assert work.refused(data[: work.prepared.original_size]) == "unreadable"


def test_the_hole(work: Work) -> None:
    data, hole = work.data, work.prepared.hole
    bigger = hole.length - 2
    assert work.refused(_edited(data, hole.offset + 1, b"0" * bigger)) == "cms"
    assert work.refused(_edited(data, hole.offset + 1, b"zz")) in {"unreadable", "not-found"}
    assert work.refused(_edited(data, hole.offset + 1, b" 3")) in {"unreadable", "not-found"}
    elsewhere = replace(hole, offset=hole.offset + 2, length=hole.length - 2)
    assert replace(work, prepared=replace(work.prepared, hole=elsewhere)).refused() == "byte-range"


def test_the_padding(stamped: Work) -> None:
    data, hole = stamped.data, stamped.prepared.hole
    last = hole.offset + hole.length - 2
    assert data[last - 100 : last + 1] == b"0" * 101
    for at in (last, last - 50):
        assert stamped.refused(_edited(data, at, b"1")) == "padding"


def test_the_byte_range(work: Work) -> None:
    data = work.data
    at = data.index(b"/ByteRange [0 ") + len(b"/ByteRange [0 ")
    assert work.refused(_flip(data, at)) == "byte-range"
    number = data[at : data.index(b"]", at)].split()[2]
    last = data.rindex(number, at, data.index(b"]", at))
    assert work.refused(_edited(data, last, str(int(number) - 1).encode())) == "byte-range"


# -- the signature


Answer = Callable[[bytes], bytes]


def _filled(work: Work, der: bytes) -> bytes:
    hole = work.prepared.hole
    return _edited(work.data, hole.offset + 1, der.hex().encode().ljust(2 * hole.room, b"0"))


def _cms(work: Work, hand: Hand, **how: object) -> bytes:
    """Signed anew, with one thing otherwise."""
    certificate, key = how.get("certificate", hand.certificate), how.get("key", hand.key)
    assert isinstance(certificate, bytes) and isinstance(key, rsa.RSAPrivateKey)
    template = cms.template(certificate, how.get("chain", work.prepared.chain), work.prepared.mechanism)
    to_sign = template.to_sign(how.get("digest", work.prepared.document_digest))  # type: ignore[arg-type]
    signature = key.sign(to_sign, padding.PKCS1v15(), SHA256())
    return template.signed_data(to_sign, signature, how.get("timestamp"))  # type: ignore[arg-type]


async def test_the_signature(hand: Hand, work: Work, pki: Pki) -> None:
    assert _filled(work, _cms(work, hand)) == work.data
    other_key = pki.person("khac")
    other = pki.certificate("khac")
    # Without a chain there is room: certificates differ in length by a few bytes.
    strangers = _cms(work, hand, certificate=other, key=other_key, chain=())
    assert work.refused(_filled(work, strangers)) == "cms"
    assert work.refused(_filled(work, _cms(work, hand, key=other_key))) == "signature"
    assert work.refused(_filled(work, _cms(work, hand, digest=bytes(32)))) == "cms"
    assert work.refused(_filled(work, _cms(work, hand, chain=()))) == "cms"
    good = _cms(work, hand)
    assert work.refused(_filled(work, good[:-1] + bytes([good[-1] ^ 1]))) == "signature"
    agreed = replace(work.prepared, document_digest=bytes(32))
    assert replace(work, prepared=agreed).refused() == "digest"


def test_attributes_that_were_added(hand: Hand, stamped: Work) -> None:
    """One more that is signed."""
    work = stamped
    good = work.prepared.to_sign
    time = bytes.fromhex("301c06092a864886f70d010905310f170d3236313132343039333030305a")
    members = good[2:] if good[1] < 0x80 else good[3:]
    to_sign = cms.der(b"\x31", time, members)
    template = cms.template(hand.certificate, work.prepared.chain, work.prepared.mechanism)
    der = template.signed_data(to_sign, hand.key.sign(to_sign, padding.PKCS1v15(), SHA256()))
    assert work.refused(_filled(work, der)) == "cms"


# -- time-stamps


async def test_the_time_stamp(hand: Hand, tmp_path: Path) -> None:
    work = await _work(hand, tmp_path, Level.B_T)
    another = await hand.token(hashlib.sha256(b"another signature").digest())
    assert work.refused(_filled(work, _cms(work, hand, timestamp=another.der))) == "timestamp"
    bare = _cms(work, hand)
    assert work.refused(_filled(work, bare)) == "timestamp"
    assert work.refused(timestamped=False) == "timestamp"
    template = cms.template(hand.certificate, work.prepared.chain, work.prepared.mechanism)
    signature = hand.key.sign(work.prepared.to_sign, padding.PKCS1v15(), SHA256())
    own = (await hand.token(hashlib.sha256(signature).digest())).der
    assert work.judged(_filled(work, template.signed_data(work.prepared.to_sign, signature, own)))
    spoiled = own[:-1] + bytes([own[-1] ^ 1])
    changed = template.signed_data(work.prepared.to_sign, signature, spoiled)
    assert work.refused(_filled(work, changed)) == "timestamp"


async def test_whom_nobody_believes(hand: Hand, tmp_path: Path) -> None:
    other = TrustSnapshot((Anchor(Root.make().der),))
    plain = await _work(hand, tmp_path)
    assert plain.refused(trust=other) == "path"
    assert plain.judged(trust=TrustSnapshot(())).path == ()
    assert plain.refused(at=clock().replace(year=2045)) == "path"
    stamped = await _work(hand, tmp_path, Level.B_T)
    assert stamped.refused(trust=other) == "timestamp"


async def test_an_archive_time_stamp_over_other_bytes(hand: Hand, tmp_path: Path) -> None:
    work = await _work(hand, tmp_path, Level.B_LTA)
    data = work.data
    at = data.rindex(b"/Contents <") + len(b"/Contents <")
    other = (await hand.token(hashlib.sha256(b"other bytes").digest())).der.hex().encode()
    room = data.index(b">", at) - at
    assert work.refused(_edited(data, at, other.ljust(room, b"0"))) == "timestamp"
    # Its own bytes are covered by it.
    store = data.index(b"/DSS")
    assert work.refused(_flip(data, store + 1)) in {"following", "timestamp", "changes", "second-reader"}


# -- what was changed beside the signature


Change = Callable[[Update], None]


def _tampered(hand: Hand, folder: Path, change: Change, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Our own maker's work with one more change in the same update, signed over."""
    original, file = folder / "original.pdf", folder / "signed.pdf"
    original.write_bytes(letter(pages=2))
    whole = Update.to_bytes

    def with_more(update: Update) -> bytes:
        change(update)
        return whole(update)

    with monkeypatch.context() as patched:
        patched.setattr(Update, "to_bytes", with_more)
        prepared = hand.prepare(original, file, Level.B_B)
    pades.complete(prepared, file, signature=hand.key.sign(prepared.to_sign, padding.PKCS1v15(), SHA256()))
    return Work(original, file, prepared, hand.trust)


@pytest.mark.parametrize(
    "change",
    [
        page_content, page_dictionary, new_resources, one_page_more, new_catalog, another_annotation, another_field,
        field_with_an_action, number_from_the_past,
    ],
)  # fmt: skip
def test_a_change_that_no_signature_needs(
    hand: Hand, tmp_path: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _tampered(hand, tmp_path, lambda _: None, monkeypatch).judged()
    assert _tampered(hand, tmp_path, change, monkeypatch).refused() in {"changes", "second-reader"}


@pytest.mark.parametrize(
    "change", [page_content, page_dictionary, new_resources, one_page_more, field_with_an_action]
)
async def test_a_change_that_follows(hand: Hand, tmp_path: Path, change: Change) -> None:
    """The same, behind a sound signature: whatever the file shows then, it is not released."""
    work = await _work(hand, tmp_path)
    opened = open_for_update(work.file)
    update = Update(opened, b"0" * 16)
    if change is field_with_an_action:
        field = opened.pdf.Root.AcroForm.Fields[0]
        put_over(update, field.objgen, field.unparse(resolved=True))
    change(update)
    added = update.to_bytes()
    opened.close()
    assert work.refused(work.data + added) in {"following", "changes"}


def test_a_number_that_was_referred_to(hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document may refer to what is not there; nothing of ours may come to life under such a number."""
    paper = letter()
    with pikepdf.open(BytesIO(paper)) as pdf:
        highest = max(number for number, _ in pdf.get_xref_table())
    original, file = tmp_path / "original.pdf", tmp_path / "signed.pdf"
    original.write_bytes(paper.replace(b"/Contents 4 0 R", b"/Contents %d 0 R" % (highest + 1)))

    def made() -> Work:
        prepared = hand.prepare(original, file, Level.B_B)
        signature = hand.key.sign(prepared.to_sign, padding.PKCS1v15(), SHA256())
        pades.complete(prepared, file, signature=signature)
        return Work(original, file, prepared, hand.trust)

    assert made().judged()
    with monkeypatch.context() as patched:
        patched.setattr(opening, "_referred", lambda *_: set[int]())
        assert made().refused() == "changes"


def test_a_refusal_crosses_a_process() -> None:
    refusal = pickle.loads(pickle.dumps(NotAccepted("digest", "other bytes")))
    assert (refusal.reason, refusal.detail, str(refusal)) == ("digest", "other bytes", "digest: other bytes")
