"""What makes a signature last (ETSI EN 319 142-1 5.4, 5.5): this file adds validation material and archive time-stamps.

- Incremental updates only, in place: what stood in the file is a prefix of what comes out.
- What follows a signature is a security store or a document time-stamp and nothing else (V1).
- Files of any size: of the file itself only what is asked for is read, and pieces for the digest.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from signing import appearance, cms, security_store
from signing.pdf import fields, holes, obstacles, pages
from signing.pdf.form import Field
from signing.pdf.form import fields as all_fields
from signing.pdf.opening import NotOpened, Opened, open_for_update
from signing.pdf.pages import is_array
from signing.pdf.update import Update
from signing.pdf.values import dictionary, reference
from signing.prepared import Hole
from signing.timestamping.token import NotAToken, read_token

HASH_NAME = "sha256"
ROOM_MARGIN = 256  # bytes beside the largest time-stamp that was seen
LARGEST_CONTENTS = 16 << 20  # characters of a signature's /Contents
NO_PLACE = (0.0, 0.0, 0.0, 0.0)


class TokenDoesNotFit(Exception):
    """The token is over other bytes than those that were prepared, or larger than its room."""


@dataclass(frozen=True)
class Material:
    """DER: certificates, CRLs and OCSP responses that a judge will need."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class PreparedTimestamp:
    """A document time-stamp's hole, and the digest over all the rest of the file."""

    hole: Hole
    digest: bytes
    hash_name: str


def add_material(file: Path, material: Material, *, password: str | None = None) -> None:
    """Into the file's security store, with an entry for its newest signature. A file that has it all already stays as
    it is. Raises NotOpened; the file is unchanged then."""
    with closing(_opened(file, password)) as opened:
        update = Update(opened, secrets.token_bytes(16))
        wanted = {
            security_store.CERTIFICATES: material.certificates,
            security_store.CRLS: material.crls,
            security_store.OCSPS: material.ocsps,
        }
        if not security_store.extend(update, wanted, _newest_signature(opened)):
            return
        added = update.to_bytes()
    with file.open("ab") as end:
        end.write(added)


def prepare_archive_timestamp(file: Path, room: int, *, password: str | None = None) -> PreparedTimestamp:
    """A document time-stamp's field and hole behind everything that stands there; `room`: bytes of the largest token
    that may come. Raises NotOpened; the file is unchanged then."""
    room += ROOM_MARGIN
    with closing(_opened(file, password)) as opened:
        update = Update(opened, secrets.token_bytes(16))
        number = update.reserve()
        # The first object of the update, where the hole is looked for.
        update.put(number, dictionary(_TIMESTAMP | holes.entries(room)))
        page = pages.page(opened.pdf, 1)
        # Only PDF/A-1 asks for the appearance of what has no place (ISO 19005-1 6.9, 19005-2 6.3.3); without one, readers
        # see at once that nothing was filled in.
        shown = appearance.empty(update) if obstacles.pdfa_part(opened) == 1 else None
        place = fields.Place(page.node, NO_PLACE, shown)
        field = fields.add(update, _free_name(opened), reference(number), place)
        fields.register(update, field, {})
        added = update.to_bytes()
    written = holes.write(file, file, added, room=room, hash_name=HASH_NAME)
    return PreparedTimestamp(written.hole, written.covered, HASH_NAME)


def undated(file: Path, *, password: str | None = None) -> tuple[bytes, ...]:
    """DER of the time-stamps that no document time-stamp covers: those whose authorities' validation data `renew`
    wants. What cannot be read is left out. Raises NotOpened."""
    with closing(_opened(file, password)) as opened:
        known = [(field, hole) for field in all_fields(opened.pdf) if (hole := _hole(field)) is not None]
        last = max((covered for field, (*_, covered) in known if _is_timestamp(field)), default=0)
        found = [
            _token(contents, alone=_is_timestamp(field))
            for field, (begin, end, covered) in known
            if covered >= last and (contents := _contents(opened, begin, end)) is not None
        ]
    return tuple(one for one in found if one is not None)


