"""Who may see all of a result (C2): this file knows it by the document's class, or by what somebody typed from paper.

- What was typed rightly is remembered in the address alone, sealed, for a quarter of an hour.
"""

from __future__ import annotations

import hmac
import unicodedata
from datetime import timedelta

from fastapi import Request

from documents.document import Disclosure
from documents.results import PublicResult
from documents.rooms import Rooms
from signing.verification.report import SignatureKind

SHOWN_FOR = timedelta(minutes=15)


def may_see(request: Request, rooms: Rooms, result: PublicResult) -> bool:
    if result.disclosure is Disclosure.PUBLIC:
        return True
    until, _, _ = (given := request.query_params.get("xem", "")).partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 12):
        return False
    return int(until) > rooms.clock().timestamp() and hmac.compare_digest(
        given.encode(), _token(rooms, result, int(until)).encode()
    )


def reveal_token(rooms: Rooms, result: PublicResult) -> str:
    return _token(rooms, result, int((rooms.clock() + SHOWN_FOR).timestamp()))


def printed_matches(result: PublicResult, typed: str) -> bool:
    """The name of one who signed, as it stands in the certificate and on the paper; spaces and case apart."""
    names = {
        _folded(one.chain[0].common_name).removesuffix(
            " (demo)"
        )  # on paper a demonstration's signer has no such word
        for one in result.report.signatures
        if one.kind is SignatureKind.SIGNATURE and one.chain
    }
    wanted = _folded(typed).removesuffix(" (demo)")
    return len(wanted) >= 4 and wanted in names


def _token(rooms: Rooms, result: PublicResult, until: int) -> str:
    proof = rooms.seal.keyed_hash(b"seen " + result.document.id.bytes + str(until).encode())
    return f"{until}.{proof[:20].hex()}"


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
