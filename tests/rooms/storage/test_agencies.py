"""P3: one agency cannot reach into another, whatever a work asks for: by the door on both databases, and in PostgreSQL by
the database itself, where the door was gone round."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    CursorResult,
    Executable,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session, aliased

from storage.database import (
    WHOLE_SERVICE,
    Database,
    Door,
    OutOfScope,
    Question,
    table_of,
)
from storage.schema import SERVICE, AgencyRow, ClientRow, DocumentRow, RenditionRow, Row, Utc

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
OURS, THEIRS = UUID(int=1), UUID(int=2)
DOCUMENTS, PROGRAMS = table_of(DocumentRow), table_of(ClientRow)
TABLES = Row.metadata.sorted_tables
POLICY = (
    "((current_setting('antin.agency'::text, true) = '*'::text) OR "
    "(agency = (NULLIF(NULLIF(current_setting('antin.agency'::text, true), '*'::text), ''::text))::uuid))"
)


def row_of(table: Table, agency: UUID, made: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Values for every column that must have one, by its type; what refers to a row refers to that agency's."""
    values: dict[str, Any] = {}
    for column in table.columns:
        kind = datetime if isinstance(column.type, Utc) else column.type.python_type
        if column.name == "agency":
            values["agency"] = agency
        elif column.foreign_keys:
            (target,) = column.foreign_keys
            values[column.name] = made[target.column.table.name][target.column.name]
        elif column.nullable:
            continue
        else:
            values[column.name] = {
                UUID: uuid4(), int: agency.int, str: f"{column.name[:12]}-{agency.int}", bytes: agency.bytes,
                datetime: NOW, bool: False, object: {},  # object: JSON
            }[kind]  # fmt: skip
    return values


async def furnish(db: Database) -> None:
    """One row in every table for either agency, and for the service."""

    def work(session: Session) -> None:
        for agency in (OURS, THEIRS, SERVICE):
            made: dict[str, dict[str, Any]] = {}
            for table in TABLES:
                made[table.name] = row_of(table, agency, made)
                session.execute(table.insert().values(made[table.name]))

    await db.transact(WHOLE_SERVICE, work)


@pytest.fixture
async def two(db: Database) -> AsyncIterator[Database]:
    """A row in every table for two agencies and the service; nothing of the others' is touched by the test."""
    await furnish(db)
    before = await everything(db)
    yield db
    for table, rows in (await everything(db)).items():
        for row in before[table]:
            assert row in rows or row["agency"] == OURS, table


async def everything(db: Database) -> dict[str, list[dict[str, Any]]]:
    def work(session: Session) -> dict[str, list[dict[str, Any]]]:
        return {
            table.name: [dict(one) for one in session.execute(select(table)).mappings()] for table in TABLES
        }

    return await db.read(WHOLE_SERVICE, work)


# -- the door, on both databases

