"""Two sign one document at the same moment: one after the other, and neither signature is lost."""

from __future__ import annotations

import asyncio

from documents.document import RequestState, SigningRequest
from documents.requests import DocumentBusy
from signing.profile import Level
from tests import strangers
from tests.rooms.documents.desk import Desk

KEYS = ("chu-tich", "con-dau")


async def test_two_signers_at_once_are_one_after_the_other(desk: Desk) -> None:
    """Whoever finds the document busy is told so, and asks again."""
    busy = 0
    await desk.make_key("chu-tich")
    for _ in range(50):
        document = (await desk.receive()).id
        requests = {key: desk.id() for key in KEYS}
        ends = await asyncio.gather(
            *(desk.ask(document, key, level=Level.B_B, request=requests[key]) for key in KEYS),
            return_exceptions=True,
        )
        assert all(isinstance(one, SigningRequest | DocumentBusy) for one in ends), ends
        busy += sum(isinstance(one, DocumentBusy) for one in ends)
        for key in KEYS:
            again = await desk.ask(document, key, level=Level.B_B, request=requests[key])
            assert again.state is RequestState.DONE
        found = await desk.documents.get(desk.caller, document)
        assert [one.ordinal for one in found.renditions] == [1, 2, 3]
        async with desk.documents.open(desk.caller, found) as path:
            said = strangers.pdfsig(path)
        assert [one.validation for one in said] == ["Signature is Valid."] * 2 and said[-1].whole
    assert busy
