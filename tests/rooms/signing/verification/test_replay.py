"""Facts that were stored are judged again, alike at the same date, and as they must be at another or by another policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from signing.profile import Level
from signing.verification import replay
from signing.verification.replay import NotFacts
from signing.verification.report import Report
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, brief, codes


def unread(report: Report) -> Report:
    """Without what differs by nature: no file was read, and an answer that was fetched is now one named by hand, so that
    nothing needs to be said of an older one that came with the file."""
    signatures = tuple(
        replace(
            signature, findings=tuple(one for one in signature.findings if one.code != "REVOCATION_OLDER")
        )
        for signature in report.signatures
    )
    findings = tuple(one for one in report.findings if one.code != "FROM_FACTS")
    return replace(report, findings=findings, signatures=signatures)


@pytest.mark.parametrize(
    "make",
    [
        lambda world: world.ours(letter(), Level.B_B),
        lambda world: world.ours(letter(pages=2), Level.B_LTA),
        lambda world: world.theirs(letter(), stamped=True, box=(10, 10, 90, 90)),
        lambda world: world.theirs(world.theirs(letter(), field="A"), field="B", lt=True),
        lambda world: world.ours(letter()).replace(b"842", b"841", 1),
        lambda _: letter(),
        lambda _: b"nothing",
    ],
)
def test_the_same_again_without_the_file(world: World, make: Callable[[World], bytes]) -> None:
    first, stored = world.seen(make(world))
    json.loads(stored)
    again = world.again(stored, at=first.validation_time)
    assert "FROM_FACTS" in codes(again)
    assert replace(unread(again), time_source=first.time_source) == unread(first)


def test_at_another_date_and_by_another_policy(world: World) -> None:
    _, stored = world.seen(world.ours(letter(), Level.B_B))
    assert brief(world.again(stored)) == ("VALID", ["B-B"])
    late = datetime(2041, 1, 1, tzinfo=UTC)
    assert brief(world.again(stored, at=late)) == ("INDETERMINATE", ["OUT_OF_BOUNDS_NO_POE"])
    assert brief(world.again(stored, at=late, policy="integrity"))[0] == "INDETERMINATE"
    _, bare = world.seen(world.ours(letter(), Level.B_B), offline=True)
    assert brief(world.again(bare)) == ("INDETERMINATE", ["TRY_LATER"])
    assert brief(world.again(bare, policy="integrity")) == ("VALID", ["B-B"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain | {"version": 2},
        lambda plain: plain | {"facts": []},
        lambda plain: plain | {"facts": {"size": 1}},
        lambda plain: plain | {"crls": ["%%%"]},
        lambda plain: {},
        lambda plain: [],
        lambda plain: None,
    ],
)
def test_what_is_no_facts(world: World, spoil: Callable[[Any], Any]) -> None:
    _, stored = world.seen(letter())
    with pytest.raises(NotFacts):
        replay.read(json.dumps(spoil(json.loads(stored))).encode())
    for content in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(NotFacts):
            replay.read(content)
