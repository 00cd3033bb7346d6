"""The history of each store's settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "store_changes",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", postgresql.UUID, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "reason")),
        sa.Column("changes", postgresql.JSONB, nullable=False),
    )
    op.create_index("store_changes_at", "store_changes", ["key", "at", "id"])


def downgrade() -> None:
    op.drop_table("store_changes")
