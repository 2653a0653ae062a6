"""What was kept is read again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.migrations.fences import fence

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "kept_faults",
        sa.Column("agency", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("fault", sa.String(length=16), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("agency", "sha256", name=op.f("pk_kept_faults")),
    )
    op.create_table(
        "scrub",
        sa.Column("agency", sa.Uuid(), nullable=False),
        sa.Column("at_agency", sa.Uuid(), nullable=True),
        sa.Column("at_sha256", sa.String(length=64), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("agency", name=op.f("pk_scrub")),
    )
    op.create_index("evidence_by_object", "evidence", ["agency", "sha256"], unique=False)
    fence("kept_faults")
    fence("scrub")
