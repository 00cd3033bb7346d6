"""Payments that failed lately, for what waits for staff."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("create index payments_failed on payments (changed_at) where status = 'failed'")


def downgrade() -> None:
    op.execute("drop index payments_failed")
