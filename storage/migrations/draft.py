"""Writes the next migration down: `python -m storage.migrations.draft WHAT` compares the schema after all steps with
`schema.py` and makes this file's neighbour `versions/<next>_WHAT.py`, to be read and corrected before it is committed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateTableOp
from sqlalchemy import create_engine

from storage.migrations.run import FOLDER, migrate
from storage.schema import Row, Utc

HEAD = '''"""{what}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.migrations.fences import fence

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:{quiet}
    {steps}
'''


def draft(what: str) -> Path:
    versions = FOLDER / "versions"
    before = max((file.name.split("_")[0] for file in versions.glob("[0-9]*.py")), default=None)
    revision = f"{int(before or 0) + 1:04}"
    file = versions / f"{revision}_{what.replace(' ', '_')}.py"
    file.write_text(
        HEAD.format(
            what=what.capitalize(),
            revision=revision,
            before=before,
            steps=_steps(fresh=before is None),
            quiet="  # noqa: PLR0915" if before is None else "",
        )
    )
    return file


def _steps(*, fresh: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/draft.sqlite")
        if not fresh:
            migrate(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            made = produce_migrations(context, Row.metadata).upgrade_ops
        engine.dispose()
    if made is None:
        raise ValueError("nothing to compare")
    code = render_python_code(made, render_item=_type, migration_context=context)
    code = "\n".join(line for line in code.splitlines() if "### " not in line).strip()
    new = [one.table_name for one in made.ops if isinstance(one, CreateTableOp)]
    fences = [f'fence("{name}")' for name in new if "agency" in Row.metadata.tables[name].c]
    return "\n    ".join([code, *fences])


def _type(kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    if kind == "type" and isinstance(thing, Utc):
        return "sa.DateTime(timezone=True)"
    return False


if __name__ == "__main__":
    sys.stdout.write(f"{draft(' '.join(sys.argv[1:]) or 'next')}\n")
