"""What is owed to customers, by payment."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("alter table payments add column owed bigint")
    op.execute("create index payments_owed on payments (changed_at) where owed > 0")


def downgrade() -> None:
    op.execute("alter table payments drop column owed")
