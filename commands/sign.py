"""`antin sign` and `antin timestamp`: the same story and audit as the service."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import typer
from rich.text import Text

from catalogue import N_
from cli import (
    DONE,
    REFUSED,
    UNAVAILABLE,
    Roof,
    clean,
    err,
    file_chunks,
    print_json,
    system_user,
    tell,
    words,
)
from documents.document import RequestState, SigningRequest
from documents.intake import Arrival
from documents.office import Caller, CallerKind, NotAllowed
from documents.rooms import Rooms
from documents.wish import SignWish
from hsm.key import HolderKind, KeyDescription, NoSuchKey, Purpose
from signing.profile import Level
from signing.timestamping.source import TimestampUnavailable
from storage.identifiers import uuid7


@dataclass(frozen=True)
class SignFile:
    """What was typed."""

    source: Path
    out: Path
    key: str
    level: Level
    password: str | None
    as_json: bool


async def sign_file(roof: Roof, wanted: SignFile) -> int:
    """Exit status: 0 signed, 1 refused, 2 not available. What cannot be had now is not left to be signed later."""
    _check_paths(wanted.source, wanted.out)
    with err.status(Text(clean(words(N_("Đang ký %(file)s…"), file=wanted.source.name)))):
        async with roof.open_rooms() as rooms:
            key = await _find_key(rooms, wanted.key)
            caller = _acting_for(key, production=rooms.production)
            request = await _signed(rooms, caller, wanted)
            if request.reached is None or not request.reached >= wanted.level:
                return _not_yet(request, as_json=wanted.as_json)
            found = await rooms.documents.get(caller, request.document)
            async with rooms.documents.open(caller, found) as signed:
                await asyncio.to_thread(_write, signed, wanted.out)
    if wanted.as_json:
        print_json(
            {
                "file": str(wanted.out), "sha256": found.sha256, "level": request.reached.value,
                "document": str(found.id), "request": str(request.id), "state": request.state.value, "key": wanted.key,
            }
        )  # fmt: skip
    _say_signed(request, request.reached, wanted.out)
    return DONE


async def timestamp_file(roof: Roof, source: Path, out: Path, *, as_json: bool) -> int:
    """A TimeStampResp over the SHA-256 of the file, checked before it is written."""
    from signing.timestamping.source import obtain, response_of

    _check_paths(source, out)
    digest = hashlib.sha256()
    async for piece in file_chunks(source):
        digest.update(piece)
    async with roof.open_rooms() as rooms:
        if rooms.authority is None:
            raise TimestampUnavailable(("no-authority",))
        token = await obtain(
            rooms.authority,
            digest.digest(),
            hash_name="sha256",
            trust=rooms.trusted.snapshot(),
            now=rooms.clock(),
        )
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            made = Path(folder) / "token"
            made.write_bytes(response_of(token.der))
            _write(made, out)
    if as_json:
        print_json(
            {
                "file": str(out),
                "sha256": digest.hexdigest(),
                "time": token.time.isoformat().replace("+00:00", "Z"),
                "authority": token.authority,
            }
        )
    tell(words(N_("Dấu thời gian %(time)s đã ghi vào %(file)s."), time=token.time.isoformat(), file=str(out)))
    return DONE


def _check_paths(source: Path, out: Path) -> None:
    """Before anything is signed: what cannot be written afterwards is not begun."""
    if not source.is_file():
        raise typer.BadParameter(words(N_("Không có tệp %(file)s."), file=str(source)))
    cannot = typer.BadParameter(words(N_("Không ghi được vào %(file)s."), file=str(out)))
    if out.exists() and not out.is_file():
        raise cannot  # a folder, or a device that would be taken away by the file in its place
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as why:
        raise cannot from why


async def _signed(rooms: Rooms, caller: Caller, wanted: SignFile) -> SigningRequest:
    arrival = Arrival(wanted.source.name, declared_size=(await asyncio.to_thread(wanted.source.stat)).st_size)
    chunks = file_chunks(wanted.source)
    document = await rooms.intake.receive(caller, uuid7(rooms.clock()), chunks, arrival)
    request_id = uuid7(rooms.clock())
    wish = SignWish(
        level=wanted.level, key=wanted.key, password=wanted.password, by=f"system user {system_user()}"
    )
    try:
        return await rooms.sign.sign(caller, document.id, request_id, wish)
    except BaseException:
        await asyncio.shield(_give_up(rooms, caller, request_id))
        raise


async def _give_up(rooms: Rooms, caller: Caller, request: UUID) -> None:
    """Nobody signs it later, when who typed has gone. A refused request has ended already."""
    with contextlib.suppress(Exception):
        await rooms.sign.cancel(caller, request)


async def _find_key(rooms: Rooms, name: str) -> KeyDescription:
    for one in await rooms.keys.descriptions():
        if one.name == name and one.purpose in {Purpose.SIGNING, Purpose.SEAL} and one.certificate:
            return one
    raise NoSuchKey(name)


def _acting_for(key: KeyDescription, *, production: bool) -> Caller:
    """K2: a PIN from a file opens agency and service keys; a person's only in development, recorded with the system
    user who typed the command."""
    if production and key.holder.kind is HolderKind.PERSON:
        raise NotAllowed(f"sign:{key.name}")
    return Caller(key.holder.id, key.agency, CallerKind.OPERATOR, system_user(), "", "")


def _say_signed(request: SigningRequest, reached: Level, out: Path) -> None:
    tell(words(N_("Đã ký %(file)s ở mức %(level)s."), file=str(out), level=reached.value), style="green")
    if request.state is RequestState.REVOCATION_PENDING:
        tell(
            words(N_("Chưa kiểm tra được chứng thư có bị thu hồi hay không; hệ thống sẽ tự kiểm tra lại.")),
            style="yellow",
        )


def _not_yet(request: SigningRequest, *, as_json: bool) -> int:
    waiting = request.state in {RequestState.TIMESTAMP_PENDING, RequestState.REVOCATION_PENDING}
    if as_json:
        facts: dict[str, Any] = {
            "error": "level-not-available", "retryable": waiting, "state": request.state.value,
            "request": str(request.id), "document": str(request.document),
            "reached": request.reached.value if request.reached else None,
        }  # fmt: skip
        print_json(facts)
    if waiting:
        tell(
            words(
                N_(
                    "Chưa đạt mức %(level)s: đang chờ dữ liệu từ bên ngoài. Chữ ký đã lưu, không mất; dịch vụ sẽ tự hoàn tất."
                ),
                level=request.level.value,
            )
        )
    else:
        tell(words(N_("Không ký được ở mức %(level)s."), level=request.level.value))
    return UNAVAILABLE if waiting else REFUSED


def _write(source: Path, out: Path) -> None:
    """Beside its place first, then renamed: a full disk never leaves half a file under the wanted name."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=".antin.")
    try:
        with os.fdopen(handle, "wb") as file, source.open("rb") as signed:
            shutil.copyfileobj(signed, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
