"""What a run must not leave behind: this file notes the secrets that were used, and finds them in whatever form."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

import httpx

from documents.codes import Codes


@dataclass
class Known:
    """Every secret that the run used, by what it is."""

    secrets: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)  # where a secret-like thing is the address itself
    seen_urls: list[str] = field(default_factory=list)

    def note(self, what: str, value: str) -> str:
        assert len(value) >= 8, what
        self.secrets[f"{what} {len(self.secrets)}"] = value
        return value

    def note_code(self, code: str) -> str:
        read = Codes.read(code)
        assert read is not None
        self.addresses[f"code {len(self.addresses)}"] = Codes.spaced(read)
        self.addresses[f"code {len(self.addresses)}"] = read
        return code

    def hear(self, answer: httpx.Response) -> None:
        """The addresses that an answer leads to, and the one that was asked."""
        self.seen_urls += [str(answer.url), answer.headers.get("location", "")]
        if answer.headers.get("content-type", "").startswith("text/html"):
            answer.read()
            self.seen_urls += re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
        for name, value in answer.cookies.items():
            if value not in self.secrets.values():
                self.note(f"cookie {name}", value)

    def everywhere(self) -> dict[str, str]:
        return self.secrets | self.addresses


def forms(secret: str) -> set[bytes]:
    """As it is, percent-encoded, as JSON escapes it, in base64 (wherever it begins), in hexadecimal, in UTF-16."""
    plain = secret.encode()
    found = {
        one.encode()
        for one in (quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
    }
    found |= {plain, plain.hex().encode(), plain.hex().upper().encode(), secret.encode("utf-16-le")}
    for before in range(3):
        # Only what is the secret's alone: the characters at the seams hold bits of its neighbours.
        whole = base64.b64encode(bytes(before) + plain).rstrip(b"=")
        inner = whole[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def found_in(place: str, content: bytes, sought: dict[str, str]) -> list[str]:
    return [
        f"{what} in {place}: …{content[max(0, at - 60) : at + 20]!r}…"
        for what, secret in sought.items()
        for form in forms(secret)
        if (at := content.find(form)) >= 0
    ]
