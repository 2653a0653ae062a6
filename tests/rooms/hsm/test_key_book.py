"""The book of keys."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm import key_book
from hsm.key_book import BookDamaged


def test_it_is_read_as_it_was_written(token: Path) -> None:
    book = key_book.load(token)
    assert [one.name for one in book.keys] == [
        "audit",
        "chairman",
        "probe",
        "seal",
        "seal-p384",
        "seal-rsa",
        "stamp",
    ]
    key_book.save(token, replace(book, uids=frozenset({1, 2}), persons=False))
    assert key_book.load(token) == replace(book, uids=frozenset({1, 2}), persons=False)


def test_it_is_for_its_owner_alone(token: Path) -> None:
    key_book.save(token, key_book.load(token))
    assert (token / key_book.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"version": 2}', b"{" * 100_000])
def test_a_damaged_book_is_an_error_and_no_empty_book(token: Path, content: bytes) -> None:
    (token / key_book.FILE).write_bytes(content)
    with pytest.raises(BookDamaged):
        key_book.load(token)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_book_with_any_field_changed_is_read_or_refused(token: Path, data: st.DataObject) -> None:
    plain = json.loads((token / key_book.FILE).read_bytes())
    part = data.draw(st.sampled_from([plain, plain["keys"][0]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
    )
    changed = token / "changed"
    changed.mkdir(exist_ok=True)
    (changed / key_book.FILE).write_text(json.dumps(plain))
    with contextlib.suppress(BookDamaged):
        key_book.load(changed)
