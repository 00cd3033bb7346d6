"""Deliveries, and what passes through the shell's queues, are no longer compressed."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import drop_plain_rows, keep_rows_plain

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    keep_rows_plain(op, "deliveries")


def downgrade() -> None:
    drop_plain_rows(op, "deliveries")
