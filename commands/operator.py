"""What an operator does for an office: this file gives `antin` its agencies, people and programs, and lists the verbs of
keys, trust and audit that stand beside it.

- A password or an API key is printed once, to the standard output, and is nowhere else.
- Each change is recorded with the system user who typed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

import ground
from catalogue import N_
from cli import DONE, Refused, Roof, words
from commands.backup import add_backup_commands
from commands.keys import keys_commands
from commands.showing import (
    AsJson,
    InAgency,
    agency_names,
    find_agency,
    find_client,
    operator,
    show,
    show_done,
    show_once,
)
from commands.trust import audit_commands, trust_commands

SCOPES = ("documents:write", "documents:read", "sign:certificate", "sign:*", "verify", "timestamp")


@dataclass(frozen=True)
class ClientWish:
    name: str
    agency: str
    scopes: Sequence[str]


def add_operator_commands(app: typer.Typer, roof: Roof) -> None:
    app.add_typer(_agencies(roof), name="agencies")
    app.add_typer(keys_commands(roof), name="keys")
    app.add_typer(_people(roof), name="people")
    app.add_typer(_clients(roof), name="clients")
    app.add_typer(trust_commands(roof), name="trust")
    app.add_typer(audit_commands(roof), name="audit")
    add_backup_commands(app, roof)

    @app.command(help="Cập nhật cấu trúc cơ sở dữ liệu. / Brings the database's schema up to date.")
    def migrate(as_json: AsJson = False) -> int:
        return asyncio.run(migrate_schema(roof, as_json=as_json))


async def migrate_schema(roof: Roof, *, as_json: bool) -> int:
    """As the role that owns the tables, where the service's own may not."""
    db = ground.database(roof.settings)
    try:
        await asyncio.to_thread(db.migrate)
    finally:
        await db.close()
    said = words(N_("Cấu trúc cơ sở dữ liệu đã đúng với phiên bản này."))
    return show_done({"migrated": True}, said, as_json=as_json)


