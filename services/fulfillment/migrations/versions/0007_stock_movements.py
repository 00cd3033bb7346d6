"""The history of each SKU's stock; orders with tasks for staff, and those that are held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "stock_movements",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("why", "reason", "actor", "order_key")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("units", "on_hand", "free")),
    )
    op.create_index("stock_movements_at", "stock_movements", ["key", "at", "id"])
    for name in ("tasks", "held"):
        op.add_column("deliveries", sa.Column(name, sa.Integer, server_default="0"))
        op.create_index(f"deliveries_{name}", "deliveries", ["key"], postgresql_where=sa.text(f"{name} > 0"))


def downgrade() -> None:
    op.drop_table("stock_movements")
    for name in ("tasks", "held"):
        op.drop_column("deliveries", name)
