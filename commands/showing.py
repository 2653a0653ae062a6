"""What the operator's verbs share: this file finds the agency or program that is named, and shows lists.

- A list is a table on a terminal, tab-separated lines elsewhere, and with `--json` an object in each line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from catalogue import N_
from cli import DONE, Refused, clean, out, print_json, printing, system_user, tell, words
from documents.office import Agency, Client, Person
from documents.rooms import Rooms

AsJson = Annotated[bool, typer.Option("--json")]
InAgency = Annotated[str, typer.Option("--agency", metavar="AGENCY")]
Named = TypeVar("Named", Agency, Client)


def operator() -> str:
    """Who did it, as the log names them."""
    return f"system user {system_user()}"


async def find_agency(rooms: Rooms, named: str) -> Agency:
    """By its name, short name or identifier; the only one where none is named. Raises Refused."""
    agencies = await rooms.office.agencies()
    if not named and len(agencies) != 1:
        raise Refused("which-agency", N_("Hãy chọn một cơ quan bằng --agency."))
    found = [one for one in agencies if not named or named in {one.name, one.short_name, str(one.id)}]
    return _only(found, named)


async def find_client(rooms: Rooms, named: str) -> Client:
    """By its name or identifier. Raises Refused."""
    clients = await rooms.office.clients()
    return _only([one for one in clients if named in {one.name, str(one.id)} and not one.revoked], named)


async def find_user(rooms: Rooms, named: str) -> UUID:
    """The identifier of a person (by log-in name) or program (by name). Raises Refused."""
    people: Sequence[Person] = await rooms.office.people()
    for one in people:
        if named.casefold() in {one.login, str(one.id)}:
            return one.id
    return (await find_client(rooms, named)).id


async def agency_names(rooms: Rooms) -> Mapping[UUID, str]:
    return {one.id: one.short_name for one in await rooms.office.agencies()}


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(dict(row))
    elif not rows:
        tell(words(N_("Chưa có gì.")))
    elif out.is_terminal:
        table = Table(*(str(one) for one in rows[0]), box=None)
        for row in rows:
            table.add_row(*(Text(_cell(one)) for one in row.values()))
        with printing():
            out.print(table)
    else:
        print_lines("\t".join(_cell(one) for one in row.values()) for row in rows)


def show_done(facts: Mapping[str, Any], said: str, *, as_json: bool) -> int:
    """What was changed, for programs to the output and for people to the error stream; the exit status."""
    if as_json:
        print_json(dict(facts))
    tell(said, style="green")
    return DONE


def show_once(facts: Mapping[str, Any], secret: str, *, as_json: bool) -> None:
    """A secret, to the standard output; it is never shown again."""
    if as_json:
        print_json(dict(facts))
        return
    tell(words(N_("Dòng dưới đây chỉ hiện một lần, hãy cất giữ ngay:")))
    tell(secret, to=out)


def print_lines(lines: Iterable[str]) -> None:
    with printing():
        out.file.writelines(f"{one}\n" for one in lines)
        out.file.flush()


def _only(found: Sequence[Named], named: str) -> Named:
    if not found:
        raise Refused("not-there", N_("Không có gì mang tên hoặc mã %(name)s."), name=named)
    if len(found) > 1:
        raise Refused("ambiguous", N_("Có nhiều thứ mang tên %(name)s: hãy dùng mã."), name=named)
    return found[0]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return words(N_("có")) if value else "–"
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    return clean(str(value) if value not in {None, ""} else "–")
