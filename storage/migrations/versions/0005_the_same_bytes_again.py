"""Documents that came with the same bytes are found without looking at all of an agency's."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("documents_by_upload", "documents", ["agency", "working_sha256"], unique=False)
