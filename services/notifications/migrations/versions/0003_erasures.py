"""What was erased of customers, and when."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import add_erasures, drop_erasures

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    add_erasures(op)
    op.execute("create index feed_order on feed_entries (order_id)")


def downgrade() -> None:
    op.execute("drop index feed_order")
    drop_erasures(op)
