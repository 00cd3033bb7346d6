"""What was erased of customers, and when."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import add_erasures, drop_erasures

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    add_erasures(op)
    op.execute("create index role_grants_order on role_grants (order_key)")


def downgrade() -> None:
    op.execute("drop index role_grants_order")
    drop_erasures(op)
