"""Policies are read strictly, and everything that can be said has its words (V10)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import signing.verification
from signing.verification import wording
from signing.verification.advice import ADVICE, told
from signing.verification.policy import BadPolicy, Effect, Policy, Rule, load_policy, read_policy
from signing.verification.report import Change, Finding, Severity, SubIndication
from web.pages import reasons

ROOM = Path(signing.verification.__path__[0])
SHIPPED = (ROOM / "policies" / "vn-official.toml").read_text(encoding="utf-8")


def plain(sentence: str, **data: object) -> str:
    return sentence % data if data else sentence


# -- policies


def test_the_shipped_policies() -> None:
    official, integrity = load_policy("vn-official"), load_policy("integrity")
    assert official.effect(Rule.REVOCATION) is official.effect(Rule.PURPOSE) is Effect.FAIL
    assert integrity.effect(Rule.REVOCATION) is integrity.effect(Rule.PURPOSE) is Effect.IGNORE
    assert official.digest != integrity.digest


def test_comments_and_order_are_not_in_the_digest() -> None:
    assert read_policy(re.sub(r"#.*", "", SHIPPED).encode()).digest == load_policy("vn-official").digest
    stricter = SHIPPED.replace('padding = "WARN"', 'padding = "FAIL"')
    assert read_policy(stricter.encode()).digest != load_policy("vn-official").digest


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        SHIPPED.replace('"vn-official"', '"ours"').replace('padding = "WARN"', 'padding = "FAIL"')
    )
    assert load_policy(str(file)).effect(Rule.PADDING) is Effect.FAIL
    assert isinstance(load_policy(str(file)), Policy)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"a = [", b"name = 'x'", SHIPPED.replace("schema = 1", "schema = 2").encode(),
        SHIPPED.replace('"FAIL"', '"MAYBE"').encode(), SHIPPED.replace("168", "'a'").encode(),
        SHIPPED.replace("168", "true").encode(), SHIPPED.replace("168", "0").encode(),
        SHIPPED.replace('name = "vn-official"', 'name = "../x"').encode(), (SHIPPED + "more = 1\n").encode(),
        SHIPPED.replace('encoding = "INFORM"', "").encode(), SHIPPED.replace("1.2.840", "1..2").encode(),
        b"a = " + b"[" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_policy(content: bytes) -> None:
    with pytest.raises(BadPolicy):
        read_policy(content)


@pytest.mark.parametrize("name", ["", "nobody-knows", "/", "a\0b", "../policies", "/dev/zero"])
def test_a_name_of_no_policy(name: str) -> None:
    with pytest.raises(BadPolicy):
        load_policy(name)


# -- words


def said_in_the_room() -> set[str]:
    """Every word in capitals that stands in the room's code as a string."""
    words: set[str] = set()
    for file in [*ROOM.glob("*.py"), ROOM.parent.parent / "commands/verify.py"]:
        if file.name in {"wording.py", "advice.py"}:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return words


def test_every_code_is_said_and_every_sentence_is_for_a_code() -> None:
    """A code without a sentence raises where it is said: the other tests judge every kind of file. Here the reverse."""
    said = said_in_the_room()
    assert set(wording.FINDINGS) <= said
    assert set(wording.CHANGES) <= said
    assert set(wording.FINDINGS) == set(ADVICE)


def test_codes_kinds_and_levels_make_sentences() -> None:
    data = {"count": "1", "revision": "2", "limit": "3", "why": "x", "format": "f", "what": "w", "when": "t",
            "subject": "s", "page": "4", "present": "B-T", "reached": "B-B"}  # fmt: skip
    for code in wording.FINDINGS:
        three = told(Finding(code, Severity.INFO, data), plain)
        assert all(three)
        assert "%(" not in "".join(three)
    for kind in wording.CHANGES:
        assert "(trang 3)" in wording.change(Change(2, kind, allowed=True, page=3), plain)
    assert all(wording.level(name, plain) for name in wording.LEVELS)


def test_the_page_has_a_reason_for_what_fails() -> None:
    assert {SubIndication.HASH_FAILURE, SubIndication.FORMAT_FAILURE, SubIndication.REVOKED} <= set(
        reasons.FAILED
    )