def _agencies(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Cơ quan. / Agencies.")

    @app.callback(invoke_without_command=True)
    def agencies(context: typer.Context, as_json: AsJson = False) -> int:
        return DONE if context.invoked_subcommand else asyncio.run(list_agencies(roof, as_json=as_json))

    @app.command("list", help="Liệt kê. / Lists them.")
    def list_(as_json: AsJson = False) -> int:
        return asyncio.run(list_agencies(roof, as_json=as_json))

    @app.command("add", help="Thêm một cơ quan. / Adds an agency.")
    def add(
        name: Annotated[str, typer.Argument(metavar="NAME")],
        short: Annotated[str, typer.Option("--short", metavar="NAME", help="UBND xã An Phước")] = "",
        as_json: AsJson = False,
    ) -> int:
        return asyncio.run(add_agency(roof, _line(name), _line(short or name), as_json=as_json))

    return app


async def list_agencies(roof: Roof, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        agencies = await rooms.office.agencies()
    show(
        [{"name": one.name, "short_name": one.short_name, "id": str(one.id)} for one in agencies],
        as_json=as_json,
    )
    return DONE


async def add_agency(roof: Roof, name: str, short: str, *, as_json: bool) -> int:
    """Names tell agencies apart in every other verb, so no two have the same."""
    async with roof.open_rooms() as rooms:
        taken = {each for one in await rooms.office.agencies() for each in (one.name, one.short_name)}
        if taken & {name, short}:
            raise Refused("name-taken", N_("Đã có cơ quan mang tên %(name)s."), name=name)
        agency = await rooms.office.make_agency(name, short, by=operator())
    facts = {"name": agency.name, "short_name": agency.short_name, "id": str(agency.id)}
    return show_done(facts, words(N_("Đã thêm cơ quan %(name)s."), name=agency.name), as_json=as_json)


def _line(given: str, *, may_lack: bool = False) -> str:
    """Raises BadParameter: it stands on pages and papers."""
    plain = " ".join(given.split())
    if not plain.isprintable() or len(plain) > 200 or not (plain or may_lack):
        raise typer.BadParameter(words(N_("Tên phải là một dòng chữ, không quá 200 ký tự.")))
    return plain


def _people(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Người dùng. / People.")

    @app.callback(invoke_without_command=True)
    def people(context: typer.Context, as_json: AsJson = False) -> int:
        return DONE if context.invoked_subcommand else asyncio.run(list_people(roof, as_json=as_json))

    @app.command("list", help="Liệt kê. / Lists them.")
    def list_(as_json: AsJson = False) -> int:
        return asyncio.run(list_people(roof, as_json=as_json))

    @app.command("add", help="Thêm một người; mật khẩu đầu tiên in ra một lần. / Adds a person.")
    def add(
        login: str,
        name: Annotated[str, typer.Option("--name", metavar="NAME")],
        title: Annotated[str, typer.Option("--title", metavar="TITLE")] = "",
        agency: InAgency = "",
        as_json: AsJson = False,
    ) -> int:
        login, name, title = _line(login), _line(name), _line(title, may_lack=True)

        async def work() -> int:
            async with roof.open_rooms() as rooms:
                chosen = await find_agency(rooms, agency)
                person, password = await rooms.office.make_person(
                    chosen.id, login, name=name, title=title, by=operator()
                )
            facts = {"login": person.login, "id": str(person.id), "password": password}
            show_once(facts, password, as_json=as_json)
            return DONE

        return asyncio.run(work())

    @app.command("reset", help="Đặt mật khẩu mới, in ra một lần. / Gives a new password.")
    def reset(login: str, as_json: AsJson = False) -> int:
        async def work() -> int:
            async with roof.open_rooms() as rooms:
                password = await rooms.office.reset_password(login, by=operator())
            show_once({"login": login, "password": password}, password, as_json=as_json)
            return DONE

        return asyncio.run(work())

    @app.command("disable", help="Không cho đăng nhập nữa. / Ends a person's access.")
    def disable(login: str, as_json: AsJson = False) -> int:
        async def work() -> int:
            async with roof.open_rooms() as rooms:
                person = await rooms.office.disable_person(login, by=operator())
            facts = {"login": person.login, "id": str(person.id), "disabled": True}
            said = words(N_("%(name)s không đăng nhập được nữa."), name=login)
            return show_done(facts, said, as_json=as_json)

        return asyncio.run(work())

    return app


async def list_people(roof: Roof, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        people, agencies = await rooms.office.people(), await agency_names(rooms)
    rows = [
        {
            "login": one.login, "id": str(one.id), "name": one.name, "title": one.title,
            "agency": agencies.get(one.agency, str(one.agency)), "disabled": one.disabled,
        }
        for one in people
    ]  # fmt: skip
    show(rows, as_json=as_json)
    return DONE


def _clients(roof: Roof) -> typer.Typer:
    app = typer.Typer(help="Phần mềm dùng API. / Programs that use the API.")

    @app.callback(invoke_without_command=True)
    def clients(context: typer.Context, as_json: AsJson = False) -> int:
        return DONE if context.invoked_subcommand else asyncio.run(list_clients(roof, as_json=as_json))

    @app.command("list", help="Liệt kê. / Lists them.")
    def list_(as_json: AsJson = False) -> int:
        return asyncio.run(list_clients(roof, as_json=as_json))

    @app.command(
        "add", help="Thêm một phần mềm; khóa API in ra một lần. / Adds a program; its key is printed once."
    )
    def add(
        name: str,
        scope: Annotated[list[str], typer.Option("--scope", metavar="SCOPE", help=", ".join(SCOPES))],
        agency: InAgency = "",
        as_json: AsJson = False,
    ) -> int:
        wish = ClientWish(_line(name), agency, [_scope(one) for one in scope])
        return asyncio.run(add_client(roof, wish, as_json=as_json))

    @app.command("revoke", help="Thu hồi khóa API. / Revokes a program's key.")
    def revoke(client: Annotated[str, typer.Argument(metavar="NAME_OR_ID")], as_json: AsJson = False) -> int:
        async def work() -> int:
            async with roof.open_rooms() as rooms:
                found = await find_client(rooms, client)
                await rooms.office.revoke_client(found.id, by=operator())
            facts = {"name": found.name, "id": str(found.id), "revoked": True}
            said = words(N_("Đã thu hồi khóa API của %(name)s."), name=found.name)
            return show_done(facts, said, as_json=as_json)

        return asyncio.run(work())

    return app


async def list_clients(roof: Roof, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        clients, agencies = await rooms.office.clients(), await agency_names(rooms)
    rows = [
        {
            "name": one.name, "id": str(one.id), "agency": agencies.get(one.agency, str(one.agency)),
            "scopes": sorted(one.scopes), "revoked": one.revoked,
        }
        for one in clients
    ]  # fmt: skip
    show(rows, as_json=as_json)
    return DONE


async def add_client(roof: Roof, wish: ClientWish, *, as_json: bool) -> int:
    async with roof.open_rooms() as rooms:
        chosen = await find_agency(rooms, wish.agency)
        client, key = await rooms.office.make_client(chosen.id, wish.name, wish.scopes, by=operator())
    facts = {"name": client.name, "id": str(client.id), "scopes": sorted(client.scopes), "key": key}
    show_once(facts, key, as_json=as_json)
    return DONE


def _scope(given: str) -> str:
    """Raises BadParameter: a misspelt scope would be a right that nobody has."""
    if given in SCOPES or (given.startswith("sign:") and len(given) > 5):
        return given
    raise typer.BadParameter(
        words(N_("Không có quyền %(scope)s; các quyền: %(known)s, sign:TÊN_KHÓA."), scope=given, known=", ".join(SCOPES))
    )  # fmt: skip
