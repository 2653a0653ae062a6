"""`antin keys`: lists the keys that sign and seal, makes keys in the token, brings their certificates in, and says who
may use them (K1, K2).

- The listing with `--json` is a promise: one line per key, `name`, `subject`, `holder`, `algorithm`, `not_after`.
- What is done in the token is recorded before it is done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from catalogue import N_
from cli import DONE, Refused, Roof, print_json, tell, words
from commands.showing import (
    AsJson,
    InAgency,
    find_agency,
    find_user,
    operator,
    print_lines,
    show,
    show_done,
)
from documents.keys_told import key_id, making_facts
from documents.rooms import Rooms
from hsm import enrolment
from hsm.enrolment import KeyWish
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from signing.trust.anchors import load_anchors
from signing.verification.report import rfc3339
from storage.schema import SERVICE

CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}
FOR_DOCUMENTS = {Purpose.SIGNING, Purpose.SEAL}


@dataclass(frozen=True)
class Making:
    """What was typed. `holder`: `agency`, `service`, or the log-in name of a person."""

    name: str
    purpose: str
    holder: str
    subject: str
    algorithm: str
    agency: str
    request: Path | None
    as_json: bool


@dataclass(frozen=True)
class Grant:
    """What was typed: `who` may use the key, or no more."""

    name: str
    who: str
    granted: bool


def keys_commands(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Khóa để ký và đóng dấu. / Keys that sign and seal.")

    @app.callback(invoke_without_command=True)
    def keys(context: typer.Context, as_json: AsJson = False) -> int:
        return DONE if context.invoked_subcommand else asyncio.run(list_keys(roof, as_json=as_json))

    @app.command("list", help="Liệt kê. / Lists them.")
    def list_(as_json: AsJson = False) -> int:
        return asyncio.run(list_keys(roof, as_json=as_json))

    @app.command(
        "make", help="Tạo khóa trong thiết bị, in ra yêu cầu PKCS#10. / Makes a key, gives its request."
    )
    def make(
        name: str,
        subject: Annotated[str, typer.Option("--subject", metavar="RFC4514", help="CN=…,O=…,C=VN")] = "",
        purpose: Annotated[
            str, typer.Option("--purpose", metavar="PURPOSE", help=" | ".join(Purpose))
        ] = "signing",
        holder: Annotated[str, typer.Option("--holder", metavar="agency|service|LOGIN")] = "agency",
        algorithm: Annotated[str, typer.Option("--algorithm", metavar="ALGORITHM")] = "ec-p256",
        agency: InAgency = "",
        request: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT.csr")] = None,
        as_json: AsJson = False,
    ) -> int:
        wish = Making(name, purpose, holder, subject or f"CN={name}", algorithm, agency, request, as_json)
        return asyncio.run(make_key(roof, wish))

    @app.command("install", help="Đưa chứng thư vào cho khóa. / Brings a key's certificate in.")
    def install(
        name: str,
        certificate: Annotated[Path, typer.Argument(metavar="CERTIFICATE")],
        chain: Annotated[list[Path] | None, typer.Option("--chain", metavar="FILE")] = None,
        as_json: AsJson = False,
    ) -> int:
        return asyncio.run(install_certificate(roof, name, [certificate, *(chain or [])], as_json=as_json))

    @app.command(
        "grant", help="Cho một người hoặc phần mềm dùng khóa của cơ quan. / Lets somebody use a key."
    )
    def grant(
        name: str, who: Annotated[str, typer.Argument(metavar="LOGIN_OR_CLIENT")], as_json: AsJson = False
    ) -> int:
        return asyncio.run(change_grant(roof, Grant(name, who, granted=True), as_json=as_json))

    @app.command("revoke", help="Thôi cho dùng khóa. / Takes that back.")
    def revoke(
        name: str, who: Annotated[str, typer.Argument(metavar="LOGIN_OR_CLIENT")], as_json: AsJson = False
    ) -> int:
        return asyncio.run(change_grant(roof, Grant(name, who, granted=False), as_json=as_json))

    return app


async def list_keys(roof: Roof, *, as_json: bool) -> int:
    """Those that `antin sign` accepts: for documents, and with a certificate."""
    async with roof.open_rooms() as rooms:
        found = [one for one in await rooms.keys.descriptions() if one.purpose in FOR_DOCUMENTS]
    show([_row(one) for one in found if one.certificate], as_json=as_json)
    return DONE


async def make_key(roof: Roof, typed: Making) -> int:
    if typed.purpose not in set(Purpose) - {Purpose.PROBE}:
        raise typer.BadParameter(words(N_("Không có mục đích %(purpose)s."), purpose=typed.purpose))
    if typed.request is not None and not typed.request.parent.is_dir():
        raise typer.BadParameter(words(N_("Không ghi được vào %(file)s."), file=str(typed.request)))
    async with roof.open_rooms() as rooms:
        wish = await _wish(rooms, typed)
        await _note(
            rooms, wish.agency, "key.making", typed.name, **making_facts(wish.name, wish.purpose, wish.holder)
        )
        der = await enrolment.make_key(roof.settings.socket, wish)
    pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
    if typed.request is not None:
        typed.request.write_bytes(pem)
        tell(words(N_("Yêu cầu cấp chứng thư đã ghi vào %(file)s."), file=str(typed.request)))
    if typed.as_json:
        print_json({"name": typed.name, "request": pem.decode()})
    elif typed.request is None:
        print_lines(pem.decode().splitlines())
    return DONE


async def install_certificate(roof: Roof, name: str, files: list[Path], *, as_json: bool) -> int:
    """The first certificate in the first file is the key's; what follows are those above."""
    first, *above = [one.certificate for file in files for one in load_anchors(file)]
    async with roof.open_rooms() as rooms:
        fingerprint = x509.load_der_x509_certificate(first).fingerprint(SHA256()).hex()
        await _note(rooms, await _agency(rooms, name), "key.certifying", name, certificate=fingerprint)
        await enrolment.install(roof.settings.socket, name, first, above)
    said = words(N_("Đã đưa chứng thư vào cho khóa %(name)s."), name=name)
    return show_done({"name": name, "certificate": fingerprint}, said, as_json=as_json)


