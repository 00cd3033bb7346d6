"""What orders wait for in pools of codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "code_claims",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("key", "order_key", "item")),
        sa.Column("codes", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("since", "seen_at")),
    )


def downgrade() -> None:
    op.drop_table("code_claims")
