"""Which of an item's files was downloaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("downloads", sa.Column("file", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("downloads", "file")
