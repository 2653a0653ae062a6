"""The one table of what can go wrong: nothing is without words, in either language."""

from __future__ import annotations

import ast
from collections import Counter
from enum import StrEnum
from pathlib import Path

import pytest

from catalogue import LANGUAGES, say
from documents.intake import IntakeRefusal
from documents.rooms import Trouble
from documents.sign_document import WorkNotAccepted
from hsm.key import KeyUnavailable, PinRefused, Refusal
from hsm.token_client import EnrolmentRefused
from signing.pades import CannotSign, Unsignable
from storage.database import DatabaseUnavailable, NotDurable
from storage.store import StoreUnavailable
from tests.rooms.web.conftest import Api
from web import refusals
from web.bad_request import BadRequest, Fault
from web.faults import FAULTS
from web.problem import GAP, Found, Saved
from web.problems import INTERNAL, REASONS, TABLE, every_problem, problem_for
from web.troubles import PARTS, TROUBLES, trouble_sentence

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("reasons", "table"),
    [
        (Unsignable, refusals.UNSIGNABLE),
        (IntakeRefusal, refusals.INTAKE),
        (Refusal, refusals.KEY),
        (Fault, {one.value: line for one, line in FAULTS.items()}),
    ],
)
def test_every_reason_has_its_line(reasons: type[StrEnum], table: dict[str, object]) -> None:
    assert set(table) == {one.value for one in reasons}


def test_every_reason_that_no_enumeration_closes_has_its_line() -> None:
    assert EnrolmentRefused.__doc__ is not None
    named = EnrolmentRefused.__doc__.split(":", 1)[1].replace("\n", " ").strip(" .").split(",")
    assert set(refusals.ENROLMENT) == {one.strip() for one in named}
    assert set(refusals.PREVIEW) == {"password", "unreadable", "limit"}
    assert set(refusals.CERTIFICATE) >= {"EXPIRED", "NOT_YET_VALID", "REVOKED", "ON_HOLD", "NO_PATH"}


def test_a_code_means_one_thing() -> None:
    lines = [INTERNAL, *TABLE.values(), *(one for table in REASONS.values() for one in table.values())]
    for code, count in Counter(one.code for one in set(lines)).items():
        assert count == 1, code


def test_every_line_is_said_in_both_languages() -> None:
    for line in every_problem():
        found = Found(line, retry_after=line.retry_after)
        for sentence in (line.title, line.said, line.todo):
            assert say(sentence, "en") != sentence, sentence
        body = found.body("vi", "0")
        assert body["detail"] == body["messages"]["vi"] != body["messages"]["en"]
        assert "%(" not in str(body)
        assert line.status in range(400, 600)
        assert set(GAP.findall(line.said)) == set(GAP.findall(say(line.said, "en")))
        if line.retryable:
            assert line.status in {400, 401, 408, 409, 429, 460, 503}, line.code


def test_what_is_away_for_now_is_told_to_come_again() -> None:
    for fault in (
        StoreUnavailable("x"), DatabaseUnavailable("x"), NotDurable("x"), KeyUnavailable("k", why="queue-full"),
        PinRefused("k", why="pin-refused"),
    ):  # fmt: skip
        found = problem_for(fault)
        assert found is not None and (found.status, found.retryable) == (503, True)
        assert found.retry_after
    assert problem_for(ValueError("x")) is None
    assert problem_for(KeyError("x")) is None


def test_what_came_from_outside_is_shown_without_its_tricks() -> None:
    found = problem_for(CannotSign(Unsignable.SEED_VALUE, "a\r\nb\u202e" + "c" * 1000))
    assert found is not None
    sentence = found.sentence("vi")
    assert "\n" not in sentence and "\u202e" not in sentence and len(sentence) < 500
    assert WorkNotAccepted in TABLE


def test_saved_is_said_for_each_state() -> None:
    for state in Saved:
        assert any(line.saved is state for line in every_problem()), state


def test_every_trouble_has_its_line() -> None:
    """Whatever `check` of a keeper or the watch of the roof names."""
    known = {
        f"key-{one}" for one in ("not-found", "other-key", "extractable", "not-sign-only", "unsupported")
    }
    named = (
        _literals(TOP / "storage", "Problem", 0)
        | _literals(TOP, "Trouble", 1)
        | _literals(TOP, "Check", 1)
        | known
    )
    named |= {
        "token-away",
        "pin-refused",
        "pin-missing",
        "log-unavailable",
        "probe-failed",
        "not-migrated",
        "too-new",
    }
    assert named - set(TROUBLES) == set()
    for code, line in TROUBLES.items():
        for sentence in (line.said, line.todo):
            assert say(sentence, "en") != sentence, code
        for language in LANGUAGES:
            assert "%(" not in trouble_sentence(Trouble("token", code, "chi tiết"), language)
    assert "khong-biet" in trouble_sentence(Trouble("token", "khong-biet", "x"), "vi")
    assert {one for _, one in ((None, part) for part in PARTS)} == set(PARTS)


def _literals(folder: Path, name: str, at: int) -> set[str]:
    """The texts that stand as one argument wherever `name` is called, in modules of the folder itself or below
    (of the top: its own modules alone)."""
    files = folder.glob("*.py") if folder == TOP else folder.rglob("*.py")
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
                continue
            if len(node.args) > at and isinstance(given := node.args[at], ast.Constant):
                found.add(str(given.value))
    return found


async def test_each_type_has_its_page(api: Api) -> None:
    for line in every_problem():
        shown = await api.http.get(f"/problems/{line.code}")
        assert shown.status_code == 200
        assert shown.json()["code"] == line.code
    assert (await api.http.get("/problems/no-such-thing")).json()["code"] == "not-found"
    page = await api.http.get("/problems/not-a-pdf", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")


async def test_the_answer_speaks_the_language_asked_for(api: Api) -> None:
    for asked, language in (
        ("en", "en"),
        ("vi", "vi"),
        ("fr, en;q=0.3", "en"),
        ("", "vi"),
        ("vi;q=0, en", "en"),
    ):
        answer = await api.http.get("/api/v1/nothing", headers={"Accept-Language": asked})
        assert answer.headers["content-language"] == language
        assert answer.json()["detail"] == answer.json()["messages"][language]


async def test_what_nobody_foresaw_is_a_reference_and_nothing_else(api: Api) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("secret of the house")

    api.rooms.documents.list = broken  # type: ignore[method-assign, assignment]
    answer = await api.http.get("/api/v1/documents")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    fault = next(line for line in api.log if '"fault"' in line)
    assert answer.json()["instance"].removeprefix("urn:uuid:") in fault
    assert "secret" not in fault
    assert isinstance(BadRequest(Fault.INVALID), Exception)
