"""All of NIST's path validation tests, by the engine: each certificate with all authorities and all lists in one heap."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from signing.trust.anchors import Anchor, TrustSnapshot
from signing.trust.crl import Crl, NotACrl
from signing.trust.path_verdict import PathQuestion, judge_path
from tests.rooms.signing.trust import pkits

AT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def lists() -> list[Crl]:
    found = []
    for der in pkits.lists():
        try:
            found.append(Crl(der))
        except NotACrl:
            continue  # one, of 4.4.4: its signature is no signature
    assert len(found) == len(pkits.lists()) - 1
    return found


@pytest.fixture(scope="module")
def trust() -> TrustSnapshot:
    return TrustSnapshot((Anchor(pkits.ANCHOR.read_bytes()),))


def test_no_part_is_missing() -> None:
    parts = [one.name.split()[0] for one in pkits.tests()]
    assert len(set(parts)) == len(parts) == 249  # 247, and 4.10.13 in three parts
    sections = {tuple(map(int, part.split(".")[1:3])) for part in parts}
    most = (6, 8, 11, 21, 8, 17, 5, 20, 8, 14, 11, 10, 38, 35, 10, 2)
    assert sections == {(number, one) for number, last in enumerate(most, 1) for one in range(1, last + 1)}


@pytest.mark.parametrize("one", pkits.tests(), ids=lambda one: one.name)
def test_pkits(one: pkits.Test, lists: list[Crl], trust: TrustSnapshot) -> None:
    question = PathQuestion(
        pkits.certificate(one.certificate), pkits.authorities(), trust, lists, AT, AT, one.inputs
    )
    verdict = judge_path(question)
    assert verdict.valid is one.valid, (verdict.reason, verdict.subject, verdict.detail)
    if one.policies is not None:
        assert frozenset(verdict.policies) == one.policies


def test_old_dsa_is_told() -> None:
    trust = TrustSnapshot((Anchor(pkits.ANCHOR.read_bytes()),))
    der = pkits.certificate("ValidDSAParameterInheritanceTest5EE")
    verdict = judge_path(PathQuestion(der, pkits.authorities(), trust, None, AT, AT))
    assert verdict.valid
    assert [one.what for one in verdict.weak] == ["DSA", "DSA", "DSA-1024"]
