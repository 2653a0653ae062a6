"""What recovery failed at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("signing_requests", sa.Column("failures", sa.BigInteger(), nullable=True))
    op.add_column("signing_requests", sa.Column("failing", sa.String(), nullable=True))
    op.add_column("signing_requests", sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True))
