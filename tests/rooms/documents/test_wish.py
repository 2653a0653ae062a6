"""A wish in its stored form shows nothing of what its mark says, and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from documents.wish import SignWish, wish_from_stored, wish_to_stored
from signing.pades import Mark
from storage.sealed import Sealer

URL = "https://kyso.vn/v/0123-4567-89AB-CDEF-0123"
MARK = Mark(box=(1, 2, 3, 4), text="Mã: 0123-4567-89AB-CDEF-0123", image=b"png", qr=URL)


@pytest.mark.parametrize("mark", [None, Mark(), MARK])
def test_what_the_mark_says_is_sealed(tmp_path: Path, mark: Mark | None) -> None:
    sealer, wish = Sealer(tmp_path / "seal.key"), SignWish(key="con-dau", mark=mark, password="mật khẩu")
    stored = wish_to_stored(wish, lambda content: sealer.seal(content, b"x"))
    text = json.dumps(stored, ensure_ascii=False)
    assert "0123-4567" not in text and "mật khẩu" not in text
    back = wish_from_stored(
        json.loads(text), password="mật khẩu", unseal=lambda sealed: sealer.open(sealed, b"x")
    )
    assert back == wish


def test_a_wish_of_the_first_release_is_read() -> None:
    stored = wish_to_stored(SignWish(mark=MARK), bytes)
    del stored["mark_says"]
    stored["mark"] = MARK.to_stored()
    assert wish_from_stored(stored, password=None, unseal=bytes).mark == MARK