async def change_grant(roof: Roof, wanted: Grant, *, as_json: bool) -> int:
    name, who, granted = wanted.name, wanted.who, wanted.granted
    async with roof.open_rooms() as rooms:
        user = await find_user(rooms, who)
        kind, change = ("key.granting", enrolment.grant) if granted else ("key.revoking", enrolment.revoke)
        await _note(rooms, await _agency(rooms, name), kind, name, who=str(user))
        await change(roof.settings.socket, name, user)
    said = (
        N_("%(who)s được dùng khóa %(name)s.")
        if granted
        else N_("%(who)s không còn được dùng khóa %(name)s.")
    )
    facts = {"name": name, "who": str(user), "granted": granted}
    return show_done(facts, words(said, who=who, name=name), as_json=as_json)


async def _wish(rooms: Rooms, typed: Making) -> KeyWish:
    if typed.holder == HolderKind.SERVICE:
        agency, holder = SERVICE, Holder(HolderKind.SERVICE, SERVICE)
    else:
        agency = (await find_agency(rooms, typed.agency)).id
        holder = await _holder(rooms, typed.holder, agency)
    return KeyWish(typed.name, agency, Purpose(typed.purpose), holder, typed.subject, typed.algorithm)


async def _holder(rooms: Rooms, named: str, agency: UUID) -> Holder:
    if named == HolderKind.AGENCY:
        return Holder(HolderKind.AGENCY, agency)
    for one in await rooms.office.people():
        if one.login == named.casefold() and one.agency == agency:
            return Holder(HolderKind.PERSON, one.id)
    raise Refused(
        "no-such-person", N_("Không có người nào tên đăng nhập là %(name)s trong cơ quan này."), name=named
    )


async def _agency(rooms: Rooms, name: str) -> UUID:
    """Whose record it is. A key without a certificate is nobody's yet for the service: only the token knows it."""
    known = [one.agency for one in await rooms.keys.descriptions() if one.name == name]
    return known[0] if known else SERVICE


async def _note(rooms: Rooms, agency: UUID, kind: str, name: str, **facts: object) -> None:
    plain: dict[str, Any] = {"key": name, "by": operator()} | facts
    await rooms.trail.note(agency, kind, about=key_id(name), facts=plain)


def _row(key: KeyDescription) -> dict[str, Any]:
    certificate = x509.load_der_x509_certificate(key.certificate)
    return {
        "name": key.name,
        "subject": certificate.subject.rfc4514_string(),
        "holder": key.holder.kind.value,
        "algorithm": _algorithm(certificate),
        "not_after": rfc3339(certificate.not_valid_after_utc),
    }


def _algorithm(certificate: x509.Certificate) -> str:
    """As `antin keys make --algorithm` names it."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return CURVES.get(key.curve.name, key.curve.name)
    return f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else type(key).__name__
