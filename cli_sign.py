"""`antin sign` and `antin timestamp`: the same story and audit as the service."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import typer

from catalogue import N_
from cli import DONE, REFUSED, UNAVAILABLE, Roof, err, file_chunks, print_json, system_user, words
from documents.document import RequestState, SigningRequest
from documents.intake import Arrival
from documents.office import Caller, CallerKind, NotAllowed
from documents.rooms import Rooms
from documents.wish import SignWish
from hsm.key import HolderKind, KeyDescription, KeyUnavailable, NoSuchKey, Purpose
from signing.profile import Level
from storage.identifiers import uuid7


async def sign_file(
    roof: Roof, source: Path, out: Path, *, key: str, level: Level, password: str | None, as_json: bool
) -> int:  # fmt: skip
    """Exit status: 0 signed, 1 refused, 2 not available. What cannot be had now is not left to be signed later."""
    if not source.is_file():
        raise typer.BadParameter(words(N_("Không có tệp %(file)s."), file=str(source)))
    async with roof.open_rooms() as rooms:
        caller = _acting_for(await _find_key(rooms, key), production=rooms.production)
        arrival = Arrival(source.name, declared_size=source.stat().st_size)
        document = await rooms.intake.receive(caller, uuid7(rooms.clock()), file_chunks(source), arrival)
        request_id = uuid7(rooms.clock())
        wish = SignWish(level=level, key=key, password=password, by=f"system user {system_user()}")
        try:
            request = await rooms.sign.sign(caller, document.id, request_id, wish)
        except KeyUnavailable:
            await rooms.sign.cancel(caller, request_id)
            raise
        found = await rooms.documents.get(caller, document.id)
        if request.reached is None or not request.reached >= level:
            return _not_yet(request, as_json=as_json)
        async with rooms.documents.open(caller, found) as signed:
            _write(signed, out)
        if as_json:
            print_json(
                {
                    "file": str(out), "sha256": found.sha256, "level": request.reached.value, "document": str(found.id),
                    "request": str(request.id), "state": request.state.value, "key": key,
                }
            )  # fmt: skip
        if request.state is RequestState.REVOCATION_PENDING:
            err.print(
                words(
                    N_(
                        "Đã ký. Chưa kiểm tra được chứng thư có bị thu hồi hay không; hệ thống sẽ tự kiểm tra lại."
                    )
                )
            )
        else:
            err.print(
                words(N_("Đã ký %(file)s ở mức %(level)s."), file=str(out), level=request.reached.value)
            )
    return DONE


async def timestamp_file(roof: Roof, source: Path, out: Path, *, as_json: bool) -> int:
    """A TimeStampResp over the SHA-256 of the file, checked before it is written."""
    from signing.timestamping.source import obtain, response_of

    digest = hashlib.sha256()
    if not source.is_file():
        raise typer.BadParameter(words(N_("Không có tệp %(file)s."), file=str(source)))
    async for piece in file_chunks(source):
        digest.update(piece)
    async with roof.open_rooms() as rooms:
        if rooms.authority is None:
            return UNAVAILABLE
        token = await obtain(
            rooms.authority,
            digest.digest(),
            hash_name="sha256",
            trust=rooms.trusted.snapshot(),
            now=rooms.clock(),
        )
        with tempfile.TemporaryDirectory(dir=out.parent if out.parent.is_dir() else None) as folder:
            made = Path(folder) / "token"
            made.write_bytes(response_of(token.der))
            _write(made, out)
        if as_json:
            print_json(
                {
                    "file": str(out),
                    "sha256": digest.hexdigest(),
                    "time": token.time.isoformat(),
                    "authority": token.authority,
                }
            )
        err.print(
            words(
                N_("Dấu thời gian %(time)s đã ghi vào %(file)s."), time=token.time.isoformat(), file=str(out)
            )
        )
    return DONE


async def _find_key(rooms: Rooms, name: str) -> KeyDescription:
    for one in await rooms.keys.descriptions():
        if one.name == name and one.purpose in {Purpose.SIGNING, Purpose.SEAL}:
            return one
    raise NoSuchKey(name)


def _acting_for(key: KeyDescription, *, production: bool) -> Caller:
    """K2: a PIN from a file opens agency and service keys; a person's only in development, recorded with the system
    user who typed the command."""
    if production and key.holder.kind is HolderKind.PERSON:
        raise NotAllowed(f"sign:{key.name}")
    return Caller(key.holder.id, key.agency, CallerKind.OPERATOR, system_user(), "", "")


def _not_yet(request: SigningRequest, *, as_json: bool) -> int:
    waiting = request.state in {RequestState.TIMESTAMP_PENDING, RequestState.REVOCATION_PENDING}
    if as_json:
        facts: dict[str, Any] = {
            "error": "level-not-available",
            "state": request.state.value,
            "request": str(request.id),
        }
        print_json(
            facts
            | {
                "document": str(request.document),
                "reached": request.reached.value if request.reached else None,
            }
        )
    if waiting:
        err.print(
            words(
                N_(
                    "Chưa đạt mức %(level)s: đang chờ dữ liệu từ bên ngoài. Chữ ký đã lưu, không mất; dịch vụ sẽ tự hoàn tất."
                ),
                level=request.level.value,
            )
        )
    return UNAVAILABLE if waiting else REFUSED


def _write(source: Path, out: Path) -> None:
    """Beside its place first, then renamed: a full disk never leaves half a file under the wanted name."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "wb") as file, source.open("rb") as signed:
            shutil.copyfileobj(signed, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
