"""Items that wait for a configuration, and the versions of products."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("not_configured", sa.Integer, server_default="0"))
    op.create_index("deliveries_not_configured", "deliveries", ["key"], postgresql_where=sa.text("not_configured > 0"))
    op.create_table(
        "product_histories",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("product_histories")
    op.drop_column("deliveries", "not_configured")
