"""Sound signatures of every level, by our own maker and by a stranger's, are VALID and nothing less."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pyhanko.sign.fields import SigSeedSubFilter

from signing.profile import Level
from signing.verification.report import Coverage, SignatureKind
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, brief, codes, kinds


@pytest.mark.parametrize("level", list(Level))
def test_our_own_signature_of_every_level(world: World, level: Level) -> None:
    report = world.judge(world.ours(letter(pages=2), level))
    stamps = ["TIMESTAMP"] if level is Level.B_LTA else []
    assert brief(report) == ("VALID", [level.value, *stamps])
    signature = report.signatures[0]
    assert signature.level_present == level.value
    assert report.whole_document is (level is not Level.B_LT)
    proven = signature.timestamps[0].time if level >= Level.B_T else report.validation_time
    assert signature.best_signature_time == proven
    if level is Level.B_LT:
        assert kinds(report) == [("SECURITY_STORE", True)]
        assert signature.coverage is Coverage.REVISION
    if level is Level.B_LTA:
        assert kinds(report) == [("SECURITY_STORE", True), ("DOCUMENT_TIMESTAMP", True)]
        assert [one.type for one in signature.timestamps] == ["SIGNATURE", "ARCHIVE"]
        assert report.signatures[1].kind is SignatureKind.DOCUMENT_TIMESTAMP


@pytest.mark.parametrize(
    ("how", "level"),
    [({}, "B-B"), ({"stamped": True}, "B-T"), ({"lt": True}, "B-LT"), ({"lta": True}, "B-LTA")],
)
def test_a_strangers_signature_of_every_level(world: World, how: dict[str, Any], level: str) -> None:
    report = world.judge(world.theirs(letter(), **how))
    assert brief(report)[0] == "VALID"
    assert brief(report)[1][0] == level


def test_what_holds_its_own_material_needs_no_network(world: World) -> None:
    signed = world.ours(letter(), Level.B_LT)
    assert brief(world.judge(signed, offline=True)) == ("VALID", ["B-LT"])
    bare = world.ours(letter(), Level.B_T)
    assert brief(world.judge(bare, offline=True)) == ("INDETERMINATE", ["TRY_LATER"])
    assert brief(world.judge(bare, offline=True, policy="integrity")) == ("VALID", ["B-T"])


def test_the_form_before_pades(world: World) -> None:
    signed = world.theirs(letter(), subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED, stamped=True)
    report = world.judge(signed)
    assert brief(report) == ("VALID", ["PKCS7-T"])


def test_several_signatures(world: World) -> None:
    paper = letter(pages=3)
    for number in range(3):
        paper = world.ours(paper, Level.B_T) if number % 2 else world.theirs(paper, field=f"S{number}")
    report = world.judge(paper)
    assert brief(report) == ("VALID", ["B-B", "B-T", "B-B"])
    assert kinds(report) == [("SIGNATURE", True), ("SIGNATURE", True)]
    assert report.whole_document


def test_who_signed_can_be_shown(world: World) -> None:
    report = world.judge(world.ours(letter()))
    signature = report.signatures[0]
    assert signature.signer == "CN=official"
    assert [one.common_name for one in signature.chain] == ["official", "World Issuing CA", "World Root CA"]
    assert signature.signed_objects[0]["digest"].startswith("sha256:")
    assert signature.signed_revision is not None
    assert "NO_TIMESTAMP" in codes(report, 0)


def test_a_typical_file_is_judged_at_once(world: World) -> None:
    signed = world.ours(letter(weight=80_000), Level.B_T)
    world.judge(signed, policy="integrity")
    begun = time.process_time()
    for _ in range(5):
        world.judge(signed, policy="integrity")
    assert (time.process_time() - begun) / 5 < 0.2  # a tenth of it on a quiet machine
