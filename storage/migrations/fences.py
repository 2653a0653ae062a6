"""Row-level security (P3): this file puts the second fence around a table, where the database has one.

- A row is seen and written only in the scope of its agency, or of the whole service (`*`). Without a scope nothing is.
- FORCE: the fence holds for the table's owner too.
"""

from __future__ import annotations

from alembic import op

SCOPE = "current_setting('antin.agency', true)"


def fence(table: str) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    seen = f"{SCOPE} = '*' OR agency = nullif(nullif({SCOPE}, '*'), '')::uuid"
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.execute(f'CREATE POLICY agency ON "{table}" USING ({seen}) WITH CHECK ({seen})')
