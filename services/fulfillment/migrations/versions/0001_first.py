"""The first tables: deliveries, products, stock, pools of codes and the codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.shell.postgres.migration import drop_shell_tables, shell_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    shell_tables(op)
    _state(
        "deliveries",
        *(sa.Column(name, sa.Text) for name in ("stage", "store")),
        *(sa.Column(name, sa.Integer) for name in ("parcels", "not_revoked")),
    )
    for column in ("parcels", "not_revoked"):
        op.create_index(f"deliveries_{column}", "deliveries", ["key"], postgresql_where=sa.text(f"{column} > 0"))
    _state("products")
    _state(
        "stock",
        sa.Column("on_hand", sa.BigInteger),
        sa.Column("reserved", sa.BigInteger),
        sa.Column("received", sa.BigInteger),
        sa.CheckConstraint("0 <= reserved and reserved <= on_hand and on_hand <= received", name="stock_in_balance"),
    )
    _state("code_pools", sa.Column("waiting", sa.Integer))
    op.create_table(
        "codes",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("batch", sa.Uuid, nullable=False),
        sa.Column("order_key", sa.Text),
        sa.Column("item", sa.Text),
        sa.Column("unit", sa.BigInteger),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
    )
    op.create_index("codes_free", "codes", ["key", "number"], postgresql_where=sa.text("order_key is null"))
    op.create_index("codes_taken", "codes", ["key", "order_key", "item", "unit"], unique=True)
    op.create_index("codes_batch", "codes", ["key", "batch"])
    # Stock rows are few and change with every order: room in the page for updates in place.
    op.execute("alter table stock set (fillfactor = 50)")


def downgrade() -> None:
    for table in ("codes", "code_pools", "stock", "products", "deliveries"):
        op.drop_table(table)
    drop_shell_tables(op)


def _state(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *columns,
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
