"""What offices come for while everything fails around them: this file has them sign at every level, in one call and in two, by
uploads in parts and over a slow line, verify, and ask by code; and has strangers try what they must not.

- Each of them asks until it has its answer, as `tests/callers.py` does. What it has is held against what it may expect; what
  is otherwise stands in `Story.strange`.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from signing.profile import Level
from tests.callers import Crowd, Story, Way, by_seal, sign_with_seal
from tests.papers import letter, locked

SCOPES = ("documents:write", "documents:read", "sign:con-dau", "sign:certificate", "verify")
LEVELS = [one.value for one in Level]
TUS = {"Tus-Resumable": "1.0.0"}
REFUSED = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422})
JUNK: tuple[bytes, ...] = (
    b"", b"%PDF-", b"%PDF-1.7\n%%EOF", b"<html>", b"%PDF-1.7\n" + b"[" * 100_000, b"\x00" * 70_000,
    b"%PDF-1.7\n1 0 obj<</Length 99999999999>>stream\n\nendstream endobj\ntrailer<</Root 1 0 R/Prev 0>>\nstartxref\n9\n%%EOF",
)  # fmt: skip


@dataclass(frozen=True)
class Holder:
    """Somebody with a key of his own."""

    key: rsa.RSAPrivateKey
    certificate: bytes
    chain: tuple[bytes, ...]


@dataclass
class Offices:
    """Who comes, and what they had."""

    holder: Holder
    had: Counter[str] = field(default_factory=Counter)

    @property
    def ways(self) -> list[Way]:
        return [
            self.at_a_level, self.at_a_level, self.at_a_level, self.in_two_calls, self.in_parts, self.hostile, self.strangers
        ]  # fmt: skip

    async def at_a_level(self, crowd: Crowd, story: Story) -> None:
        level = crowd.chance.choice(LEVELS)
        await by_seal(crowd, story, level)
        self.had[f"signed {level}"] += 1
        await self._after(crowd, story)

    async def in_two_calls(self, crowd: Crowd, story: Story) -> None:
        story.patient = True  # what is prepared waits an hour for its signature
        await crowd.upload(story)
        wish = {
            "mode": "prepare", "certificate": _base64(self.holder.certificate), "level": crowd.chance.choice(LEVELS),
            "chain": [_base64(one) for one in self.holder.chain], "mechanism": "rsa-pkcs1-sha256",
        }  # fmt: skip
        path = f"/api/v1/documents/{story.document}/signatures"
        prepared = (await crowd.ask(story, path, story.keys[2], json=wish)).json()
        signature = self.holder.key.sign(base64.b64decode(prepared["to_sign"]), padding.PKCS1v15(), SHA256())
        story.signing = (
            f"/api/v1/signatures/{prepared['id']}/completion", {"signature": _base64(signature)},
        )  # fmt: skip
        await crowd.signed(story)
        self.had["signed in two calls"] += 1
        await self._after(crowd, story)

    async def in_parts(self, crowd: Crowd, story: Story) -> None:
        story.patient = True  # an upload that is left lies there for a day
        story.paper = letter(weight=150_000)
        begin = TUS | {"Upload-Length": str(len(story.paper))}
        begun = await crowd.ask(story, "/api/v1/uploads", story.keys[2], headers=begin)
        address = begun.headers["location"]
        while True:
            looked = await crowd.ask(story, address, method="HEAD", headers=TUS)
            if (at := int(looked.headers["upload-offset"])) == len(story.paper):
                break
            part = story.paper[at : at + crowd.chance.randrange(1, 90_000)]
            headers = TUS | {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
            # 409: an answer was lost, and the bytes are there
            await crowd.ask(story, address, method="PATCH", content=part, headers=headers, also={409})
        made = (await crowd.ask(story, f"{address}/document", story.keys[0])).json()
        story.document = made["id"]
        sign_with_seal(story, "B-T")
        await crowd.signed(story)
        self.had["signed after an upload in parts"] += 1
        await self._after(crowd, story)

    async def hostile(self, crowd: Crowd, story: Story) -> None:
        """Files that nobody can sign: refused, and no more than that."""
        story.paper = crowd.chance.choice(
            [*JUNK, locked(), os.urandom(3000), letter()[: crowd.chance.randrange(20, 700)]]
        )
        headers = {"Content-Type": "application/pdf"}
        path = "/api/v1/documents?name=a.pdf"
        said = await crowd.ask(story, path, story.keys[0], content=story.paper, headers=headers, also=REFUSED)
        if said.is_success:
            address = f"/api/v1/documents/{said.json()['id']}/signatures"
            wish = {"mode": "sign", "key": "con-dau", "level": "B-B"}
            said = await crowd.ask(story, address, story.keys[1], json=wish, also=REFUSED)
        if not said.is_success:
            self.had["hostile files refused"] += 1
        judged = await crowd.ask(
            story, "/api/v1/verifications", story.keys[2], content=story.paper, headers=headers, also=REFUSED
        )
        if judged.is_success and judged.json()["verdict"] == "VALID":
            story.strange.append("junk is called VALID")

    async def strangers(self, crowd: Crowd, story: Story) -> None:
        """Others' documents and keys that are none."""
        nobodys = f"/api/v1/documents/{uuid.uuid4()}"
        story.signing = (f"{nobodys}/signatures", {"mode": "sign", "key": "con-dau", "level": "B-B"})
        without = {"Authorization": f"Bearer {uuid.uuid4().hex}"}
        for path, key, more, wanted in (
            (nobodys, "", {}, {404}), (f"{nobodys}/content", "", {}, {404}),
            (story.signing[0], story.keys[1], {"json": story.signing[1]}, {404}),
            (nobodys, "", {"headers": without}, {401}),
        ):  # fmt: skip
            options: dict[str, Any] = more
            said = await crowd.ask(story, path, key, also=wanted, **options)
            if said.status_code not in wanted:
                story.strange.append(f"a stranger had {said.status_code} of {path}")
        self.had["strangers refused"] += 1

    async def _after(self, crowd: Crowd, story: Story) -> None:
        """The same answer for the same call, a verdict, and what the code says."""
        again = await crowd.sign(story)
        if again.content != story.answer:
            story.strange.append(f"another answer: {story.answer!r}, then {again.content!r}")
        body = json.dumps({"document": story.document}).encode()
        headers = {"Content-Type": "application/json"}
        report = await crowd.ask(
            story, "/api/v1/verifications", str(uuid.uuid4()), content=body, headers=headers
        )
        if (verdict := report.json()["verdict"]) != "VALID":
            story.strange.append(f"{verdict}: {report.text}")
        self.had["verified VALID"] += 1
        shown = (await crowd.ask(story, f"/api/v1/documents/{story.document}")).json()
        if shown.get("code"):
            page = await crowd.ask(story, f"/v/{shown['code']}", headers={"Authorization": ""})
            self.had["asked by code"] += page.is_success


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
