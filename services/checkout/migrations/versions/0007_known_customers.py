"""Whether a customer who is signed in has bought before."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        "create index orders_customer on orders (store, (data #>> '{customer,id}')) "
        "where paid > refunded and status in ('processing', 'completed', 'failed') "
        "and data #>> '{customer,id}' is not null"
    )


def downgrade() -> None:
    op.execute("drop index orders_customer")
