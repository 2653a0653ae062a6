"""What Alembic runs: this file hands it the one transaction that `run.py` opened."""

from __future__ import annotations

from alembic import context

from storage.schema import Row

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Row.metadata, transactional_ddl=True
)
context.run_migrations()
