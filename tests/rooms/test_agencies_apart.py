"""P3 by the code's own words: who may look over all agencies is written down here, and nobody goes round the door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("documents", "web", "commands", "hsm", "signing", "demonstration")

# Whatever crosses agencies, by module and function, and why it must. Another one is a decision, not an oversight.
OVER_ALL = {
    "backup.py:_Making.run": "the operator's: every agency's rows are in it",
    "restore.py:restore": "the operator's: every agency's rows are in it",
    "documents/counts.py:counts": "metrics of the whole; numbers alone leave it",
    "documents/counts.py:stuck": "the doctor: what recovery has set aside, told to the operator",
    "documents/evidence.py:EvidenceBundle._add_facts": "a proof is made of hashes of others' records; records by agency",
    "documents/log_keeper.py:LogKeeper._write_nothing": "the log is one for all agencies",
    "documents/log_keeper.py:LogKeeper.ready": "the log is one for all agencies",
    "documents/log_keeper.py:LogKeeper.sequence": "the log is one for all agencies",
    "documents/office.py:Office.agencies": "the operator's list",
    "documents/office.py:Office.clients": "the operator's list",
    "documents/office.py:Office.people": "the operator's list",
    "documents/office.py:Office.disable_person": "the operator's: by log-in name",
    "documents/office.py:Office.make_person": "a log-in name is taken in every agency",
    "documents/office.py:Office.reset_password": "the operator's: by log-in name",
    "documents/office.py:Office.revoke_client": "the operator's: by identifier",
    "documents/office.py:Office.by_api_key": "whose key it is says which agency",
    "documents/office.py:Office.by_session": "whose session it is says which agency",
    "documents/office.py:Office.log_in": "whose name it is says which agency",
    "documents/office.py:Office.log_out": "by the token, whoever holds it",
    "documents/once.py:Once.sweep": "a sweep by age",
    "documents/requests.py:Requests._agency_of": "recovery: afterwards it works in that agency's scope",
    "documents/requests.py:Requests.waiting": "recovery: identifiers alone",
    "documents/results.py:Results.by_revisions": "the public's: what is published, of whichever agency (C2)",
    "documents/results.py:Results.look_up": "the public's: what is published, of whichever agency (C2)",
    "documents/keys_told.py:take_stock": "keys of all agencies, counted once",
    "documents/scrub.py:Scrub.run": "a sweep over all that is kept",
    "documents/scrub.py:kept_faults": "the doctor: what the scrub found, told to the operator",
    "documents/sweeping.py:Sweeping._carry_all_on": "the queue before the authority: identifiers alone",
    "documents/sweeping.py:Sweeping.go_on": "a job: whether another holds its request",
    "documents/sweeping.py:Sweeping.clear": "a sweep by age: whether anybody names a file",
    "documents/trail.py:Trail.check": "the log is one for all agencies",
    "documents/verify_document.py:Verifying.bring": "rows of the service; without the turn that one scope takes",
    "documents/verify_document.py:Verifying.sweep": "a sweep by age",
    "storage/log/sequencer.py:Sequencer._look": "the log is one for all agencies",
    "storage/log/sequencer.py:Sequencer.checkpoint": "the log is one for all agencies",
    "storage/log/sequencer.py:Sequencer.open_generation": "the log is one for all agencies",
    "storage/log/sequencer.py:Sequencer.sequence": "the log is one for all agencies",
}

# Past the door nothing holds a statement against its agency (on SQLite), or it is held by the database alone.
CALLED = {"connection", "exec_driver_sql", "from_statement", "get_bind", "__table__", "bulk_insert_mappings"}
IMPORTED = {"text", "create_engine", "Table", "literal_column"}
AFTER_A_RESTORE = "documents/restored.py"  # puts sequences and generations right, before anybody is served


def sources() -> Iterator[tuple[str, ast.Module]]:
    files = [*TOP.glob("*.py"), *(one for room in (*ROOMS, "storage") for one in (TOP / room).rglob("*.py"))]
    for file in files:
        yield str(file.relative_to(TOP)), ast.parse(file.read_text())


def uses(tree: ast.Module, name: str) -> Iterator[str]:
    """The functions, by their way down, in which a name is read."""

    def walk(node: ast.AST, way: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            way = (*way, node.name)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield ".".join(way)
        for below in ast.iter_child_nodes(node):
            yield from walk(below, way)

    return walk(tree, ())


def test_who_looks_over_all_agencies_says_why() -> None:
    found = {f"{file}:{way}" for file, tree in sources() for way in uses(tree, "WHOLE_SERVICE")}
    assert found == set(OVER_ALL)


def test_no_room_goes_round_the_door() -> None:
    found = []
    for file, tree in sources():
        if file.startswith("storage/") or file == AFTER_A_RESTORE:
            continue
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
            for alias in node.names
        }
        if imported:
            called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            found += [f"{file}: {one}" for one in sorted(called & CALLED | imported & IMPORTED)]
    assert found == []
