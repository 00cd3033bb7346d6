"""What was erased of customers, and when."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import add_erasures, drop_erasures

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    add_erasures(op)


def downgrade() -> None:
    drop_erasures(op)
