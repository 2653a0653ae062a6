"""Whether files with JavaScript or with other files inside are signed is the service's setting, from the environment to
the signed file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest

from documents.document import RequestState
from signing.pades import CannotSign, Unsignable
from tests.house import CHAIRMAN_KEY, World, open_world_house
from tests.papers import letter


def with_javascript(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")


def with_a_file(pdf: pikepdf.Pdf) -> None:
    pdf.attachments["phu-luc.txt"] = pikepdf.AttachedFileSpec(pdf, b"phu luc", filename="phu-luc.txt")


JAVASCRIPT = ("ANTIN_ALLOW_JAVASCRIPT", with_javascript, Unsignable.JAVASCRIPT)
FILES = ("ANTIN_ALLOW_EMBEDDED_FILES", with_a_file, Unsignable.EMBEDDED_FILES)


@pytest.mark.parametrize(
    ("kind", "chosen", "signed"),
    [(JAVASCRIPT, None, False), (JAVASCRIPT, "true", True), (FILES, None, True), (FILES, "false", False)],
)
async def test_what_may_be_signed(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch,
    kind: tuple[str, Callable[[pikepdf.Pdf], None], Unsignable], chosen: str | None, signed: bool,
) -> None:  # fmt: skip
    setting, add, reason = kind
    if chosen is not None:
        monkeypatch.setenv(setting, chosen)
    with pikepdf.open(io.BytesIO(letter())) as pdf, io.BytesIO() as out:
        add(pdf)
        pdf.save(out)
        content = out.getvalue()
    async with open_world_house(world, home) as house:
        caller, request = world.chairman.caller, house.id()
        document = (await house.upload(caller, content)).id
        if signed:
            done = await house.sign(caller, document, CHAIRMAN_KEY, request=request)
            assert done.state is RequestState.DONE
        else:
            with pytest.raises(CannotSign) as refused:
                await house.sign(caller, document, CHAIRMAN_KEY, request=request)
            assert refused.value.reason is reason
            ended = await house.rooms.documents.request(caller, request)
            assert (ended.state, (ended.problem or {})["reason"]) == (RequestState.REFUSED, reason.value)
        await house.check()
