"""Pages as pictures: bounded in size and time, remembered, and a file that cannot be drawn says why."""

from __future__ import annotations

import ctypes
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from documents.preview import PreviewUnavailable
from tests.papers import letter
from tests.rooms.documents.desk import Desk


def paper(draw: bytes = b"", *, box: tuple[float, ...] = (0, 0, 595, 842), user: str | None = None) -> bytes:
    out = BytesIO()
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        page.MediaBox = pikepdf.Array(list(box))
        page.Contents = pdf.make_stream(draw)
        if user is None:
            pdf.save(out)
        else:
            pdf.save(out, encryption=pikepdf.Encryption(owner="o", user=user))
    return out.getvalue()


def opened(picture: bytes) -> Image.Image:
    assert picture.startswith(b"\x89PNG")
    return Image.open(BytesIO(picture))


async def why(desk: Desk, content: bytes, page: int = 1) -> str:
    file = desk.folder / "x.pdf"
    file.write_bytes(content)
    with pytest.raises(PreviewUnavailable) as failed:
        await desk.previews.render(file, page, width=800)
    return failed.value.why


async def test_a_page_is_drawn_once(desk: Desk) -> None:
    made = await desk.receive(letter(pages=2))
    first = await desk.previews.page(desk.caller, made, 2, width=700)
    assert abs(opened(first).width - 800) <= 1
    before = len(desk.left_behind())
    assert await desk.previews.page(desk.caller, made, 2, width=800) == first
    assert len(desk.left_behind()) == before
    assert opened(await desk.previews.page(desk.caller, made, 1, width=10_000)).width in {1200, 1201}


@pytest.mark.parametrize(
    "box", [(0, 0, 10, 100_000), (0, 0, 100_000, 10), (0, 0, 14_400, 14_400), (-500, -500, 95, 342)]
)
async def test_pages_of_odd_sizes_stay_small(desk: Desk, box: tuple[float, ...]) -> None:
    file = desk.folder / "x.pdf"
    file.write_bytes(paper(box=box))
    try:
        picture = opened(await desk.previews.render(file, 1, width=1200))
    except PreviewUnavailable:
        return
    assert picture.width * picture.height <= 6_100_000
    assert max(picture.size) <= 4001


async def test_what_cannot_be_drawn(desk: Desk) -> None:
    assert await why(desk, paper(user="u")) == "password"
    assert await why(desk, b"%PDF-1.7 rubbish") == "unreadable"
    assert await why(desk, letter(), page=2) == "unreadable"
    assert await why(desk, letter(), page=0) == "unreadable"


async def test_a_page_that_never_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("documents.preview.SECONDS", 0.3)
    shapes = b"".join(b"0 0 m %d 800 l 500 %d l b*\n" % (n % 590, n % 840) for n in range(400_000))
    assert await why(desk, paper(shapes)) == "limit"
    await desk.previews.render(_written(desk.folder), 1, width=240)


def crashes(*_: object) -> bytes:
    return ctypes.string_at(0)


async def test_a_renderer_that_crashes_takes_nothing_along(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file that crashes PDFium is known to us; this stands for the one that will be."""
    with monkeypatch.context() as patched:
        patched.setattr("documents.preview.render_page", crashes)
        assert await why(desk, letter()) == "limit"
    await desk.previews.render(_written(desk.folder), 1, width=240)


async def test_a_page_beyond_our_limits_is_left_alone_for_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one bad page, asked for again and again, keeps the children busy that others sign by."""
    made = await desk.receive(letter())
    monkeypatch.setattr("documents.preview.SECONDS", 0.0)
    for _ in range(2):
        with pytest.raises(PreviewUnavailable):
            await desk.previews.page(desk.caller, made, 1)
        monkeypatch.undo()
    desk.clock.move(timedelta(minutes=11))
    assert opened(await desk.previews.page(desk.caller, made, 1))


def _written(folder: Path) -> Path:
    (folder / "y.pdf").write_bytes(letter())
    return folder / "y.pdf"