of = aliased(DocumentRow)
FORGETFUL: dict[str, tuple[Executable, Sequence[Any]]] = {
    "rows": (select(DocumentRow.agency), [OURS]),
    "wrong agency": (select(DocumentRow.agency).where(DocumentRow.agency == THEIRS), []),
    "either": (select(DocumentRow.agency).where(or_(DocumentRow.agency == THEIRS, true())), [OURS]),
    "count": (select(func.count()).select_from(DocumentRow), [1]),
    "largest": (select(func.max(RenditionRow.ordinal)), [OURS.int]),
    "alias": (select(of.agency), [OURS]),
    "join": (
        select(DocumentRow.agency).join(AgencyRow, AgencyRow.agency != DocumentRow.agency), []
    ),
    "exists": (
        select(AgencyRow.agency).where(exists().where(RenditionRow.agency != AgencyRow.agency)), []
    ),
    "in": (select(select(func.count(DocumentRow.id)).scalar_subquery()), [1]),
    "below": (select(select(DocumentRow).subquery().c.agency), [OURS]),
    "with": (select(select(DocumentRow.agency).cte().c.agency), [OURS]),
    "union": (select(DocumentRow.agency).union(select(RenditionRow.agency)), [OURS]),
    "for update": (select(DocumentRow.agency).with_for_update(), [OURS]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGETFUL)
async def test_a_query_without_its_agency_sees_ours_alone(two: Database, name: str) -> None:
    query, seen = FORGETFUL[name]
    assert await two.transact(OURS, lambda s: list(s.execute(query).scalars())) == seen
    if name != "for update":
        assert await two.read(OURS, lambda s: list(s.execute(query).scalars())) == seen


async def test_every_table_shows_ours_alone(two: Database) -> None:
    for mapper in Row.registry.mappers:
        for scope in (OURS, SERVICE):
            every = select(mapper.class_)
            seen = await two.read(scope, lambda s, every=every: [one.agency for one in s.scalars(every)])  # type: ignore[misc]
            assert seen == [scope], mapper.class_


async def test_an_identifier_of_theirs_is_as_one_of_nobody(two: Database) -> None:
    theirs = await two.read(THEIRS, lambda s: s.scalars(select(DocumentRow.id)).one())
    for id in (theirs, uuid4()):
        assert await two.read(OURS, lambda s, id=id: s.get(DocumentRow, id)) is None  # type: ignore[misc]
        by_name = delete(DocumentRow).where(DocumentRow.id == id).returning(DocumentRow.id)
        assert await two.transact(OURS, lambda s, by_name=by_name: list(s.scalars(by_name))) == []  # type: ignore[misc]


async def test_asked_at_once_ours_alone_is_there_too(two: Database) -> None:
    theirs = await two.read(THEIRS, lambda door: door.ask(EVERY_PROGRAM)[0])
    for scope in (OURS, SERVICE):
        assert [one.agency for one in await two.read(scope, lambda door: door.ask(EVERY_PROGRAM))] == [scope]
    everybodys = Question(select(PROGRAMS.c.agency).where(or_(PROGRAMS.c.agency == THEIRS, true())))
    assert await two.read(OURS, lambda door: door.ask(everybodys)) == [(OURS,)]
    with_papers = Question(
        select(PROGRAMS.c.agency, DOCUMENTS.c.agency).where(PROGRAMS.c.id != DOCUMENTS.c.id)
    )
    assert await two.read(OURS, lambda door: door.ask(with_papers)) == [(OURS, OURS)]
    assert len(await two.read(WHOLE_SERVICE, lambda door: door.ask(with_papers))) == 9
    assert await two.transact(OURS, lambda door: door.look(ClientRow, theirs.id)) is None
    assert await two.transact(OURS, lambda door: door.look(ClientRow, theirs.id, lock=True)) is None
    with pytest.raises(NoResultFound):
        await two.transact(OURS, lambda door: door.change(ClientRow, theirs.id, name="ours now"))


@pytest.mark.parametrize(
    "statement",
    [
        select(DOCUMENTS.alias()),
        select(select(DOCUMENTS).subquery()),
        select(select(DOCUMENTS.c.id).cte().c.id),
        select(DOCUMENTS.c.id).where(DOCUMENTS.c.id.in_(select(DOCUMENTS.c.id))),
        select(DOCUMENTS.c.id).where(exists().where(PROGRAMS.c.id == DOCUMENTS.c.id)),
        select(DOCUMENTS.c.id).join(PROGRAMS, PROGRAMS.c.id == DOCUMENTS.c.id),
        select(select(func.count(DOCUMENTS.c.id)).scalar_subquery()),
        select(func.now()),
    ],
)
def test_a_question_that_could_not_be_held_to_an_agency_is_none(statement: Select[Any]) -> None:
    with pytest.raises(ValueError, match="asks tables as they are"):
        Question(statement)


async def test_both_ways_of_asking_see_one_another(two: Database) -> None:
    def work(door: Door) -> list[str]:
        program = door.scalars(select(ClientRow)).one()
        program.name = "by its class"
        seen = [door.ask(EVERY_PROGRAM)[0].name]
        door.change(ClientRow, program.id, name="at once")
        door.put(ClientRow, id=uuid4(), agency=OURS, name="another", key_hash=b"y", scopes=[], created_at=NOW)
        return [*seen, program.name, *sorted(door.scalars(select(ClientRow.name)))]

    assert await two.transact(OURS, work) == ["by its class", "at once", "another", "at once"]


async def test_deleting_all_deletes_ours(two: Database) -> None:
    await two.transact(OURS, lambda s: s.execute(delete(ClientRow)))
    left = await two.read(WHOLE_SERVICE, lambda s: set(s.scalars(select(ClientRow.agency))))
    assert left == {THEIRS, SERVICE}


def client(agency: UUID) -> ClientRow:
    return ClientRow(id=uuid4(), agency=agency, name="x", key_hash=b"x", scopes=[], created_at=NOW)


def give_away(session: Session) -> None:
    session.scalars(select(ClientRow)).one().agency = THEIRS


EVERY_PROGRAM = Question(select(PROGRAMS))
REFUSED: dict[str, Callable[[Door], Any]] = {
    "their row": lambda s: s.add(client(THEIRS)),
    "the service's row": lambda s: s.add(client(SERVICE)),
    "ours given away": give_away,
    "words": lambda s: s.execute(text("SELECT * FROM documents")),
    "words into rows": lambda s: s.execute(select(DocumentRow).from_statement(text("SELECT * FROM documents"))),
    "the bare table": lambda s: s.execute(select(DocumentRow.__table__)),
    "a statement that makes": lambda s: s.execute(insert(ClientRow).values(agency=THEIRS)),
    "a statement that changes": lambda s: s.execute(update(ClientRow).values(agency=THEIRS)),
    "their row, at once": lambda s: s.put(DocumentRow, agency=THEIRS),
    "ours given away, at once": lambda s: s.change(ClientRow, s.ask(EVERY_PROGRAM)[0].id, agency=THEIRS),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_held_against_the_scope_is_refused(two: Database, name: str) -> None:
    before = await everything(two)
    with pytest.raises(OutOfScope):
        await two.transact(OURS, REFUSED[name])
    assert await everything(two) == before


async def test_no_agency_is_left_over_on_a_connection(db: Database) -> None:
    """Works of many agencies over few connections, some of which fail: each sees its own rows, and nothing else."""
    agencies = [uuid4() for _ in range(6)]
    for one in agencies:
        row = AgencyRow(agency=one, name="n", short_name="s", created_at=NOW)
        await db.transact(one, lambda s, row=row: s.add(row))  # type: ignore[misc]
    for turn in range(30):
        one = agencies[turn % len(agencies)]

        def work(session: Session, fails: bool = turn % 3 == 0) -> list[UUID]:
            seen = list(session.scalars(select(AgencyRow.agency)))
            if fails:
                raise KeyError(str(seen))
            return seen

        try:
            assert await db.transact(one, work) == [one]
        except KeyError as failed:
            assert failed.args == (str([one]),)
        assert await db.read(one, lambda s: list(s.scalars(select(AgencyRow.agency)))) == [one]


# -- the second fence: what goes round the door, in PostgreSQL


def raw(session: Session, statement: str, **named: Any) -> CursorResult[Any]:
    return session.connection().execute(text(statement), named)


@pytest.mark.parametrize("table", [one.name for one in TABLES])
@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_wrong_words_see_and_change_nothing(two: Database, table: str) -> None:
    before = await everything(two)
    whole = await two.read(OURS, lambda s: list(raw(s, f'SELECT agency FROM "{table}"').scalars()))
    assert whole == [OURS]
    theirs = f"""FROM "{table}" WHERE agency = '{THEIRS}' OR agency = '{SERVICE}'"""
    assert await two.read(OURS, lambda s: raw(s, f"SELECT count(*) {theirs}").scalar()) == 0
    assert await two.transact(OURS, lambda s: raw(s, f"DELETE {theirs}").rowcount) == 0
    changed = f"""UPDATE "{table}" SET agency = '{OURS}' WHERE agency <> '{OURS}'"""
    assert await two.transact(OURS, lambda s: raw(s, changed).rowcount) == 0
    given = f"""UPDATE "{table}" SET agency = '{THEIRS}'"""
    copied = (
        f"""INSERT INTO "{table}" SELECT * FROM json_populate_record(NULL::"{table}", CAST(:row AS json))"""
    )
    copy = await two.read(
        OURS, lambda s: raw(s, f'SELECT CAST(row_to_json(one) AS text) FROM "{table}" one').scalar()
    )
    for agency in (THEIRS, SERVICE):
        with pytest.raises(OutOfScope):
            await two.transact(OURS, lambda s: raw(s, given))
        with pytest.raises(OutOfScope):
            forged = str(copy).replace(str(OURS), str(agency))
            await two.transact(OURS, lambda s, row=forged: raw(s, copied, row=row))  # type: ignore[misc]
    assert await everything(two) == before


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_without_a_scope_there_is_no_row(two: Database) -> None:
    hidden = "SELECT set_config('antin.agency', '', true)"
    for table in TABLES:
        count = f'SELECT count(*) FROM "{table.name}"'
        seen = await two.read(
            WHOLE_SERVICE, lambda s, count=count: (raw(s, hidden), raw(s, count).scalar())[1]  # type: ignore[misc]
        )  # fmt: skip
        assert seen == 0, table.name


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_the_scope_ends_with_its_transaction(two: Database) -> None:
    scope = text("SELECT current_setting('antin.agency', true)")

    def whoever_comes_next(session: Session) -> tuple[Any, Any, Any]:
        engine = session.get_bind()
        during = session.connection().scalar(scope)
        session.commit()
        with engine.connect() as after:  # type: ignore[union-attr]
            return during, after.scalar(scope), after.scalar(text("SELECT count(*) FROM documents"))

    assert await two.read(OURS, whoever_comes_next) == (str(OURS), "", 0)


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_every_table_is_fenced(db: Database) -> None:
    """Walks what stands in the database, not what the program says of it: a new table without its fence is found."""
    walk = """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
            (SELECT a.attnotnull AND a.atttypid = 'uuid'::regtype FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname = 'agency'),
            (SELECT json_agg(json_build_array(p.polcmd, p.polpermissive, p.polroles::regrole[]::text[],
                pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))
             FROM pg_policy p WHERE p.polrelid = c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
        """
    found = await db.read(WHOLE_SERVICE, lambda s: [tuple(one) for one in raw(s, walk)])
    assert {one[0] for one in found} == {one.name for one in TABLES} | {"alembic_version"}
    for name, forced, carries, policies in found:
        if name == "alembic_version":  # one row: the number of the schema
            continue
        assert forced and carries, name
        assert policies == [["*", True, ["-"], POLICY, POLICY]], name
