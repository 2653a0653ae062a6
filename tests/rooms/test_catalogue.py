"""Every sentence has its English, and nothing is translated that nobody says."""

from __future__ import annotations

from catalogue import N_, say
from scripts import words


def test_each_sentence_has_its_english() -> None:
    assert words.problems() == []


def test_the_catalogue_is_sorted_and_has_no_parts_waiting() -> None:
    assert list(words.PARTS.glob("*.po")) == []
    ids = [str(one.id) for one in words.entries(words.ENGLISH) if one.id]
    assert ids == sorted(ids)


def test_vietnamese_is_the_sentence_itself() -> None:
    assert say(N_("Câu này chỉ có trong kiểm thử"), "vi") == "Câu này chỉ có trong kiểm thử"


def test_gaps_are_filled_in_each_language() -> None:
    for language in ("vi", "en"):
        assert say("%(name)s", language, name="An") == "An"