def renew(file: Path, material: Material, room: int, *, password: str | None = None) -> PreparedTimestamp:
    """A further document time-stamp, to be completed while the authorities of the `undated` ones are still good, and
    before it their validation data (EN 319 142-1 5.4.3): so the next authority vouches for both. Raises NotOpened; of
    the two at most the material stands in the file then."""
    add_material(file, material, password=password)
    return prepare_archive_timestamp(file, room, password=password)


# ISO 32000-2 12.8.5; EN 319 142-1 5.4.3.
_TIMESTAMP = {"/Type": b"/DocTimeStamp", "/Filter": b"/Adobe.PPKLite", "/SubFilter": b"/ETSI.RFC3161"}


def complete_archive_timestamp(file: Path, prepared: PreparedTimestamp, token: bytes) -> None:
    """Fills the hole with a verified DER token. Raises TokenDoesNotFit; the file is unchanged then."""
    try:
        read = read_token(token)
    except NotAToken as wrong:
        raise TokenDoesNotFit(str(wrong)) from wrong
    if read.hash_name != prepared.hash_name or not hmac.compare_digest(read.imprint, prepared.digest):
        raise TokenDoesNotFit("over other bytes than those that were prepared")
    if len(read.der) > prepared.hole.room:
        raise TokenDoesNotFit(f"{len(read.der)} bytes do not fit into {prepared.hole.room}")
    with file.open("r+b") as opened:
        opened.seek(prepared.hole.offset)
        if opened.read(prepared.hole.length) != b"<" + b"00" * prepared.hole.room + b">":
            raise TokenDoesNotFit("there is no empty hole in the file")
        holes.fill(opened, prepared.hole, read.der)


def _opened(file: Path, password: str | None) -> Opened:
    opened = open_for_update(file, password)
    try:
        if opened.previous is None and any(one.signature is not None for one in all_fields(opened.pdf)):
            # A whole table would take the file's revisions from under the signatures that stand on them.
            raise NotOpened("damaged-cross-references", "and the file is signed already")
    except BaseException:
        opened.close()
        raise
    return opened


def _free_name(opened: Opened) -> str:
    names = {one.name for one in all_fields(opened.pdf)}
    return next(name for number in range(1, len(names) + 2) if (name := f"Timestamp{number}") not in names)


def _newest_signature(opened: Opened) -> str | None:
    """The store's key for the signature that covers most, document time-stamps apart."""
    newest, end = None, 0
    for field in all_fields(opened.pdf):
        hole = None if _is_timestamp(field) else _hole(field)
        if hole is not None and hole[2] > end:
            newest, end = hole[:2], hole[2]
    if newest is None:
        return None
    contents = _contents(opened, *newest)
    return security_store.signature_key(contents) if contents is not None else None


def _hole(field: Field) -> tuple[int, int, int] | None:
    """Begin and end of the signature's /Contents, and the end of what it covers."""
    signature = field.signature
    if signature is None:
        return None
    covered = signature.get("/ByteRange")
    numbers = [int(one) for one in list(covered)[:5] if isinstance(one, int)] if is_array(covered) else []
    if len(numbers) != 4:
        return None
    start, first, second, last = numbers
    if start != 0 or not 0 < first < second <= second + last:
        return None
    return first, second, second + last


def _is_timestamp(field: Field) -> bool:
    return field.signature is not None and bool(field.signature.get("/SubFilter") == "/ETSI.RFC3161")


def _token(contents: bytes, *, alone: bool) -> bytes | None:
    """`alone`: it stands in a document time-stamp, else in a signature."""
    try:
        token = contents if alone else cms.timestamp_in(contents)
        return read_token(token).der if token is not None else None
    except (NotAToken, cms.NotCms):
        return None


def _contents(opened: Opened, begin: int, end: int) -> bytes | None:
    """Out of the file itself: a reader that decrypts strings would decrypt these too, and they never are."""
    if end - begin > LARGEST_CONTENTS or end > opened.size:
        return None
    with opened.path.open("rb") as file:
        file.seek(begin)
        text = file.read(end - begin)
    if text[:1] != b"<" or text[-1:] != b">":
        return None
    try:
        return bytes.fromhex(text[1:-1].decode("ascii"))
    except ValueError:
        return None
