"""What a work sees of the facts: this file is the session it works in, held to one agency or to the whole service (P3).

- Within an agency's scope rows of others are not there, whatever a work asks for, and cannot be written. What could not
  be held against the scope is refused.
- There are two ways. By the classes of `storage/schema.py`, which is SQLAlchemy's own and reads best; and for what every
  signature does, by `look`, `ask`, `put` and `change`: statements made once, at a fifth of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Insert,
    Select,
    SelectBase,
    Table,
    Update,
    bindparam,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql import visitors

from storage.schema import Row

R = TypeVar("R", bound=Row)


class WholeService:
    """The scope of what crosses agencies."""

    def __repr__(self) -> str:
        return "WHOLE_SERVICE"


WHOLE_SERVICE: Final = WholeService()

Scope = UUID | WholeService


class OutOfScope(Exception):
    """A row of another agency was about to be written, or a work asked past the door."""


class Question:
    """A select over our tables that is asked often: made once, and within an agency held to its rows. Its parameters are
    `bindparam`s. Raises ValueError where a table could not be held so."""

    def __init__(self, statement: Select[Any]) -> None:
        froms, within = statement.get_final_froms(), [*visitors.iterate(statement)]
        questions = sum(isinstance(one, SelectBase) for one in within)
        if questions != 1 or not froms or not all(isinstance(one, Table) for one in froms):
            raise ValueError("a question asks tables as they are, and holds no other question")
        self.everywhere = statement
        self.within = statement.where(*(one.c.agency == bindparam("of_agency") for one in froms))


class Door(Session):
    """One work's. Rows of `look` and `ask` are to be read only, and are as they were asked for."""

    def __init__(self, bind: Engine | Connection, scope: Scope, **options: Any) -> None:
        super().__init__(bind, expire_on_commit=False, **options)
        self.agency = None if isinstance(scope, WholeService) else scope
        self.by_identity = False

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:
        """Most of what is asked is one row by its key: that is looked at, which costs a third of narrowing the question."""
        if self.agency is None:
            return super().get(entity, ident, **options)
        self.by_identity = True
        try:
            row = super().get(entity, ident, **options)
        finally:
            self.by_identity = False
        if row is None or row.agency == self.agency:
            return row
        self.expunge(row)
        return None

    # -- what every signature does

    def look(self, kind: type[R], /, *key: Any, lock: bool = False) -> R | None:
        """The row with this key, as it stands; with `lock` nobody else changes it until the work has ended."""
        named = {f"key_{n}": one for n, one in enumerate(key)}
        return cast("R | None", self._run(_by_key(kind, self.agency is not None, lock), named).first())

    def ask(self, question: Question, **values: Any) -> Sequence[Any]:
        """All rows of the answer."""
        return self._run(question.everywhere if self.agency is None else question.within, values).all()

    def put(self, kind: type[Row], /, **values: Any) -> None:
        """A new row, at once. Raises OutOfScope."""
        if self.agency is not None and values["agency"] != self.agency:
            raise OutOfScope(kind.__name__)
        self._run(_insert(kind), values)

    def change(self, kind: type[Row], /, *key: Any, **values: Any) -> None:
        """Of the row with this key, at once. Raises NoResultFound, OutOfScope."""
        if "agency" in values:
            raise OutOfScope(kind.__name__)
        named = {f"key_{n}": one for n, one in enumerate(key)} | {
            f"to_{name}": one for name, one in values.items()
        }
        done = self._run(_change(kind, tuple(values), self.agency is not None), named)
        if done.rowcount != 1:
            raise NoResultFound(kind.__name__)
        if self.identity_map:
            self.expire_all()

    def _run(self, statement: Select[Any] | Insert | Update, values: dict[str, Any]) -> CursorResult[Any]:
        self.flush()  # what was made by the other way goes first
        if self.agency is not None and not isinstance(statement, Insert):
            values = values | {"of_agency": self.agency}
        return self.connection().execute(statement, values)


@event.listens_for(Door, "do_orm_execute")
def _ask(asked: ORMExecuteState) -> None:
    door = asked.session
    if not isinstance(door, Door) or door.agency is None:
        return
    if not asked.is_orm_statement or not (asked.is_select or asked.is_delete):
        raise OutOfScope("a statement that is no select or delete by our tables' classes")
    if not asked.is_column_load and not door.by_identity:
        asked.statement = asked.statement.options(_narrowed(door.agency))


@event.listens_for(Door, "before_flush")
def _hold(door: Door, _context: Any, _instances: Any) -> None:
    if door.agency is None:
        return
    for row in (*door.new, *door.dirty, *door.deleted):
        if getattr(row, "agency", door.agency) != door.agency:
            raise OutOfScope(type(row).__name__)


@lru_cache(maxsize=1024)
def _narrowed(agency: UUID) -> ORMOption:
    return with_loader_criteria(
        Row, lambda row: row.agency == agency, include_aliases=True, propagate_to_loaders=False
    )


def table_of(kind: type[Row]) -> Table:
    """For a Question: its columns without the classes' own way of being asked."""
    return cast("Table", kind.__table__)


@lru_cache(maxsize=256)
def _by_key(kind: type[Row], within: bool, lock: bool) -> Select[Any]:
    table = table_of(kind)
    query = select(table).where(*(c == bindparam(f"key_{n}") for n, c in enumerate(table.primary_key)))
    query = query.with_for_update() if lock else query
    return query.where(table.c.agency == bindparam("of_agency")) if within else query


@lru_cache(maxsize=256)
def _insert(kind: type[Row]) -> Insert:
    return insert(table_of(kind))


@lru_cache(maxsize=1024)
def _change(kind: type[Row], names: tuple[str, ...], within: bool) -> Update:
    table = table_of(kind)
    query = update(table).where(*(c == bindparam(f"key_{n}") for n, c in enumerate(table.primary_key)))
    query = query.where(table.c.agency == bindparam("of_agency")) if within else query
    return query.values({name: bindparam(f"to_{name}") for name in names})
