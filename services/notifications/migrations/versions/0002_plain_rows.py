"""Notification logs, and what passes through the shell's queues, are no longer compressed."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import drop_plain_rows, keep_rows_plain

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    keep_rows_plain(op, "notification_logs")


def downgrade() -> None:
    drop_plain_rows(op, "notification_logs")
