"""Sums by day, of which reports are made; what each order adds to them; the stores and their time zones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

ADDS = ("order_adds", "payment_adds", "delivery_adds")
COUNTS = (
    *("opened", "placed", "paid", "completed", "seconds", "units", "attempts", "declined"),
    *("refunds", "failures", "disputed", "charged_back"),
)


def upgrade() -> None:
    for name in ADDS:
        op.add_column("orders", sa.Column(name, postgresql.JSONB))
    op.create_table(
        "stores",
        sa.Column("store", sa.Text, primary_key=True),
        *(_number("store_revision"), sa.Column("time_zone", sa.Text)),
        sa.Column("sums_zone", sa.Text, nullable=False, server_default="UTC"),
    )
    op.create_table(
        "day_sums",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("store", "about")),
        sa.Column("day", sa.Date, primary_key=True),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("value", "currency")),
        *map(_number, COUNTS),
        *(sa.Column(name, sa.Numeric, nullable=False, server_default="0") for name in ("sales", "refunded")),
    )


def downgrade() -> None:
    op.drop_table("day_sums")
    op.drop_table("stores")
    for name in ADDS:
        op.drop_column("orders", name)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
