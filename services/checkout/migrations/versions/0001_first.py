"""The first tables: stores, skus, orders, timeline, and the shell's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.shell.postgres.migration import drop_shell_tables, shell_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Orders change some ten times in their life: room in each page keeps a change that touches no index in place.
ROOM = {"fillfactor": "75"}
LAST_WORD = r"substring(lower(customer_name) from '\S+$')"


def upgrade() -> None:
    shell_tables(op)
    for name in ("stores", "skus"):
        op.create_table(name, *_shell_columns())
    op.create_table(
        "orders",
        *_shell_columns(),
        *(
            sa.Column(name, sa.Text)
            for name in ("number store status payment_status fulfilment_status email customer_name currency".split())
        ),
        *(sa.Column(name, sa.BigInteger) for name in ("purchased", "paid", "refunded")),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("created_at", "placed_at", "deadline", "closed_at")),
        sa.CheckConstraint("0 <= refunded and refunded <= paid and paid <= purchased", name="orders_money"),
        postgresql_with=ROOM,
    )
    op.create_table(
        "timeline",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("id", postgresql.UUID, nullable=False),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("detail", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("key", "id"),
    )
    _indexes()


def _shell_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    ]


def _indexes() -> None:
    """For the list: newest first, by status, by store; and by the beginning of number, email, first or last name."""
    op.create_index("orders_newest", "orders", ["created_at", "key"])
    op.create_index("orders_status", "orders", ["status", "created_at", "key"])
    op.create_index("orders_store", "orders", ["store", "created_at", "key"])
    op.execute("create unique index orders_number on orders (number text_pattern_ops)")
    op.execute("create index orders_email on orders (email text_pattern_ops)")
    op.execute("create index orders_name on orders (lower(customer_name) text_pattern_ops)")
    op.execute(f"create index orders_last_name on orders (({LAST_WORD}) text_pattern_ops)")


def downgrade() -> None:
    for name in ("timeline", "orders", "skus", "stores"):
        op.drop_table(name)
    drop_shell_tables(op)
